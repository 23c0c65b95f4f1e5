//! What tests need in place of the world: a disk in memory that can lose its power in the middle of a write.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use wisp::bytes::ReadAt;
use wisp::error::{Error, Result};
use wisp::table::{Geometry, Write};
use wisp::units::{ByteCount, SectorSize};

/// A disk of any size that holds only the sectors someone wrote; the others read as zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryDisk {
    geometry: Geometry,
    sectors: BTreeMap<u64, Vec<u8>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new(sector: SectorSize, sectors: u64) -> Self {
        Self { geometry: Geometry { sector, sectors }, sectors: BTreeMap::new() }
    }

    /// Puts every sector that is held into the file, which must be as large as the disk.
    pub fn store(&self, path: &Path) {
        let file = File::options().write(true).create(true).truncate(true).open(path).unwrap();
        file.set_len(self.size()).unwrap();
        for (at, bytes) in &self.sectors {
            file.write_all_at(bytes, at * self.geometry.sector.bytes()).unwrap();
        }
    }

    /// The whole disk in its own unit.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Another size, as when a cloud gives an image a larger volume; sectors behind a smaller end are gone.
    pub fn resize(&mut self, sectors: u64) {
        self.geometry.sectors = sectors;
        self.sectors.retain(|&at, _| at < sectors);
    }

    /// One sector.
    pub fn sector(&self, at: u64) -> Vec<u8> {
        self.sectors.get(&at).cloned().unwrap_or_else(|| vec![0; self.geometry.sector.bytes() as usize])
    }

    /// Writes whole sectors.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let size = self.geometry.sector.bytes();
        assert_eq!((at % size, bytes.len() as u64 % size), (0, 0), "only whole sectors are written");
        assert!(at + bytes.len() as u64 <= self.size(), "nothing is written behind the end of the disk");
        for (index, sector) in (at / size..).zip(bytes.chunks(size as usize)) {
            if sector.iter().all(|&byte| byte == 0) {
                self.sectors.remove(&index);
            } else {
                self.sectors.insert(index, sector.to_vec());
            }
        }
    }

    /// Carries out `write` whole.
    pub fn apply(&mut self, write: &Write) {
        self.write(write.at.0, &write.bytes);
    }

    /// Changes some bytes of one sector.
    pub fn patch(&mut self, at: u64, bytes: &[u8]) {
        let size = self.geometry.sector.bytes();
        let mut sector = self.sector(at / size);
        let start = (at % size) as usize;
        sector[start..start + bytes.len()].copy_from_slice(bytes);
        self.write(at / size * size, &sector);
    }

    fn size(&self) -> u64 {
        self.geometry.sectors * self.geometry.sector.bytes()
    }
}

/// A disk image in a file, which other people's tools can look at as well.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    geometry: Geometry,
}

impl FileDisk {
    /// Opens the image at `path`.
    pub fn open(path: &Path, sector: SectorSize) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let sectors = file.metadata().unwrap().len() / sector.bytes();
        Self { file, geometry: Geometry { sector, sectors } }
    }

    /// The whole disk in its own unit.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Carries out `write`.
    pub fn apply(&mut self, write: &Write) {
        self.file.write_all_at(&write.bytes, write.at.0).unwrap();
    }
}

impl ReadAt for FileDisk {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset.0).map_err(|_| Error::corrupt("read", "the range lies behind the end"))
    }
}

impl ReadAt for MemoryDisk {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        if offset.0 + buffer.len() as u64 > self.size() {
            return Err(Error::corrupt("read", "the range lies behind the end"));
        }
        let size = self.geometry.sector.bytes();
        let (mut at, mut rest) = (offset.0, buffer);
        while !rest.is_empty() {
            let start = (at % size) as usize;
            let length = rest.len().min(size as usize - start);
            let (part, behind) = rest.split_at_mut(length);
            match self.sectors.get(&(at / size)) {
                Some(sector) => part.copy_from_slice(&sector[start..start + length]),
                None => part.fill(0),
            }
            (at, rest) = (at + length as u64, behind);
        }
        Ok(())
    }
}
