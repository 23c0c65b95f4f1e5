//! Volumes as sources: OpenStack's configuration drive, Azure's provisioning disc.

use crate::error::{Error, Kind, Result};
use crate::probe::block::Sysfs;
use crate::probe::media;
use crate::provider::{Local, Source, azure};
use crate::sys::clock;
use crate::units::Deadline;
use crate::userdata::RAW_LIMIT;
use crate::volume::Volume;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// How long someone else may have the drive open before it is not ejected: udev looks at each new disc, for a moment.
const BUSY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

const EBUSY: i32 = 16;
const ENOSYS: i32 = 38;

/// Files of a volume, at the paths that the service of the same cloud has them.
pub(super) struct Files {
    volume: Volume<'static>,
    device: String,
}

impl Files {
    pub(super) fn open(device: &str) -> Result<Self> {
        let gone = || Error::absent("read the volume on", "it is no longer there").to(device);
        let volume = media::open_volume(device)?.ok_or_else(gone)?;
        Ok(Self { volume, device: device.into() })
    }
}

impl Source for Files {
    fn get(&mut self, target: &str) -> Result<Option<Vec<u8>>> {
        self.volume.read(target.trim_matches('/'), RAW_LIMIT).map_err(|error| error.to(self.device.as_str()))
    }
}

/// What the disc says that Azure gives a new machine; `None` once it is gone.
pub(super) fn provisioning_disc(sysfs: Sysfs<'_>, root: &str) -> Result<Option<Local>> {
    let Some((path, text)) = find_provisioning(sysfs, root)? else { return Ok(None) };
    azure::parse(&text).map(Some).map_err(|error| error.to(path))
}

/// Ejects that disc; whether there was one.
pub(super) fn eject_provisioning(sysfs: Sysfs<'_>) -> Result<bool> {
    let Some((path, _)) = find_provisioning(sysfs, "")? else { return Ok(false) };
    let end = Deadline::after(clock::now(), BUSY);
    loop {
        match media::eject(&path) {
            Err(error) if error.kind == Kind::Os(EBUSY) && !end.has_passed(clock::now()) => clock::pause(PAUSE),
            // It has no door to open.
            Err(error) if error.kind == Kind::Os(ENOSYS) => return Ok(false),
            outcome => return outcome.map(|()| true),
        }
    }
}

/// The drive that holds that disc, and its file. Only drives for discs are looked at: a data disk must not pose as one.
fn find_provisioning(sysfs: Sysfs<'_>, root: &str) -> Result<Option<(String, Vec<u8>)>> {
    for path in media::discs(sysfs, root) {
        // A disc that cannot be read is some other one.
        let Ok(Some(volume)) = media::open_volume(&path) else { continue };
        if let Some(text) = volume.read(azure::FILE, RAW_LIMIT)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}
