//! The account of a plan that is not carried out, or not yet.

#![forbid(unsafe_code)]

use super::report::{Report, StepReport, StepState};
use crate::error::{Error, Kind};
use crate::plan::grow::{self as plan, Plan};
use alloc::vec::Vec;

/// The account of a plan that is not carried out: a dry run, or nothing to do.
pub(super) fn account(facts: &plan::Facts, plan: &Plan) -> Report {
    let half = |half: &plan::Decision| match half {
        plan::Decision::Absent => None,
        plan::Decision::Full(size) => Some(StepReport::still(StepState::Full, *size)),
        plan::Decision::Change { before, after, .. } => {
            Some(StepReport { after: *after, ..StepReport::still(StepState::Planned, *before) })
        }
        plan::Decision::Left(remark) => {
            Some(StepReport { remark: Some(remark.clone()), ..StepReport::still(StepState::Left, facts.size) })
        }
        plan::Decision::Refused(error) => Some(StepReport::stopped(StepState::Refused, facts.size, error.clone())),
    };
    Report {
        device: facts.device.clone(),
        kind: kind_of(facts),
        partition: half(&plan.partition),
        filesystem: half(&plan.filesystem).unwrap_or_else(|| StepReport::still(StepState::Full, facts.size)),
        steps: Vec::new(),
        notes: plan.notes.clone(),
    }
}

/// The account of a plan of which nothing is carried out because of `error`.
pub(super) fn stopped(facts: &plan::Facts, plan: &Plan, error: &Error) -> Report {
    let state = if error.kind == Kind::Refused { StepState::Refused } else { StepState::Failed };
    let mut report = account(facts, plan);
    for half in report.partition.iter_mut().chain([&mut report.filesystem]) {
        *half = StepReport::stopped(state, half.before, error.clone());
    }
    report
}

fn kind_of(facts: &plan::Facts) -> &'static str {
    facts.content.as_ref().map_or("unknown", |content| content.kind.name())
}
