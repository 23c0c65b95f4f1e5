//! Public keys: where a cloud puts them, as lines of `authorized_keys`.

use super::gcp;
use super::reader::Reader;
use super::{Keys, ValuePath};
use crate::error::Result;
use crate::text::base64;
use crate::text::document::Document;
use crate::text::ssh_key::{self, Fault};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Keys that one machine is given at most: a project of a large team has some hundreds.
const LIMIT: usize = 4096;

/// What user-data begins with that is a mapping with keys in it.
const CONFIGS: [&[u8]; 2] = [b"#cloud-config", b"#alpine-config"];

/// Where a cloud-config has keys; the second is cloud-init's old spelling.
const FIELDS: [&str; 2] = ["ssh_authorized_keys", "ssh-authorized-keys"];

/// Prefix of a Scaleway tag that holds a key, with `_` in place of blanks.
const TAG: &str = "AUTHORIZED_KEY=";

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// One line as OpenSSH has it: `[options] type base64 [comment]` (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
    pub line: String,
    /// The account it is for, where the cloud names one.
    pub user: Option<String>,
    /// Whether that account is created if it does not exist.
    pub creates_user: bool,
}

/// A line that is not a key, where keys are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number among all lines and keys, counted from 1.
    pub number: usize,
    /// The reason, without content of the line.
    pub why: &'static str,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: Vec<Key>,
    pub(super) rejected: Vec<Rejected>,
}

impl Found {
    fn is_full(&self) -> bool {
        self.number() > LIMIT
    }

    /// The number of the next one.
    fn number(&self) -> usize {
        self.keys.len().saturating_add(self.rejected.len()).saturating_add(1)
    }

    pub(super) fn reject(&mut self, why: &'static str) {
        if !self.is_full() {
            self.rejected.push(Rejected { number: self.number(), why });
        }
    }

    pub(super) fn push(&mut self, line: &str, user: Option<&str>, creates_user: bool) {
        if !self.is_full() {
            self.keys.push(Key { line: line.to_owned(), user: user.map(ToOwned::to_owned), creates_user });
        }
    }
}

impl Reader<'_> {
    /// The public keys, sorted and each once, or in the cloud's order where that matters.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none. No keys are no error.
    pub fn keys(&mut self) -> Result<Vec<Key>> {
        let mut found = Found::default();
        let outcome = self.find_keys(&mut found);
        if (outcome.is_err() || found.keys.is_empty()) && !self.local.keys.is_empty() {
            found = Found::default();
            self.local.keys.iter().for_each(|key| add(key, None, &mut found));
            self.rejected = found.rejected;
            return Ok(found.keys);
        }
        self.rejected = found.rejected;
        outcome.map(|()| found.keys)
    }

    /// The lines that were not keys when keys were read last.
    #[must_use]
    pub fn rejected_keys(&self) -> Vec<Rejected> {
        self.rejected.clone()
    }

    /// Those that the service has.
    fn find_keys(&mut self, found: &mut Found) -> Result<()> {
        match self.cloud.keys {
            Keys::None => {}
            Keys::Listing(path) => self.listed(path, found)?,
            Keys::Below(places, field) => self.below(places, field, found)?,
            Keys::WithTags(place, field, tags) => {
                self.below(&[place], field, found)?;
                self.tagged(tags, found)?;
            }
            Keys::Verbatim(place) => self.below(&[place], "", found)?,
            Keys::WithUserdata(place, field, is_any) => {
                self.below(&[place], field, found)?;
                let outcome = self.of_cloud_config(is_any, found);
                if outcome.is_err() && !found.keys.is_empty() {
                    found.reject("the user-data, which may have keys, cannot be read");
                } else {
                    outcome?;
                }
            }
            Keys::Gcp(instance, project) => {
                let now = self.identity.now;
                let instance = self.document(instance.0)?.and_then(|root| root.path(instance.1)).cloned();
                let project = self.document(project.0)?.and_then(|root| root.path(project.1)).cloned();
                gcp::keys(instance.as_ref(), project.as_ref(), now, found);
            }
        }
        if !matches!(self.cloud.keys, Keys::WithUserdata(_, _, true) | Keys::Verbatim(_)) {
            found.keys = sorted(core::mem::take(&mut found.keys));
        }
        Ok(())
    }

    /// The text that `imds @ssh-keys` prints.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub fn keys_text(&mut self) -> Result<Vec<u8>> {
        if let Keys::Verbatim((target, path)) = self.cloud.keys {
            let text = self.document(target)?.and_then(|root| root.path(path)).and_then(Document::text);
            return Ok(text.unwrap_or_default().as_bytes().to_vec());
        }
        let mut text = String::new();
        self.keys()?.iter().for_each(|key| text.push_str(&format!("{}\n", key.line)));
        Ok(text.into_bytes())
    }

    /// Keys of a listing whose lines are `NUMBER=NAME`.
    fn listed(&mut self, path: &str, found: &mut Found) -> Result<()> {
        let Some(listing) = self.value(path)? else { return Ok(()) };
        let listing = String::from_utf8_lossy(&listing).into_owned();
        for entry in listing.lines().take(LIMIT) {
            // The name is the user's own, with blanks and signs of all kinds.
            let number = entry.split_once('=').map_or(entry, |(number, _)| number).trim().trim_end_matches('/');
            if let Some(body) = self.value(&format!("{path}/{number}/openssh-key"))? {
                add(&String::from_utf8_lossy(&body), None, found);
            }
        }
        Ok(())
    }

    /// Keys in tags, each of which may be anything else.
    fn tagged(&mut self, (target, path): ValuePath, found: &mut Found) -> Result<()> {
        let tags = self.document(target)?.and_then(|root| root.path(path)).map_or(&[][..], Document::list);
        for key in tags.iter().filter_map(Document::text).filter_map(|tag| tag.strip_prefix(TAG)) {
            add(&key.replace('_', " "), None, found);
        }
        Ok(())
    }

    /// Keys of the user-data, if that is a cloud-config, or if `is_any`, another mapping with such a field. A script need not
    /// be YAML, and means no keys.
    fn of_cloud_config(&mut self, is_any: bool, found: &mut Found) -> Result<()> {
        let Some(text) = self.userdata()? else { return Ok(()) };
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text).trim_ascii_start();
        let has_field = || FIELDS.iter().any(|field| text.windows(field.len()).any(|part| part == field.as_bytes()));
        let is_config = match is_any {
            true => CONFIGS.iter().any(|start| text.starts_with(start)) || !text.starts_with(b"#!") && has_field(),
            false => text.starts_with(b"#cloud-config"),
        };
        if !is_config {
            return Ok(());
        }
        let before = found.number();
        // A mistake elsewhere in the document costs no key; it is reported where the document is used.
        let (root, mistake) = Document::parse_lenient(text);
        configured(&root, found);
        if mistake.is_some() && found.number() == before && has_field() {
            found.reject("the user-data, which has keys, is not valid YAML");
        }
        Ok(())
    }

    fn below(&mut self, places: &[ValuePath], field: &str, found: &mut Found) -> Result<()> {
        for (target, path) in places {
            if path.is_empty() {
                let text = self.value(target)?.unwrap_or_default();
                add(&String::from_utf8_lossy(&text), None, found);
            } else if let Some(root) = self.document(target)?.and_then(|root| root.path(path)) {
                gather(root, field, None, found);
            }
        }
        Ok(())
    }
}

/// In order and each once.
fn sorted(keys: Vec<Key>) -> Vec<Key> {
    let mut sorted: Vec<Key> = Vec::new();
    for key in keys {
        if let Err(place) = sorted.binary_search(&key) {
            sorted.insert(place, key);
        }
    }
    sorted
}

/// Every key below `node`. Documents are shallow ([`Document`] has a limit), so this ends.
fn gather(node: &Document, field: &str, user: Option<&str>, found: &mut Found) {
    match node {
        Document::List(items) => items.iter().for_each(|item| gather(item, field, user, found)),
        Document::Map(entries) => match entries.iter().find(|(name, _)| !field.is_empty() && name == field) {
            Some((_, value)) => gather(value, field, user, found),
            None => entries.iter().for_each(|(_, value)| gather(value, field, user, found)),
        },
        other => other.text().into_iter().for_each(|text| add(text, user, found)),
    }
}

/// The keys of a cloud-config: those of the default user, and those of other users, which are for these users alone.
fn configured(root: &Document, found: &mut Found) {
    fields(root, None, found);
    root.at(&["user"]).into_iter().for_each(|user| fields(user, None, found));
    match root.at(&["users"]) {
        Some(Document::List(users)) => {
            for user in users {
                fields(user, user.at(&["name"]).and_then(Document::text), found);
            }
        }
        Some(Document::Map(users)) => users.iter().for_each(|(name, user)| fields(user, Some(name), found)),
        _ => {}
    }
}

/// The keys in a mapping of a cloud-config; those of the user `default` are without a name.
fn fields(node: &Document, user: Option<&str>, found: &mut Found) {
    let user = user.filter(|user| *user != "default");
    let values = FIELDS.iter().filter_map(|field| node.at(&[field]));
    values.for_each(|value| gather(value, "", user, found));
}

/// The lines around a key in the form of RFC 4716.
const BEGIN: &str = "---- BEGIN SSH2 PUBLIC KEY";
const END: &str = "---- END SSH2 PUBLIC KEY";

const NO_KEY: &str = "the line is not an SSH public key";

/// Lines of one wrapped key at most: the largest, of 16384 bits, has 44 lines of 64 characters.
const PIECES: usize = 64;

/// Adds the keys of `text`. Each line is parsed by itself, with one exception: Azure wraps keys. While a key is incomplete
/// and has no comment, a line that starts with its continuation is joined to it. Comments are skipped.
fn add(text: &str, user: Option<&str>, found: &mut Found) {
    // How many more lines may continue the last key.
    let mut pieces = 0_usize;
    // The base64 of a key in the form of RFC 4716.
    let mut block: Option<String> = None;
    for piece in text.split(['\r', '\n']).map(clean).filter(|piece| !piece.is_empty() && !piece.starts_with('#')) {
        let state = state(piece);
        let next = found.keys.last_mut().filter(|_| pieces > 0 && state != Some(State::Complete));
        if let Some(key) = next.filter(|key| continues(&key.line, piece)) {
            key.line.push_str(piece);
            pieces = if self::state(&key.line) == Some(State::Open) { pieces.saturating_sub(1) } else { 0 };
        } else if let Some(state) = state {
            found.push(piece, user, false);
            pieces = if state == State::Open { PIECES } else { 0 };
            block = None;
        } else if piece.starts_with(BEGIN) {
            (block, pieces) = (Some(String::new()), 0);
        } else if piece.starts_with(END) {
            convert(block.take(), user, found);
        } else if let Some(body) = block.as_mut() {
            // Headers have a colon, which base64 does not have.
            if ssh_key::is_base64(piece) {
                body.push_str(piece);
            }
        } else {
            found.reject(NO_KEY);
        }
    }
}

/// The state of the key in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Complete,
    /// It is incomplete, and the line ends with it.
    Open,
    /// It is not valid and cannot be continued.
    Bad,
}

/// The state of the key in a line; `None` without a key.
fn state(line: &str) -> Option<State> {
    let parts = ssh_key::split(line)?;
    let text = |range: &Range<usize>| line.get(range.clone()).unwrap_or_default();
    Some(match ssh_key::check(text(&parts.kind), text(&parts.body)) {
        Ok(()) => State::Complete,
        Err(Fault::Incomplete) if !parts.body.is_empty() && parts.body.end == line.len() => State::Open,
        Err(_) => State::Bad,
    })
}

/// Whether `piece` starts with a continuation of the key at the end of `line`.
fn continues(line: &str, piece: &str) -> bool {
    let Some(word) = piece.split_whitespace().next().filter(|word| ssh_key::is_base64(word)) else { return false };
    matches!(state(&[line, word].concat()), Some(State::Complete | State::Open))
}

/// Adds a key in the form of RFC 4716; does nothing if lines in it were OpenSSH keys.
fn convert(body: Option<String>, user: Option<&str>, found: &mut Found) {
    let Some(body) = body else { return };
    let blob = base64::decode(body.as_bytes()).ok();
    match blob.as_deref().and_then(ssh_key::kind_of) {
        Some(kind) => found.push(&format!("{kind} {body}"), user, false),
        None => found.reject("the SSH2 PUBLIC KEY block has no key of a supported type"),
    }
}

/// A line without a byte order mark in front and without quotes around it.
pub(super) fn clean(line: &str) -> &str {
    let line = line.trim().trim_start_matches('\u{feff}').trim();
    let unquoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| line.strip_prefix(quote)?.trim_end_matches([',', ' ']).strip_suffix(quote).map(str::trim));
    unquoted.unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINwVUbSvy/CiaG+nE4No5v+ePG1uqGZ5k27HhlzQRxRV";

    fn lines(text: &str) -> (Vec<String>, usize) {
        let mut found = Found::default();
        add(text, None, &mut found);
        (found.keys.into_iter().map(|key| key.line).collect(), found.rejected.len())
    }

    #[test]
    fn keys_are_lines_and_what_is_none_is_left_out() {
        for (text, wanted, rejected) in [
            ("", &[][..], 0),
            ("ssh-rsa AAAA me\n\nssh-ed25519 BBBB\n", &["ssh-rsa AAAA me", "ssh-ed25519 BBBB"], 0),
            ("  from=\"10.0.0.1\" ecdsa-sha2-nistp256 CCCC \r\n", &["from=\"10.0.0.1\" ecdsa-sha2-nistp256 CCCC"], 0),
            (
                "# mine\nssh-rsa AAAA\n# hers: ssh-rsa\nsk-ssh-ed25519@openssh.com DDDD",
                &["ssh-rsa AAAA", "sk-ssh-ed25519@openssh.com DDDD"],
                0,
            ),
            ("-----BEGIN CERTIFICATE-----\nMIIC\n", &[], 2),
            ("<html>\n", &[], 1),
            ("\u{feff}ssh-rsa AAAA me", &["ssh-rsa AAAA me"], 0),
            ("\"ssh-rsa AAAA me\",\n'ssh-rsa BBBB'", &["ssh-rsa AAAA me", "ssh-rsa BBBB"], 0),
        ] {
            let (found, count) = lines(text);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), count),
                (wanted.to_vec(), rejected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_bad_line_changes_no_good_one() {
        let two = [ED.to_owned(), format!("{ED} you")];
        for bad in
            ["hello", "ann:", "AAAA", "ssh-", "\"", "---- BEGIN SSH2 PUBLIC KEY ----", "---- END SSH2 PUBLIC KEY ----"]
        {
            let (found, _) = lines(&format!("{bad}\n{}\n{bad}\n{}\n{bad}\n", two[0], two[1]));
            assert_eq!(
                found.iter().filter(|line| line.starts_with(ED)).collect::<Vec<_>>(),
                two.iter().collect::<Vec<_>>(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_key_that_is_broken_into_lines_is_one_whatever_its_comment() {
        for comment in ["", " me", " ssh-key-2024-05-01", " ssh-rsa me", " a b ssh-rsa AAAA"] {
            let whole = format!("{ED}{comment}");
            for first in 17..=ED.len() {
                for second in [first, first + 1, first + 2, (first + ED.len()) / 2, ED.len()] {
                    let Some(parts) = whole.get(first..second).zip(whole.get(second..)) else { continue };
                    // A break in front of the comment loses the comment, which is no loss.
                    let wanted = if second >= ED.len() { ED } else { &whole };
                    let text = format!("{}\r\n{}\r\n{}\r\n{ED} next\r\n", &whole[..first], parts.0, parts.1);
                    let (found, _) = lines(&text);
                    assert!(found.iter().any(|line| line.starts_with(wanted)), "{text}\n{found:?}");
                    assert_eq!(found.last(), Some(&format!("{ED} next")), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_truncated_key_takes_no_other_line() {
        let cut = &ED[..ED.len() - 6];
        for (text, wanted) in [
            (format!("{cut} me\nhello\n{ED}"), vec![format!("{cut} me"), ED.to_owned()]),
            (format!("{cut}\n{ED}"), vec![cut.to_owned(), ED.to_owned()]),
            (format!("{cut}\nhello\n{ED}"), vec![format!("{cut}hello"), ED.to_owned()]),
            (format!("{cut}\nrestrict {ED}"), vec![cut.to_owned(), format!("restrict {ED}")]),
        ] {
            assert_eq!(lines(&text).0, wanted, "{text}");
        }
    }

    #[test]
    fn a_block_of_rfc_4716_is_converted() {
        let body = ED.strip_prefix("ssh-ed25519 ").unwrap();
        let text = format!(
            "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"me\"\n{}\n{}\n---- END SSH2 PUBLIC KEY ----\n{ED} other\n",
            &body[..40],
            &body[40..]
        );
        assert_eq!(lines(&text), (vec![ED.to_owned(), format!("{ED} other")], 0));
        let (found, rejected) = lines("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n");
        assert_eq!((found.len(), rejected), (0, 1));
    }

    #[test]
    fn keys_of_a_cloud_config_are_for_the_user_that_it_says() {
        let text = "ssh_authorized_keys: [ssh-rsa A]\nuser: {name: x, ssh_authorized_keys: ssh-rsa B}\nusers:\n\
                    - default\n- {name: default, ssh-authorized-keys: [ssh-rsa C]}\n\
                    - {name: bob, ssh_authorized_keys: [ssh-rsa D, 7]}\n- {ssh_authorized_keys: {a: ssh-rsa E}}\n";
        let of = |text: &str| {
            let mut found = Found::default();
            configured(&Document::parse_yaml(text.as_bytes()).unwrap(), &mut found);
            assert!(found.keys.iter().all(|key| !key.creates_user));
            found
                .keys
                .iter()
                .map(|key| format!("{}:{}", key.user.as_deref().unwrap_or(""), &key.line[8..]))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(text), [":A", ":B", ":C", "bob:D", ":E"]);
        assert_eq!(of("users: {bob: {ssh_authorized_keys: [ssh-rsa A]}}"), ["bob:A"]);
        assert!(of("users: bob").is_empty() && of("[ssh_authorized_keys]").is_empty() && of("").is_empty());
    }
}
