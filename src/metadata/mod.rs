//! The metadata of this machine: the source that its cloud has, opened and asked.
//!
//! ```text
//! probe::machine ─► provider::detect ─► which cloud ─► a service, a volume, a seed ─► provider::Reader ─► values
//! ```
//!
//! Nothing here sends a packet before the cloud is known, by what the machine shows or by the user's word; and to a
//! service nothing is sent before the first value is asked for.
#![forbid(unsafe_code)]

pub mod nocloud_seed;
pub mod ready;
pub mod service;
mod volume;

use crate::error::{Error, Kind, Result};
use crate::fetch::Policy;
use crate::log::Log;
use crate::netif::{self, Connection, Interface, Target};
use crate::probe::block::Sysfs;
use crate::probe::{machine, media};
use crate::provider::{self, CLOUDS, Cloud, Detection, Evidence, Field, Fingerprint, Identity, Reader, azure, nocloud};
use crate::settings::Agent;
use crate::sys::clock;
use crate::units::Deadline;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

const SYSFS: Sysfs<'static> = Sysfs { root: "/sys" };

/// What this machine shows and is told; looked at once.
#[derive(Debug)]
pub struct Machine {
    /// In front of every path; empty on a real system. With one, no disk and no interface of this machine is looked at.
    pub root: String,
    /// What it shows.
    pub evidence: Evidence,
    /// What it is told.
    pub settings: Agent,
    /// The seconds a token is to live, as text.
    lifetime: String,
    /// The devices of volumes whose label is a mark of some cloud, each with the label, once they were looked for: that
    /// reads every disk.
    labelled: OnceCell<Vec<(String, &'static str)>>,
}

/// Which cloud this is, and the ways to what it says.
pub struct Access<'a> {
    /// The cloud, and why it is this one.
    pub verdict: Detection,
    machine: &'a Machine,
    network: RefCell<Network>,
    /// However long the user would have the service waited for, no longer than this.
    limit: Cell<Duration>,
}

/// What is known of the network, which may be configured meanwhile.
#[derive(Debug, Default)]
struct Network {
    /// Asked of the kernel when they are first needed: a phase that asks no service needs none.
    interfaces: OnceCell<Vec<Interface>>,
    /// Servers of names that a lease told.
    servers: Vec<IpAddr>,
    /// The interface that was configured to reach the service: nothing is asked through another.
    through: Option<String>,
    /// Azure's wire server, where a lease told its address.
    wire_server: Option<Ipv4Addr>,
}

impl Machine {
    /// Looks at the machine below `root`.
    #[must_use]
    pub fn look(root: &str) -> Self {
        let evidence = machine::evidence(root);
        let settings = machine::settings(root, &evidence.cmdline);
        let lifetime = format!("{}", settings.token_ttl.as_secs());
        Self { root: root.into(), evidence, settings, lifetime, labelled: OnceCell::new() }
    }

    /// Which cloud it is in; `None` if nothing tells of any.
    ///
    /// # Errors
    /// `Usage` when the user names a cloud that is none.
    pub fn verdict(&self) -> Result<Option<Detection>> {
        provider::detect(&self.settings.cloud, &self.evidence, &mut |label| self.labelled(label))
    }

    /// Why there is no verdict.
    #[must_use]
    pub fn unknown(&self) -> Error {
        let why = match (self.evidence.container, self.evidence.hidden) {
            (true, _) => {
                "this is a container: firmware and disks are the host's and were not looked at; CLOUD= says it"
            }
            (_, true) => "this machine shows no mark of any that wisp knows; some of them only root can see",
            _ => "this machine shows no mark of any that wisp knows",
        };
        Error::absent("find the cloud", why)
    }

    /// The devices of its volumes that have this label. The disks that a container sees are its host's.
    fn labelled(&self, label: &str) -> Vec<String> {
        if self.evidence.container || !self.root.is_empty() {
            return Vec::new();
        }
        let marks = CLOUDS.iter().flat_map(|cloud| cloud.marks);
        let labels = || marks.filter_map(|mark| if let Fingerprint::Label(label) = mark { Some(*label) } else { None });
        let all = self.labelled.get_or_init(|| media::labelled(SYSFS, "", &labels().collect::<Vec<_>>()));
        all.iter().filter(|(_, own)| *own == label).map(|(path, _)| path.clone()).collect()
    }

    /// The ways to its metadata.
    ///
    /// # Errors
    /// As [`Self::verdict`]; `Absent` if nothing tells of any cloud.
    pub fn access(&self) -> Result<Access<'_>> {
        let verdict = self.verdict()?.ok_or_else(|| self.unknown())?;
        Ok(Access { verdict, machine: self, network: RefCell::default(), limit: Cell::new(Duration::MAX) })
    }
}

impl<'a> Access<'a> {
    /// Makes the service reachable where the network is not configured yet; `None` where nothing needs to be reached.
    /// What was changed for it is undone, or kept, by the caller.
    ///
    /// # Errors
    /// As [`netif::connect`].
    pub fn reach(&self, log: &Log) -> Result<Option<Connection>> {
        let Some(want) = self.want()? else { return Ok(None) };
        let total = self.patience();
        let held = netif::connect(&want, Deadline::after(clock::now(), total), log)?;
        let servers = held.lease.iter().flat_map(|lease| &lease.dns).map(|server| IpAddr::V4(*server)).collect();
        let through = Some(held.interface.clone()).filter(|_| !held.is_untouched());
        let wire_server = held.lease.as_ref().and_then(|lease| lease.wire_server);
        let interfaces = OnceCell::from(netif::interfaces().unwrap_or_default());
        self.network.replace(Network { interfaces, servers, through, wire_server });
        Ok(Some(held))
    }

    /// What must be reached.
    fn want(&self) -> Result<Option<Target<'static>>> {
        if self.verdict.cloud.name == nocloud::NAME {
            let server = nocloud_seed::server(self.machine)?;
            return Ok(server.map(|server| Target {
                server,
                other: None,
                dhcp: true,
                link_local: false,
                prefer: None,
            }));
        }
        let Some(service) = &self.verdict.cloud.service else { return Ok(None) };
        let mut addresses = service.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        let Some(server) = addresses.next() else { return Ok(None) };
        let link_local = service.link_local;
        let other = addresses.next();
        Ok(Some(Target { server, other, dhcp: !link_local, link_local, prefer: service.interface }))
    }

    /// Anyone who has to be reached from now on is waited for no longer than this.
    pub fn limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// How long the service is waited for.
    fn patience(&self) -> Duration {
        self.machine.settings.deadline.unwrap_or(Policy::METADATA.total).min(self.limit.get())
    }

    /// The identity of this instance, where the firmware states it: no one has to be asked.
    #[must_use]
    pub fn stated_id(&self) -> Option<String> {
        let check = self.verdict.cloud.check.as_ref()?;
        self.stated().known(check)
    }

    /// Whether what the cloud says is on a network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.sign_of_label(self.verdict.cloud).is_none() && !matches!(self.want(), Ok(None))
    }

    /// Whether what the cloud says is in files or on a volume of this machine. One that cannot be read says nothing of the
    /// others, and reading them again takes no time.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let cloud = self.verdict.cloud;
        self.sign_of_label(cloud).is_some() || cloud.service.is_none() && !self.is_remote()
    }

    /// Whether it is asked by an address that is every machine's own, and not by that of one server.
    #[must_use]
    pub fn is_far(&self) -> bool {
        self.verdict.cloud.name != nocloud::NAME && self.is_remote()
    }

    /// A reader of everything that the cloud says. `notify` is called for second tries.
    ///
    /// # Errors
    /// What keeps a seed or a volume from being read; a service is not asked yet.
    pub fn open(&'a self, notify: &'a dyn Fn(&str)) -> Result<Reader<'a>> {
        let cloud = self.verdict.cloud;
        if let Some(device) = self.sign_of_label(cloud)
            && cloud.name != nocloud::NAME
        {
            let source = volume::Files::open(&device)?;
            return Ok(Reader::new(cloud, Box::new(source), self.identity()));
        }
        if cloud.service.is_none() {
            return self.seed(cloud, notify);
        }
        match self.service(cloud, notify) {
            // A virtual machine whose host has no agent in it has the same facts on a volume.
            Err(error) if error.kind == Kind::Absent => {
                let other = self.verdict.others.iter().find(|other| other.name == nocloud::NAME);
                other.map_or(Err(error), |other| self.seed(other, notify))
            }
            outcome => outcome,
        }
    }

    fn seed(&'a self, cloud: &'static Cloud, notify: &'a dyn Fn(&str)) -> Result<Reader<'a>> {
        let servers = self.network.borrow().servers.clone();
        nocloud_seed::open(cloud, nocloud_seed::Place { machine: self.machine, servers, notify }, self.identity())
    }

    fn service(&'a self, cloud: &'static Cloud, notify: &'a dyn Fn(&str)) -> Result<Reader<'a>> {
        let service = cloud.service.as_ref().ok_or_else(|| Error::absent("find the service of", cloud.title))?;
        let scopes: Vec<u32> = netif::candidates(self.interfaces(&self.network.borrow()), service.interface)
            .iter()
            .map(|interface| interface.index)
            .collect();
        let total = self.patience();
        let way = service::Way {
            endpoints: service::endpoints(cloud, &scopes)?,
            interface: self.network.borrow().through.clone(),
            token_optional: cloud.name == "aws" && !self.is_amazon(),
            policy: Policy { total, ..Policy::METADATA },
        };
        let http = service::Http::new(service, way, &self.machine.lifetime, notify);
        let mut reader = Reader::new(cloud, Box::new(http), self.identity());
        if cloud.name == azure::NAME
            && let Some(local) = volume::provisioning_disc(SYSFS, &self.machine.root)?
        {
            reader.set_local(local);
        }
        Ok(reader)
    }

    /// Whether the firmware is Amazon's own, where a token is always given: an answer without is not the service's.
    fn is_amazon(&self) -> bool {
        let evidence = &self.machine.evidence;
        evidence.dmi(Field::SysVendor).is_some_and(|vendor| vendor.starts_with("Amazon"))
            || self.verdict.signs.iter().any(|sign| sign.mark == "xen" || sign.field == Field::ProductUuid.name())
    }

    /// Ejects the disc that Azure gives a new machine, with its user's password on it; whether there was one.
    ///
    /// # Errors
    /// `Os`: it cannot be read, or stays in its drive.
    pub fn eject(&self) -> Result<bool> {
        // The drives that a container sees are its host's.
        let may = self.verdict.cloud.name == azure::NAME && !self.machine.evidence.container;
        if may { volume::eject_provisioning(SYSFS) } else { Ok(false) }
    }

    /// The device of the volume by whose label the cloud was told.
    fn sign_of_label(&self, cloud: &Cloud) -> Option<String> {
        let label = cloud
            .marks
            .iter()
            .find_map(|mark| if let Fingerprint::Label(label) = mark { Some(*label) } else { None })?;
        self.machine.labelled(label).into_iter().next()
    }

    /// Where the state of this machine's agent is.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.machine.settings.var
    }

    /// The root prefix of the machine's paths.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.machine.root
    }

    fn identity(&self) -> Identity {
        let name_and_mac =
            |interface: &Interface| (interface.name.clone(), interface.mac.map_or_else(String::new, netif::mac_text));
        let interfaces = self.interfaces(&self.network.borrow()).iter().map(name_and_mac).collect();
        Identity { interfaces, ..self.stated() }
    }

    /// The identity without what only the kernel can be asked for.
    fn stated(&self) -> Identity {
        // Of a bare machine, or one in a laboratory, the strings are the maker's, and say nothing about a service.
        let is_clouds = self.verdict.signs.iter().any(|sign| sign.mark == "dmi");
        Identity {
            firmware: if is_clouds { self.machine.evidence.firmware.clone() } else { Vec::new() },
            // By a clock that is not set no key would ever have ended.
            now: clock::wall().max(clock::EARLIEST).as_secs(),
            interfaces: Vec::new(),
        }
    }

    /// Without netlink there are no names of interfaces to give, and no link-local service to ask.
    fn interfaces<'b>(&self, network: &'b Network) -> &'b [Interface] {
        let list = || if self.machine.root.is_empty() { netif::interfaces().unwrap_or_default() } else { Vec::new() };
        network.interfaces.get_or_init(list)
    }
}
