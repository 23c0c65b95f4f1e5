//! Alias patterns (`pci:v00008086d*sv*`) and the table that finds those which match a name, quickly.
//!
//! A pattern is what fnmatch(3) calls one: `*`, `?`, `[a-f]`, `[!x]`, `\c`. Matching goes back to the last `*` only,
//! so its cost is bounded by the two lengths multiplied, whatever the pattern.

use alloc::vec::Vec;

use super::fold;

/// One `alias PATTERN MODULE` line.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    pattern: &'a str,
    module: &'a str,
    /// How many leading bytes of the pattern stand for themselves.
    literal_length: usize,
    /// Rows are sorted for the search, and matches are wanted in the order of the lines.
    line: usize,
}

impl Row<'_> {
    fn literal(&self) -> impl Iterator<Item = u8> {
        self.pattern.bytes().take(self.literal_length).map(fold)
    }

    fn literal_at(&self, depth: usize) -> Option<u8> {
        self.pattern.as_bytes().get(..self.literal_length)?.get(depth).copied().map(fold)
    }
}

/// Alias patterns, sorted by their literal beginnings: a lookup tests a few of many thousand.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// Adds rows of pattern and module name.
    pub(super) fn extend(&mut self, rows: impl Iterator<Item = (&'a str, &'a str)>) {
        for (pattern, module) in rows {
            let literal_length = pattern.bytes().take_while(|byte| !b"*?[\\".contains(byte)).count();
            self.rows.push(Row { pattern, module, literal_length, line: self.rows.len() });
        }
        self.rows.sort_unstable_by(|one, other| one.literal().cmp(other.literal()));
    }

    /// The modules of all patterns that match `name`, in the order in which the rows were added.
    ///
    /// Narrows the sorted rows byte by byte to those whose literal beginning `name` shares; at each depth, the rows
    /// whose beginning ends there sort first, and only their patterns are tried.
    pub(super) fn find(&self, name: &str) -> Vec<&'a str> {
        let mut found: Vec<&Row<'a>> = Vec::new();
        let mut rows = self.rows.as_slice();
        for (depth, byte) in name.bytes().map(|byte| Some(fold(byte))).chain([None]).enumerate() {
            let (ending, longer) = rows.split_at(rows.partition_point(|row| row.literal_length <= depth));
            found.extend(ending.iter().filter(|row| matches(row.pattern.as_bytes(), name.as_bytes())));
            let (_, longer) = longer.split_at(longer.partition_point(|row| row.literal_at(depth) < byte));
            (rows, _) = longer.split_at(longer.partition_point(|row| row.literal_at(depth) == byte));
            if rows.is_empty() {
                break;
            }
        }
        // Hardly ever more than two, so the next one is looked for each time rather than sorted before.
        let mut next = found.iter().min_by_key(|row| row.line);
        let mut modules = Vec::with_capacity(found.len());
        while let Some(row) = next {
            modules.push(row.module);
            next = found.iter().filter(|other| other.line > row.line).min_by_key(|other| other.line);
        }
        modules
    }
}

/// Whether the whole of `name` matches `pattern`; `-` and `_` are the same outside of brackets.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Behind the last `*`: the rest of the pattern, and the part of the name that it was last tried on.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            pattern = rest;
            star = Some((rest, name));
            continue;
        }
        let Some((&byte, name_rest)) = name.split_first() else { return pattern.is_empty() };
        if let Some(rest) = accept(pattern, byte) {
            (pattern, name) = (rest, name_rest);
            continue;
        }
        // The last `*` swallows one byte more.
        let Some((behind, [_, tried @ ..])) = star else { return false };
        star = Some((behind, tried));
        (pattern, name) = (behind, tried);
    }
}

/// The pattern behind its first element if that element is not `*` and accepts `byte`.
fn accept(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (accepted, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'\\', quoted, rest @ ..] => (*quoted == byte, rest),
        // As fnmatch has it, a bracket that is never closed stands for itself.
        [b'[', class @ ..] => in_class(class, byte).unwrap_or((byte == b'[', class)),
        [literal, rest @ ..] => (fold(*literal) == fold(byte), rest),
    };
    accepted.then_some(rest)
}

/// Whether `byte` is in the class whose opening bracket was just read, and the pattern behind the class; nothing if the
/// class is never closed.
fn in_class(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut class) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    let mut first = true;
    loop {
        class = match class {
            [] => return None,
            [b']', rest @ ..] if !first => return Some((found != negated, rest)),
            [low, b'-', high, rest @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                rest
            }
        };
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_has_it() {
        for (pattern, name) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4"),
            ("pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"),
            ("*", ""),
            ("a**b*", "a-b"),
            ("fs-ext4", "fs_ext4"),
            ("crypto_crc32c", "crypto-crc32c"),
            ("usb:v[0-9A]*", "usb:vA"),
            ("x[!0-9]y", "xay"),
            ("x[^0-9]y", "xay"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("a[b", "a[b"),
            ("a\\*b", "a*b"),
            ("a?c", "abc"),
            ("*ab", "aab"),
            ("*a*b", "xaxaxb"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("virtio:d00000002v*", "virtio:d00000003v00001AF4"),
            ("", "a"),
            ("a", ""),
            ("a?", "a"),
            ("a*b", "ab?"),
            ("x[!0-9]y", "x5y"),
            ("[]", "]"),
            ("[z-a]", "m"),
            ("a\\*b", "axb"),
            ("*a*b", "xbxa"),
        ] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_lengths_multiplied() {
        let pattern = "a*".repeat(5_000) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }

    #[test]
    fn the_table_finds_what_trying_every_row_finds() {
        let patterns = ["*", "a", "a*", "ab*", "a-b", "a_b*", "ab?d", "abc", "b*", "[ab]*", "a*c", "abcd", "", "ab"];
        let mut table = Table::default();
        // In two steps, as two files would.
        let (one, two) = patterns.split_at(6);
        table.extend(one.iter().map(|pattern| (*pattern, *pattern)));
        table.extend(two.iter().map(|pattern| (*pattern, *pattern)));
        for name in ["", "a", "ab", "abc", "abcd", "a-b", "a_b", "a-bc", "b", "bb", "c", "abd", "-", "a-c"] {
            let all: Vec<&str> =
                patterns.into_iter().filter(|pattern| matches(pattern.as_bytes(), name.as_bytes())).collect();
            assert_eq!(table.find(name), all, "{name}");
        }
    }
}
