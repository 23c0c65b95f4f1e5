//! The kernel command line: words, quotes, `name=value`, and what follows `--`.
//!
//! As the kernel itself reads it (`lib/cmdline.c`, `next_arg`): words are split at white space outside double quotes;
//! one pair of quotes around the value or the whole word is taken off; `-` and `_` in names are the same; of several
//! words with one name the last wins.

#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;

/// `COMMAND_LINE_SIZE` is 2048 on x86-64 and aarch64, and no architecture has more than this.
pub const LENGTH_LIMIT: usize = 65536;

/// One word: `name` or `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What stands before the first `=`.
    pub name: String,
    /// What stands behind it, unquoted; `None` for a bare word.
    pub value: Option<String>,
}

/// A command line taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    words: Vec<Word>,
}

impl Cmdline {
    /// Takes `text` apart. Every text has a reading; an open quote lasts to the end, as for the kernel.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut line = Self::default();
        line.add(text);
        line
    }

    /// Takes `text` apart as well; its words come after those that are there, and so win.
    pub fn add(&mut self, text: &str) {
        for raw in split(text) {
            // Words behind a bare `--` are for init; the kernel hands them over, wisp does not look at them.
            if raw == "--" {
                break;
            }
            self.words.push(word(raw));
        }
    }

    /// All words, in order.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The value of the last word called `name`; a bare word has the empty value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.last(name).map(|word| word.value.as_deref().unwrap_or_default())
    }

    /// Whether a word called `name` is there at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// This line without the words called so.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let is_kept = |word: &&Word| !names.iter().any(|name| same(&word.name, name));
        Self { words: self.words.iter().filter(is_kept).cloned().collect() }
    }

    /// Which of `names` comes last, for words that undo each other such as `ro` and `rw`.
    #[must_use]
    pub fn last_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        self.words.iter().rev().find_map(|word| names.iter().find(|name| same(&word.name, name)).copied())
    }

    fn last(&self, name: &str) -> Option<&Word> {
        self.words.iter().rev().find(|word| same(&word.name, name))
    }
}

/// Whether two names are one to the kernel.
fn same(left: &str, right: &str) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte };
    left.len() == right.len() && left.bytes().zip(right.bytes()).all(|(a, b)| fold(a) == fold(b))
}

/// The words of `text` with their quotes still on.
fn split(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|character: char| {
        quoted ^= character == '"';
        character.is_ascii_whitespace() && !quoted
    })
    .filter(|word| !word.is_empty())
    .collect()
}

/// Splits at the first `=` and takes off one pair of quotes.
fn word(raw: &str) -> Word {
    let whole = raw.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest));
    let Some((name, value)) = whole.unwrap_or(raw).split_once('=') else {
        return Word { name: whole.unwrap_or(raw).into(), value: None };
    };
    let unquoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest));
    Word { name: name.into(), value: Some(unquoted.unwrap_or(value).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_are_found_and_the_last_one_wins() {
        let line = Cmdline::parse("root=/dev/vda1 ro  quiet\troot=LABEL=x rw\n");
        assert_eq!(line.value("root"), Some("LABEL=x"));
        assert_eq!(line.value("quiet"), Some(""));
        assert!(!line.has("quie"));
        assert_eq!(line.last_of(&["ro", "rw"]), Some("rw"));
        assert_eq!(Cmdline::parse("rw ro").last_of(&["ro", "rw"]), Some("ro"));
        assert_eq!(Cmdline::parse("quiet").last_of(&["ro", "rw"]), None);
    }

    #[test]
    fn quotes_hold_blanks_together_and_come_off() {
        let line = Cmdline::parse(r#"a="b c" "d=e f" "g" h="i" root="LABEL=my disk""#);
        for (name, value) in [("a", "b c"), ("d", "e f"), ("g", ""), ("h", "i"), ("root", "LABEL=my disk")] {
            assert_eq!(line.value(name), Some(value), "{name}");
        }
        assert_eq!(Cmdline::parse("a=\"b c").value("a"), Some("b c"), "an open quote lasts to the end");
    }

    #[test]
    fn dashes_and_underscores_in_names_are_the_same() {
        assert_eq!(Cmdline::parse("wisp.on-fail=halt").value("wisp.on_fail"), Some("halt"));
        assert_eq!(Cmdline::parse("a-b=c_d").value("a_b"), Some("c_d"), "values are left alone");
    }

    #[test]
    fn what_is_meant_for_init_is_not_read() {
        let line = Cmdline::parse("ro -- root=/dev/sda wisp.grow=off");
        assert!(line.has("ro") && !line.has("root") && !line.has("wisp.grow"));
    }

    #[test]
    fn what_is_added_wins_and_begins_afresh() {
        let mut line = Cmdline::parse("a=1 b=1 c=\"open -- d=1");
        line.add("a=2 d=2");
        assert_eq!(["a", "b", "d"].map(|name| line.value(name)), [Some("2"), Some("1"), Some("2")]);
    }

    #[test]
    fn every_cut_of_a_line_has_a_reading() {
        let text = r#"root="UUID=1 2" "x=y z" é="ü" -- a=b"#;
        for (end, _) in text.char_indices() {
            let _ = Cmdline::parse(&text[..end]);
        }
    }
}
