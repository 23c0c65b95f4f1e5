//! On the running system: the keys of `/etc/wisp.conf`, which are Tiny Cloud's.
//!
//! Each key can be said in four places, and the later one wins: the environment, the configuration (which Tiny Cloud
//! sourced, so an assignment there replaced what the environment said), the kernel command line (`wisp.KEY=value`, in
//! capitals or small letters), the arguments of a command, which are that command's business. A value that is empty
//! says nothing.

#![forbid(unsafe_code)]

use crate::text::cmdline::Cmdline;
use crate::text::shell_assignments::Conf;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// A phase of the first boot; each is a process of its own, started by the init system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the network.
    Boot,
    /// When metadata can be reached.
    Early,
    /// Before anybody may log in.
    Main,
    /// After everything else.
    Final,
}

impl Phase {
    /// In the order in which they run.
    pub const ALL: [Self; 4] = [Self::Boot, Self::Early, Self::Main, Self::Final];

    /// What its command is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Early => "early",
            Self::Main => "main",
            Self::Final => "final",
        }
    }
}

/// The words of cloud-init on the kernel command line for exactly one source, the current one and its two older forms.
pub const SOURCE_WORDS: [&str; 3] = ["ds", "ci.ds", "ci.datasource"];

/// Which cloud to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// The one that shows itself.
    Auto,
    /// No cloud: cloud-init's `ds=None`.
    None,
    /// This one, whatever shows itself.
    Named {
        /// What the user calls it; whether there is such a cloud is not known here.
        name: String,
        /// Where it was said: `wisp.cloud= on the kernel command line`.
        said: String,
    },
}

/// The settings of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// `CLOUD`.
    pub cloud: Cloud,
    /// `CLOUD_USER`: who is made and given the keys; `None` if no one is said, and then the cloud may say it.
    pub user: Option<String>,
    /// `TINY_CLOUD_VAR`: the folder of the agent's state. The default is below the root prefix; a value is as it
    /// is, and by `--root` the process is confined to that root.
    pub var: String,
    /// `TINY_CLOUD_LOGS`: the folder of the logs of user scripts, likewise.
    pub logs: String,
    /// `IMDS_TOKEN_TTL`: how long a token of the metadata service is to be good.
    pub token_ttl: Duration,
    /// `METADATA_DEADLINE`: how long metadata is waited for in all; `None`: as long as is usual on the cloud.
    pub deadline: Option<Duration>,
    /// `INIT_ACTIONS_BOOT`, `_EARLY`, `_MAIN`, `_FINAL`: the actions of a phase, instead of the usual ones; the last said
    /// of a phase counts. An empty list is one.
    pub actions: Vec<(Phase, Vec<String>)>,
    /// `SKIP_INIT_ACTIONS`.
    pub skip: Vec<String>,
    /// `HOTPLUG_MODULES`.
    pub hotplugs: Vec<String>,
    /// `TINY_CLOUD_LINK_WAIT_MAX`, in tenths of a second and one more: how long carriers are waited for.
    pub link_wait: Duration,
    /// What could not be meant, each a sentence. None shows a value: they can be secrets in the wrong place.
    pub complaints: Vec<String>,
}

/// The texts that settings are made of.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// What stands before every path: empty on a real system.
    pub root: &'a str,
    /// The environment as the kernel has it: `NAME=value`, each ended by a NUL byte.
    pub environment: &'a [u8],
    /// The configuration, if there is one: its path and its text.
    pub file: Option<(&'a str, &'a str)>,
    /// The kernel command line.
    pub cmdline: &'a Cmdline,
}

/// Tiny Cloud takes five seconds and a token for each value; wisp takes one for all of a crawl, which on a slow network
/// can last minutes.
const TOKEN_TTL: Duration = Duration::from_secs(300);

/// AWS gives no token for longer, and six hours are longer than any wait for metadata.
const SECONDS_LIMIT: u64 = 21600;

/// What `useradd` accepts; every name of a user ends up in paths and lines of other files.
const USER_LENGTH_LIMIT: usize = 32;

/// Who is made and given the keys if no one says another name.
pub const DEFAULT_USER: &str = "alpine";

/// One key.
struct Key {
    /// As the configuration has it.
    name: &'static str,
    /// Takes a value that is not empty, said at a place.
    take: fn(&mut Agent, value: &str, said: &str) -> Result<(), &'static str>,
}

/// Every key. A new one is a row here, a field in [`Agent`] and its default in [`Agent::parse`].
const KEYS: &[Key] = &[
    Key {
        name: "CLOUD",
        take: |agent, value, said| {
            agent.cloud = named(value, said);
            Ok(())
        },
    },
    Key { name: "CLOUD_USER", take: |agent, value, _| user(value).map(|user| agent.user = Some(user)) },
    Key { name: "TINY_CLOUD_VAR", take: |agent, value, _| folder(value).map(|folder| agent.var = folder) },
    Key { name: "TINY_CLOUD_LOGS", take: |agent, value, _| folder(value).map(|folder| agent.logs = folder) },
    Key { name: "IMDS_TOKEN_TTL", take: |agent, value, _| seconds(value).map(|span| agent.token_ttl = span) },
    Key { name: "METADATA_DEADLINE", take: |agent, value, _| seconds(value).map(|span| agent.deadline = Some(span)) },
    Key { name: "INIT_ACTIONS_BOOT", take: |agent, value, _| actions(agent, Phase::Boot, value) },
    Key { name: "INIT_ACTIONS_EARLY", take: |agent, value, _| actions(agent, Phase::Early, value) },
    Key { name: "INIT_ACTIONS_MAIN", take: |agent, value, _| actions(agent, Phase::Main, value) },
    Key { name: "INIT_ACTIONS_FINAL", take: |agent, value, _| actions(agent, Phase::Final, value) },
    Key { name: "SKIP_INIT_ACTIONS", take: |agent, value, _| words(value).map(|words| agent.skip = words) },
    Key { name: "TINY_CLOUD_LINK_WAIT_MAX", take: |agent, value, _| rounds(value).map(|span| agent.link_wait = span) },
    Key { name: "HOTPLUG_MODULES", take: |agent, value, _| words(value).map(|words| agent.hotplugs = words) },
];

/// Tiny Cloud looks eleven times, a tenth of a second apart.
const LINK_ROUND: Duration = Duration::from_millis(100);
const LINK_WAIT: Duration = Duration::from_millis(1100);

/// A minute; negotiating the speed of a link takes some seconds.
const LINK_ROUNDS_LIMIT: u32 = 600;

/// Keys that mean something when they are empty: do nothing in this phase.
const MAY_BE_EMPTY: &str = "INIT_ACTIONS_";

/// Keys of Tiny Cloud that nothing of wisp honours; a file that has them is in order. Of hotplug there is one type.
const UNHEEDED: &[&str] = &["HOTPLUG_TYPE"];

impl Agent {
    /// Reads the settings from all the places where they can be said.
    #[must_use]
    pub fn parse(sources: &Sources<'_>) -> Self {
        let mut agent = Self {
            cloud: Cloud::Auto,
            user: None,
            var: format!("{}/var/lib/cloud", sources.root),
            logs: format!("{}/var/log", sources.root),
            token_ttl: TOKEN_TTL,
            deadline: None,
            actions: Vec::new(),
            skip: Vec::new(),
            hotplugs: Vec::new(),
            link_wait: LINK_WAIT,
            complaints: Vec::new(),
        };
        agent.read_environment(sources.environment);
        if let Some((path, text)) = sources.file {
            agent.read_file(path, text);
        }
        agent.read_cmdline(sources.cmdline);
        agent
    }

    fn read_environment(&mut self, environment: &[u8]) {
        for entry in environment.split(|byte| *byte == 0) {
            let Some((name, value)) = core::str::from_utf8(entry).ok().and_then(|text| text.split_once('=')) else {
                continue;
            };
            if let Some(key) = KEYS.iter().find(|key| key.name == name) {
                self.set(key, value, &format!("{name}= in the environment"));
            }
        }
    }

    fn read_file(&mut self, path: &str, text: &str) {
        let conf = Conf::parse(text);
        for complaint in &conf.complaints {
            self.complaints.push(format!("line {} of {path}: {}", complaint.line, complaint.why));
        }
        for assignment in &conf.assignments {
            let said = format!("{}= in line {} of {path}", assignment.key, assignment.line);
            match KEYS.iter().find(|key| key.name == assignment.key) {
                Some(key) => self.set(key, &assignment.value, &said),
                None if UNHEEDED.contains(&&*assignment.key) => {}
                None => self.complaints.push(format!("{said}: there is no such key")),
            }
        }
    }

    /// Also cloud-init's word for exactly one source, `ds=NAME[;…]`: images and hypervisors that write it mean it.
    fn read_cmdline(&mut self, line: &Cmdline) {
        for word in SOURCE_WORDS {
            let Some(value) = line.value(word) else { continue };
            let name = value.split_once(';').map_or(value, |(name, _)| name);
            if !name.is_empty() {
                self.cloud = named(&name.to_ascii_lowercase(), &format!("{word}= on the kernel command line"));
                break;
            }
        }
        for key in KEYS {
            let name = format!("wisp.{}", key.name.to_ascii_lowercase());
            let words = line.words().iter().rev();
            let is_it = |word: &str| word.replace('-', "_").eq_ignore_ascii_case(&name);
            if let Some(value) = words.filter(|word| is_it(&word.name)).find_map(|word| word.value.as_deref()) {
                self.set(key, value, &format!("{name}= on the kernel command line"));
            }
        }
    }

    fn set(&mut self, key: &Key, value: &str, said: &str) {
        if value.is_empty() && !key.name.starts_with(MAY_BE_EMPTY) {
            return;
        }
        if let Err(why) = (key.take)(self, value, said) {
            self.complaints.push(format!("{said}: {why}; taken as if it were not there"));
        }
    }
}

fn named(name: &str, said: &str) -> Cloud {
    match name {
        "auto" => Cloud::Auto,
        "none" => Cloud::None,
        _ => Cloud::Named { name: name.into(), said: said.into() },
    }
}

fn user(value: &str) -> Result<String, &'static str> {
    if is_user_name(value) { Ok(value.into()) } else { Err("not a name for a user") }
}

/// Whether this is a valid user name: letters, digits, `_`, `-` and `.`, a letter or `_` first.
#[must_use]
pub fn is_user_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.len() <= USER_LENGTH_LIMIT && text.bytes().all(inner)
}

fn actions(agent: &mut Agent, phase: Phase, value: &str) -> Result<(), &'static str> {
    agent.actions.push((phase, words(value)?));
    Ok(())
}

/// Names divided by white space.
fn words(value: &str) -> Result<Vec<String>, &'static str> {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let all = value.split_whitespace();
    if all.clone().all(|word| word.chars().all(is_inner)) {
        Ok(all.map(String::from).collect())
    } else {
        Err("not a list of names")
    }
}

fn folder(value: &str) -> Result<String, &'static str> {
    let trimmed = value.trim_end_matches('/');
    let sound = value.starts_with('/') && !value.contains('\0');
    if sound && !trimmed.is_empty() { Ok(trimmed.into()) } else { Err("not the path of a folder below /") }
}

fn rounds(value: &str) -> Result<Duration, &'static str> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse::<u32>().ok().filter(|number| digits && *number <= LINK_ROUNDS_LIMIT);
    number.map(|number| LINK_ROUND.saturating_mul(number.saturating_add(1))).ok_or("not a number from 0 to 600")
}

fn seconds(value: &str) -> Result<Duration, &'static str> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && (1..=SECONDS_LIMIT).contains(number));
    number.map(Duration::from_secs).ok_or("not a number of seconds from 1 to 21600")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(environment: &str, file: &str, line: &str) -> Agent {
        Agent::parse(&Sources {
            root: "/mnt",
            environment: environment.replace(' ', "\0").as_bytes(),
            file: Some(("/etc/wisp.conf", file)),
            cmdline: &Cmdline::parse(line),
        })
    }

    #[test]
    fn without_a_word_the_defaults_hold() {
        let line = Cmdline::parse("quiet wisp.grow=off");
        let settings = Agent::parse(&Sources { root: "", environment: b"", file: None, cmdline: &line });
        let Agent { cloud, user, var, logs, token_ttl, deadline, actions, skip, hotplugs, link_wait, complaints } =
            settings;
        assert_eq!(link_wait, Duration::from_millis(1100));
        assert_eq!((cloud, user, complaints.len()), (Cloud::Auto, None, 0));
        assert_eq!((actions, skip, hotplugs), (Vec::new(), Vec::new(), Vec::new()));
        assert_eq!((var.as_str(), logs.as_str()), ("/var/lib/cloud", "/var/log"));
        assert_eq!((token_ttl, deadline), (TOKEN_TTL, None));
        assert_eq!(agent("", "", "").var, "/mnt/var/lib/cloud", "the default lies below the root");
    }

    #[test]
    fn every_key_is_understood() {
        let settings = agent(
            "",
            "CLOUD=aws\nCLOUD_USER=ann-b.2\nTINY_CLOUD_VAR=/srv/state/\nTINY_CLOUD_LOGS='/srv/my logs'\n\
             IMDS_TOKEN_TTL=5\nMETADATA_DEADLINE=\"600\"\nHOTPLUG_TYPE=mdev\nSKIP_INIT_ACTIONS='a b'\n\
             TINY_CLOUD_LINK_WAIT_MAX=0\nHOTPLUG_MODULES=vnic_eth_hotplug\nINIT_ACTIONS_EARLY=\nINIT_ACTIONS_MAIN='set_hostname'\n",
            "",
        );
        assert_eq!(settings.cloud, named("aws", "CLOUD= in line 1 of /etc/wisp.conf"));
        assert_eq!((settings.user.as_deref(), settings.var.as_str()), (Some("ann-b.2"), "/srv/state"));
        assert_eq!(settings.logs, "/srv/my logs");
        assert_eq!((settings.skip.join(" "), settings.hotplugs.join(" ")), ("a b".into(), "vnic_eth_hotplug".into()));
        let lists = [(Phase::Early, Vec::new()), (Phase::Main, Vec::from(["set_hostname".into()]))];
        assert_eq!(settings.actions, lists, "an empty list is one");
        assert_eq!((settings.token_ttl.as_secs(), settings.deadline.map(|it| it.as_secs())), (5, Some(600)));
        assert_eq!(settings.complaints, [""; 0]);
        assert_eq!(settings.link_wait, Duration::from_millis(100));
        assert_eq!(agent("TINY_CLOUD_LINK_WAIT_MAX=29", "", "").link_wait, Duration::from_secs(3));
    }

    #[test]
    fn the_command_line_beats_the_file_and_the_file_the_environment() {
        let cloud = |environment, file, line| agent(environment, file, line).cloud;
        assert_eq!(cloud("CLOUD=aws", "", ""), named("aws", "CLOUD= in the environment"));
        assert_eq!(cloud("CLOUD=aws", "CLOUD=gcp", ""), named("gcp", "CLOUD= in line 1 of /etc/wisp.conf"));
        assert_eq!(cloud("CLOUD=aws", "CLOUD=auto", ""), Cloud::Auto);
        assert_eq!(cloud("CLOUD=aws", "CLOUD=", ""), named("aws", "CLOUD= in the environment"), "empty says nothing");
        for line in ["wisp.cloud=oci", "wisp.CLOUD=oci", "wisp.cloud=aws wisp.cloud=oci", "ds=nocloud wisp.cloud=oci"] {
            let wanted = named("oci", "wisp.cloud= on the kernel command line");
            assert_eq!(cloud("CLOUD=aws", "CLOUD=gcp", line), wanted, "{line}");
        }
        assert_eq!(cloud("", "CLOUD=gcp", "wisp.cloud="), named("gcp", "CLOUD= in line 1 of /etc/wisp.conf"));
        assert_eq!(agent("", "IMDS_TOKEN_TTL=5", "wisp.imds-token-ttl=6").token_ttl, Duration::from_secs(6));
        assert_eq!(agent("", "", "wisp.Cloud_User=x").user.as_deref(), Some("x"));
        assert_eq!(agent("", "CLOUD_USER=a\nCLOUD_USER=b", "").user.as_deref(), Some("b"));
    }

    #[test]
    fn the_word_of_cloud_init_names_one_source() {
        for line in ["ds=nocloud", "ds=NoCloud", "ds=nocloud;s=http://10.0.0.1/;h=web", "\"ds=nocloud;h=a b\""] {
            assert_eq!(
                agent("", "CLOUD=aws", line).cloud,
                named("nocloud", "ds= on the kernel command line"),
                "{line}"
            );
        }
        assert_eq!(agent("", "", "ds=nocloud-net").cloud, named("nocloud-net", "ds= on the kernel command line"));
        assert_eq!(agent("", "", "ds= ds=;h=x").cloud, Cloud::Auto);
        assert_eq!(agent("", "", "ds=nocloud wisp.cloud=auto").cloud, Cloud::Auto);
    }

    #[test]
    fn invalid_values_are_reported_and_the_default_holds() {
        for (file, why) in [
            ("CLOUD_USER=../root", "CLOUD_USER= in line 1 of /etc/wisp.conf: not a name for a user"),
            ("CLOUD_USER=-x", "not a name"),
            ("CLOUD_USER=a:b", "not a name"),
            ("CLOUD_USER=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "not a name"),
            ("TINY_CLOUD_VAR=var", "not the path"),
            ("TINY_CLOUD_VAR=/", "not the path"),
            ("TINY_CLOUD_LOGS=./x", "not the path"),
            ("IMDS_TOKEN_TTL=0", "not a number of seconds from 1 to 21600"),
            ("IMDS_TOKEN_TTL=21601", "not a number"),
            ("IMDS_TOKEN_TTL=+5", "not a number"),
            ("METADATA_DEADLINE=2m", "not a number"),
            ("TINY_CLOUD_LINK_WAIT_MAX=601", "not a number from 0 to 600"),
            ("TINY_CLOUD_LINK_WAIT_MAX=1s", "not a number"),
            ("CLUOD=aws", "CLUOD= in line 1 of /etc/wisp.conf: there is no such key"),
            ("echo secret", "line 1 of /etc/wisp.conf: it is not KEY=value"),
            ("CLOUD=$secret", "line 1 of /etc/wisp.conf: the shell would"),
        ] {
            let settings = agent("", file, "");
            assert!(settings.complaints.len() == 1 && settings.complaints[0].contains(why), "{file}: {settings:?}");
            assert!(!settings.complaints[0].contains("secret"));
            assert_eq!(Agent { complaints: Vec::new(), ..settings }, agent("", "", ""), "{file}");
        }
        let settings = agent("IMDS_TOKEN_TTL=x =y z HOME=/root", "", "wisp.cloud_user=a:b");
        let said = ["IMDS_TOKEN_TTL= in the environment: ", "wisp.cloud_user= on the kernel command line: "];
        assert_eq!(settings.complaints.len(), 2);
        assert!(settings.complaints.iter().zip(said).all(|(told, said)| told.starts_with(said)), "{settings:?}");
    }
}
