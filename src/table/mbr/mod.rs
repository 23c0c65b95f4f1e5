//! The master boot record.
#![forbid(unsafe_code)]

use super::record::BootRecord;
use super::{Geometry, Growth, Partition, Rule};
use crate::bytes::ReadAt;
use crate::error::Result;

/// A master boot record, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    geometry: Geometry,
}

impl Mbr {
    pub(super) fn read(_: &dyn ReadAt, _: Geometry, _: BootRecord) -> Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn partitions(&self) -> &[Partition] {
        &[]
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(super) fn grow(&self, _: u32, _: &Rule) -> Result<Growth> {
        Err(crate::error::Error::unsupported("grow a partition in the MBR of", "not yet"))
    }
}
