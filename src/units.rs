//! Words for quantities: a number with its unit cannot be passed where another unit is meant.
//!
//! Nothing here knows what time it is or touches the machine: a [`Deadline`] is told the time by its caller.
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

/// A byte count or a byte offset on a device. Prints as a person would say it: `60 GiB`, `1.5 GiB`, `512 B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

/// The number of a logical sector of a disk, from 0. Its size is the disk's [`SectorSize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lba(pub u64);

/// Bytes in a logical sector: a power of two, 512 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectorSize(u32);

/// A GUID as GPT stores it: the first three fields little-endian (UEFI 2.10, appendix A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// A point on the monotonic clock after which waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Duration>);

/// One mebibyte, the unit to which wisp (as sfdisk and growpart) aligns partition ends.
pub const MIB: u64 = 1 << 20;

impl ByteCount {
    /// From the 512-byte units in which sysfs counts, whatever the disk's sector size.
    #[must_use]
    pub const fn from_sysfs_sectors(sectors: u64) -> Self {
        Self(sectors.saturating_mul(512))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut unit = None;
        let mut scale: u64 = 1;
        for name in NAMES {
            let Some(next) = scale.checked_mul(1024) else { break };
            if self.0 < next {
                break;
            }
            (unit, scale) = (Some(name), next);
        }
        let Some(unit) = unit else { return write!(out, "{} B", self.0) };
        let whole = self.0 >> scale.trailing_zeros();
        // Hundredths, cut and never rounded up: a size must not look larger than it is. Of the rest only the first ten
        // bits behind the point matter, so the product stays small.
        let rest = (self.0 & scale.saturating_sub(1)) >> scale.trailing_zeros().saturating_sub(10);
        let hundredths = rest.saturating_mul(100) >> 10;
        match hundredths.checked_rem(10) {
            _ if hundredths == 0 => write!(out, "{whole} {unit}"),
            Some(0) => write!(out, "{whole}.{} {unit}", hundredths / 10),
            _ => write!(out, "{whole}.{hundredths:02} {unit}"),
        }
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl SectorSize {
    /// The classic sector.
    pub const B512: Self = Self(512);
    /// The "4Kn" sector.
    pub const B4096: Self = Self(4096);

    /// `None` unless `bytes` is a power of two from 512 to 65536.
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes >= 512 && bytes <= 65536 && bytes.is_power_of_two() { Some(Self(bytes)) } else { None }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 as u64
    }

    /// How many whole sectors `count` bytes hold.
    #[must_use]
    pub const fn sectors_in(self, count: ByteCount) -> u64 {
        count.0 >> self.0.trailing_zeros()
    }

    /// The byte offset of `lba`; saturates where no disk can reach.
    #[must_use]
    pub const fn offset_of(self, lba: Lba) -> ByteCount {
        ByteCount(lba.0.saturating_mul(self.0 as u64))
    }
}

impl Guid {
    /// The GUID of sixteen zero bytes, which marks an unused GPT entry.
    pub const ZERO: Self = Self([0; 16]);

    /// Reads the usual text form, any case: `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const DASHES: [usize; 4] = [8, 13, 18, 23];
        if text.len() != 36 {
            return None;
        }
        let mut nibbles = [0u8; 32];
        let mut used = 0usize;
        for (index, byte) in text.bytes().enumerate() {
            if DASHES.contains(&index) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
            *nibbles.get_mut(used)? = digit;
            used = used.checked_add(1)?;
        }
        let mut bytes = [0u8; 16];
        for (pair, &place) in nibbles.chunks_exact(2).zip(&Self::TEXT_ORDER) {
            let [high, low] = pair else { return None };
            *bytes.get_mut(place)? = (high << 4) | low;
        }
        Some(Self(bytes))
    }

    /// The same text with the bytes of its first three fields in the other order. Firmware before SMBIOS 2.6 stored them
    /// so, and some clouds' still does: one machine can show both.
    #[must_use]
    pub fn swapped(self) -> Self {
        let byte = |place: usize| self.0.get(place).copied().unwrap_or_default();
        Self(Self::TEXT_ORDER.map(byte))
    }

    /// Where each byte pair of the text form lies in the stored form.
    const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
}

impl fmt::Display for Guid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &place) in Self::TEXT_ORDER.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{:02x}", self.0.get(place).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Deadline {
    /// A wait without end, for the one case where the user asked for it (`rootwait`).
    pub const NEVER: Self = Self(None);

    /// `span` after `now`, both on the monotonic clock.
    #[must_use]
    pub const fn after(now: Duration, span: Duration) -> Self {
        Self(Some(now.saturating_add(span)))
    }

    /// What is left at `now`: zero once it has passed, `None` when there is no end.
    #[must_use]
    pub fn remaining(self, now: Duration) -> Option<Duration> {
        self.0.map(|at| at.saturating_sub(now))
    }

    /// The one of the two that comes first.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(this), Some(that)) => Self(Some(this.min(that))),
            (None, _) => other,
            (_, None) => self,
        }
    }

    /// Whether waiting is over at `now`.
    #[must_use]
    pub fn has_passed(self, now: Duration) -> bool {
        self.0.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_read_as_people_say_them_and_never_larger_than_they_are() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (60 << 30, "60 GiB"),
            (3 << 29, "1.5 GiB"),
            ((60 << 30) - 1, "59.99 GiB"),
            (5 * MIB / 4, "1.25 MiB"),
            (u64::MAX, "15.99 EiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }

    #[test]
    fn guids_survive_their_text_form() {
        let text = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
        let guid = Guid::parse(text).unwrap();
        assert_eq!(guid.0[..4], [0x28, 0x73, 0x2a, 0xc1], "the first field is stored little-endian");
        assert_eq!(guid.to_string(), text);
        assert_eq!(Guid::parse(&text.to_uppercase()), Some(guid));
        let swapped = Guid::parse("45e12aec-dcd1-b213-94ed-01234567890a").unwrap().swapped();
        assert_eq!(swapped.to_string(), "ec2ae145-d1dc-13b2-94ed-01234567890a");
        assert_eq!(guid.swapped().swapped(), guid);
        for wrong in ["", "c12a7328", "c12a7328-f81f-11d2-ba4b-00a0c93ec93g", "c12a7328xf81f-11d2-ba4b-00a0c93ec93b"] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sector_sizes_are_powers_of_two() {
        assert_eq!(SectorSize::new(0), None);
        assert_eq!(SectorSize::new(1000), None);
        assert_eq!(SectorSize::new(512), Some(SectorSize::B512));
        assert_eq!(SectorSize::B4096.sectors_in(ByteCount(8191)), 1);
        assert_eq!(SectorSize::B4096.offset_of(Lba(3)), ByteCount(12288));
        assert_eq!(SectorSize::B512.offset_of(Lba(u64::MAX)), ByteCount(u64::MAX));
    }

    #[test]
    fn deadlines_pass_once() {
        let second = Duration::from_secs(1);
        let deadline = Deadline::after(second, second);
        assert_eq!(deadline.remaining(second), Some(second));
        assert!(!deadline.has_passed(second));
        assert!(deadline.has_passed(2 * second));
        assert_eq!(deadline.remaining(3 * second), Some(Duration::ZERO));
        assert!(!Deadline::NEVER.has_passed(Duration::MAX));
        assert_eq!(Deadline::NEVER.sooner(deadline), deadline);
        assert_eq!(Deadline::after(second, 9 * second).sooner(deadline), deadline);
    }
}
