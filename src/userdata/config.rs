//! What an `#alpine-config` says, as typed values (Tiny Cloud 3.0, `lib/tiny-cloud/user-data/alpine-config`; the keys are
//! those of cloud-init's modules where both have them).
//!
//! Values are judged when they are asked for, so that an invalid one does not keep the others from being used. An
//! error names the key and the index of the entry, from 0, and never the value: user-data is secret.

use crate::error::{Error, Result};
use crate::settings;
use crate::text::document::Document;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "heed the user-data's";

/// All that is honoured.
const KEYS: [&str; 11] = [
    "user",
    "ssh_authorized_keys",
    "bootcmd",
    "runcmd",
    "write_files",
    "ntp",
    "apk",
    "package_update",
    "package_upgrade",
    "packages",
    "autoinstall",
];

/// Letters of a key that is printed; the longest of cloud-init has 24.
const KEY_LIMIT: usize = 40;

/// What an `#alpine-config` says.
#[derive(Clone, Debug)]
pub struct Config(Document);

/// The account that is made and given the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// `homedir`.
    pub home: Option<&'a str>,
    /// `shell`.
    pub shell: Option<&'a str>,
    /// `primary_group`.
    pub primary_group: Option<&'a str>,
    /// `gecos`: its full name.
    pub gecos: Option<&'a str>,
    /// `groups`: those that it is a member of besides.
    pub groups: Vec<&'a str>,
}

/// A command of `bootcmd` or `runcmd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// A line for the shell.
    Line(&'a str),
    /// A program and its arguments.
    Program(&'a str, Vec<&'a str>),
}

/// What `apk` installs from: an entry of `apk.repositories`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository<'a> {
    /// `base_url`.
    pub base_url: &'a str,
    /// `version`: a folder below it; `None` for that of the running system.
    pub version: Option<&'a str>,
    /// `repos`: the folders below that.
    pub repos: Vec<&'a str>,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// Those of [`Document::parse_yaml`], with the line and without the text; `Usage` when it is no mapping.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        const DOING: &str = "understand the user-data";
        match Document::parse_yaml(bytes) {
            Ok(document @ (Document::Map(_) | Document::Null)) => Ok(Self(document)),
            Ok(_) => Err(Error::usage(DOING, "it is no mapping of keys to values")),
            Err(error) => Err(Error::new(error.kind, DOING, error.why.clone())),
        }
    }

    /// Its keys that are not known, by name where that is one: a value that is indented as a key (`db_password=x:`) becomes
    /// a key, so what has anything but letters, `_` and `-` in it is called by its number, from 1.
    pub fn unknown(&self) -> impl Iterator<Item = String> {
        let is_inner = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
        let is_name = move |key: &str| key.len() <= KEY_LIMIT && key.bytes().all(is_inner);
        let keys = self.0.map().iter().enumerate().filter(|(_, (key, _))| !KEYS.contains(&key.as_str()));
        keys.map(
            move |(index, (key, _))| {
                if is_name(key) { key.clone() } else { format!("key number {}", index.saturating_add(1)) }
            },
        )
    }

    /// The name of the account; `None` where it has none, and the default user is meant.
    ///
    /// # Errors
    /// `Usage`: a name that cannot be one, anything else that is no text.
    pub fn user(&self) -> Result<Option<&str>> {
        let failed = |why| Error::usage(DOING, why).to("user");
        let name = match self.0.at(&["user"]) {
            None | Some(Document::Null) => return Ok(None),
            Some(Document::Scalar(name)) => name,
            Some(Document::List(_)) => return Err(failed("it is neither a name nor a mapping")),
            Some(user) => match text(user, "name").map_err(|error| error.to("user"))? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        if settings::is_user_name(name) { Ok(Some(name)) } else { Err(failed("it is not a name for a user")) }
    }

    /// The account, likewise; one that is described without a name has the name `default`.
    ///
    /// # Errors
    /// Those of [`Config::user`]; `Usage` when something else of it is no text.
    pub fn account<'a>(&'a self, default: &'a str) -> Result<Option<Account<'a>>> {
        let said = self.0.at(&["user"]).unwrap_or(&Document::Null);
        let name = match self.user()? {
            Some(name) => name,
            None if said.map().is_empty() => return Ok(None),
            None => default,
        };
        let text = |key| text(said, key).map_err(|error| error.to("user"));
        let groups = match said.at(&["groups"]) {
            Some(Document::List(groups)) => groups.iter().filter_map(Document::text).collect(),
            Some(Document::Scalar(groups)) => words(groups).collect(),
            _ => Vec::new(),
        };
        Ok(Some(Account {
            name,
            home: text("homedir")?,
            shell: text("shell")?,
            primary_group: text("primary_group")?,
            gecos: text("gecos")?,
            groups,
        }))
    }

    /// The keys that the account is given, each as it is written. What is no text is passed over: anyone who is locked
    /// out is not helped by an error.
    #[must_use]
    pub fn authorized_keys(&self) -> Vec<String> {
        let said = self.0.at(&["ssh_authorized_keys"]);
        let one = said.and_then(Document::text).into_iter();
        let keys = one.chain(said.map_or(&[][..], Document::list).iter().filter_map(Document::text));
        keys.flat_map(str::lines).map(str::trim).filter(|key| !key.is_empty()).map(String::from).collect()
    }

    /// The commands of `key` with their indices; of an entry that is none, why. Empty ones are left out.
    ///
    /// # Errors
    /// `Usage` when it is no list.
    pub fn commands(&self, key: &'static str) -> Result<Vec<(usize, Result<Command<'_>>)>> {
        let entries = list(&self.0, key, key)?.iter().enumerate();
        Ok(entries.filter_map(|(index, entry)| Some((index, command(key, index, entry).transpose()?))).collect())
    }

    /// The entries of `write_files`.
    ///
    /// # Errors
    /// `Usage` when it is no list.
    pub(super) fn file_entries(&self) -> Result<&[Document]> {
        list(&self.0, "write_files", "write_files")
    }

    /// Whether the value of `key` is exactly `true`.
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        self.0.at(&[key]).and_then(Document::text) == Some("true")
    }

    /// The client of NTP that is to run; empty for the usual one, `None` for none.
    #[must_use]
    pub fn ntp_client(&self) -> Option<&str> {
        let is_enabled = matches!(self.0.path("ntp/enabled").and_then(Document::text), Some("true" | "yes"));
        is_enabled.then(|| self.0.path("ntp/ntp_client").and_then(Document::text).unwrap_or_default())
    }

    /// The folder in which apk keeps what it fetched.
    ///
    /// # Errors
    /// `Usage`: no text, or a path that leads upwards.
    pub fn apk_cache(&self) -> Result<Option<&str>> {
        const KEY: &str = "apk.cache";
        let failed = |why| Error::usage(DOING, why).to(KEY);
        let Some(apk) = self.0.at(&["apk"]) else { return Ok(None) };
        let path = text(apk, "cache").map_err(|error| error.to(KEY))?;
        match path {
            Some(path) if path.contains('\0') || path.split('/').any(|part| part == "..") => {
                Err(failed("it is not the path of a folder"))
            }
            path => Ok(path),
        }
    }

    /// What apk is to install from; `None` where nothing is said of apk at all.
    ///
    /// # Errors
    /// `Usage` when it is no list.
    pub fn repositories(&self) -> Result<Option<Vec<Result<Repository<'_>>>>> {
        const KEY: &str = "apk.repositories";
        let apk = match self.0.at(&["apk"]) {
            None | Some(Document::Null) => return Ok(None),
            Some(apk) if apk.map().is_empty() => return Ok(None),
            Some(apk) => apk,
        };
        let entries = list(apk, "repositories", KEY)?.iter().enumerate();
        Ok(Some(
            entries
                .map(|(index, entry)| repository(entry).map_err(|error| error.to(format!("{KEY}[{index}]"))))
                .collect(),
        ))
    }

    /// The packages that are to be installed.
    ///
    /// # Errors
    /// `Usage`: no list, or an entry that is no text.
    pub fn packages(&self) -> Result<Vec<&str>> {
        const KEY: &str = "packages";
        let mut packages = Vec::new();
        for (index, entry) in list(&self.0, KEY, KEY)?.iter().enumerate() {
            match entry {
                Document::Scalar(names) => packages.extend(names.split_whitespace()),
                Document::Null => {}
                _ => return Err(Error::usage(DOING, "it is no text").to(format!("{KEY}[{index}]"))),
            }
        }
        Ok(packages)
    }
}

/// The words of a list that is written as one text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

fn command<'a>(key: &str, index: usize, entry: &'a Document) -> Result<Option<Command<'a>>> {
    let failed = |why| Error::usage(DOING, why).to(format!("{key}[{index}]"));
    match entry {
        Document::Null => Ok(None),
        Document::Scalar(line) if line.trim().is_empty() => Ok(None),
        Document::Scalar(line) => Ok(Some(Command::Line(line))),
        Document::List(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Document::text).collect();
            let words = words.ok_or_else(|| failed("a word of it is no text"))?;
            match words.split_first() {
                Some((program, arguments)) => Ok(Some(Command::Program(program, arguments.to_vec()))),
                None => Ok(None),
            }
        }
        Document::Map(_) => {
            Err(failed("it is neither a text nor a list of texts; a colon in it wants quotes around it all"))
        }
    }
}

fn repository(entry: &Document) -> Result<Repository<'_>> {
    let base_url = text(entry, "base_url")?.ok_or_else(|| Error::usage(DOING, "it has no base_url"))?;
    let version = text(entry, "version")?;
    let repos: Option<Vec<&str>> = list(entry, "repos", "repos")?.iter().map(Document::text).collect();
    let repos = repos.filter(|repos| !repos.is_empty()).ok_or_else(|| Error::usage(DOING, "it has no repos"))?;
    // A line of its file each.
    if repos.iter().chain([&base_url]).chain(&version).any(|part| part.contains(char::is_whitespace)) {
        return Err(Error::usage(DOING, "there is white space in it"));
    }
    Ok(Repository { base_url, version, repos })
}

/// The text of `key`; nothing and the empty text are none.
pub(super) fn text<'a>(map: &'a Document, key: &str) -> Result<Option<&'a str>> {
    match map.at(&[key]) {
        None | Some(Document::Null) => Ok(None),
        Some(Document::Scalar(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Error::usage(DOING, format!("{key} is no text"))),
    }
}

/// The list of `key`, which errors call `called`; nothing is an empty one.
fn list<'a>(map: &'a Document, key: &str, called: &str) -> Result<&'a [Document]> {
    match map.at(&[key]) {
        None | Some(Document::Null) => Ok(&[]),
        Some(Document::List(entries)) => Ok(entries),
        Some(_) => Err(Error::usage(DOING, "it is no list").to(called)),
    }
}

#[cfg(test)]
mod tests;
