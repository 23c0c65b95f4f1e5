//! Public keys: where a cloud puts them, as lines of `authorized_keys`.

use super::gcp;
use super::reader::Reader;
use super::{Keys, Place};
use crate::error::Result;
use crate::text::document::Document;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Keys that one machine is given at most: a project of a large team has some hundreds.
const LIMIT: usize = 4096;

/// What user-data begins with that is a mapping with keys in it.
const CONFIGS: [&[u8]; 2] = [b"#cloud-config", b"#alpine-config"];

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// One line as OpenSSH has it: `[options] type base64 [comment]` (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
    pub line: String,
    /// The account it is for, where the cloud names one.
    pub user: Option<String>,
}

impl Reader<'_> {
    /// The public keys, sorted and each once, or in the cloud's order where that matters.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none. No keys are no error.
    pub fn keys(&mut self) -> Result<Vec<Key>> {
        let told = self.told_keys();
        let mut own = Vec::new();
        self.local.keys.iter().for_each(|key| add(key, &mut own));
        match told {
            Ok(keys) if keys.is_empty() => Ok(own),
            Err(_) if !own.is_empty() => Ok(own),
            _ => told,
        }
    }

    /// Those that the service has.
    fn told_keys(&mut self) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        match self.cloud.keys {
            Keys::None => {}
            Keys::Listing(path) => self.listed(path, &mut keys)?,
            Keys::Below(places, field) => self.below(places, field, &mut keys)?,
            Keys::Verbatim(place) => self.below(&[place], "", &mut keys)?,
            Keys::WithUserdata(place, field) => {
                self.below(&[place], "", &mut keys)?;
                self.of_cloud_config(field, &mut keys)?;
            }
            Keys::Gcp(instance, project) => {
                let now = self.identity.now;
                let instance = self.document(instance.0)?.and_then(|root| root.path(instance.1)).cloned();
                let project = self.document(project.0)?.and_then(|root| root.path(project.1)).cloned();
                keys.extend(gcp::keys(instance.as_ref(), project.as_ref(), now));
            }
        }
        keys.truncate(LIMIT);
        if !matches!(self.cloud.keys, Keys::WithUserdata(..) | Keys::Verbatim(_)) {
            keys = sorted(keys);
        }
        Ok(keys)
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
    fn listed(&mut self, path: &str, keys: &mut Vec<Key>) -> Result<()> {
        let Some(listing) = self.body(path)? else { return Ok(()) };
        let listing = String::from_utf8_lossy(&listing).into_owned();
        for entry in listing.lines().take(LIMIT) {
            // The name is the user's own, with blanks and signs of all kinds.
            let number = entry.split_once('=').map_or(entry, |(number, _)| number).trim().trim_end_matches('/');
            if let Some(body) = self.body(&format!("{path}/{number}/openssh-key"))? {
                add(&String::from_utf8_lossy(&body), keys);
            }
        }
        Ok(())
    }

    /// Keys under `field` of the user-data, if that is a cloud-config. A script need not be YAML, and means no keys.
    fn of_cloud_config(&mut self, field: &str, keys: &mut Vec<Key>) -> Result<()> {
        let Some(text) = self.userdata()?.filter(|text| CONFIGS.iter().any(|start| text.starts_with(start))) else {
            return Ok(());
        };
        // Of a cloud-config that cannot be read, the meta-data's keys remain.
        let (root, _) = Document::parse_lenient(&text);
        root.at(&[field]).into_iter().for_each(|list| gather(list, "", keys));
        Ok(())
    }

    fn below(&mut self, places: &[Place], field: &str, keys: &mut Vec<Key>) -> Result<()> {
        for (target, path) in places {
            if path.is_empty() {
                let text = self.body(target)?.unwrap_or_default();
                add(&String::from_utf8_lossy(&text), keys);
            } else if let Some(root) = self.document(target)?.and_then(|root| root.path(path)) {
                gather(root, field, keys);
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
fn gather(node: &Document, field: &str, keys: &mut Vec<Key>) {
    match node {
        Document::List(items) => items.iter().for_each(|item| gather(item, field, keys)),
        Document::Map(entries) => match entries.iter().find(|(name, _)| !field.is_empty() && name == field) {
            Some((_, value)) => gather(value, field, keys),
            None => entries.iter().for_each(|(_, value)| gather(value, field, keys)),
        },
        other => other.text().into_iter().for_each(|text| add(text, keys)),
    }
}

/// What a type of key begins with (OpenSSH, `PROTOCOL` and sshd(8)).
const TYPES: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];

/// Adds the keys of `text`. A line without a type of key in it goes on with the one before, since Azure breaks keys in
/// two; before the first key it is none, but a certificate or another answer. Comments are left out.
fn add(text: &str, keys: &mut Vec<Key>) {
    let mut lines: Vec<String> = Vec::new();
    for piece in text.split(['\r', '\n']).map(str::trim).filter(|piece| !piece.is_empty() && !piece.starts_with('#')) {
        if piece.split_whitespace().any(|word| TYPES.iter().any(|known| word.starts_with(known))) {
            lines.push(piece.to_owned());
        } else if let Some(line) = lines.last_mut() {
            line.push_str(piece);
        }
    }
    keys.extend(lines.into_iter().map(|line| Key { line, user: None }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_and_what_is_none_is_left_out() {
        for (text, wanted) in [
            ("", &[][..]),
            ("ssh-rsa AAAA me\n\nssh-ed25519 BBBB\n", &["ssh-rsa AAAA me", "ssh-ed25519 BBBB"]),
            ("  from=\"10.0.0.1\" ecdsa-sha2-nistp256 CCCC \r\n", &["from=\"10.0.0.1\" ecdsa-sha2-nistp256 CCCC"]),
            ("ssh-rsa AA\r\nAA\r\nAA me", &["ssh-rsa AAAAAA me"]),
            (
                "# mine\nssh-rsa AAAA\n# hers: ssh-rsa\nsk-ssh-ed25519@openssh.com DDDD",
                &["ssh-rsa AAAA", "sk-ssh-ed25519@openssh.com DDDD"],
            ),
            ("-----BEGIN CERTIFICATE-----\nMIIC\n", &[]),
            ("<html>\n", &[]),
        ] {
            let mut keys = Vec::new();
            add(text, &mut keys);
            let lines: Vec<&str> = keys.iter().map(|key| key.line.as_str()).collect();
            assert_eq!(lines, wanted, "{text}");
        }
    }
}
