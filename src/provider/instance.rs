//! What every cloud tells about a machine, in one form: `wisp imds --json`.

use super::reader::Reader;
use super::{Key, Nic};
use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use miniserde::Serialize;

/// A machine as its cloud sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The cloud, as `CLOUD=` calls it.
    pub cloud: &'static str,
    /// Its identity.
    pub id: Option<String>,
    /// Its name as the owner gave it, often with a domain.
    pub hostname: Option<String>,
    /// The region, as the cloud spells it.
    pub region: Option<String>,
    /// The zone, as the cloud spells it.
    pub zone: Option<String>,
    /// Who may log in.
    pub keys: Vec<Key>,
    /// Its network interfaces, each with the name it has on this machine.
    pub nics: Vec<(Nic, Option<String>)>,
}

impl Reader<'_> {
    /// Everything but the user-data, which may be large and may be secret.
    ///
    /// # Errors
    /// Those of the source; `Corrupt` for a document that is none. What is absent is no error.
    pub fn instance(&mut self) -> Result<Instance> {
        let cloud = self.cloud;
        let id = self.instance_id()?;
        if id.is_none() {
            return Err(Error::absent("read the identity of this machine from", "it is not told").to(cloud.title));
        }
        let hostname = self.line(&cloud.hostname)?.or_else(|| self.local.hostname.clone());
        let (region, zone) = (self.line(&cloud.region)?, self.line(&cloud.zone)?);
        let keys = self.keys()?;
        let nics = self.nics()?.into_iter().map(|nic| {
            let here = self.identity.interfaces.iter().find(|(_, mac)| !mac.is_empty() && *mac == nic.mac);
            let name = here.map(|(name, _)| name.clone());
            (nic, name)
        });
        Ok(Instance { cloud: cloud.name, id, hostname, region, zone, keys, nics: nics.collect() })
    }
}

impl Instance {
    /// One object, in which nothing is left out: what the cloud does not tell is null or an empty list.
    #[must_use]
    pub fn json(&self) -> String {
        miniserde::json::to_string(&InstanceJson {
            cloud: self.cloud,
            instance_id: self.id.as_deref(),
            hostname: self.hostname.as_deref(),
            region: self.region.as_deref(),
            zone: self.zone.as_deref(),
            ssh_keys: self.keys.iter().map(|key| KeyJson { user: key.user.as_deref(), key: &key.line }).collect(),
            nics: self.nics.iter().map(|(nic, name)| nic_json(nic, name.as_deref())).collect(),
        })
    }
}

#[derive(Serialize)]
struct InstanceJson<'a> {
    cloud: &'a str,
    #[serde(rename = "instance-id")]
    instance_id: Option<&'a str>,
    hostname: Option<&'a str>,
    region: Option<&'a str>,
    zone: Option<&'a str>,
    #[serde(rename = "ssh-keys")]
    ssh_keys: Vec<KeyJson<'a>>,
    nics: Vec<NicJson<'a>>,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    user: Option<&'a str>,
    key: &'a str,
}

#[derive(Serialize)]
struct NicJson<'a> {
    mac: Option<&'a str>,
    interface: Option<&'a str>,
    addresses: Vec<&'a str>,
    gateways: Vec<&'a str>,
}

fn nic_json<'a>(nic: &'a Nic, name: Option<&'a str>) -> NicJson<'a> {
    NicJson {
        mac: Some(nic.mac.as_str()).filter(|mac| !mac.is_empty()),
        interface: name,
        addresses: nic.addresses.iter().map(String::as_str).collect(),
        gateways: nic.gateways.iter().map(String::as_str).collect(),
    }
}
