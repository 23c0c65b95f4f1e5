//! The child that writes the image: finds the disk, reaches the server, writes, and tells its parent in one line what came
//! of it.

#![forbid(unsafe_code)]

use super::progress_log::Pace;
use super::{Place, already_written};
use crate::error::{Error, Result};
use crate::fetch::Policy;
use crate::fetch::Url;
use crate::filesystem::{Kind as Filesystem, requests};
use crate::image::{Environment, Expected, Progress, write};
use crate::initramfs::device_wait::Watch;
use crate::initramfs::find_root::{SYSFS, not_found, refuse_udev_link};
use crate::initramfs::modules::{Lists, Loader};
use crate::log::Log;
use crate::netif::{self, Connection, Target};
use crate::probe::block::Block;
use crate::probe::{grow_facts, search};
use crate::settings::{After, Image, Network, Origin};
use crate::sys::fork::ProgressPipe;
use crate::sys::mount::{self, Flags};
use crate::sys::{clock, tree};
use crate::text::device_spec::DeviceSpec;
use crate::units::{ByteCount, Deadline};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// How the last line of the child begins: the image is written; it was there before; another try may help, or may not.
pub const WRITTEN: &str = "written";
pub const THERE: &str = "there";
pub const AGAIN: &str = "again";
pub const NEVER: &str = "never";

/// What shows the parent that the child lives; not more often than this.
const ALIVE: &str = "alive";
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// DHCP asks with growing pauses, and a switch may keep its port closed for half a minute.
const NETWORK_WAIT: Duration = Duration::from_secs(90);

/// Two disks of one name may come one after the other; so long after the first one the second is there.
const SETTLED: Duration = Duration::from_secs(2);

/// Somewhere in the world (RFC 5737, RFC 3849): whichever server has a name is reached by the way that leads there.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ANYWHERE6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Where the filesystem is mounted that has the image, which no one but the child sees.
const SOURCE: &str = "/run/wisp/image";

/// The module without which no DHCP packet is sent, where the kernel does not have it built in.
const PACKETS: &str = "af_packet";

/// What the child needs to know.
pub struct Task<'a> {
    /// What is to be written where.
    pub image: &'a Image,
    /// What is known of the machine.
    pub place: Place<'a>,
    /// The release of the running kernel.
    pub kernel: &'a str,
}

/// What was being done when it failed, and why it did.
type Failure = (&'static str, Error);

/// Where it failed, in a word for programs, and why, in a sentence.
pub fn account(step: &str, error: &Error) -> String {
    format!("step={step} why={error}")
}

/// Does it all.
pub fn run(task: &Task<'_>, log: &Log, teller: &ProgressPipe) -> u8 {
    let delivery = Delivery { task, log, teller, begun: Cell::new(false) };
    let told = match delivery.run() {
        Ok(told) => told,
        Err((step, error)) => {
            // A disk that was begun is no disk any more, so whatever was wrong with the first try is tried once more.
            let word = if delivery.begun.get() || error.kind.may_retry() { AGAIN } else { NEVER };
            format!("{word} {}", account(step, &error))
        }
    };
    teller.notify(&told);
    0
}

/// The way of an image from its name to the disk.
struct Delivery<'a> {
    task: &'a Task<'a>,
    log: &'a Log,
    teller: &'a ProgressPipe,
    /// Whether the target is being overwritten, or was.
    begun: Cell<bool>,
}

impl Delivery<'_> {
    /// All of it; the last line to tell.
    fn run(&self) -> core::result::Result<String, Failure> {
        let at = |step: &'static str| move |error: Error| (step, error);
        let (image, log) = (self.task.image, self.log);
        let lists = Lists::read(self.task.kernel);
        let drivers = Loader::new(&lists, self.task.place.line, false);
        let mut watch = Watch::begin(drivers, self.task.place.wait).map_err(at("target"))?;
        let target = find(&mut watch, &image.target, "the target", log).map_err(at("target"))?;
        let source = bring(&mut watch, &image.origin, log).map_err(at("source"))?;
        self.teller.notify(ALIVE);
        let network = match &image.origin {
            Origin::Url(url) => Some(connect(&mut watch, url, &image.network, log).map_err(at("network"))?),
            _ => None,
        };
        let servers = network.as_ref().map(|held| name_servers(&image.network, held)).unwrap_or_default();
        let means =
            Environment { servers: &servers, notify: &|line| log.info(line), policy: Policy::IMAGE, spool: None };
        let told = self.put(&source, means, &target).map_err(at("write"));
        if let Some(error) = network.and_then(|held| held.release().err()) {
            log.warning(&format!("{error}; the network stays as it is"));
        }
        told
    }

    /// Writes it, unless it is there.
    fn put(&self, source: &str, means: Environment<'_>, target: &Block) -> Result<String> {
        let (image, log, node) = (self.task.image, self.log, target.node());
        // A machine that goes off afterwards has nothing that could be lost, and anyone who takes it for the image
        // wants what was held against its digest.
        let may_be_there = !image.again && image.after != After::PowerOff && !self.overwrites_own_root(target);
        if may_be_there && already_written::is_there(source, means, target)? {
            return Ok(format!("{THERE} why={node} has the partitions of the image; wisp.image.again would write it"));
        }
        let order = write::WriteOptions {
            source,
            expected: Expected { checksum: image.checksum, size: None },
            target: &node,
            verify: image.verify,
            raw: image.raw,
            confirm: Some(&|opened: &Block| self.confirm(target, opened)),
            begun: Some(&self.begun),
            ..write::WriteOptions::default()
        };
        let mut pace = Pace::begin(clock::now());
        let mut sign = Duration::ZERO;
        let outcome = write::write(&order, means, &mut |progress: &Progress| {
            let now = clock::now();
            if now.saturating_sub(sign) >= SIGN_OF_LIFE {
                sign = now;
                self.teller.notify(ALIVE);
            }
            if let Some(line) = pace.line(progress, now) {
                log.info(&line);
            }
        })?;
        outcome.notes.iter().for_each(|note| log.info(note));
        let digest = outcome.checksum.map_or_else(
            || String::from("sha256=unverified"),
            |digest| format!("{}={}", digest.word(), digest.digits()),
        );
        let ByteCount(size) = outcome.size;
        Ok(format!("{WRITTEN} {digest} bytes={size}"))
    }

    /// Refuses a device that came to have the node of `target` after it was chosen: reaching a server takes its time. That it
    /// is `opened` by now keeps others from that.
    fn confirm(&self, target: &Block, opened: &Block) -> Result<()> {
        let found = search::find(SYSFS, &self.task.image.target);
        if opened == target && found.is_some_and(|found| found.twins.is_empty() && found.block == *opened) {
            return Ok(());
        }
        Err(Error::refused("write to", "it is not the disk that was chosen any more").to(target.node()))
    }

    /// Whether the system that started this lies on `target`: it is what is to be overwritten, however much alike.
    fn overwrites_own_root(&self, target: &Block) -> bool {
        let disk = |block: &Block| block.slice.as_ref().map_or_else(|| block.name.clone(), |slice| slice.disk.clone());
        let root = self.task.place.own_root.and_then(|name| search::find(SYSFS, name));
        root.is_some_and(|found| disk(&found.block) == disk(target))
    }
}

/// The only device of this name.
fn find(watch: &mut Watch<'_>, name: &DeviceSpec, what: &str, log: &Log) -> Result<Block> {
    if search::find(SYSFS, name).is_none() {
        refuse_udev_link(name)?;
    }
    let look = &mut || search::find(SYSFS, name);
    let mut found = watch.look_for(look).ok_or_else(|| not_found(what, name, log))?;
    if !matches!(name, DeviceSpec::Path(_)) {
        watch.settle(SETTLED);
        found = search::find(SYSFS, name).ok_or_else(|| not_found(what, name, log))?;
    }
    let (block, twins) = (found.block, found.twins);
    if !twins.is_empty() {
        let why = format!("{} and {} answer to that name", block.node(), twins.join(", "));
        return Err(Error::refused("choose", why).to(format!("{what} {name}")));
    }
    Ok(block)
}

/// The name by which the image is opened; a filesystem that has it is mounted where only this process sees it.
fn bring(watch: &mut Watch<'_>, origin: &Origin, log: &Log) -> Result<String> {
    let (name, path) = match origin {
        Origin::Url(url) => return Ok(url.clone()),
        Origin::Device(name) => return Ok(find(watch, name, "the image", log)?.node()),
        Origin::File(name, path) => (name, path),
    };
    let block = find(watch, name, "the filesystem of the image", log)?;
    let node = block.node();
    let content = grow_facts::superblock(&node, block.size)?;
    let kind = content.as_ref().map(|content| content.kind);
    if let Some(module) = kind.and_then(Filesystem::module) {
        watch.drivers.load(module);
    }
    for module in content.iter().flat_map(|content| requests(content, "")) {
        watch.drivers.load(&module);
    }
    mount::unshare()?;
    tree::make_directories(SOURCE, 0o700)?;
    mount::mount(&node, SOURCE, kind.map_or("", Filesystem::mount_type), Flags::RDONLY, "")?;
    Ok(format!("{SOURCE}{path}"))
}

/// A way to the server of `url`.
fn connect(watch: &mut Watch<'_>, url: &str, network: &Network, log: &Log) -> Result<Connection> {
    watch.drivers.load(PACKETS);
    let host = Url::parse(url)?.host;
    let prefer = network.device.as_deref();
    let deadline = Deadline::after(clock::now(), NETWORK_WAIT);
    if let Some(fixed) = &network.fixed {
        return netif::assign(prefer, fixed, deadline, log);
    }
    let (server, other) = match host.parse() {
        Ok(address) => (address, None),
        Err(_) => (ANYWHERE, Some(ANYWHERE6)),
    };
    netif::connect(&Target { server, other, dhcp: true, link_local: false, prefer }, deadline, log)
}

/// The user's, and those of the lease.
fn name_servers(network: &Network, held: &Connection) -> Vec<IpAddr> {
    let leased = held.lease.iter().flat_map(|lease| lease.dns.iter().copied().map(IpAddr::V4));
    network.servers.iter().copied().chain(leased).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::image::target::tests::Loop;
    use crate::settings::Wait;
    use crate::sys::fork::{self, ChildEvent};
    use crate::text::checksum::Checksum;
    use crate::text::cmdline::Cmdline;
    use std::path::PathBuf;

    const TARGET_SIZE: u64 = 8 << 20;

    /// A folder with a source and a target, which are disks; `None` where the machine allows none: the test is skipped.
    struct Disks {
        folder: PathBuf,
        source: Loop,
        target: Loop,
    }

    impl Disks {
        #[track_caller]
        fn new(name: &str, source: u64) -> Option<Self> {
            let folder = std::env::temp_dir().join(format!("wisp-delivery-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let source = Loop::over(&folder.join("source"), source)?;
            let target = Loop::over(&folder.join("target"), TARGET_SIZE)?;
            std::fs::write(&target.0, std::vec![7; TARGET_SIZE as usize]).unwrap();
            Some(Self { folder, source, target })
        }

        /// Takes the source without asking what is in it, and finds its digest to be another.
        fn image(&self) -> Image {
            let name = |it: &Loop| DeviceSpec::parse(&it.0).unwrap();
            let checksum = Some(Checksum::parse("sha256", &"0".repeat(64)).unwrap());
            Image {
                origin: Origin::Device(name(&self.source)),
                checksum,
                target: name(&self.target),
                after: After::Boot,
                verify: false,
                again: true,
                raw: true,
                tries: 2,
                network: Network::default(),
            }
        }

        fn is_untouched(&self) -> bool {
            std::fs::read(&self.target.0).unwrap() == std::vec![7; TARGET_SIZE as usize]
        }
    }

    impl Drop for Disks {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    /// Does `work` for one delivery in a child process, and hears its last line.
    fn deliver(image: &Image, work: impl FnOnce(&Task<'_>, &Log, &ProgressPipe)) -> String {
        let line = Cmdline::parse("");
        let place = Place { line: &line, wait: Wait::AtMost(Duration::ZERO), own_root: None };
        let task = Task { image, place, kernel: "of no release" };
        let mut child = fork::spawn(|teller| {
            work(&task, &Log::stderr(), teller);
            0
        })
        .unwrap();
        let mut last = String::new();
        let deadline = Deadline::after(clock::now(), Duration::from_secs(60));
        while let ChildEvent::Line(line) = child.listen(deadline) {
            last = line;
        }
        last
    }

    #[test]
    fn what_fails_is_tried_again_as_soon_as_the_disk_is_begun() {
        // All of the smaller image is read before the disk is touched; that the larger one is another is known after.
        for (name, size, word, is_begun) in [("small", 512 << 10, NEVER, false), ("large", 1 << 20, AGAIN, true)] {
            let Some(disks) = Disks::new(name, size) else { return };
            let last = deliver(&disks.image(), |task, log, teller| {
                run(task, log, teller);
            });
            assert!(last.starts_with(&format!("{word} step=write why=")) && last.contains("SHA-256"), "{name}: {last}");
            assert_eq!(disks.is_untouched(), !is_begun, "{name}");
        }
    }

    #[test]
    fn a_disk_that_took_the_place_of_the_target_is_not_written() {
        let Some(disks) = Disks::new("exchanged", 1 << 20) else { return };
        let image = disks.image();
        let found = search::find(SYSFS, &image.target).unwrap().block;
        let (major, minor) = found.number;
        // Chosen was a disk of this name with another number, or another size.
        for chosen in [
            Block { number: (major, minor + 1), ..found.clone() },
            Block { size: ByteCount(TARGET_SIZE / 2), ..found.clone() },
        ] {
            let last = deliver(&image, |task, log, teller| {
                let delivery = Delivery { task, log, teller, begun: Cell::new(false) };
                let means = Environment { servers: &[], notify: &|_| {}, policy: Policy::IMAGE, spool: None };
                let error = delivery.put(&disks.source.0, means, &chosen).unwrap_err();
                let is_refused = error.kind == Kind::Refused && !delivery.begun.get();
                teller.notify(&format!("{is_refused} {error}"));
            });
            let node = &disks.target.0;
            assert_eq!(last, format!("true write to {node}: it is not the disk that was chosen any more"));
            assert!(disks.is_untouched());
        }
    }
}
