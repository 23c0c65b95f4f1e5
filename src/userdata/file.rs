//! The entries of `write_files`, decoded and checked before anything is written.

use super::config::{Config, text};
use super::{LIMIT, base64};
use crate::codec::Format;
use crate::error::{Error, Kind, Result};
use crate::text::document::Document;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DOING: &str = "heed the user-data's";

/// Permission bits, those for set-user-ID and the like among them.
const MODE_BITS: u32 = 0o7777;

/// What Tiny Cloud and cloud-init give a file that says nothing else.
const USUAL_MODE: u32 = 0o644;
const USUAL_OWNER: &str = "root:root";

/// A file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// The index of the entry that it is of, from 0; of the last one if it is of several.
    pub index: usize,
    /// Where: without `.`, `..` and empty parts, and with a slash in front.
    pub path: String,
    /// What is in it, or is added to it.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// The user whose it is, by name or by number.
    pub user: &'a str,
    /// The group, likewise; `None` for root's.
    pub group: Option<&'a str>,
    /// Whether the content is added to what is there.
    pub append: bool,
}

impl Config {
    /// The files of `write_files`, in order, and why entries are none. Entries with one path are one file: what is added to
    /// it stands together, so that it can be told whether it was added before.
    ///
    /// # Errors
    /// `Usage` when it is no list.
    pub fn files(&self) -> Result<(Vec<File<'_>>, Vec<Error>)> {
        let (mut files, mut errors) = (Vec::<File<'_>>::new(), Vec::new());
        for (index, entry) in self.file_entries()?.iter().enumerate() {
            let file = match file(index, entry) {
                Ok(file) => file,
                Err(error) => {
                    errors.push(error.to(called(index, entry)));
                    continue;
                }
            };
            match files.iter_mut().find(|other| other.path == file.path) {
                Some(other) if file.append => {
                    other.content.extend_from_slice(&file.content);
                    *other = File { content: core::mem::take(&mut other.content), append: other.append, ..file };
                }
                Some(other) => *other = file,
                None => files.push(file),
            }
        }
        Ok((files, errors))
    }
}

impl File<'_> {
    /// What errors call it.
    #[must_use]
    pub fn called(&self) -> String {
        format!("write_files[{}], {}", self.index, short(&self.path))
    }
}

/// Letters of a path that are printed: all of any that people write.
const SHOWN_LIMIT: usize = 200;

/// The beginning of a path, so that a text in its place is not printed whole.
fn short(path: &str) -> String {
    let cut = path.char_indices().nth(SHOWN_LIMIT).map(|(at, _)| at);
    cut.and_then(|at| path.get(..at)).map_or_else(|| path.into(), |path| format!("{path}..."))
}

/// The path is printed, unlike the content: it is what an entry is known by.
fn called(index: usize, entry: &Document) -> String {
    match text(entry, "path") {
        Ok(Some(path)) => format!("write_files[{index}], {}", short(path)),
        _ => format!("write_files[{index}]"),
    }
}

fn file(index: usize, entry: &Document) -> Result<File<'_>> {
    let path = text(entry, "path")?.ok_or_else(|| Error::usage(DOING, "it has no path"))?;
    let mode = text(entry, "permissions")?.map_or(Ok(USUAL_MODE), mode)?;
    let owner = text(entry, "owner")?.unwrap_or(USUAL_OWNER);
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let append = match text(entry, "append")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::usage(DOING, "append is neither true nor false")),
    };
    let content = decode(text(entry, "content")?.unwrap_or_default(), text(entry, "encoding")?)?;
    let group = group.filter(|group| !group.is_empty());
    Ok(File {
        index,
        path: normal(path)?,
        content,
        mode,
        user: if user.is_empty() { "root" } else { user },
        group,
        append,
    })
}

/// The path without what means nothing.
fn normal(path: &str) -> Result<String> {
    let mut whole = String::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        whole.push('/');
        whole.push_str(part);
    }
    let leads_up = path.split('/').any(|part| part == "..");
    if leads_up || whole.is_empty() || path.ends_with('/') || path.contains('\0') {
        return Err(Error::usage(DOING, "it is not the path of a file"));
    }
    Ok(whole)
}

/// Octal digits as written; YAML of any version may take them for a decimal number, which no one means.
fn mode(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= MODE_BITS);
    mode.ok_or_else(|| Error::usage(DOING, "its permissions are no octal number"))
}

/// What `content` stands for.
fn decode(content: &str, encoding: Option<&str>) -> Result<Vec<u8>> {
    let base64 = || base64::decode(content.as_bytes()).map_err(|_| Error::corrupt(DOING, "its content is no base64"));
    match encoding.unwrap_or("text/plain") {
        "text/plain" => Ok(content.into()),
        "b64" | "base64" => base64(),
        // In a text nothing else can be what `gzip` alone means.
        "gz" | "gzip" | "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => {
            Format::Gzip.decode(&base64()?, LIMIT).map_err(|error| {
                let why = if error.kind == Kind::Refused { "it is too large" } else { "its content is no gzip data" };
                Error::new(error.kind, DOING, why)
            })
        }
        _ => Err(Error::usage(DOING, "its encoding is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn files(text: &str) -> (String, Vec<String>) {
        let config = Config::parse(text.as_bytes()).unwrap();
        let (files, errors) = config.files().unwrap();
        let lines = files.iter().map(|file| {
            let content = String::from_utf8_lossy(&file.content);
            format!(
                "{} {} {:o} {} {:?} {} {content:?}\n",
                file.index, file.path, file.mode, file.user, file.group, file.append
            )
        });
        (lines.collect(), errors.iter().map(|error| format!("{error}")).collect())
    }

    fn one(entry: &str) -> Result<Vec<u8>> {
        let config = Config::parse(format!("write_files: [{{path: a, {entry}}}]").as_bytes()).unwrap();
        let (files, errors) = config.files().unwrap();
        errors.into_iter().next().map_or_else(|| Ok(files[0].content.clone()), Err)
    }

    #[test]
    fn entries_are_what_tiny_cloud_takes() {
        let (files, errors) = files(
            "write_files:\n- path: /etc/a\n  content: |\n    one\n    two\n- {path: etc//./b, permissions: 04755, owner: 'ann:'}\n\
             - {path: /c, permissions: '0o600', owner: ':staff', append: false}\n- {path: /d, owner: '1000:100', append: true}\n",
        );
        assert_eq!(errors, [""; 0]);
        assert_eq!(
            files,
            "0 /etc/a 644 root Some(\"root\") false \"one\\ntwo\\n\"\n1 /etc/b 4755 ann None false \"\"\n\
             2 /c 600 root Some(\"staff\") false \"\"\n3 /d 644 1000 Some(\"100\") true \"\"\n"
        );
    }

    #[test]
    fn entries_with_one_path_are_one_file() {
        let (files, _) = files(
            "write_files:\n- {path: /a, content: x}\n- {path: /b, content: '1', append: true}\n\
             - {path: /a, content: y, append: true, permissions: 600}\n- {path: //b, content: '2', append: true}\n\
             - {path: /c, content: old}\n- {path: /c, content: new}\n",
        );
        assert_eq!(
            files,
            "2 /a 600 root Some(\"root\") false \"xy\"\n3 /b 644 root Some(\"root\") true \"12\"\n\
             5 /c 644 root Some(\"root\") false \"new\"\n"
        );
    }

    #[test]
    fn every_encoding_is_decoded_and_no_other_guessed() {
        // printf 'hello\n' | gzip -n9 | base64
        const PACKED: &str = "H4sIAAAAAAACA8tIzcnJ5wIAIDA6NgYAAAA=";
        for (encoding, content) in [
            ("text/plain", "hello\\n"),
            ("''", "hello\\n"),
            ("~", "hello\\n"),
            ("b64", "aGVsbG8K"),
            ("base64", "aGVs bG8K\\n"),
            ("gz", PACKED),
            ("gzip", PACKED),
            ("gz+b64", PACKED),
            ("gz+base64", PACKED),
            ("gzip+b64", PACKED),
            ("gzip+base64", PACKED),
        ] {
            assert_eq!(
                one(&format!("encoding: {encoding}, content: \"{content}\"")).unwrap(),
                b"hello\n",
                "{encoding}"
            );
        }
    }

    #[test]
    fn invalid_values_are_reported_without_their_content() {
        for (entry, why) in [
            ("encoding: rot13, content: secret", "its encoding is not known"),
            ("encoding: b64, content: sec-ret", "its content is no base64"),
            ("encoding: gz, content: c2VjcmV0", "its content is no gzip data"),
            ("permissions: u+x", "its permissions are no octal number"),
            ("permissions: 644k", "its permissions are no octal number"),
            ("permissions: '+644'", "its permissions are no octal number"),
            ("permissions: '10000'", "its permissions are no octal number"),
            ("permissions: 0o", "its permissions are no octal number"),
            ("append: yes", "append is neither true nor false"),
            ("content: [secret]", "content is no text"),
            ("owner: {}", "owner is no text"),
        ] {
            let error = format!("{}", one(entry).unwrap_err());
            assert_eq!(error, format!("heed the user-data's write_files[0], a: {why}"));
        }
        let (files, errors) =
            files("write_files: [{content: x}, {path: ../a}, {path: /a/}, {path: /}, text, {path: /e}]");
        assert_eq!(files, "5 /e 644 root Some(\"root\") false \"\"\n", "those behind a bad one are there");
        assert_eq!(errors[0], "heed the user-data's write_files[0]: it has no path");
        assert_eq!(errors[1], "heed the user-data's write_files[1], ../a: it is not the path of a file");
        assert_eq!(errors.len(), 5);
        let long = format!("/{}", "x".repeat(5000));
        let error = Config::parse(format!("write_files: [{{path: {long}/}}]").as_bytes()).unwrap();
        let error = error.files().unwrap().1[0].to_string();
        assert!(error.len() < 300 && error.contains("xxx...:"), "{error}");
        assert_eq!(Config::parse(b"write_files: {}").unwrap().files().unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn a_small_file_does_not_unpack_to_a_large_one() {
        #[cfg(feature = "full")]
        {
            use base64ct::Encoding as _;
            let packed = base64ct::Base64::encode_string(&Format::Gzip.encode(&alloc::vec![0; LIMIT + 1]).unwrap());
            let error = one(&format!("encoding: gz, content: {packed}")).unwrap_err();
            assert_eq!(format!("{error}"), "heed the user-data's write_files[0], a: it is too large");
        }
    }
}
