//! NoCloud: seeds named by the command line or the firmware, and the four files of a seed.
//!
//! A word `ds=nocloud[-net][;key=value]…` carries meta-data itself (`h` and `i` are short for `local-hostname` and
//! `instance-id`) or says where a seed is (`s`, `seedfrom`). For meta-data whatever came earlier wins key by key; of the
//! other files the last that is there wins whole, as for cloud-init.

use super::{Evidence, Field};
use crate::error::{Error, Result};
use crate::text::document::Document;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The name of its row.
pub const NAME: &str = "nocloud";

/// The files of a seed: meta-data or user-data is there, or it is none; a seed that someone named has the first.
pub const FILES: [&str; 4] = ["meta-data", "user-data", "vendor-data", "network-config"];

/// The label of a volume with a seed; any case.
pub const LABEL: &str = "cidata";

/// What a `ds=` word says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Keys of meta-data, in order, under their long names.
    pub entries: Vec<(String, String)>,
    /// Where a seed is: a folder or a URL.
    pub seed: Option<String>,
}

/// The first `ds=nocloud` word of `text`, which is a command line or a serial number; in capitals or small letters, since
/// on the command line either chooses this cloud.
#[must_use]
pub fn word(text: &str) -> Option<Word> {
    let inside = text.split_whitespace().find_map(|word| {
        let word = word.trim_matches('"').strip_prefix("ds=")?.trim_start_matches('"');
        let (name, inside) = word.split_once(';').unwrap_or((word, ""));
        ["nocloud", "nocloud-net"].iter().any(|known| name.eq_ignore_ascii_case(known)).then_some(inside)
    })?;
    let mut found = Word::default();
    for (name, value) in inside.split(';').filter_map(|pair| pair.split_once('=')).filter(|pair| !pair.1.is_empty()) {
        match name {
            "s" | "seedfrom" => found.seed = Some(value.to_owned()),
            "h" => found.entries.push(("local-hostname".to_owned(), value.to_owned())),
            "i" => found.entries.push(("instance-id".to_owned(), value.to_owned())),
            _ => found.entries.push((name.to_owned(), value.to_owned())),
        }
    }
    Some(found)
}

/// Where `file` of the seed at `seed` is. `%s` stands for its name; else it is in the folder, with one slash between;
/// with a query it comes last. `__dmi.NAME__` stands for a string of the firmware, which `firmware` knows.
///
/// # Errors
/// `Usage` when such a string is not there: the URL would be another machine's.
pub fn location(seed: &str, file: &str, firmware: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut text = String::new();
    let mut rest = seed;
    while let Some((before, behind)) = rest.split_once("__dmi.") {
        let Some((name, after)) = behind.split_once("__") else { break };
        let missing = || Error::usage("find the seed", format!("the firmware does not tell its {name}"));
        text.push_str(before);
        text.push_str(&firmware(name).ok_or_else(missing)?);
        rest = after;
    }
    text.push_str(rest);
    if text.contains("%s") {
        return Ok(text.replace("%s", file));
    }
    let slash = if text.ends_with('/') || text.contains('?') { "" } else { "/" };
    Ok(format!("{text}{slash}{file}"))
}

/// Meta-data of several sources, the first first: each key as the first of them says it, in the order of the sources.
#[must_use]
pub fn merged(sources: Vec<Document>) -> Document {
    let mut entries: Vec<(String, Document)> = Vec::new();
    for source in sources {
        let Document::Map(found) = source else { continue };
        let said = entries.len();
        for (name, value) in found {
            match entries.iter_mut().enumerate().find(|(_, (known, _))| *known == name) {
                None => entries.push((name, value)),
                // Of a key that one source has twice the last counts, as everywhere.
                Some((at, (_, own))) if at >= said => *own = value,
                Some(_) => {}
            }
        }
    }
    Document::Map(entries)
}

/// The document that a word's entries are.
#[must_use]
pub fn document(entries: &[(String, String)]) -> Document {
    Document::Map(entries.iter().map(|(name, value)| (name.clone(), Document::Scalar(value.clone()))).collect())
}

/// The strings of the firmware as cloud-init's URLs call them, which is as `dmidecode` does.
const STRINGS: [(&str, Field); 6] = [
    ("system-uuid", Field::ProductUuid),
    ("system-serial-number", Field::ProductSerial),
    ("system-product-name", Field::ProductName),
    ("system-manufacturer", Field::SysVendor),
    ("chassis-asset-tag", Field::ChassisAssetTag),
    ("baseboard-asset-tag", Field::BoardAssetTag),
];

/// The string of the firmware that such a URL calls `name`.
#[must_use]
pub fn firmware_string(evidence: &Evidence, name: &str) -> Option<String> {
    let (_, field) = STRINGS.iter().find(|(known, _)| *known == name)?;
    let text = evidence.dmi(*field)?;
    Some(if *field == Field::ProductUuid { text.to_ascii_lowercase() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(entries: &[(&str, &str)]) -> Vec<(String, String)> {
        entries.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn words_carry_meta_data_and_the_place_of_a_seed() {
        for (text, entries, seed) in [
            ("quiet ds=nocloud ro", &[][..], None),
            ("ds=nocloud-net;s=http://10.0.2.2/seed/", &[], Some("http://10.0.2.2/seed/")),
            (
                "ds=nocloud;h=web;i=abc;seedfrom=/mnt;local-ipv4=1.2.3.4;bare;empty=",
                &[("local-hostname", "web"), ("instance-id", "abc"), ("local-ipv4", "1.2.3.4")],
                Some("/mnt"),
            ),
            ("\"ds=nocloud;h=a\"", &[("local-hostname", "a")], None),
            ("ds=NoCloud;h=a", &[("local-hostname", "a")], None),
            ("ds=nocloud;h=first ds=nocloud;h=second", &[("local-hostname", "first")], None),
        ] {
            let found = word(text).unwrap();
            assert_eq!((found.entries, found.seed.as_deref()), (pairs(entries), seed), "{text}");
        }
        for text in ["", "ds=ec2", "ds=nocloudy", "xds=nocloud", "nocloud"] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    #[test]
    fn a_seed_has_its_files_where_the_url_says() {
        let firmware = |name: &str| (name == "system-uuid").then(|| "u-1".into());
        for (seed, wanted) in [
            ("/seed", "/seed/meta-data"),
            ("http://a/b/", "http://a/b/meta-data"),
            ("http://a/b?f=", "http://a/b?f=meta-data"),
            ("http://a/%s.txt?x=%s", "http://a/meta-data.txt?x=meta-data"),
            ("http://a/__dmi.system-uuid__/", "http://a/u-1/meta-data"),
        ] {
            assert_eq!(location(seed, "meta-data", &firmware).unwrap(), wanted);
        }
        assert!(location("http://a/__dmi.other__/", "meta-data", &firmware).is_err());
    }

    #[test]
    fn strings_of_the_firmware_have_the_names_of_dmidecode() {
        let firmware = [(Field::ProductUuid, "4C4C-AB"), (Field::ProductSerial, "S1"), (Field::ChassisAssetTag, "T1")];
        let firmware = firmware.map(|(field, text)| (field, text.into())).to_vec();
        let evidence = Evidence { firmware, ..Evidence::default() };
        for (name, text) in [
            ("system-uuid", Some("4c4c-ab")),
            ("system-serial-number", Some("S1")),
            ("chassis-asset-tag", Some("T1")),
            // Another one than the system's.
            ("chassis-serial-number", None),
            ("system-product-name", None),
        ] {
            assert_eq!(firmware_string(&evidence, name).as_deref(), text, "{name}");
        }
    }

    #[test]
    fn what_comes_earlier_wins_key_by_key() {
        let sources = ["{a: 1, b: 2}", "{b: 3, c: 4, c: 5}", "just text"];
        let found = merged(sources.iter().map(|text| Document::parse_yaml(text.as_bytes()).unwrap()).collect());
        let entries: Vec<_> = found.map().iter().map(|(key, value)| (&**key, value.text())).collect();
        assert_eq!(entries, [("a", Some("1")), ("b", Some("2")), ("c", Some("5"))]);
    }
}
