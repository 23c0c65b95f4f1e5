//! The modules by which this machine reaches its own root: an image that is built for its kernel should have them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::probe::block::{Block, Sysfs};
use crate::probe::grow_facts::Subject;
use crate::sys::device_node;

/// The modules of the drivers between the CPU and the root, and of its filesystem; empty where the root is on no disk. What
/// the kernel has built in may be among them.
#[must_use]
pub fn root_modules() -> Vec<String> {
    let sysfs = Sysfs { root: "/sys" };
    let Ok(Subject { block, mount, .. }) = Subject::mounted_at(sysfs, "/") else { return Vec::new() };
    let mut modules = modules_of(sysfs, &block);
    modules.extend(mount.map(|mount| mount.kind));
    modules
}

/// The modules of the drivers of `block` and of all that it is connected to, from the disk upwards.
#[must_use]
pub fn modules_of(sysfs: Sysfs<'_>, block: &Block) -> Vec<String> {
    let disk = block.slice.as_ref().map_or(block.name.as_str(), |slice| slice.disk.as_str());
    let class = format!("{}/class/block/", sysfs.root);
    let Ok(target) = device_node::link_target(&format!("{class}{disk}")) else { return Vec::new() };
    let mut modules: Vec<String> = Vec::new();
    let mut above = target.as_str();
    while let Some((device, _)) = above.rsplit_once('/').filter(|(device, _)| !device.ends_with("..")) {
        // The link to a driver's module, which a driver that is built in may lack.
        let link = device_node::link_target(&format!("{class}{device}/driver/module"));
        if let Some(name) = link.ok().as_deref().and_then(|link| link.rsplit('/').next()) {
            modules.push(name.into());
        }
        above = device;
    }
    modules
}
