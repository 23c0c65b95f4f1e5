//! Keys as Google Compute Engine states them: `user:key` lines, with an expiry in the comment.
//!
//! Sources and their order are those of the guest agent: the instance's `sshKeys` (which implies blocking the project's)
//! and `ssh-keys`, then the project's unless blocked. With OS Login no key of the metadata counts.

use super::keys::{Found, clean};
use crate::text::document::Document;
use alloc::string::String;
use alloc::vec::Vec;

/// Adds the keys of `instance` and `project`, which are their attributes, that are valid at `now` (seconds since 1970).
pub(super) fn keys(instance: Option<&Document>, project: Option<&Document>, now: u64, found: &mut Found) {
    let of = |attributes: Option<&Document>, name: &str| -> Option<String> {
        attributes.and_then(|all| all.at(&[name])).and_then(Document::text).map(String::from)
    };
    let login = of(instance, "enable-oslogin").or_else(|| of(project, "enable-oslogin"));
    if login.is_some_and(|word| is_true(&word)) {
        return;
    }
    let legacy = of(instance, "sshKeys");
    let blocked = legacy.is_some() || of(instance, "block-project-ssh-keys").is_some_and(|word| is_true(&word));
    let mut texts = Vec::from([legacy, of(instance, "ssh-keys")]);
    if !blocked {
        texts.extend([of(project, "sshKeys"), of(project, "ssh-keys")]);
    }
    let lines = texts.iter().flatten().flat_map(|text| text.lines()).map(clean);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).for_each(|line| key(line, now, found));
}

/// Booleans arrive as text.
fn is_true(word: &str) -> bool {
    ["true", "t", "1", "yes", "y"].iter().any(|yes| word.trim().eq_ignore_ascii_case(yes))
}

/// `user:[options] type base64 [comment]`.
fn key(line: &str, now: u64, found: &mut Found) {
    let is_user = |user: &str| !user.is_empty() && !user.contains(char::is_whitespace);
    match line.split_once(':').map(|(user, key)| (user, clean(key))) {
        Some((user, key)) if is_user(user) && !key.is_empty() => {
            if !has_expired(key, now) {
                found.push(key, Some(user), true);
            }
        }
        _ => found.reject("the line names no user in front of a key"),
    }
}

/// A comment `google-ssh {"userName":"…","expireOn":"2028-11-08T19:30:47+0000"}` limits a key. An expiry that cannot be
/// understood has passed: a key that was meant to end must not live for ever by a slip.
fn has_expired(key: &str, now: u64) -> bool {
    let Some((_, comment)) = key.split_once("google-ssh") else { return false };
    let Ok(note) = Document::parse_json(comment.trim().as_bytes()) else { return true };
    let Some(expiry) = note.at(&["expireOn"]).and_then(Document::text) else { return false };
    seconds_of(expiry).is_none_or(|end| end <= now)
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ss` with `Z`, `+hhmm` or `+hh:mm` (RFC 3339, and the agent's own form).
fn seconds_of(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    if !marks.iter().all(|(at, mark)| text.get(*at..).is_some_and(|rest| rest.starts_with(*mark))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = text.get(19..)?;
    let zone = match fraction.strip_prefix('.') {
        Some(digits) => digits.trim_start_matches(|byte: char| byte.is_ascii_digit()),
        None => fraction,
    };
    let offset = offset_seconds(zone)?;
    let days = days_from_civil(year, month, day);
    let time = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    u64::try_from(days.checked_mul(86_400)?.checked_add(time)?.checked_sub(offset)?).ok()
}

/// How far a zone is ahead of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1_i64, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits: String = digits.chars().filter(|letter| *letter != ':').collect();
    if digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; years begin in March here, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year.saturating_sub(1) } else { year };
    let month_from_march = month.saturating_add(9).rem_euclid(12);
    let leap_days =
        shifted.div_euclid(4).saturating_sub(shifted.div_euclid(100)).saturating_add(shifted.div_euclid(400));
    // 153 days are the five months from March, and from August again: 31, 30, 31, 30, 31.
    let day_of_year = month_from_march.saturating_mul(153).saturating_add(2).div_euclid(5).saturating_add(day);
    // 719,469 days lie between the first of March of the year 0 (counted from 1) and 1970.
    shifted.saturating_mul(365).saturating_add(leap_days).saturating_add(day_of_year).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::*;

    fn keys(instance: Option<&Document>, project: Option<&Document>, now: u64) -> Vec<Key> {
        let mut found = Found::default();
        super::keys(instance, project, now, &mut found);
        found.keys
    }

    fn attributes(text: &str) -> Document {
        Document::parse_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00+0000", 951_825_600),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2028-11-08T19:30:47+0000", 1_857_324_647),
            ("2028-11-08T20:30:47.25+01:00", 1_857_324_647),
            ("2028-11-08T14:00:47-0530", 1_857_324_647),
        ] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
        }
        for text in
            ["", "soon", "2028-13-08T19:30:47Z", "2028-11-08 19:30:47Z", "2028-11-08T19:30:47", "2028-11-08T19:30:47+1"]
        {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }

    #[test]
    fn keys_expire_and_a_slip_in_the_expiry_ends_them() {
        let instance = attributes(
            r#"{"ssh-keys": "a:ssh-ed25519 AAAA a\nb:ssh-rsa BBBB google-ssh {\"userName\":\"b\",\"expireOn\":\"2028-11-08T19:30:47+0000\"}\nc:ssh-rsa CCCC google-ssh {\"expireOn\":\"later\"}\nd:ssh-rsa DDDD google-ssh {broken\n:ssh-rsa EEEE\nno colon\nf g:ssh-rsa FFFF"}"#,
        );
        let users = |now| keys(Some(&instance), None, now).into_iter().filter_map(|key| key.user).collect::<Vec<_>>();
        assert_eq!(users(1_857_324_646), ["a", "b"]);
        assert_eq!(users(1_857_324_647), ["a"]);
    }

    #[test]
    fn the_project_is_blocked_by_word_and_by_the_legacy_attribute() {
        let project = attributes(r#"{"ssh-keys": "p:ssh-rsa PPPP", "enable-oslogin": "FALSE"}"#);
        let count = |text: &str| keys(Some(&attributes(text)), Some(&project), 0).len();
        assert_eq!(count("{}"), 1);
        assert_eq!(count(r#"{"ssh-keys": "i:ssh-rsa IIII"}"#), 2);
        assert_eq!(count(r#"{"ssh-keys": "i:ssh-rsa IIII", "block-project-ssh-keys": "TRUE"}"#), 1);
        assert_eq!(count(r#"{"sshKeys": "i:ssh-rsa IIII"}"#), 1);
        assert_eq!(count(r#"{"ssh-keys": "i:ssh-rsa IIII", "enable-oslogin": "1"}"#), 0);
        assert_eq!(keys(None, Some(&attributes(r#"{"ssh-keys": "p:ssh-rsa P", "enable-oslogin": "true"}"#)), 0), []);
    }
}
