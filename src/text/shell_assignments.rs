//! `KEY=value` files: the part of the shell's language that assigns fixed words, parsed and never executed.
//!
//! POSIX.1-2017, Shell Command Language, 2.2 (quoting), 2.3 (comments), 2.9.1 (assignments). What the shell would
//! expand, run or redirect is not taken literally either, because the writer meant something else by it: it is told
//! with its line, and the rest of the file counts.

#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Far more than every key with every value that means something.
pub const LENGTH_LIMIT: usize = 64 << 10;

/// A file that has more lines of another kind is no such file; no one reads more.
const COMPLAINTS_LIMIT: usize = 20;

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What is assigned to.
    pub key: String,
    /// The word, its quotes off.
    pub value: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// Which bytes of the text the word has, quotes included.
    pub word: Range<usize>,
}

/// A line that is no such assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Which, counted from 1.
    pub line: usize,
    /// What is wrong with it. The line itself could hold a secret and is not shown.
    pub why: &'static str,
}

/// A file taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// In order; of several with one key the last counts.
    pub assignments: Vec<Assignment>,
    /// In order, and no more than say that this is no such file.
    pub complaints: Vec<Complaint>,
}

impl Conf {
    /// Takes `text` apart.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        if text.len() > LENGTH_LIMIT {
            conf.complaints.push(Complaint { line: 1, why: "the file is too long to be a configuration" });
            return conf;
        }
        let mut rest = text;
        let mut line: usize = 1;
        while !rest.is_empty() && conf.complaints.len() < COMPLAINTS_LIMIT {
            let behind = match assignment(rest) {
                Ok(Some(found)) => {
                    let at = |left: usize| text.len().saturating_sub(left);
                    let word = at(found.word.len())..at(found.rest.len());
                    conf.assignments.push(Assignment { key: found.key.into(), value: found.value, line, word });
                    found.behind
                }
                Ok(None) => next_line(rest),
                Err(why) => {
                    conf.complaints.push(Complaint { line, why });
                    next_line(rest)
                }
            };
            let taken = rest.len().saturating_sub(behind.len());
            line = line.saturating_add(rest.bytes().take(taken).filter(|byte| *byte == b'\n').count());
            rest = behind;
        }
        conf
    }

    /// What was last assigned to `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.assignments.iter().rev().find(|assignment| assignment.key == key).map(|assignment| &*assignment.value)
    }
}

/// What is behind the first line of `text`.
fn next_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, behind)| behind)
}

/// An assignment; its pieces of text reach to the end of the file.
struct Found<'a> {
    key: &'a str,
    value: String,
    /// From the word on.
    word: &'a str,
    /// From behind the word on.
    rest: &'a str,
    /// From the next line on.
    behind: &'a str,
}

/// The assignment at the start of `text`; nothing for a line that is empty or a comment.
fn assignment(text: &str) -> Result<Option<Found<'_>>, &'static str> {
    let text = text.trim_start_matches([' ', '\t', '\r']);
    if text.is_empty() || text.starts_with(['\n', '#']) {
        return Ok(None);
    }
    // The shell's word for the environment of programs: the assignment is the same.
    let exported = text.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let text = exported.map_or(text, |rest| rest.trim_start_matches([' ', '\t']));
    let (key, from) = text.split_once('=').ok_or("it is not KEY=value")?;
    if !is_key(key) {
        return Err("it is not KEY=value");
    }
    let (value, rest) = word(from)?;
    let behind = rest.trim_start_matches([' ', '\t', '\r']);
    if behind.is_empty() || behind.starts_with('\n') || behind.len() < rest.len() && behind.starts_with('#') {
        return Ok(Some(Found { key, value, word: from, rest, behind: next_line(behind) }));
    }
    Err("something follows the value; a value with blanks needs quotes")
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

/// What the quotes around the letter do to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// The word at the start of `text`, its quotes off, and what is behind it.
fn word(text: &str) -> Result<(String, &str), &'static str> {
    const EXPANDED: &str = "the shell would put something else in place of $ or `, which wisp does not";
    let mut value = String::new();
    let mut quote = Quote::None;
    let mut letters = text.chars();
    if text.starts_with('~') {
        return Err("the shell would put a home directory in place of ~, which wisp does not");
    }
    loop {
        let here = letters.as_str();
        let Some(letter) = letters.next() else { break };
        match (quote, letter) {
            (Quote::None, ' ' | '\t' | '\r' | '\n') => return Ok((value, here)),
            (Quote::None, ';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                return Err("it holds a command, which wisp does not run");
            }
            (Quote::None | Quote::Double, '$' | '`') => return Err(EXPANDED),
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None, '\\') => value.extend(letters.next().filter(|escaped| *escaped != '\n')),
            (Quote::Double, '\\') => match letters.next() {
                Some('\n') => {}
                Some(escaped @ ('$' | '`' | '"' | '\\')) => value.push(escaped),
                // Only those lose their backslash.
                other => value.extend(Some('\\').into_iter().chain(other)),
            },
            _ => value.push(letter),
        }
    }
    if quote == Quote::None { Ok((value, "")) } else { Err("its quote has no end") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        let conf = Conf::parse(text);
        assert_eq!(conf.complaints, [], "{text}");
        conf.assignments.into_iter().map(|found| (found.key, found.value, found.line)).collect()
    }

    fn value(text: &str) -> String {
        let conf = Conf::parse(text);
        assert_eq!((conf.complaints.len(), conf.assignments.len()), (0, 1), "{text}: {conf:?}");
        conf.value("K").unwrap().into()
    }

    #[test]
    fn words_are_unquoted_as_the_shell_does() {
        for (text, wanted) in [
            ("K=value", "value"),
            ("K=", ""),
            ("K=\n", ""),
            ("K=''", ""),
            ("  K=indented", "indented"),
            ("K=\"multi word\"", "multi word"),
            ("K='multi word'", "multi word"),
            ("K=a\"b c\"'d e'f", "ab cd ef"),
            ("K='a\"b'", "a\"b"),
            ("K=\"it's\"", "it's"),
            (r#"K="a\"b\\c\$d\`e\f""#, "a\"b\\c$d`e\\f"),
            (r"K=a\ b\'", "a b'"),
            (r"K='a\'", r"a\"),
            ("K=a#b", "a#b"),
            ("K=a # b", "a"),
            ("K='a' # b=c", "a"),
            ("K=a=b", "a=b"),
            ("K=a\r\n", "a"),
            ("K=a  \t\n", "a"),
            ("K='two\nlines'\n", "two\nlines"),
            ("K=\"one \\\nline\"\n", "one line"),
            ("K=/usr/lib:~", "/usr/lib:~"),
            ("K=*?[x]{a,b}!%", "*?[x]{a,b}!%"),
            ("K='$(rm -rf /)'", "$(rm -rf /)"),
            ("K=é", "é"),
            ("export K=value", "value"),
            (" export\t K='a b'", "a b"),
        ] {
            assert_eq!(value(text), wanted, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_and_the_last_assignment_counts() {
        let text = "# Tiny Cloud\n\nCLOUD=aws\n  # more\nA='1\n2\n3'\nCLOUD=gcp\n_b2=x";
        assert_eq!(
            values(text),
            [("CLOUD", "aws", 3), ("A", "1\n2\n3", 5), ("CLOUD", "gcp", 8), ("_b2", "x", 9)]
                .map(|(key, value, line)| (key.into(), value.into(), line))
        );
        assert_eq!(Conf::parse(text).value("CLOUD"), Some("gcp"));
        assert_eq!(Conf::parse(text).value("cloud"), None);
    }

    #[test]
    fn where_a_word_stands_is_known_with_its_quotes() {
        let text = "# a\nA=\"b c\" # d\n  B='e\n'f\\ g\nC=\nD=h";
        let words: Vec<&str> = Conf::parse(text).assignments.into_iter().map(|found| &text[found.word]).collect();
        assert_eq!(words, ["\"b c\"", "'e\n'f\\ g", "", "h"]);
    }

    #[test]
    fn invalid_assignments_are_reported_and_the_rest_counts() {
        for (line, why) in [
            ("echo hello", "KEY=value"),
            ("exported K=1", "KEY"),
            ("export K", "KEY"),
            ("K = 1", "KEY=value"),
            ("=1", "KEY=value"),
            ("1K=1", "KEY=value"),
            ("K-L=1", "KEY=value"),
            ("K", "KEY=value"),
            ("K+=1", "KEY=value"),
            ("K=a b", "quotes"),
            ("K=a 'b'", "quotes"),
            ("K=$HOME", "$"),
            ("K=\"$HOME\"", "$"),
            ("K=`id`", "$"),
            ("K=\"`id`\"", "$"),
            ("K=$(id)", "$"),
            ("K=a;id", "command"),
            ("K=a&", "command"),
            ("K=a|id", "command"),
            ("K=a>b", "command"),
            ("K=(a b)", "command"),
            ("K=~/x", "~"),
            ("K='a", "no end"),
            ("K=\"a", "no end"),
        ] {
            let conf = Conf::parse(&format!("A=1\n{line}\nB=2\n"));
            assert!(conf.complaints.len() == 1 && conf.complaints[0].line == 2, "{line}: {conf:?}");
            assert!(conf.complaints[0].why.contains(why), "{line}: {conf:?}");
            assert_eq!((conf.value("A"), conf.value("B"), conf.value("K")), (Some("1"), Some("2"), None), "{line}");
        }
    }

    #[test]
    fn every_limit_holds() {
        assert_eq!(Conf::parse(&"x\n".repeat(1000)).complaints.len(), COMPLAINTS_LIMIT);
        assert_eq!(Conf::parse(&"K=1\n".repeat(LENGTH_LIMIT / 4)).assignments.len(), LENGTH_LIMIT / 4);
        let conf = Conf::parse(&"K=1\n".repeat(LENGTH_LIMIT / 4 + 1));
        assert_eq!((conf.assignments.len(), conf.complaints.len()), (0, 1));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_has_a_reading() {
        let text = "A=1 # x\nB=\"a \\\" b\"'c'\\ d\n\nC='\n'\nD=~";
        for end in 0..text.len() {
            let conf = Conf::parse(&text[..end]);
            assert!(conf.assignments.len() <= 4, "{end}");
            for bit in 0..8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[end] ^= 1 << bit;
                let _ = Conf::parse(&String::from_utf8_lossy(&bytes));
            }
        }
    }
}
