//! Ranges of sectors, and the one rule for how far a partition may grow.
#![forbid(unsafe_code)]

use super::Rule;
use crate::units::{ByteCount, Lba, SectorSize};

/// Sectors from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first sector.
    pub first: Lba,
    /// The last sector, which still belongs to the span.
    pub last: Lba,
}

impl Span {
    /// How many sectors it has.
    #[must_use]
    pub const fn sectors(self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }

    /// Its size on a disk with this sector.
    #[must_use]
    pub const fn bytes(self, sector: SectorSize) -> ByteCount {
        sector.offset_of(Lba(self.sectors()))
    }

    /// Whether the two share a sector.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether all of `other` lies in this span.
    pub(super) fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// This span grown as far as `limit` (the last sector it may have) and `rule` allow; itself when the gain would be
    /// less than one alignment unit.
    pub(super) fn grown(self, limit: Lba, rule: &Rule, sector: SectorSize) -> Self {
        let unit = sector.sectors_in(rule.align).max(1);
        let multiple = sector.sectors_in(rule.length_multiple).max(1);
        let end = align_down(limit.0.saturating_add(1), unit);
        let sectors = align_down(end.saturating_sub(self.first.0), multiple);
        if sectors.saturating_sub(self.sectors()) < unit {
            return self;
        }
        Self { first: self.first, last: Lba(self.first.0.saturating_add(sectors).saturating_sub(1)) }
    }

    /// The last sector before the nearest of `others` that starts behind this span, or `end` when none does.
    pub(super) fn limit(self, others: impl Iterator<Item = Self>, end: Lba) -> Lba {
        let next = others.map(|other| other.first).filter(|&first| first > self.last).min();
        next.map_or(end, |next| Lba(next.0.saturating_sub(1)).min(end))
    }
}

/// The first two of `named` that share a sector, by the name each span comes with.
pub(super) fn find_overlap<N: Copy>(named: alloc::vec::Vec<(Span, N)>) -> Option<(N, N)> {
    let mut sorted: alloc::vec::Vec<(Span, N)> = alloc::vec::Vec::with_capacity(named.len());
    for it in named {
        sorted.insert(sorted.partition_point(|(span, _)| *span <= it.0), it);
    }
    sorted.windows(2).find_map(|pair| match pair {
        [(left, one), (right, other)] if left.overlaps(*right) => Some((*one, *other)),
        _ => None,
    })
}

fn align_down(value: u64, unit: u64) -> u64 {
    value.saturating_sub(value.checked_rem(unit).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const MIB_RULE: Rule = Rule { align: ByteCount(1 << 20), length_multiple: ByteCount(0), repair: false };

    fn span(first: u64, last: u64) -> Span {
        Span { first: Lba(first), last: Lba(last) }
    }

    #[test]
    fn a_span_ends_on_the_unit_and_keeps_its_start() {
        assert_eq!(span(63, 4000).grown(Lba(9999), &MIB_RULE, SectorSize::B512), span(63, 8191));
        assert_eq!(span(6, 511).grown(Lba(1023), &MIB_RULE, SectorSize::B4096), span(6, 1023));
        assert_eq!(span(6, 511).grown(Lba(u64::MAX), &MIB_RULE, SectorSize::B512).first, Lba(6));
    }

    #[test]
    fn less_than_one_unit_is_not_worth_it() {
        assert_eq!(span(2048, 4095).grown(Lba(6142), &MIB_RULE, SectorSize::B512), span(2048, 4095));
        assert_eq!(span(2048, 4095).grown(Lba(6143), &MIB_RULE, SectorSize::B512), span(2048, 6143));
        assert_eq!(span(2048, 4096).grown(Lba(6143), &MIB_RULE, SectorSize::B512), span(2048, 4096));
        assert_eq!(span(2048, 4095).grown(Lba(100), &MIB_RULE, SectorSize::B512), span(2048, 4095));
    }

    #[test]
    fn the_length_can_be_made_a_multiple() {
        let rule = Rule { length_multiple: ByteCount(4096), ..MIB_RULE };
        let grown = span(63, 4000).grown(Lba(9999), &rule, SectorSize::B512);
        assert_eq!((grown.sectors() % 8, grown.first, grown.last), (0, Lba(63), Lba(8190)));
    }

    #[test]
    fn the_nearest_neighbour_by_sector_is_the_limit() {
        let others = [span(5000, 5999), span(9000, 9999), span(10, 20)];
        assert_eq!(span(100, 4000).limit(others.into_iter(), Lba(20000)), Lba(4999));
        assert_eq!(span(100, 9999).limit(others.into_iter(), Lba(20000)), Lba(20000));
        assert_eq!(span(100, 4000).limit(others.into_iter(), Lba(4500)), Lba(4500));
    }

    #[test]
    fn overlaps_are_found_by_name() {
        assert_eq!(find_overlap(vec![(span(10, 20), 1), (span(30, 40), 2), (span(21, 29), 3)]), None);
        assert_eq!(find_overlap(vec![(span(10, 20), 1), (span(30, 40), 2), (span(20, 29), 3)]), Some((1, 3)));
        assert_eq!(find_overlap(vec![(span(10, 20), 1), (span(10, 20), 2)]), Some((1, 2)));
    }
}
