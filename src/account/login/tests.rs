//! Patterns and days; sshd itself judges the rest, in tests/login.rs.

use super::*;

#[test]
fn patterns_fit_as_those_of_sshd() {
    for (text, pattern) in [
        ("ann", "ann"),
        ("ann", "a*"),
        ("ann", "*"),
        ("ann", "a?n"),
        ("aXbXc", "a*b*c"),
        ("", "*"),
        ("aab", "*ab"),
        ("ann", "ann**"),
    ] {
        assert!(is_match(text, pattern), "{text} {pattern}");
    }
    for (text, pattern) in
        [("ann", "an"), ("an", "ann"), ("ann", "b*"), ("ann", "a?"), ("", "?"), ("ab", "*a"), ("ann", "")]
    {
        assert!(!is_match(text, pattern), "{text} {pattern}");
    }
}

#[test]
fn days_count_where_the_clock_is_set() {
    let says = |line: &str, day, has_pam| expiry(line.as_bytes(), day, has_pam).unwrap_or_default();
    for (line, day, has_pam, start) in [
        ("a:*:20000:0:99999:7:::", Some(20_100), true, ""),
        ("a:*:20000:0:99999:7::20100:", Some(20_100), false, ""),
        ("a:*:20000:0:99999:7::20099:", Some(20_100), false, "has expired"),
        ("a:*:20000:0:99999:7::20099:", None, false, ""),
        ("a:*:0:0:99999:7:::", Some(20_100), true, "must change its password before"),
        ("a:*:0:0:99999:7:::", Some(20_100), false, ""),
        ("a:*:20000:0:90:7:::", Some(20_100), true, "must change its password, which"),
        ("a:*:20000:0:90:7:::", Some(20_090), true, ""),
        ("a:*::0:::::", Some(20_100), true, ""),
        ("a:*", Some(20_100), true, ""),
    ] {
        let said = says(line, day, has_pam);
        assert!(said.starts_with(start) && said.is_empty() == start.is_empty(), "{line} {day:?}: {said}");
    }
}
