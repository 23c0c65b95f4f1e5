//! Azure's provisioning medium: `ovf-env.xml` on a disc that only a new machine has.

use super::reader::Local;
use crate::error::Result;
use crate::text::base64;
use crate::text::xml::{Element, Xml};
use alloc::string::String;
use alloc::vec::Vec;

/// The name of its row.
pub const NAME: &str = "azure";

/// The file on the disc.
pub const FILE: &str = "ovf-env.xml";

const ENVIRONMENT: &str = "http://schemas.dmtf.org/ovf/environment/1";
const AZURE: &str = "http://schemas.microsoft.com/windowsazure";
const SET: &str = "ProvisioningSection/LinuxProvisioningConfigurationSet";

/// What the medium states: the names of the machine and of its user, the custom data (which goes before the service's user-data, as for
/// cloud-init), and those keys that are there in full. Passwords are left where they are.
///
/// # Errors
/// `Corrupt` and `Refused` as [`Xml::parse`]; `Corrupt` when an element is there twice, or custom data is no base64.
pub fn parse(bytes: &[u8]) -> Result<Local> {
    let xml = Xml::parse(bytes)?;
    let root = xml.root(ENVIRONMENT, "Environment")?;
    let Some(set) = root.at(AZURE, SET)? else { return Ok(Local::default()) };
    let text = |element: Element<'_>, path: &str| -> Result<Option<String>> {
        let text = element.at(AZURE, path)?.map(Element::text).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    };
    let mut keys = Vec::new();
    if let Some(list) = set.at(AZURE, "SSH/PublicKeys")? {
        for key in list.all(AZURE, "PublicKey") {
            keys.extend(text(key, "Value")?);
        }
    }
    Ok(Local {
        hostname: text(set, "HostName")?,
        admin: text(set, "UserName")?,
        userdata: text(set, "CustomData")?.map(|data| base64::decode(data.as_bytes())).transpose()?,
        keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn environment(inside: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><ns0:Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
            xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
            <wa:ProvisioningSection><wa:Version>1.0</wa:Version><wa:LinuxProvisioningConfigurationSet>{inside}
            </wa:LinuxProvisioningConfigurationSet></wa:ProvisioningSection></ns0:Environment>"#
        )
    }

    #[test]
    fn name_data_and_keys_are_read_and_the_password_is_not() {
        let text = environment(
            "<wa:HostName>web1</wa:HostName><wa:UserName>me</wa:UserName><wa:UserPassword>secret</wa:UserPassword>
            <wa:CustomData>IyEvYmlu\n  L3NoCg==</wa:CustomData><wa:SSH><wa:PublicKeys>
            <wa:PublicKey><wa:Fingerprint>00</wa:Fingerprint><wa:Path>/x</wa:Path><wa:Value>ssh-rsa AAAA me</wa:Value></wa:PublicKey>
            <wa:PublicKey><wa:Fingerprint>01</wa:Fingerprint></wa:PublicKey></wa:PublicKeys></wa:SSH>",
        );
        let local = parse(text.as_bytes()).unwrap();
        assert_eq!((local.hostname.as_deref(), local.admin.as_deref()), (Some("web1"), Some("me")));
        assert_eq!(local.userdata.as_deref(), Some(&b"#!/bin/sh\n"[..]));
        assert_eq!(local.keys, ["ssh-rsa AAAA me"]);
    }

    #[test]
    fn what_is_absent_is_no_error_and_what_is_there_twice_is_one() {
        let local = parse(environment("").as_bytes()).unwrap();
        assert!(local.hostname.is_none() && local.userdata.is_none() && local.keys.is_empty());
        assert!(parse(environment("<wa:HostName>a</wa:HostName><wa:HostName>b</wa:HostName>").as_bytes()).is_err());
        assert!(parse(environment("<wa:CustomData>!</wa:CustomData>").as_bytes()).is_err());
        assert!(parse(b"<other/>").is_err());
    }
}
