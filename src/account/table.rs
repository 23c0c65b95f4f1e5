//! The lines of passwd, group, shadow and gshadow (passwd(5), group(5), shadow(5), gshadow(5)).
//!
//! What is not understood stays as it is, byte for byte: comments, other people's slips, and the `+` and `-` lines after
//! which names come from elsewhere (nsswitch.conf(5), `compat`). Pure.

use alloc::vec::Vec;
use core::ops::Range;

/// The first line of `table` that is about `name`, without its newline, be it that of Windows.
pub(super) fn find<'a>(table: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let found = lines(table).find(|line| field(line, 0) == name.as_bytes());
    found.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The lines of `table`.
pub(super) fn lines(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    table.split(|byte| *byte == b'\n')
}

/// A field of a line, counted from 0; empty where the line has fewer.
pub(super) fn field(line: &[u8], number: usize) -> &[u8] {
    line.split(|byte| *byte == b':').nth(number).unwrap_or_default()
}

/// A field that is a number of a user or a group; the highest one means "no change" to chown(2).
pub(super) fn number(line: &[u8], place: usize) -> Option<u32> {
    core::str::from_utf8(field(line, place)).ok()?.parse().ok().filter(|number| *number != u32::MAX)
}

/// Whether some line of `table` has `wanted` in the field at `place`.
pub(super) fn has_number(table: &[u8], place: usize, wanted: u32) -> bool {
    lines(table).any(|line| number(line, place) == Some(wanted))
}

/// The whole line of `name` becomes `line`; where there is none it is added, before the lines that say that names come
/// from elsewhere: what follows those may never be read.
pub(super) fn put(table: &mut Vec<u8>, name: &str, line: &str) {
    let is_elsewhere = |line: &&[u8]| line.starts_with(b"+") || line.starts_with(b"-");
    if let Some(old) = find(table, name) {
        *table = insert(table, place(table, old), &["", line]);
        return;
    }
    let at = lines(table).find(is_elsewhere).map_or(table.len(), |line| place(table, line).start);
    let is_begun = at > 0 && at == table.len() && !table.ends_with(b"\n");
    *table = insert(table, at..at, &[if is_begun { "\n" } else { "" }, line, "\n"]);
}

/// Sets a field, counted from 0, of the line of `name`, if it has that many.
pub(super) fn set(table: &mut Vec<u8>, name: &str, number: usize, value: &str) {
    let Some(line) = find(table, name) else { return };
    let Some(old) = line.split(|byte| *byte == b':').nth(number) else { return };
    *table = insert(table, place(table, old), &["", value]);
}

/// What is in `range` becomes these.
fn insert(table: &[u8], range: Range<usize>, parts: &[&str]) -> Vec<u8> {
    let new = parts.concat();
    let (before, after) = (table.get(..range.start), table.get(range.end..));
    [before.unwrap_or_default(), new.as_bytes(), after.unwrap_or_default()].concat()
}

/// Adds `member` to the last field of the line of `group`, which must have one of that name with `fields` fields;
/// whether that changed anything.
pub(super) fn add_member(table: &mut Vec<u8>, group: &str, member: &str) -> bool {
    let Some(line) = find(table, group) else { return false };
    let members = field(line, MEMBERS);
    let is_whole = line.iter().filter(|byte| **byte == b':').count() == MEMBERS;
    if !is_whole || members.split(|byte| *byte == b',').any(|other| other == member.as_bytes()) {
        return false;
    }
    let end = place(table, line).end;
    *table = insert(table, end..end, &[if members.is_empty() { "" } else { "," }, member]);
    true
}

/// Where the members stand in the lines of group and gshadow: after name, password, and number or administrators.
const MEMBERS: usize = 3;

/// Where `part` of `whole` lies in it.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    const GROUP: &[u8] = b"root:x:0:\nwheel:x:10:root\n# a word\nodd\nusers:x:100:ann,bob";

    fn changed(table: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut table = table.to_vec();
        change(&mut table);
        String::from_utf8_lossy(&table).into_owned()
    }

    #[test]
    fn lines_are_found_by_their_whole_name() {
        assert_eq!(find(GROUP, "wheel"), Some(&b"wheel:x:10:root"[..]));
        assert_eq!(find(GROUP, "whee"), None);
        assert_eq!((number(b"a:x:7:", 2), number(b"a:x:-7:", 2), number(b"a:x", 2)), (Some(7), None, None));
        assert_eq!((number(b"a:x:4294967294:", 2), number(b"a:x:4294967295:", 2)), (Some(4_294_967_294), None));
        assert!(has_number(GROUP, 2, 100) && !has_number(GROUP, 2, 1));
    }

    #[test]
    fn lines_are_added_at_the_end_and_everything_else_stays() {
        let old = String::from_utf8_lossy(GROUP);
        assert_eq!(changed(GROUP, |table| put(table, "new", "new:x:1:")), format!("{old}\nnew:x:1:\n"));
        assert_eq!(changed(b"", |table| put(table, "new", "new:x:1:")), "new:x:1:\n");
        assert_eq!(changed(b"a:x:1:\n", |table| put(table, "b", "b:x:2:")), "a:x:1:\nb:x:2:\n");
        assert_eq!(changed(b"a:x\n\xff\n+\n", |table| put(table, "b", "b:x")), "a:x\n\u{fffd}\nb:x\n+\n");
        assert_eq!(changed(b"a:x\n+@net::\n-bad\n+", |table| put(table, "b", "b")), "a:x\nb\n+@net::\n-bad\n+");
        assert_eq!(changed(b"a:old:1\nb", |table| put(table, "a", "a:new")), "a:new\nb");
    }

    #[test]
    fn a_field_is_set_and_everything_else_stays() {
        let table = b"a:x:1\nann:!:2::\r\nb:!:3";
        assert_eq!(changed(table, |table| set(table, "ann", 1, "*")), "a:x:1\nann:*:2::\r\nb:!:3");
        assert_eq!(changed(table, |table| set(table, "b", 2, "40")), "a:x:1\nann:!:2::\r\nb:!:40");
        assert_eq!(changed(table, |table| set(table, "ann", 4, "z")), "a:x:1\nann:!:2::z\r\nb:!:3");
        for (name, place) in [("a", 3), ("c", 0), ("b", 9)] {
            assert_eq!(changed(table, |table| set(table, name, place, "x")), String::from_utf8_lossy(table));
        }
    }

    #[test]
    fn members_are_added_once_and_only_to_whole_lines() {
        let with = |table: &str| {
            let mut table = table.as_bytes().to_vec();
            let is_changed = add_member(&mut table, "w", "ann");
            (is_changed, String::from_utf8_lossy(&table).into_owned())
        };
        assert_eq!(with("w:x:1:\nb:x:2:"), (true, "w:x:1:ann\nb:x:2:".into()));
        assert_eq!(with("w:x:1:root\n"), (true, "w:x:1:root,ann\n".into()));
        assert_eq!(with("w:x:1:\r\nb:x:2:\r\n"), (true, "w:x:1:ann\r\nb:x:2:\r\n".into()));
        for table in ["w:x:1:ann\n", "w:x:1:root,ann,bob\n", "w:x:1\n", "w:x:1::\n", "v:x:1:\n"] {
            assert_eq!(with(table), (false, table.into()));
        }
    }
}
