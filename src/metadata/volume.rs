//! Volumes as sources: OpenStack's configuration drive, Azure's provisioning disc.

use crate::error::{Error, Result};
use crate::probe::block::Sysfs;
use crate::probe::media;
use crate::provider::{Local, Source, azure};
use crate::userdata::RAW_LIMIT;
use crate::volume::Volume;
use alloc::string::String;
use alloc::vec::Vec;

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

/// What the disc says that Azure gives a new machine; `None` once it is gone. Only drives for discs are looked at: a data
/// disk must not pose as one.
pub(super) fn provisioning_disc(sysfs: Sysfs<'_>, root: &str) -> Result<Option<Local>> {
    for path in media::discs(sysfs, root) {
        // A disc that cannot be read is some other one.
        let Ok(Some(volume)) = media::open_volume(&path) else { continue };
        if let Some(text) = volume.read(azure::FILE, RAW_LIMIT)? {
            return azure::parse(&text).map(Some).map_err(|error| error.to(path.as_str()));
        }
    }
    Ok(None)
}
