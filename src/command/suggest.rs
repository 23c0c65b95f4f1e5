//! What a mistyped command or option was probably meant to be.
#![forbid(unsafe_code)]

use alloc::vec::Vec;

/// The long options that occur in a help text.
pub(super) fn option_names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').filter(|word| word.starts_with("--"))
}

/// The candidate that `word` was probably meant to be: the one with the fewest letters to change, if those are few.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Two typing errors; with three, words of four letters would match anything.
    const LIMIT: usize = 2;
    // Hints are for people at a prompt; the program in an initramfs is called by scripts.
    if !cfg!(feature = "full") {
        return None;
    }
    let word = word.split('=').next().unwrap_or_default();
    let close = candidates.map(|candidate| (distance(word, candidate), candidate)).filter(|(distance, candidate)| {
        // A word must not match a candidate with which it shares nothing.
        *distance <= LIMIT && *distance < candidate.len()
    });
    close.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed, replaced or exchanged with their neighbour to get from `from` to `to` (the
/// optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    // No command and no option is longer; a longer word matches none.
    const LIMIT: usize = 32;
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.len() > LIMIT || to.len() > LIMIT {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, &letter) in from.iter().enumerate() {
        let above = core::mem::replace(&mut row, Vec::with_capacity(to.len().saturating_add(1)));
        row.push(line.saturating_add(1));
        for (column, &other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column).saturating_add(usize::from(letter != other));
            let removed = at(&above, column.saturating_add(1)).saturating_add(1);
            let added = at(&row, column).saturating_add(1);
            let is_exchanged = column > 0
                && line > 0
                && to.get(column.wrapping_sub(1)) == Some(&letter)
                && from.get(line.wrapping_sub(1)) == Some(&other);
            let exchanged = match column.checked_sub(1).filter(|_| is_exchanged) {
                Some(column) => at(&before, column).saturating_add(1),
                None => usize::MAX,
            };
            row.push(replaced.min(removed).min(added).min(exchanged));
        }
        before = above;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_typing_errors() {
        for (from, to, errors) in [
            ("grow", "grow", 0),
            ("gorw", "grow", 1),
            ("grwo", "grow", 1),
            ("--dryrun", "--dry-run", 1),
            ("stauts", "status", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), errors, "{from} {to}");
            assert_eq!(distance(to, from), errors, "{to} {from}");
        }
        assert_eq!(distance(&"x".repeat(33), "grow"), usize::MAX);
    }

    #[test]
    fn every_option_of_the_help_is_found() {
        assert_eq!(
            option_names("[--json] [--size=N] -n, --dry-run").collect::<Vec<_>>(),
            ["--json", "--size", "--dry-run"]
        );
    }
}
