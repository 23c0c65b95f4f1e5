//! Alpine's mkinitfs: has it put wisp into the images that it makes, or leave it out again.
//!
//! mkinitfs is the one who makes images, now and for every later kernel; wisp changes its configuration and calls it. An image
//! is listed before one takes the place of another: the old configuration comes back, and the old images stay, if wisp would
//! not be in. Specification: mkinitfs(1), and what its scripts do with features, `init=` and `disable_trigger`.

mod conf;

use crate::error::{Error, Kind, Result};
use crate::sys::amend::amend;
use crate::sys::exec::{Program, Transcript};
use crate::sys::file;
use crate::sys::tree;
use crate::text::shell_assignments::{Conf, LENGTH_LIMIT};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const CONFIGURATION: &str = "/etc/mkinitfs/mkinitfs.conf";

/// Where the program for initramfs images may lie; as a package has it, and as `make install` does.
const PROGRAMS: [&str; 2] = ["/usr/libexec/wisp/wisp-initramfs", "/usr/local/libexec/wisp/wisp-initramfs"];

/// Each kernel's package has a folder of its flavour's name here, with the version in it.
const KERNELS: &str = "/usr/share/kernel";

/// What is told where there is nothing to do.
const NOTHING: &str = "/etc/mkinitfs/mkinitfs.conf does not ask for wisp, nothing done";

/// Where what mkinitfs said last is kept.
const FOLDER: &str = "/run/wisp";

/// A list of an image's files has some thousand lines, with all features there are.
const LIST_LIMIT: usize = 16 << 20;

/// A version is a line.
const VERSION_LIMIT: usize = 256;

/// Values of `disable_trigger` that Alpine's own trigger takes for yes.
const YES: [&str; 5] = ["yes", "YES", "true", "TRUE", "1"];

/// What becomes of the root when wisp has grown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// wisp becomes Alpine's own init, which mounts and switches.
    StockInit,
    /// wisp mounts and switches; nothing of Alpine's own init is in the image.
    OwnInit,
}

impl Way {
    /// The feature, which `features.d` has files of.
    const fn feature(self) -> &'static str {
        match self {
            Self::StockInit => "wisp",
            Self::OwnInit => "wisp-init",
        }
    }

    /// How the names end of what must be in the image of a kernel.
    fn needs(self, version: &str) -> Vec<String> {
        match self {
            Self::StockInit => Vec::from(["./init".into(), "/usr/share/mkinitfs/initramfs-init".into()]),
            Self::OwnInit => Vec::from(["./init".into(), format!("/lib/modules/{version}/modules.dep")]),
        }
    }
}

/// Puts wisp into the configuration below `root` and into the images; returns what was done, a line each.
///
/// # Errors
/// `Absent` where there is no mkinitfs or no program for images; `Refused` for a configuration that is not understood, or has
/// another's `init=`; `Ended` when mkinitfs fails; `Os`. Without an image changed, the configuration is what it was.
pub fn enable(root: &str, way: Way) -> Result<Vec<String>> {
    let missing =
        || Error::absent("find the program for initramfs images", "it is in neither place").to(PROGRAMS.join(", "));
    let program = PROGRAMS.into_iter().find(|path| file::exists(&format!("{root}{path}"))).ok_or_else(missing)?;
    let feature = way.feature();
    if !file::exists(&format!("{root}/etc/mkinitfs/features.d/{feature}.files")) {
        return Err(Error::absent("find the feature", "make install-mkinitfs brings it").to(feature));
    }
    change(root, OnFailure::Restore, &mut |text| conf::with(text, way, program))
}

/// Takes wisp out of the configuration below `root` and out of the images; returns what was done, a line each.
///
/// # Errors
/// As [`enable`], but the configuration stays without wisp whatever becomes of the images.
pub fn disable(root: &str) -> Result<Vec<String>> {
    // No one should be kept from uninstalling by a configuration that has nothing of wisp, understood or not.
    if !asks_for_wisp(root)? {
        return Ok(Vec::from([NOTHING.into()]));
    }
    change(root, OnFailure::Keep, &mut conf::without)
}

/// Makes the images again, if wisp is to be in them: after another wisp was installed.
///
/// # Errors
/// As [`enable`].
pub fn rebuild() -> Result<Vec<String>> {
    if !asks_for_wisp("")? {
        return Ok(Vec::from([NOTHING.into()]));
    }
    let text = read("")?;
    make_images(&text, conf::way(&text).map_err(at_configuration)?)
}

/// What becomes of the configuration if no image can be made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// It is what it was: wisp is in it only if it is in the images.
    Restore,
    /// It stays changed: wisp's files go, and with the old one no image could be made any more.
    Keep,
}

/// Whether anything of wisp is in the configuration, if there is one.
fn asks_for_wisp(root: &str) -> Result<bool> {
    if !file::exists(&format!("{root}{CONFIGURATION}")) {
        return Ok(false);
    }
    let text = read(root)?;
    Ok(text.contains(Way::StockInit.feature()) && conf::without(&text).as_ref() != Ok(&text))
}

/// Has the configuration be what `edit` makes of it, and the images what it asks for.
fn change(root: &str, on_failure: OnFailure, edit: &mut dyn FnMut(&str) -> Result<String>) -> Result<Vec<String>> {
    let old = read(root)?;
    let new = edit(&old).map_err(at_configuration)?;
    let mut done = Vec::new();
    if new == old {
        done.push(format!("{CONFIGURATION} is as it should be"));
    } else {
        write(root, &new)?;
        done.push(format!("{CONFIGURATION} changed"));
    }
    if !root.is_empty() {
        done.push("no image is made, since this is not the running system".into());
        return Ok(done);
    }
    match make_images(&new, conf::way(&new).map_err(at_configuration)?) {
        Ok(made) => done.extend(made),
        Err(error) => {
            if on_failure == OnFailure::Restore {
                write(root, &old)?;
            }
            return Err(error);
        }
    }
    Ok(done)
}

fn at_configuration(error: Error) -> Error {
    error.to(CONFIGURATION)
}

fn read(root: &str) -> Result<String> {
    let bytes = file::read(&format!("{root}{CONFIGURATION}"), LENGTH_LIMIT)?;
    String::from_utf8(bytes).map_err(|_| Error::corrupt("read", "it is no UTF-8").to(CONFIGURATION))
}

fn write(root: &str, text: &str) -> Result<()> {
    amend(root, CONFIGURATION, LENGTH_LIMIT, 0o644, &mut |_| text.into()).map(|_| ())
}

/// One image for each kernel that there is. All are listed before the first is made.
fn make_images(text: &str, way: Option<Way>) -> Result<Vec<String>> {
    if Conf::parse(text).value("disable_trigger").is_some_and(|value| YES.contains(&value)) {
        return Ok(Vec::from(["no image is made: disable_trigger is set, run mkinitfs yourself".into()]));
    }
    let kernels = kernels();
    for (_, version) in &kernels {
        list(version, way)?;
    }
    let mut done = Vec::new();
    for (flavour, version) in &kernels {
        let image = format!("/boot/initramfs-{flavour}");
        let new = format!("{image}.wisp");
        let made = run(&["-o", &new, version]).and_then(|_| file::put_in_place(&new, &image));
        if let Err(error) = made {
            // A half of one is of no use to anybody.
            let _ = tree::remove_file(&new);
            return Err(error);
        }
        done.push(format!("{image} made for {version}"));
    }
    if kernels.is_empty() {
        done.push("there is no kernel to make an image for".into());
    }
    Ok(done)
}

/// Flavour and version of each kernel that is installed with its modules.
fn kernels() -> Vec<(String, String)> {
    let is_whole = |version: &str| file::is_directory(&format!("/lib/modules/{version}"));
    let packaged = file::list(KERNELS).unwrap_or_default().into_iter().filter_map(|flavour| {
        let bytes = file::read(&format!("{KERNELS}/{flavour}/kernel.release"), VERSION_LIMIT).ok()?;
        let version = String::from(core::str::from_utf8(&bytes).ok()?.trim());
        is_whole(&version).then_some((flavour, version))
    });
    packaged.collect()
}

/// Refuses if what wisp needs would not be in the image of this kernel.
fn list(version: &str, way: Option<Way>) -> Result<()> {
    let listing = run(&["-l", version])?;
    let needs = way.map_or_else(|| Vec::from(["./init".into()]), |way| way.needs(version));
    let lacks = |name: &&String| !listing.lines().any(|line| line.trim_end().ends_with(name.as_str()));
    match needs.iter().find(lacks) {
        Some(name) => {
            let why = format!("mkinitfs -l {version} does not list it; no image was changed");
            Err(Error::absent("find in the new initramfs", why).to(&**name))
        }
        None => Ok(()),
    }
}

/// Runs mkinitfs, and returns what it said.
fn run(arguments: &[&str]) -> Result<String> {
    const DOING: &str = "run";
    tree::make_directories(FOLDER, 0o755)?;
    let path = format!("{FOLDER}/mkinitfs.log");
    let transcript = Transcript::open(&path, false)?;
    let program = Program { path: "mkinitfs", arguments, environment: &[] };
    let ended = program.run(transcript.descriptor(), &mut || {})?;
    let said = String::from_utf8_lossy(&file::read(&path, LIST_LIMIT)?).into_owned();
    ended.success(DOING).map_err(|error| {
        let last = said.lines().next_back().unwrap_or("it said nothing");
        Error::new(Kind::Ended, DOING, format!("{}: {last}", error.why)).to(format!("mkinitfs {}", arguments.join(" ")))
    })?;
    Ok(said)
}
