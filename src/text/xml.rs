//! XML with namespaces, for Azure's `ovf-env.xml` and its like: elements found by name, text taken out of them.
//!
//! Where one element is asked for and two are there, that is an error: anyone who reads the first and anyone who reads
//! the last would see different files. Document types, and so entities, are refused. Names of namespaces decide and
//! prefixes do not, since their writers vary them.

#![forbid(unsafe_code)]

use crate::error::{Error, Kind, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use roxmltree::{Document, Node, ParsingOptions};

/// Azure's file holds at most 64 KiB of custom data, in base64, and a few keys and certificates.
pub const LENGTH_LIMIT: usize = 256 << 10;

/// Elements and pieces of text; Azure's file has some sixty.
const NODES_LIMIT: u32 = 10_000;

const DOING: &str = "understand the XML document";

/// A whole document.
#[derive(Debug)]
pub struct Xml<'a>(Document<'a>);

impl<'a> Xml<'a> {
    /// Reads a document in UTF-8.
    ///
    /// # Errors
    /// `Corrupt` with line and column, never with the text; `Refused` beyond a limit and for a document type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > LENGTH_LIMIT {
            return Err(Error::refused(DOING, format!("it is larger than {LENGTH_LIMIT} bytes")));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Error::corrupt(DOING, "it is no UTF-8"))?;
        let options = ParsingOptions { nodes_limit: NODES_LIMIT, ..ParsingOptions::default() };
        Document::parse_with_options(text, options).map(Self).map_err(|error| {
            let at = error.pos();
            let (kind, why) = match error {
                roxmltree::Error::DtdDetected => return Error::refused(DOING, "it has a document type"),
                roxmltree::Error::NodesLimitReached => return Error::refused(DOING, "it has more than 10,000 nodes"),
                roxmltree::Error::UnknownNamespace(..) => (Kind::Corrupt, "a prefix is not declared"),
                roxmltree::Error::UnexpectedCloseTag(..) => (Kind::Corrupt, "another element ends here"),
                roxmltree::Error::UnknownEntityReference(..) => (Kind::Corrupt, "an entity is not declared"),
                roxmltree::Error::NoRootNode
                | roxmltree::Error::UnclosedRootNode
                | roxmltree::Error::UnexpectedEndOfStream => {
                    return Error::corrupt(DOING, "it ends too early");
                }
                _ => (Kind::Corrupt, "it is not well-formed"),
            };
            Error::new(kind, DOING, format!("line {}, column {}: {why}", at.row, at.col))
        })
    }

    /// The element that holds all others, if it is called `name` in the namespace `space`.
    ///
    /// # Errors
    /// `Corrupt` if it is called otherwise.
    pub fn root(&self, space: &str, name: &str) -> Result<Element<'_>> {
        let root = Element(self.0.root_element());
        if root.is(space, name) { Ok(root) } else { Err(Error::corrupt(DOING, format!("it is no {name}"))) }
    }
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a>(Node<'a, 'a>);

impl<'a> Element<'a> {
    fn is(self, space: &str, name: &str) -> bool {
        let tag = self.0.tag_name();
        self.0.is_element() && tag.name() == name && tag.namespace().unwrap_or_default() == space
    }

    /// The elements directly inside that are called `name` in the namespace `space` (empty: in none).
    #[must_use]
    pub fn all(self, space: &str, name: &str) -> Vec<Self> {
        self.0.children().map(Self).filter(|child| child.is(space, name)).collect()
    }

    /// The element at the end of `path`, names divided by slashes, all of the namespace `space`.
    ///
    /// # Errors
    /// `Corrupt` where the path forks.
    pub fn at(self, space: &str, path: &str) -> Result<Option<Self>> {
        let mut place = self;
        for name in path.split('/') {
            let found = place.all(space, name);
            match found.as_slice() {
                [] => return Ok(None),
                [only] => place = *only,
                _ => return Err(Error::corrupt(DOING, format!("there is more than one {name}"))),
            }
        }
        Ok(Some(place))
    }

    /// The text inside, without the white space around it. Comments are no part of it.
    ///
    /// # Errors
    /// `Corrupt` if it has elements inside.
    pub fn text(self) -> Result<String> {
        let mut text = String::new();
        for child in self.0.children() {
            if child.is_element() {
                let name = self.0.tag_name().name();
                return Err(Error::corrupt(DOING, format!("there are elements where {name} has its text")));
            }
            text.push_str(child.text().filter(|_| child.is_text()).unwrap_or_default());
        }
        Ok(text.trim().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVF: &str = "http://schemas.dmtf.org/ovf/environment/1";
    const WA: &str = "http://schemas.microsoft.com/windowsazure";
    const SET: &str = "ProvisioningSection/LinuxProvisioningConfigurationSet";

    const SAMPLE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1"
    xmlns:w="http://schemas.microsoft.com/windowsazure" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <w:ProvisioningSection>
    <w:Version>1.0</w:Version>
    <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
      <HostName> web-1<!-- not db --> </HostName>
      <UserName>a&amp;b &#x263a;</UserName>
      <UserPassword xsi:nil="true"/>
      <CustomData><![CDATA[<IyE+]]>Cg==</CustomData>
      <SSH><PublicKeys>
        <PublicKey><Value>one</Value></PublicKey>
        <PublicKey><Value>two</Value></PublicKey>
        <Other/>
      </PublicKeys></SSH>
    </LinuxProvisioningConfigurationSet>
  </w:ProvisioningSection>
  <ProvisioningSection>of another namespace</ProvisioningSection>
</ns0:Environment>
"#;

    fn text(path: &str) -> Result<Option<String>> {
        let xml = Xml::parse(SAMPLE.as_bytes())?;
        xml.root(OVF, "Environment")?.at(WA, path)?.map(Element::text).transpose()
    }

    #[test]
    fn elements_are_found_by_namespace_and_name() {
        for (name, wanted) in [
            ("HostName", Some("web-1")),
            ("UserName", Some("a&b ☺")),
            ("UserPassword", Some("")),
            ("CustomData", Some("<IyE+Cg==")),
            ("DisableSshPasswordAuthentication", None),
            ("SSH/Nothing/Value", None),
        ] {
            assert_eq!(text(&format!("{SET}/{name}")).unwrap().as_deref(), wanted, "{name}");
        }
        let xml = Xml::parse(SAMPLE.as_bytes()).unwrap();
        let root = xml.root(OVF, "Environment").unwrap();
        assert_eq!(root.at("", "ProvisioningSection").unwrap().unwrap().text().unwrap(), "of another namespace");
        assert!(root.at(OVF, "ProvisioningSection").unwrap().is_none());
        let keys = root.at(WA, &format!("{SET}/SSH/PublicKeys")).unwrap().unwrap().all(WA, "PublicKey");
        let values: Vec<_> = keys.iter().map(|key| key.at(WA, "Value").unwrap().unwrap().text().unwrap()).collect();
        assert_eq!(values, ["one", "two"]);
    }

    #[test]
    fn what_is_asked_for_once_must_be_there_once() {
        let error = text(&format!("{SET}/SSH/PublicKeys/PublicKey/Value")).unwrap_err();
        assert_eq!(error.why, "there is more than one PublicKey");
        let error = text(SET).unwrap_err();
        assert!(error.kind == Kind::Corrupt && error.why.contains("elements where Linux"), "{error}");
    }

    #[test]
    fn another_document_is_distinguished() {
        let xml = Xml::parse(b"<Environment/>").unwrap();
        assert_eq!(xml.root(OVF, "Environment").unwrap_err().kind, Kind::Corrupt);
        assert!(xml.root("", "Environment").unwrap().at("", "x").unwrap().is_none());
        assert!(xml.root("", "Goal").is_err());
    }

    #[test]
    fn malformed_documents_are_reported_with_their_position() {
        for (text, kind, why) in [
            ("<a><b></a>", Kind::Corrupt, "line 1, column 7: another element ends here"),
            ("<a>\n<x:b/></a>", Kind::Corrupt, "line 2, column 2: a prefix is not declared"),
            ("<a>&secret;</a>", Kind::Corrupt, "line 1, column 4: an entity is not declared"),
            ("<a b='1' b='2'/>", Kind::Corrupt, "line 1, column 10: it is not well-formed"),
            ("<a>\u{1}</a>", Kind::Corrupt, "not well-formed"),
            ("", Kind::Corrupt, "ends too early"),
            ("<a>", Kind::Corrupt, "ends too early"),
            ("<!DOCTYPE a><a/>", Kind::Refused, "document type"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", Kind::Refused, "document type"),
        ] {
            let error = Xml::parse(text.as_bytes()).unwrap_err();
            assert!(error.kind == kind && error.why.contains(why), "{text}: {error}");
        }
        assert_eq!(Xml::parse(b"<a>\xff</a>").unwrap_err().kind, Kind::Corrupt);
        assert!(Xml::parse("\u{feff}<a/>".as_bytes()).is_ok());
    }

    #[test]
    fn every_limit_holds() {
        let of = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
        assert!(Xml::parse(of(9_000).as_bytes()).is_ok());
        assert_eq!(Xml::parse(of(10_000).as_bytes()).unwrap_err().kind, Kind::Refused);
        let deep = format!("{}{}", "<a>".repeat(9_000), "</a>".repeat(9_000));
        assert!(Xml::parse(deep.as_bytes()).is_ok(), "nothing calls itself for each level");
        let long = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
        assert!(Xml::parse(long(LENGTH_LIMIT).as_bytes()).is_ok());
        assert_eq!(Xml::parse(long(LENGTH_LIMIT + 1).as_bytes()).unwrap_err().kind, Kind::Refused);
    }

    #[test]
    fn no_cut_and_no_flipped_bit_breaks_anything() {
        for end in 0..SAMPLE.trim_end().len() {
            assert!(Xml::parse(&SAMPLE.as_bytes()[..end]).is_err(), "{end}");
            for bit in 0..8 {
                let mut bytes = SAMPLE.as_bytes().to_vec();
                bytes[end] ^= 1 << bit;
                let Ok(xml) = Xml::parse(&bytes) else { continue };
                let Ok(root) = xml.root(OVF, "Environment") else { continue };
                let _ = root.at(WA, &format!("{SET}/HostName")).map(|found| found.map(Element::text));
            }
        }
    }
}
