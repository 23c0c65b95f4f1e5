//! What kind of thing the user sent, by its first word, as Tiny Cloud tells it.
//!
//! A byte order mark and blanks in front are what editors leave there and no one means; they are passed over. Kinds
//! that are known and not processed have a name, so that the warning can say which it is.

use super::config::{Account, Config};
use crate::error::Result;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A kind of user-data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserdataKind {
    /// There is none, or nothing but white space.
    Missing,
    /// A script (`#!`).
    Script,
    /// Tiny Cloud's own subset of cloud-config (`#alpine-config`).
    AlpineConfig,
    /// cloud-init's configuration (`#cloud-config`).
    CloudConfig,
    /// Anything else.
    Unknown,
}

/// How the kinds begin that others process, whatever the case of the letters, and what they are called. The first that
/// fits counts.
const OTHERS: &[(&str, &str)] = &[
    ("#cloud-config-archive", "a #cloud-config-archive"),
    ("#cloud-config-jsonp", "a #cloud-config-jsonp patch"),
    ("#cloud-config", "a #cloud-config"),
    ("#cloud-boothook", "a #cloud-boothook"),
    ("#part-handler", "a #part-handler"),
    ("#include", "a list of addresses to #include"),
    ("## template:", "a template"),
    ("content-type:", "a MIME message"),
    ("mime-version:", "a MIME message"),
    ("from ", "a MIME message"),
    ("{", "JSON, as Ignition has it"),
    ("<powershell>", "a script for Windows"),
    ("<script>", "a script for Windows"),
];

/// Letters of the name of a kind: the longest known has 21.
const KIND_LIMIT: usize = 32;

/// What the user sent, as it was saved.
#[derive(Clone, Debug)]
pub struct Userdata {
    /// Its kind.
    pub kind: UserdataKind,
    /// Its bytes, unpacked.
    pub bytes: Vec<u8>,
    /// What an `#alpine-config` says, or why it is none.
    config: Option<Result<Config>>,
    /// Who is meant by a user without a name.
    default_user: String,
}

impl Userdata {
    /// Tells what `bytes` are; `None` where nothing was saved.
    #[must_use]
    pub fn parse(bytes: Option<Vec<u8>>) -> Self {
        let bytes = bytes.unwrap_or_default();
        let body = body(&bytes);
        let kind = match body.split(u8::is_ascii_whitespace).next().unwrap_or_default() {
            b"" => UserdataKind::Missing,
            b"#alpine-config" => UserdataKind::AlpineConfig,
            b"#cloud-config" => UserdataKind::CloudConfig,
            first if first.starts_with(b"#!") => UserdataKind::Script,
            _ => UserdataKind::Unknown,
        };
        let config = (kind == UserdataKind::AlpineConfig).then(|| Config::parse(&bytes));
        Self { kind, bytes, config, default_user: String::new() }
    }

    /// Who is meant by a user without a name.
    pub fn set_default_user(&mut self, name: &str) {
        self.default_user = name.into();
    }

    /// Its bytes from the first one that counts.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        body(&self.bytes)
    }

    /// What is known of its kind, for a sentence: `a MIME message`; of one that is not known, the word behind its `#`.
    #[must_use]
    pub fn kind(&self) -> Cow<'static, str> {
        let begins = |beginning: &str| {
            self.body().get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
        };
        match self.kind {
            UserdataKind::Missing => "nothing".into(),
            UserdataKind::Script => "a script".into(),
            UserdataKind::AlpineConfig => "an #alpine-config".into(),
            UserdataKind::CloudConfig | UserdataKind::Unknown => {
                match OTHERS.iter().find(|(beginning, _)| begins(beginning)) {
                    Some((_, name)) => (*name).into(),
                    None => self.word().map_or("of an unknown kind".into(), |word| format!("a #{word}").into()),
                }
            }
        }
    }

    /// The word behind the `#` that it begins with, if it can be the name of a kind: a comment may be secret.
    fn word(&self) -> Option<&str> {
        let word = self.body().strip_prefix(b"#")?.split(u8::is_ascii_whitespace).next()?;
        let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_kind = (1..=KIND_LIMIT).contains(&word.len()) && word.iter().all(is_inner);
        core::str::from_utf8(word).ok().filter(|_| is_kind)
    }

    /// What it says, if it is an `#alpine-config`.
    ///
    /// # Errors
    /// Those of [`Config::parse`].
    pub fn config(&self) -> Result<Option<&Config>> {
        self.config.as_ref().map(Result::as_ref).transpose().map_err(Clone::clone)
    }

    fn sound_config(&self) -> Option<&Config> {
        self.config().ok().flatten()
    }

    /// The name of the account that is made and given the keys. One that cannot be a name is as none.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.sound_config()?.user().ok().flatten()
    }

    /// That account as it is described, if it can be understood.
    #[must_use]
    pub fn account(&self) -> Option<Account<'_>> {
        self.sound_config()?.account(&self.default_user).ok().flatten()
    }

    /// The keys that it gives that account, each as it is written.
    #[must_use]
    pub fn authorized_keys(&self) -> Vec<String> {
        self.sound_config().map(Config::authorized_keys).unwrap_or_default()
    }
}

/// The bytes from the first one that counts: behind a byte order mark and blanks.
pub(super) fn body(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides_the_kind() {
        for (text, kind) in [
            ("", UserdataKind::Missing),
            (" \r\n\t", UserdataKind::Missing),
            ("\u{feff}\n", UserdataKind::Missing),
            ("#!/bin/sh", UserdataKind::Script),
            ("#! /bin/sh\n", UserdataKind::Script),
            ("\u{feff}#!/bin/sh\r\n", UserdataKind::Script),
            ("\n\n#!/bin/sh\n", UserdataKind::Script),
            ("#alpine-config", UserdataKind::AlpineConfig),
            ("#alpine-config\r\nuser: a\r\n", UserdataKind::AlpineConfig),
            ("#alpine-config of mine\n", UserdataKind::AlpineConfig),
            ("\u{feff}#alpine-config\n", UserdataKind::AlpineConfig),
            ("#cloud-config\n", UserdataKind::CloudConfig),
            ("#alpine-configuration\n", UserdataKind::Unknown),
            ("# alpine-config\n", UserdataKind::Unknown),
            ("#../x\n", UserdataKind::Unknown),
            ("#\n", UserdataKind::Unknown),
            ("echo\n", UserdataKind::Unknown),
        ] {
            assert_eq!(Userdata::parse(Some(text.into())).kind, kind, "{text:?}");
        }
        assert_eq!(Userdata::parse(None).kind, UserdataKind::Missing);
        assert_eq!(Userdata::parse(Some(b"\xff\xfe#\0!\0".into())).kind, UserdataKind::Unknown, "UTF-16");
    }

    #[test]
    fn kinds_that_are_not_processed_have_names() {
        for (text, name) in [
            ("#cloud-config\na: 1\n", "a #cloud-config"),
            ("#cloud-config-archive\n", "a #cloud-config-archive"),
            ("#include-once\nhttp://10.0.0.1/\n", "a list of addresses to #include"),
            ("## template: jinja\n#cloud-config\n", "a template"),
            ("MIME-Version: 1.0\n", "a MIME message"),
            ("Content-type: multipart/mixed\n", "a MIME message"),
            ("#cloud-boothook\n", "a #cloud-boothook"),
            ("{\"ignition\": {}}", "JSON, as Ignition has it"),
            ("\n<powershell>", "a script for Windows"),
            ("#tiny-cloud-config\na: 1\n", "a #tiny-cloud-config"),
            ("#cloud-confg", "a #cloud-confg"),
            ("# a comment", "of an unknown kind"),
            ("#a:secret", "of an unknown kind"),
            (&format!("#{}", "a".repeat(33)), "of an unknown kind"),
            ("something", "of an unknown kind"),
            ("", "nothing"),
        ] {
            assert_eq!(Userdata::parse(Some(text.into())).kind(), name, "{text:?}");
        }
    }

    #[test]
    fn only_a_sound_config_names_somebody() {
        let of = |text: &str| Userdata::parse(Some(text.into()));
        let sound = of("#alpine-config\nuser: ann\nssh_authorized_keys: [ssh-ed25519 A, ssh-ed25519 B c]\n");
        assert_eq!(
            (sound.user(), sound.authorized_keys().join("\n")),
            (Some("ann"), "ssh-ed25519 A\nssh-ed25519 B c".into())
        );
        for text in ["#alpine-config\nuser: ../x\n", "#alpine-config\nuser: [\n", "#cloud-config\nuser: ann\n"] {
            assert_eq!((of(text).user(), of(text).authorized_keys().len()), (None, 0), "{text}");
        }
        assert!(of("#cloud-config\n").config().unwrap().is_none());
        assert!(of("#alpine-config\nuser: [\n").config().is_err());
    }
}
