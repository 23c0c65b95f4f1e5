//! Rules by which mdev calls wisp.

use super::context::Context;
use crate::error::{Error, Result};
use crate::hotplug::{self, Module};
use crate::sys::amend::amend;
use crate::sys::{device_node, file, tree};
use alloc::format;
use alloc::string::String;

/// Bytes of the rules; the distribution's have some six thousand.
const RULES_LIMIT: usize = 64 << 10;

/// Where wisp may be below a root that does not run.
const PROGRAMS: [&str; 4] = ["/usr/bin/wisp", "/usr/local/bin/wisp", "/bin/wisp", "/sbin/wisp"];

/// Installs every module that the configuration names, and fails if one of them cannot be installed. A name that wisp does not
/// know, and a system without mdev, are logged and are no failure: another boot would not change it.
pub(super) fn install_hotplugs(context: &mut Context<'_>) -> Result<()> {
    let mut outcome = Ok(());
    for name in &context.settings().hotplugs {
        if name == hotplug::LEFT_OUT {
            context.warn("nvme_ebs_links is left out: the distribution's own rules give disks these names");
            continue;
        }
        context.say(&format!(">> {name}: installing"));
        let Some(module) = hotplug::find(name) else {
            context.warn(&format!(">> {name}: unknown, and left out"));
            continue;
        };
        if !tree::is_there(&format!("{}{}", context.root(), hotplug::RULES)) {
            context
                .warn(&format!(">> {name}: left out, since there is no {}: this system has no mdev", hotplug::RULES));
            continue;
        }
        let installed = install(context, module);
        context.say(&format!(">> {name}: {}", if installed.is_ok() { "installed" } else { "failed" }));
        outcome = outcome.and(installed);
    }
    outcome
}

fn install(context: &Context<'_>, module: &Module) -> Result<()> {
    let root = context.root();
    let command = command(root, module)?;
    amend(root, hotplug::RULES, RULES_LIMIT, 0o644, &mut |rules| module.insert(rules, &command))?;
    if !file::is_directory(&format!("{root}{}", hotplug::FOLDER)) {
        context.warn(&format!("there is no {}: {} stays as it is", hotplug::FOLDER, hotplug::INTERFACES));
        return Ok(());
    }
    hotplug::assemble(root, &|line| context.warn(line)).map(|_| ())
}

/// What mdev is to call: Tiny Cloud's program where it is still there, else this one.
fn command(root: &str, module: &Module) -> Result<String> {
    if file::is_regular(&format!("{root}{}", module.predecessor)) {
        return Ok(module.predecessor.into());
    }
    let own = match root {
        "" => device_node::link_target("/proc/self/exe").ok(),
        _ => PROGRAMS.iter().find(|path| tree::is_there(&format!("{root}{path}"))).map(|path| String::from(*path)),
    };
    let own = own.ok_or_else(|| Error::absent("find wisp in", "mdev would have nothing to call").to(root))?;
    Ok(format!("{own} hotplug"))
}
