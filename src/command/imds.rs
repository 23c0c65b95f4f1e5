//! `wisp imds`, also by the name `imds`: metadata by item, in the grammar of Tiny Cloud's command of that name.
//!
//! Items are evaluated from left to right, each seeing the switches before it. Values are written as the service has
//! them, without a newline. A lookup that fails ends it with exit code 1, and what the items before it wrote stays
//! written; a cloud that cannot be told, or is none, gives 2 before any item. `--json` and `--save`, which Tiny Cloud
//! does not have, end like every other command.
//!
//! JSON, a stable format: `cloud`, `instance-id`, `hostname`, `region`, `zone` (text or null); `ssh-keys`, each with
//! `user` (text or null) and `key`; `nics`, each with `mac` and `interface` (text or null), `addresses` as
//! `ADDRESS/PREFIX` and `gateways`.

#![forbid(unsafe_code)]

use super::root::enter;
use super::suggest::nearest;
use super::{Command, DOING, DOING_OPTION, print};
use crate::boot::userdata_store;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metadata::{Access, Machine};
use crate::provider::{OnNoAnswer, Reader};
use crate::sys::{confine, environment, stdio};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;

pub(super) const COMMAND: Command = Command {
    name: "imds",
    usage: "[OPTION]... [ITEM]...",
    summary: "Print metadata of this machine: its name, keys, user-data",
    help: "\
Items, from left to right:
  @hostname @local-hostname @ssh-keys @userdata @nics
  @nic:NAME,SUB...  of the interface NAME: @mac @ipv4 @ipv6 @ipv4-net @ipv6-net
                    @ipv4-prefix @ipv6-prefix, a path below it, or a switch
  PATH              a path of the cloud's own, below its base
  -e +e             skip failures, end at the first one (+e)
  -E +E             say nothing of failures, notify them (+E)
  +n +s +t          a newline, a blank, a tab

Values are written as they are, without a newline. Exit: 0, 1 when a lookup
fails, 2 when the cloud is not known; with --json and --save as everywhere.

Before all items:
  --network         configure the network for it where it is not, and undo that
  --json            print id, hostname, region, zone, keys and interfaces
  --save            write the user-data, unpacked, to /var/lib/cloud/user-data
  --root DIR        look at the files below DIR, and at no disk; also $ROOT
  --timeout SECONDS how long the service may take to answer; without it
                    METADATA_DEADLINE of the configuration, else 10

Usage: imds ITEM... is the same by another name.
",
    takes_any_word: true,
    run,
};

/// What a failed lookup is answered with, whatever its kind: scripts know this number.
const LOOKUP_FAILED: u8 = 1;

/// What a cloud that cannot be told is answered with.
const NO_CLOUD: u8 = 2;

/// The metadata, opened by the first lookup: an item that looks nothing up needs none, and what keeps it from being
/// opened is the failure of each lookup, to be skipped or not as any other.
struct Metadata<'a> {
    access: &'a Access<'a>,
    notify: &'a dyn Fn(&str),
    opened: Option<Result<Reader<'a>>>,
}

impl<'a> Metadata<'a> {
    fn reader(&mut self) -> Result<&mut Reader<'a>> {
        let (access, notify) = (self.access, self.notify);
        self.opened.get_or_insert_with(|| access.open(notify)).as_mut().map_err(|error| error.clone())
    }
}

/// What is looked up by a name of wisp's own, with `@` in front; a word after `@nic:` is an interface.
const NAMES: [&str; 5] = ["hostname", "local-hostname", "ssh-keys", "userdata", "nics"];

/// How long a person or a script waits for a service that does not answer, unless the configuration or `--timeout` says
/// otherwise: the phases of a boot, which wait for the service to come up, have their own deadline.
const PATIENCE: Duration = Duration::from_secs(10);

const OUTPUT: &str = "standard output";

/// The switches.
struct State<'a> {
    /// Whether a failure ends the evaluation.
    honours: bool,
    /// Whether failures are told; also read by anyone who tells of second tries.
    tells: &'a Cell<bool>,
}

/// What stands in front of the items.
#[derive(Default)]
struct Front<'a> {
    network: bool,
    json: bool,
    save: bool,
    root: &'a str,
    timeout: Option<Duration>,
}

impl<'a> Front<'a> {
    /// Reads the options, and returns them with the items behind them: what looks like an option behind an item is a key.
    /// Without the option the root is the one of the environment.
    fn read(arguments: &'a [&'a str], root: &'a str) -> Result<(Self, &'a [&'a str])> {
        let (mut front, mut items) = (Self { root: root.trim_end_matches('/'), ..Self::default() }, arguments);
        while let Some((&word, rest)) = items.split_first().filter(|(word, _)| word.starts_with("--")) {
            items = rest;
            let (name, attached) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let mut value = || {
                let value = attached.or_else(|| {
                    let (&next, rest) = items.split_first()?;
                    items = rest;
                    Some(next)
                });
                value.ok_or_else(|| Error::usage(DOING_OPTION, "its value is missing").to(name))
            };
            match (name, attached) {
                ("--network", None) => front.network = true,
                ("--json", None) => front.json = true,
                ("--save", None) => front.save = true,
                ("--root", _) => front.root = value()?.trim_end_matches('/'),
                ("--timeout", _) => front.timeout = Some(super::seconds(name, value()?)?),
                _ => return Err(unknown_item(word)),
            }
        }
        Ok((front, items))
    }
}

/// Refuses an item that no cloud can have before any cloud is asked.
fn check(items: &[&str]) -> Result<()> {
    for item in items {
        let Some(word) = item.split_whitespace().next() else { break };
        match word.strip_prefix('@') {
            Some(name) if !NAMES.contains(&name) && !name.starts_with("nic:") => return Err(unknown_item(word)),
            _ => {}
        }
    }
    Ok(())
}

/// A word that is neither an option nor an item.
fn unknown_item(word: &str) -> Error {
    let name = nearest(word.trim_start_matches(['@', '-']), NAMES.into_iter());
    let hint = name.map(|name| format!(", did you mean @{name}?")).unwrap_or_default();
    let names = NAMES.map(|name| format!("@{name}")).join(" ");
    Error::usage(DOING, format!("unknown item{hint}; items are {names} @nic:NAME,SUB, switches and paths")).to(word)
}

fn run(arguments: &[&str]) -> Result<u8> {
    // As Tiny Cloud has it; the option wins.
    let environment = environment::variable(c"ROOT").unwrap_or_default();
    let (Front { network, json, save, root, timeout }, items) = Front::read(arguments, &environment)?;
    let root = place(root)?;
    check(items)?;
    let log = Log::stderr();
    let mut machine = Machine::look(root);
    machine.settings.deadline = timeout.or(machine.settings.deadline).or(Some(PATIENCE));
    machine.settings.complaints.iter().for_each(|complaint| log.warning(complaint));
    let access = match machine.access() {
        Ok(access) => access,
        Err(error) => {
            log.error(&format!("{error}"));
            return Ok(NO_CLOUD);
        }
    };
    let held = if network { access.reach(&log)? } else { None };
    let result = answer(&access, (json, save), items, &log);
    if let Some(held) = held {
        // The answer counts, whether or not everything could be undone.
        held.release().unwrap_or_else(|error| log.warning(&format!("{error}")));
    }
    result
}

/// The prefix of the paths in `root`. It is entered at once where the metadata is in it, since its links could have files of
/// the running system printed or saved; a service is asked with certificates, servers of names and sockets of that system,
/// so there it is entered only to save.
fn place(root: &str) -> Result<&str> {
    if root.is_empty() {
        return Ok(root);
    }
    confine::check(root)?;
    let is_elsewhere = Machine::look(root).access().is_ok_and(|access| !access.is_local());
    if is_elsewhere { Ok(root) } else { enter(root) }
}

fn answer(access: &Access<'_>, (json, save): (bool, bool), items: &[&str], log: &Log) -> Result<u8> {
    let tells = Cell::new(true);
    let notify = |line: &str| {
        if tells.get() {
            log.warning(line);
        }
    };
    let mut metadata = Metadata { access, notify: &notify, opened: None };
    if json {
        print(&format!("{}\n", metadata.reader()?.instance()?.json()))?;
    }
    let userdata = if save { metadata.reader()?.userdata()? } else { None };
    let code = evaluate(&mut metadata, items, &mut State { honours: true, tells: &tells }, log);
    if save {
        // Confined last: certificates (SSL_CERT_FILE) and sockets of the running system are used up to here.
        let folder = access.folder();
        let below = folder.strip_prefix(access.root()).unwrap_or(folder);
        userdata_store::save(userdata.unwrap_or_default(), &[enter(access.root())?, below].concat())?;
    }
    Ok(code)
}

/// Evaluates `items`, and returns the exit code.
fn evaluate(metadata: &mut Metadata<'_>, items: &[&str], state: &mut State<'_>, log: &Log) -> u8 {
    for item in items {
        // An empty item ends it: what a script's unset variable leaves is no key.
        let Some(word) = item.split_whitespace().next() else { break };
        if state.switch(word) {
            continue;
        }
        let worked = match word.strip_prefix("@nic:") {
            Some(rest) => nic(metadata, rest, state, log),
            None => state.writes(word, metadata.reader().and_then(|reader| lookup(reader, word)), log),
        };
        if !worked && state.honours {
            return LOOKUP_FAILED;
        }
    }
    0
}

impl State<'_> {
    /// Whether `word` is a switch; then it is switched.
    fn switch(&mut self, word: &str) -> bool {
        match word {
            "-e" | "+e" => self.honours = word == "+e",
            "-E" | "+E" => self.tells.set(word == "+E"),
            "+n" => stdio::write_all(stdio::output(), b"\n"),
            "+s" => stdio::write_all(stdio::output(), b" "),
            "+t" => stdio::write_all(stdio::output(), b"\t"),
            _ => return false,
        }
        true
    }

    /// Writes a value, or tells why there is none; whether there was one.
    fn writes(&self, word: &str, value: Result<Vec<u8>>, log: &Log) -> bool {
        // Half of a value on a full disk must not pass for all of it.
        let written = value.and_then(|value| stdio::write(stdio::output(), &value).map_err(|error| error.to(OUTPUT)));
        match &written {
            Err(error) if self.tells.get() => log.error(&format!("{word}: {error}")),
            _ => {}
        }
        written.is_ok()
    }
}

/// The value of one item.
fn lookup(reader: &mut Reader<'_>, word: &str) -> Result<Vec<u8>> {
    let cloud = reader.cloud();
    let (value, may_be_absent) = match word {
        "@hostname" => (reader.hostname()?, cloud.silent == OnNoAnswer::Everything),
        "@local-hostname" => (reader.bytes(&cloud.local_hostname)?, cloud.silent == OnNoAnswer::Everything),
        "@userdata" => (reader.userdata()?, cloud.silent != OnNoAnswer::Nothing),
        // No keys are an answer too.
        "@ssh-keys" => (Some(reader.keys_text()?), true),
        "@nics" => (nics(reader)?, false),
        key => (reader.raw(key)?, cloud.silent == OnNoAnswer::Everything),
    };
    match value {
        None if may_be_absent => Ok(Vec::new()),
        None => Err(Error::absent("look up metadata", "the cloud has no such value")),
        Some(value) => Ok(value),
    }
}

/// The MAC addresses that the cloud knows, one a line.
fn nics(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    let mut text = String::new();
    for nic in reader.nics()? {
        text.push_str(&format!("{}\n", nic.mac));
    }
    Ok(Some(text.into_bytes()).filter(|text| !text.is_empty()))
}

/// `NAME,SUB…`; whether all lookups worked that had to. The switches among the subs hold for these only.
fn nic(metadata: &mut Metadata<'_>, rest: &str, outer: &State<'_>, log: &Log) -> bool {
    const DOING: &str = "look up metadata of the interface";
    let absent = |name: &str, why: &'static str| Error::absent(DOING, why).to(name);
    let (name, subs) = rest.split_once(',').unwrap_or((rest, ""));
    let reader = match metadata.reader() {
        Ok(reader) => reader,
        Err(error) => return outer.writes("@nic", Err(error), log),
    };
    let Some(mac) = reader.mac_of(name) else {
        return outer.writes("@nic", Err(absent(name, "this machine has none of that name")), log);
    };
    // Who hears of second tries hears what this group says.
    let before = outer.tells.replace(true);
    let mut state = State { honours: true, tells: outer.tells };
    let worked = subs.split(',').all(|sub| {
        if state.switch(sub) {
            return true;
        }
        let value = reader.nic_value(&mac, sub);
        let value = value.and_then(|value| value.ok_or_else(|| absent(name, "the cloud has no such value")));
        state.writes(sub, value, log) || !state.honours
    });
    outer.tells.set(before);
    worked
}
