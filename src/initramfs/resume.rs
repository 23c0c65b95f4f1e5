//! A system that was suspended to disk: waking it, and whether one may still lie there.
//!
//! Specification: Documentation/ABI/testing/sysfs-power (`resume`, `resume_offset`). The kernel goes on with the suspended
//! system inside of the write, so that whatever it had mounted must not have been touched before.

#![forbid(unsafe_code)]

use super::find_root::SYSFS;
use crate::error::Result;
use crate::filesystem::Kind;
use crate::log::Log;
use crate::probe::block::Block;
use crate::probe::grow_facts;
use crate::probe::search::{self, Found};
use crate::settings::Resume;
use crate::sys::device_node;
use alloc::format;
use alloc::string::String;

/// Takes `major:minor`, and looks there.
const RESUME: &str = "/sys/power/resume";

/// In pages; has to be there before that.
const OFFSET: &str = "/sys/power/resume_offset";

/// Why a suspended system may come back that would not survive a root of another size. Only a device that was read
/// and holds none is taken as proof that there is none.
pub fn suspended(resume: &Resume) -> Option<String> {
    let name = match resume {
        Resume::Nowhere => return None,
        Resume::Unclear(why) => return Some((*why).into()),
        Resume::File(name, _) => return Some(format!("a suspended system may lie in a swap file on resume={name}")),
        Resume::Device(name) => name,
    };
    let Some(Found { block, twins }) = search::find(SYSFS, name) else {
        return Some(format!("a suspended system may lie in resume={name}, which is not there"));
    };
    match grow_facts::superblock(&block.node(), block.size) {
        Ok(Some(content)) if content.kind == Kind::Hibernation => {
            Some(format!("a suspended system lies in {}", block.node()))
        }
        Err(error) => Some(format!("a suspended system may lie in resume={name}: {error}")),
        Ok(_) if !twins.is_empty() => Some(format!("resume={name} is also {}", twins.join(", "))),
        Ok(_) => None,
    }
}

/// Whether a torn table has to stay as it is since a suspended system comes first. One whose device is not there may lie behind
/// that very table, and so would the root: then it is completed, as without it there is neither. (What wisp tears was whole
/// when someone was suspended, and what completes it lies before the first partition.)
pub fn comes_first(resume: &Resume) -> bool {
    let (Resume::Device(name) | Resume::File(name, _)) = resume else { return false };
    search::find(SYSFS, name).is_some() && suspended(resume).is_some()
}

/// Has the kernel go on with the system that lies where `resume` says. Comes back only where none does; says whether the
/// kernel has looked, after which nothing can be woken any more.
pub fn wake(resume: &Resume, log: &Log) -> bool {
    let (name, offset) = match resume {
        // Without its signature there is nothing to wake, and the kernel would complain about that in each boot.
        Resume::Device(name) if suspended(resume).is_some() => (name, 0),
        Resume::File(name, offset) => (name, *offset),
        _ => return false,
    };
    let Some(found) = search::find(SYSFS, name) else { return false };
    log.info(&format!("a suspended system may lie in {}: the kernel looks", found.block.node()));
    match ask_kernel(&found.block, offset) {
        Ok(()) => log.info("the kernel has woken no suspended system; this is a boot like any other"),
        Err(error) => log.error(&format!("{error}; this is a boot like any other")),
    }
    true
}

fn ask_kernel(block: &Block, offset: u64) -> Result<()> {
    let (major, minor) = block.number;
    if offset > 0 {
        device_node::set_attribute(OFFSET, &format!("{offset}\n"))?;
    }
    device_node::set_attribute(RESUME, &format!("{major}:{minor}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::device_spec::DeviceSpec;

    #[test]
    fn a_suspended_system_that_is_not_there_keeps_the_root_from_growing_and_not_from_being_found() {
        let name = DeviceSpec::Path("/dev/nowhere".into());
        for resume in [Resume::Device(name.clone()), Resume::File(name, 8), Resume::Unclear("it is strange")] {
            assert!(suspended(&resume).is_some() && !comes_first(&resume), "{resume:?}");
        }
        assert!(suspended(&Resume::Nowhere).is_none() && !comes_first(&Resume::Nowhere));
    }
}
