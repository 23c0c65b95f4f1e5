//! What tests need in place of the world: a disk in memory that can lose its power in the middle of a write.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use wisp::bytes::ReadAt;
use wisp::error::{Error, Result};
use wisp::table::{Geometry, Write};
use wisp::units::{ByteCount, SectorSize};

/// A disk of any size that holds only the sectors somebody wrote; the others read as zeros.
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

    /// The sectors of a (sparse) file that are not zero.
    pub fn load(path: &Path, sector: SectorSize) -> Self {
        let file = File::open(path).unwrap();
        let size = sector.bytes();
        let mut disk = Self::new(sector, file.metadata().unwrap().len() / size);
        // Tables lie in the first MiB, at the end, and (extended boot records) in between at sectors that a full scan finds.
        let mut chunk = vec![0; 1 << 20];
        let mut at = 0;
        loop {
            let read = file.read_at(&mut chunk, at).unwrap();
            if read == 0 {
                return disk;
            }
            disk.write(at, &chunk[..read]);
            at += read as u64;
        }
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

impl ReadAt for MemoryDisk {
    fn read_at(&self, offset: ByteCount, buffer: &mut [u8]) -> Result<()> {
        if offset.0 + buffer.len() as u64 > self.size() {
            return Err(Error::corrupt("read", "the range lies behind the end"));
        }
        let size = self.geometry.sector.bytes();
        for (place, byte) in buffer.iter_mut().enumerate() {
            let at = offset.0 + place as u64;
            *byte = self.sectors.get(&(at / size)).map_or(0, |sector| sector[(at % size) as usize]);
        }
        Ok(())
    }
}
