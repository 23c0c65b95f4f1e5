//! Which network card has a cable in it. A card that is down shows no carrier, so all are set up for a moment.

use super::rtnetlink::{Kernel, Watch};
use super::undo_log::{Undo, UndoLog};
use super::{Interface, candidates, list};
use crate::error::Result;
use crate::packet::rtnetlink;
use crate::sys::{clock, device_node, file, tree};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// How long drivers may take until there is an interface, where hardware for one is there.
const UNTIL_FIRST: Duration = Duration::from_secs(10);

/// Devices of one bus that are looked at.
const DEVICES_LIMIT: usize = 4096;

/// Class 2 of PCI: network controllers.
const PCI_NETWORK: &str = "0x02";
/// `VIRTIO_ID_NET` of linux/virtio_ids.h.
const VIRTIO_NETWORK: &str = "0x0001";
/// `HV_NIC_GUID` of linux/hyperv.h.
const HYPERV_NETWORK: &str = "f8615163-df3e-46c5-913f-f2d2f965ed0e";
/// How xenbus calls network devices.
const XEN_NETWORK: &str = "vif-";

/// The interface that a machine with one cable is to use: the first one, as the kernel counts them, that has a carrier within
/// `wait`; else the first; `None` where there is none. Interfaces are set up to see that, and set down again but for this
/// one.
///
/// # Errors
/// `Os`, `TimedOut`: the kernel does not answer.
pub fn find_connected(wait: Duration, is_patient: bool) -> Result<Option<String>> {
    let mut kernel = Kernel::open()?;
    let mut watch = Watch::open()?;
    let patience = match hardware("").filter(|_| is_patient) {
        Some(Hardware::Driverless) => UNTIL_FIRST,
        Some(Hardware::Driven) => wait,
        None => Duration::ZERO,
    };
    let until = Deadline::after(clock::now(), patience);
    let mut all = list(&mut kernel)?;
    while candidates(&all, None).is_empty() && watch.wait(until)? {
        all = list(&mut kernel)?;
    }
    let mut made = UndoLog::default();
    for interface in candidates(&all, None).into_iter().filter(|it| !it.is_up) {
        // One that cannot be set up has no carrier; another may.
        if kernel.order(&rtnetlink::set_link(interface.index, true), "set up").is_ok() {
            made.push(Undo::Up(interface.name.clone(), interface.index));
        }
    }
    let until = Deadline::after(clock::now(), wait);
    loop {
        let all = list(&mut kernel)?;
        let first = candidates(&all, None).into_iter().min_by_key(|it| it.index);
        // No other one could be better.
        let is_settled = first.is_none_or(|it| it.has_carrier);
        if is_settled || !watch.wait(until)? {
            let found = connected(&all);
            if let Some(found) = found {
                made.set_others_down(&mut kernel, found.index);
            }
            return Ok(found.map(|it| it.name.clone()));
        }
    }
}

/// The first interface of `all` that has a carrier, else the first.
#[must_use]
pub fn connected(all: &[Interface]) -> Option<&Interface> {
    candidates(all, None).into_iter().min_by_key(|it| (!it.has_carrier, it.index))
}

/// What a machine has that may become an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hardware {
    /// Its driver has it already, and is about to show the interface, or has shown it to another network namespace.
    Driven,
    /// Its driver has yet to be loaded.
    Driverless,
}

/// Whether this machine has a network card. Where none of the buses that virtual machines and servers have shows any device,
/// that is not known, and there may be one.
fn hardware(root: &str) -> Option<Hardware> {
    let devices = |bus: &str| file::list(&format!("{root}/sys/bus/{bus}/devices")).unwrap_or_default();
    let says = |bus: &str, device: &str, what: &str| {
        device_node::attribute(&format!("{root}/sys/bus/{bus}/devices/{device}/{what}")).unwrap_or_default()
    };
    let (mut is_known, mut found) = (false, None);
    for bus in ["pci", "virtio", "vmbus", "xen"] {
        for device in devices(bus).iter().take(DEVICES_LIMIT) {
            is_known = true;
            let is_card = match bus {
                "pci" => says(bus, device, "class").starts_with(PCI_NETWORK),
                "virtio" => says(bus, device, "device") == VIRTIO_NETWORK,
                "vmbus" => says(bus, device, "class_id").contains(HYPERV_NETWORK),
                _ => device.starts_with(XEN_NETWORK),
            };
            if is_card {
                let is_driven = tree::is_there(&format!("{root}/sys/bus/{bus}/devices/{device}/driver"));
                found = found.max(Some(if is_driven { Hardware::Driven } else { Hardware::Driverless }));
            }
        }
    }
    if is_known { found } else { Some(Hardware::Driverless) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_machine_that_may_have_a_card_is_waited_for() {
        use Hardware::{Driven, Driverless};
        let root = std::env::temp_dir().join(format!("wisp-carrier-{}", std::process::id()));
        let disk = ("pci/devices/0000:00:01.0/class", "0x010000");
        let card = ("pci/devices/0000:00:02.0/class", "0x020000");
        let virtio = ("virtio/devices/virtio0/device", "0x0001");
        for (devices, wanted) in [
            (&[][..], Some(Driverless)),
            (&[disk], None),
            (&[disk, card], Some(Driverless)),
            (&[disk, card, ("pci/devices/0000:00:02.0/driver/x", "")], Some(Driven)),
            (&[card, ("pci/devices/0000:00:02.0/driver/x", ""), virtio], Some(Driverless)),
            (&[virtio, ("virtio/devices/virtio0/driver/x", "")], Some(Driven)),
            (&[("virtio/devices/virtio0/device", "0x0002")], None),
            (&[("vmbus/devices/x/class_id", "{f8615163-df3e-46c5-913f-f2d2f965ed0e}")], Some(Driverless)),
            (&[("xen/devices/vbd-768/nodename", "")], None),
            (&[("xen/devices/vif-0/nodename", "")], Some(Driverless)),
        ] {
            let _ = fs::remove_dir_all(&root);
            for (path, text) in devices {
                let path = root.join("sys/bus").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{text}\n")).unwrap();
            }
            assert_eq!(hardware(root.to_str().unwrap()), wanted, "{devices:?}");
        }
        let _ = fs::remove_dir_all(root);
    }
}
