//! First boot: four phases, one table of actions, and a record of what was done for this instance.
//!
//! A phase is a list of names ([`crate::plan::phases`]); what each does stands in one table ([`actions::ACTIONS`]). An
//! action that fails is told and keeps no other from running.
#![forbid(unsafe_code)]

mod account;
pub mod actions;
mod config;
pub mod context;
mod end;
mod expand;
mod hostname;
mod hotplugs;
pub mod journal;
mod network;
mod report;
mod script;
mod seed;
mod sshd;
