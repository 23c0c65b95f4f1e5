//! apk, and the service of the time.

use super::super::context::Context;
use super::super::user_command;
use super::files::folder;
use super::{Outcomes, config};
use crate::error::Result;
use crate::sys::amend::amend;
use crate::sys::dir::{FileType, Owner};
use crate::sys::exec::Program;
use crate::sys::file;
use crate::text::shell_assignments::Conf;
use crate::userdata::Repository;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A list of repositories has a few lines, os-release a few more.
const TEXT_LIMIT: usize = 64 << 10;

/// The link to where apk keeps what it fetched.
const CACHE: &str = "cache";

const REPOSITORIES: &str = "/etc/apk/repositories";

/// Clients of NTP as `ntp_client` names them: the package, if it needs one, and the service.
const NTP_CLIENTS: &[(&str, Option<&str>, &str)] = &[
    ("", Some("chrony"), "chronyd"),
    ("chrony", Some("chrony"), "chronyd"),
    ("openntpd", Some("openntpd"), "openntpd"),
    ("busybox", None, "ntpd"),
];

pub(in super::super) fn userdata_ntp(context: &mut Context<'_>) -> Result<()> {
    let Some(client) = config(context)?.and_then(|config| config.ntp_client()) else { return Ok(()) };
    let Some((_, package, service)) = NTP_CLIENTS.iter().find(|(name, ..)| *name == client) else {
        context.warn("the ntp_client of the user-data is none that is known: chrony, openntpd, busybox");
        return Ok(());
    };
    if let Some(package) = package {
        run(context, &["apk", "add", package])?;
    }
    run(context, &["rc-update", "add", service, "default"])?;
    run(context, &["rc-service", service, "start"])
}

pub(in super::super) fn userdata_apk_cache(context: &mut Context<'_>) -> Result<()> {
    let Some(path) = config(context)?.map(|config| config.apk_cache()).transpose()?.flatten() else { return Ok(()) };
    let root = context.root();
    folder(root, &format!("/{path}"))?;
    // From /etc/apk, so that it leads to the same place when the system is mounted elsewhere.
    let target = if path.starts_with('/') { format!("../..{path}") } else { path.into() };
    let apk = folder(root, "/etc/apk")?;
    if apk.look(CACHE)?.is_some_and(|facts| facts.file_type == FileType::Link) {
        if apk.link_target(CACHE)? == target {
            return Ok(());
        }
        apk.remove(CACHE)?;
    }
    apk.make_link(CACHE, &target, Owner::ROOT)
}

pub(in super::super) fn userdata_apk_repositories(context: &mut Context<'_>) -> Result<()> {
    let Some(config) = config(context)? else { return Ok(()) };
    let root = context.root();
    let path = format!("{root}{REPOSITORIES}");
    let Some(entries) = config.repositories()? else {
        // A system without that folder has no apk, and one with the file has repositories.
        let wants = file::is_directory(&format!("{root}/etc/apk")) && !file::exists(&path);
        return if wants { run(context, &["setup-apkrepos", "-1", "-c"]) } else { Ok(()) };
    };
    if entries.is_empty() {
        return Ok(());
    }
    folder(root, "/etc/apk")?;
    let release = file::read(&format!("{root}/etc/os-release"), TEXT_LIMIT).unwrap_or_default();
    let conf = Conf::parse(&String::from_utf8_lossy(&release));
    let own = own_version(conf.value("VERSION_ID").unwrap_or_default());
    let mut outcomes = Outcomes::new(context);
    let mut entries = entries.into_iter();
    let amended = amend(root, REPOSITORIES, TEXT_LIMIT, 0o644, &mut |before| {
        let mut text = before.to_vec();
        for entry in entries.by_ref() {
            outcomes.note(entry.map(|entry| add(&mut text, &entry, own.as_deref())));
        }
        text
    });
    outcomes.note(amended.map(|_| ()));
    outcomes.end()
}

pub(in super::super) fn userdata_package_update(context: &mut Context<'_>) -> Result<()> {
    switched(context, "package_update", "update")
}

pub(in super::super) fn userdata_package_upgrade(context: &mut Context<'_>) -> Result<()> {
    switched(context, "package_upgrade", "upgrade")
}

pub(in super::super) fn userdata_packages(context: &mut Context<'_>) -> Result<()> {
    let packages = config(context)?.map(|config| config.packages()).transpose()?.unwrap_or_default();
    if packages.is_empty() {
        return Ok(());
    }
    run(context, &[&["apk", "add"], packages.as_slice()].concat())
}

fn switched(context: &Context<'_>, key: &str, verb: &str) -> Result<()> {
    match config(context)? {
        Some(config) if config.is_true(key) => run(context, &["apk", verb]),
        _ => Ok(()),
    }
}

/// Runs a program of the distribution, which is no secret.
fn run(context: &Context<'_>, words: &[&str]) -> Result<()> {
    let Some((path, arguments)) = words.split_first() else { return Ok(()) };
    user_command::run(context, &words.join(" "), &Program { path, arguments, environment: &[] })
}

/// Adds the lines of `entry` that are not there yet.
fn add(text: &mut Vec<u8>, entry: &Repository<'_>, own: Option<&str>) {
    let version = match entry.version {
        None => own,
        Some("." | "/") => None,
        version => version,
    };
    let base = entry.base_url.strip_suffix('/').unwrap_or(entry.base_url);
    for repo in &entry.repos {
        let parts: Vec<&str> = [base].into_iter().chain(version).chain([*repo]).collect();
        let line = parts.join("/");
        if text.split(|byte| *byte == b'\n').any(|old| old == line.as_bytes()) {
            continue;
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(line.bytes().chain([b'\n']));
    }
}

/// The folder of a release's packages, by the `VERSION_ID` of os-release: `v3.20` of `3.20.1`, `edge` of what comes next.
fn own_version(id: &str) -> Option<String> {
    if id.starts_with("edge") || id.contains("_alpha") {
        return Some("edge".into());
    }
    let mut parts = id.split('.');
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (major, minor) = (parts.next().filter(is_number)?, parts.next().filter(is_number)?);
    parts.next().map(|_| format!("v{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_a_folder() {
        for (id, wanted) in [
            ("3.20.1", Some("v3.20")),
            ("3.21.0_alpha20240923", Some("edge")),
            ("edge", Some("edge")),
            ("3.20", None),
            ("12", None),
            ("", None),
            ("a.b.c", None),
        ] {
            assert_eq!(own_version(id).as_deref(), wanted, "{id}");
        }
    }

    #[test]
    fn lines_are_added_once() {
        let entry = |base_url, version, repos: &[&'static str]| Repository { base_url, version, repos: repos.into() };
        let mut text = b"#http://a/v3.20/main".to_vec();
        for _ in 0..2 {
            add(&mut text, &entry("http://a/", None, &["main", "b"]), Some("v3.20"));
            add(&mut text, &entry("http://a", Some("3.16"), &["main"]), Some("v3.20"));
            add(&mut text, &entry("/media", Some("."), &["apks"]), Some("v3.20"));
            add(&mut text, &entry("/media", None, &["more"]), None);
        }
        assert_eq!(
            text,
            b"#http://a/v3.20/main\nhttp://a/v3.20/main\nhttp://a/v3.20/b\nhttp://a/3.16/main\n/media/apks\n/media/more\n"
        );
    }
}
