//! Growing a mounted filesystem to a planned size, in steps that a budget can end between.
//!
//! XFS and btrfs grow in one call that takes a moment whatever the size. ext initialises group after group inside an
//! uninterruptible call, and with 1 KiB blocks (what `mke2fs` makes of small images) the cost per group rises with the
//! number of groups, so a far target takes minutes. Each step is sized so that it should last `STEP_AIM`.

#![forbid(unsafe_code)]

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::filesystem::Kind;
use crate::plan::grow::Goal;
use crate::sys::resize::Mounted;
use crate::sys::{clock, device_node};
use crate::units::{ByteCount, Deadline};
use alloc::format;
use core::time::Duration;

/// How long one step should last: often enough to watch the budget and the console, rarely enough that the kernel's
/// fixed cost per call (a few journal commits) does not count.
const STEP_AIM: Duration = Duration::from_millis(1500);

/// The first step, before anything was measured: 256 GiB of 4 KiB blocks, 16 GiB of 1 KiB blocks, about a second
/// under emulation either way.
const FIRST_STEP_GROUPS: u64 = 2048;

/// Below this a step is not worth its call, even when the budget is nearly spent.
const LEAST_STEP_GROUPS: u64 = 64;

/// Another exclusive btrfs operation, or another resize, ends in its own time; until then nothing tells us.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// A resize is done within this; a btrfs balance may take hours, and no one waits for that.
const PATIENCE: Duration = Duration::from_secs(60);

/// `EBUSY` and `EWOULDBLOCK`, with which they say that another resize is running.
const BUSY: [ErrorKind; 2] = [ErrorKind::Os(16), ErrorKind::Os(11)];

/// Whether the kernel's own count of the groups of a mounted ext4 agrees with its superblock. It does not when this very
/// mount replayed a journal in which the filesystem grew; growing it then is a BUG in the kernel (up to 6.1 at least)
/// and leaves it unusable until the next boot. Only `mb_stats` tells the count, and only while it is switched on; where
/// it cannot be read (kernels before 5.13), nothing speaks against growing.
///
/// # Errors
/// `Refused` when they differ.
pub fn check_groups(sysfs: &str, name: &str, goal: &Goal) -> Result<()> {
    let switch = format!("{sysfs}/fs/ext4/{name}/mb_stats");
    let before = device_node::attribute(&switch).unwrap_or_default();
    if device_node::set_attribute(&switch, "1").is_err() {
        return Ok(());
    }
    let told = device_node::attribute(&format!("/proc/fs/ext4/{name}/mb_stats")).unwrap_or_default();
    // It could be set a moment ago; statistics that stay on cost next to nothing.
    let _ = device_node::set_attribute(&switch, &before);
    let counted = goal.from.saturating_sub(u64::from(goal.block_size == 1024)).div_ceil(goal.granule.max(1));
    match groups_in(&told) {
        Some(groups) if groups != counted => {
            let why =
                "this mount replayed a journal in which it grew, and the kernel lost count; the next boot can grow it";
            Err(Error::refused("grow the filesystem on", why).to(name))
        }
        _ => Ok(()),
    }
}

/// The number behind the slash of `buddies_generated: 3/16` (`ext4_seq_mb_stats_show`).
fn groups_in(statistics: &str) -> Option<u64> {
    let line = statistics.lines().find_map(|line| line.trim().strip_prefix("buddies_generated:"))?;
    line.split_once('/')?.1.trim().parse().ok()
}

/// Grows the filesystem of `device`, mounted at `point`, towards `goal`; returns the blocks it is then known to have.
/// `notify` is called for each step that took long.
///
/// # Errors
/// `Os` and `Refused` from the kernel; what was grown until then stays.
pub fn grow(point: &str, device: &str, goal: &Goal, deadline: Deadline, notify: &mut dyn FnMut(&str)) -> Result<u64> {
    let mounted = Mounted::open(point, device)?;
    match goal.kind {
        Kind::Xfs => {
            let size = mounted.xfs_size()?;
            patiently(deadline, || mounted.resize_xfs(goal.to, size.inode_percent))?;
            Ok(mounted.xfs_size()?.blocks)
        }
        Kind::Btrfs => {
            patiently(deadline, || mounted.resize_btrfs(goal.devid))?;
            let size = mounted.btrfs_device_size(goal.devid)?;
            Ok(size.0.checked_div(u64::from(goal.block_size)).unwrap_or(0))
        }
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => grow_ext(&mounted, goal, deadline, notify),
        other => Err(Error::unsupported("grow", "the kernel has no call for it").to(other.name())),
    }
}

/// Repeats a call while another's resize is in the way, until the deadline or [`PATIENCE`] has passed.
fn patiently(deadline: Deadline, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = deadline.sooner(Deadline::after(clock::now(), PATIENCE));
    loop {
        match call() {
            Err(error) if BUSY.contains(&error.kind) && !deadline.has_passed(clock::now()) => clock::pause(BUSY_PAUSE),
            other => return other,
        }
    }
}

fn grow_ext(mounted: &Mounted, goal: &Goal, deadline: Deadline, notify: &mut dyn FnMut(&str)) -> Result<u64> {
    let begun = clock::now();
    let mut pace = Pace::new(goal);
    let mut reached = goal.from;
    while reached < goal.to {
        let Some(next) = pace.next(reached, deadline.remaining(clock::now())) else { break };
        let start = clock::now();
        patiently(deadline, || mounted.resize_ext(next))?;
        pace.learn(next.saturating_sub(reached), clock::now().saturating_sub(start));
        reached = next;
        let so_far = clock::now().saturating_sub(begun);
        if so_far > STEP_AIM && reached < goal.to {
            let bytes = |blocks: u64| ByteCount(blocks.saturating_mul(u64::from(goal.block_size)));
            notify(&format!("still growing: {} of {} after {} s", bytes(reached), bytes(goal.to), so_far.as_secs()));
        }
    }
    Ok(reached)
}

/// Decides how far each step goes. Pure, so that a test can be its clock.
struct Pace<'a> {
    goal: &'a Goal,
    step_groups: u64,
    /// What a group cost in the last step.
    per_group: Option<Duration>,
}

impl<'a> Pace<'a> {
    const fn new(goal: &'a Goal) -> Self {
        Self { goal, step_groups: FIRST_STEP_GROUPS, per_group: None }
    }

    /// The size to ask for next, or `None` when the time that is `left` does not suffice for another step.
    fn next(&self, reached: u64, left: Option<Duration>) -> Option<u64> {
        let mut groups = self.step_groups;
        if let Some(left) = left {
            let affordable = match self.per_group {
                Some(cost) => quotient(left, cost),
                None if left.is_zero() => 0,
                None => groups,
            };
            groups = groups.min(affordable);
            if groups < LEAST_STEP_GROUPS {
                return None;
            }
        }
        let granule = self.goal.granule.max(1);
        let end = reached.saturating_add(groups.saturating_mul(granule));
        // With blocks of 1 KiB the boot sector has block 0 to itself, and groups begin with block 1.
        let counted = end.saturating_sub(u64::from(self.goal.block_size == 1024));
        let whole = end.saturating_sub(counted.checked_rem(granule).unwrap_or(0));
        // Less than a step is left over: take it along rather than come back for it.
        let rest = self.goal.to.saturating_sub(whole);
        Some(if rest < LEAST_STEP_GROUPS.saturating_mul(granule) { self.goal.to } else { whole.max(reached) })
    }

    /// Takes to heart that `blocks` took this long. The next step is at most twice this one, since the cost per group
    /// rises.
    fn learn(&mut self, blocks: u64, took: Duration) {
        let groups = blocks.checked_div(self.goal.granule.max(1)).unwrap_or(0).max(1);
        let cost = took.checked_div(u32::try_from(groups).unwrap_or(u32::MAX)).unwrap_or_default();
        let aimed = quotient(STEP_AIM, cost);
        self.step_groups = aimed.clamp(LEAST_STEP_GROUPS, groups.saturating_mul(2).max(LEAST_STEP_GROUPS));
        self.per_group = Some(cost);
    }
}

/// How often `part` fits into `whole`.
fn quotient(whole: Duration, part: Duration) -> u64 {
    let times = whole.as_nanos().checked_div(part.as_nanos()).unwrap_or(u128::MAX);
    u64::try_from(times).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(block_size: u32, from_gib: u64, to_gib: u64) -> Goal {
        let blocks = |gib: u64| (gib << 30) / u64::from(block_size);
        let granule = u64::from(block_size) * 8;
        Goal { kind: Kind::Ext4, block_size, from: blocks(from_gib), to: blocks(to_gib), granule, devid: 0 }
    }

    /// Runs a whole growth with a made-up cost per group; returns steps, blocks reached and time spent.
    fn run(goal: &Goal, budget: Option<Duration>, cost: impl Fn(u64) -> Duration) -> (u32, u64, Duration) {
        let (mut pace, mut reached, mut spent, mut steps) = (Pace::new(goal), goal.from, Duration::ZERO, 0);
        while reached < goal.to {
            let left = budget.map(|budget| budget.saturating_sub(spent));
            let Some(next) = pace.next(reached, left) else { break };
            assert!(next > reached && next <= goal.to, "each step gets further");
            let groups = (next - reached) / goal.granule;
            let took = cost(reached / goal.granule) * u32::try_from(groups).unwrap();
            pace.learn(next - reached, took);
            (reached, spent, steps) = (next, spent + took, steps + 1);
        }
        (steps, reached, spent)
    }

    #[test]
    fn the_kernels_count_of_groups_is_found() {
        assert_eq!(groups_in("mballoc:\n\treqs: 0\n\tbuddies_generated: 3/16\n\tbuddies_time_used: 1\n"), Some(16));
        assert_eq!(groups_in("mballoc:\n\tmb stats collection turned off.\n"), None);
        assert_eq!(groups_in("buddies_generated: 3"), None);
    }

    #[test]
    fn a_usual_root_grows_in_one_step() {
        let goal = goal(4096, 2, 200);
        assert_eq!(run(&goal, Some(Duration::from_secs(20)), |_| Duration::from_micros(300)).0, 1);
    }

    #[test]
    fn a_far_target_of_small_blocks_ends_at_the_budget() {
        let goal = goal(1024, 1, 4000);
        let budget = Duration::from_secs(20);
        // Rising with the number of groups, as measured on a real kernel.
        let (steps, reached, spent) = run(&goal, Some(budget), |group| Duration::from_nanos(20_000 + group * 30));
        assert!(reached < goal.to && reached > goal.from);
        assert!(spent > budget / 2 && spent < budget + 2 * STEP_AIM, "{spent:?}");
        assert!(steps < 60, "{steps}");
        assert_eq!(reached % goal.granule, 1, "a step ends with a whole group, and groups begin with block 1");
    }

    #[test]
    fn without_a_budget_the_target_is_reached_exactly() {
        let mut goal = goal(1024, 1, 4000);
        goal.to += 4321;
        assert_eq!(run(&goal, None, |group| Duration::from_nanos(20_000 + group * 30)).1, goal.to);
    }

    #[test]
    fn no_time_means_no_step() {
        assert_eq!(run(&goal(4096, 2, 200), Some(Duration::ZERO), |_| Duration::ZERO).0, 0);
    }
}
