//! Patterns as shells and sshd have them (glob(7), ssh_config(5) PATTERNS).

use alloc::vec::Vec;

/// Whether `pattern` matches the whole of `text`: `*`, `?`, and classes in brackets (glob(7)).
pub(super) fn is_match(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    // Where to continue if the last `*` must match one character more.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let (mut letters, mut signs) = (text.chars(), pattern.chars());
        match (letters.next(), signs.next()) {
            (_, Some('*')) => {
                pattern = signs.as_str();
                retry = Some((text, pattern));
                continue;
            }
            (None, None) => return true,
            (Some(letter), Some(sign)) => {
                let class = if sign == '[' { signs.as_str().get(1..).and_then(|rest| rest.find(']')) } else { None };
                let is_one = if let Some(end) = class.and_then(|end| end.checked_add(1)) {
                    let (inside, behind) = signs.as_str().split_at(end);
                    signs = behind.get(1..).unwrap_or_default().chars();
                    is_in_class(letter, inside)
                } else {
                    sign == '?' || sign == letter
                };
                if is_one {
                    (text, pattern) = (letters.as_str(), signs.as_str());
                    continue;
                }
            }
            _ => {}
        }
        let Some((start, behind)) = retry else { return false };
        let mut start = start.chars();
        if start.next().is_none() {
            return false;
        }
        (text, pattern) = (start.as_str(), behind);
        retry = Some((text, pattern));
    }
}

/// Whether a class (`a-z_`, `!0-9`) contains `letter`.
fn is_in_class(letter: char, class: &str) -> bool {
    let (class, is_negated) = class.strip_prefix(['!', '^']).map_or((class, false), |class| (class, true));
    let signs: Vec<char> = class.chars().collect();
    let is_range = |range: &[char]| matches!(range, [from, '-', to] if (*from..=*to).contains(&letter));
    (signs.contains(&letter) || signs.windows(3).any(is_range)) != is_negated
}
