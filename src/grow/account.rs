//! The account of a plan that is not carried out, or not yet.

#![forbid(unsafe_code)]

use super::report::{Half, Report, State};
use crate::error::{Error, Kind};
use crate::plan::grow::{self as plan, Plan};
use alloc::vec::Vec;

/// The account of a plan that is not carried out: a dry run, or nothing to do.
pub(super) fn account(facts: &plan::Facts, plan: &Plan) -> Report {
    let half = |half: &plan::Half| match half {
        plan::Half::Absent => None,
        plan::Half::Full(size) => Some(Half::still(State::Full, *size)),
        plan::Half::Change { before, after, .. } => {
            Some(Half { after: *after, ..Half::still(State::Planned, *before) })
        }
        plan::Half::Left(remark) => Some(Half { remark: Some(remark.clone()), ..Half::still(State::Left, facts.size) }),
        plan::Half::Refused(error) => Some(Half::stopped(State::Refused, facts.size, error.clone())),
    };
    Report {
        device: facts.device.clone(),
        kind: kind_of(facts),
        partition: half(&plan.partition),
        filesystem: half(&plan.filesystem).unwrap_or_else(|| Half::still(State::Full, facts.size)),
        steps: Vec::new(),
        notes: plan.notes.clone(),
    }
}

/// The account of a plan of which nothing is carried out because of `error`.
pub(super) fn stopped(facts: &plan::Facts, plan: &Plan, error: &Error) -> Report {
    let state = if error.kind == Kind::Refused { State::Refused } else { State::Failed };
    let mut report = account(facts, plan);
    for half in report.partition.iter_mut().chain([&mut report.filesystem]) {
        *half = Half::stopped(state, half.before, error.clone());
    }
    report
}

fn kind_of(facts: &plan::Facts) -> &'static str {
    facts.content.as_ref().map_or("unknown", |content| content.kind.name())
}
