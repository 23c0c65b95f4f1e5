//! What clouds are told about how far a machine is: the messages, and where they go. Pure.
//!
//! Only Azure's may say that something failed, and why; and only there the machine is thrown away if nothing is said.
//! Its two forms are those of azure-init (JSON) and of WALinuxAgent and cloud-init (XML, protocol 2012-11-30). No message
//! holds anything but the words of an error, which hold no secret.

use crate::error::{Error, Result};
use crate::text::xml::{Element, Xml};
use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;
use miniserde::json;

/// How a cloud hears that a machine is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It does not want to.
    Unasked,
    /// Its metadata service takes this JSON at this target, by PATCH.
    Patch(&'static str, &'static str),
    /// Its wire server takes a report of success or failure (Azure).
    WireServer,
}

/// The wire server, where no lease says another address (option 245).
pub const WIRE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Where the wire server takes the form in JSON.
pub const HEALTH: &str = "/provisioning/health";

/// Headers of that.
pub const HEALTH_HEADERS: &[(&str, &str)] = &[("Content-Type", JSON), ("x-ms-guest-agent-name", AGENT)];

/// Where it says who it takes this machine for.
pub const GOAL_STATE: &str = "/machine/?comp=goalstate";

/// Headers of that. Without the version it does not answer.
pub const GOAL_STATE_HEADERS: &[(&str, &str)] = &[VERSION, ("x-ms-agent-name", AGENT)];

/// Where it takes the form in XML.
pub const GOAL_HEALTH: &str = "/machine?comp=health";

/// Headers of that.
pub const GOAL_HEALTH_HEADERS: &[(&str, &str)] =
    &[VERSION, ("x-ms-agent-name", AGENT), ("Content-Type", "text/xml; charset=utf-8")];

/// What a [`Ready::Patch`] is sent as.
pub const JSON: &str = "application/json";

const AGENT: &str = concat!("wisp/", env!("CARGO_PKG_VERSION"));
const VERSION: (&str, &str) = ("x-ms-version", "2012-11-30");

/// Characters of a description: where cloud-init cuts it, too.
const DESCRIPTION_LIMIT: usize = 512;

/// The report in JSON: ready, or what `failure` says.
#[must_use]
pub fn health(failure: Option<&str>) -> String {
    let Some(text) = failure else { return r#"{"state":"Ready"}"#.into() };
    let text = json::to_string(&description(text));
    format!(r#"{{"state":"NotReady","details":{{"subStatus":"ProvisioningFailed","description":{text}}}}}"#)
}

/// Who the wire server takes this machine for, and in which incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoalState {
    incarnation: String,
    container: String,
    instance: String,
}

impl GoalState {
    /// Reads a goal state.
    ///
    /// # Errors
    /// `Corrupt` and `Refused` as [`Xml::parse`]; `Corrupt` when one of the three is not there, or there twice.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let xml = Xml::parse(bytes)?;
        let root = xml.root("", "GoalState")?;
        let text = |path: &str| -> Result<String> {
            let text = root.at("", path)?.map(Element::text).transpose()?.filter(|text| !text.is_empty());
            text.ok_or_else(|| Error::corrupt("understand the goal state", format!("there is no {path}")))
        };
        Ok(Self {
            incarnation: text("Incarnation")?,
            container: text("Container/ContainerId")?,
            instance: text("Container/RoleInstanceList/RoleInstance/InstanceId")?,
        })
    }

    /// The report in XML: ready, or what `failure` says.
    #[must_use]
    pub fn health(&self, failure: Option<&str>) -> String {
        let [incarnation, container, instance] =
            [&self.incarnation, &self.container, &self.instance].map(|text| escaped(text));
        let state = match failure {
            None => "<State>Ready</State>".into(),
            Some(text) => format!(
                "<State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus>\
                 <Description>{}</Description></Details>",
                escaped(&description(text))
            ),
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <GoalStateIncarnation>{incarnation}</GoalStateIncarnation>\
             <Container><ContainerId>{container}</ContainerId><RoleInstanceList><Role>\
             <InstanceId>{instance}</InstanceId><Health>{state}</Health>\
             </Role></RoleInstanceList></Container></Health>"
        )
    }
}

/// `text` as a description may be: one line, not too long, of characters that XML allows.
fn description(text: &str) -> String {
    let clean =
        |letter: char| if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { ' ' } else { letter };
    text.chars().take(DESCRIPTION_LIMIT).map(clean).collect()
}

/// `text` as it stands between two tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::text::document::Document;

    const GOAL: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2012-11-30</Version><Incarnation>7</Incarnation>
  <Machine><ExpectedState>Started</ExpectedState></Machine>
  <Container><ContainerId>c-&lt;1&gt;</ContainerId><RoleInstanceList><RoleInstance>
    <InstanceId>i.&amp;_web</InstanceId><Configuration><ConfigName>x.1.xml</ConfigName></Configuration>
  </RoleInstance></RoleInstanceList></Container>
</GoalState>"#;

    /// What is worth a report of failure: quotes, an ampersand, tags, a line of its own, more than ASCII.
    const TROUBLE: &str = "create_default_user: \"a\" & <b>'c'</b>\\\r\n\u{1b}[0m\u{ffff}ü";
    const TAMED: &str = "create_default_user: \"a\" & <b>'c'</b>\\   [0m ü";

    #[test]
    fn both_forms_say_ready_as_the_vendor_writes_it() {
        assert_eq!(health(None), r#"{"state":"Ready"}"#);
        let goal = GoalState::parse(GOAL.as_bytes()).unwrap();
        assert_eq!(
            goal.health(None),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><GoalStateIncarnation>7</GoalStateIncarnation><Container>\
             <ContainerId>c-&lt;1&gt;</ContainerId><RoleInstanceList><Role><InstanceId>i.&amp;_web</InstanceId><Health>\
             <State>Ready</State></Health></Role></RoleInstanceList></Container></Health>"
        );
    }

    #[test]
    fn a_reason_survives_either_form_and_becomes_no_part_of_it() {
        let simple = Document::parse(health(Some(TROUBLE)).as_bytes()).unwrap();
        let of = |path: &str| simple.path(path).and_then(Document::text);
        assert_eq!(of("state"), Some("NotReady"));
        assert_eq!(of("details/subStatus"), Some("ProvisioningFailed"));
        assert_eq!(of("details/description"), Some(TAMED));

        let report = GoalState::parse(GOAL.as_bytes()).unwrap().health(Some(TROUBLE));
        let xml = Xml::parse(report.as_bytes()).unwrap();
        let root = xml.root("", "Health").unwrap();
        let of = |path: &str| root.at("", path).unwrap().unwrap().text().unwrap();
        let role = "Container/RoleInstanceList/Role";
        assert_eq!((of("GoalStateIncarnation"), of("Container/ContainerId")), ("7".into(), "c-<1>".into()));
        assert_eq!(of(&format!("{role}/InstanceId")), "i.&_web");
        assert_eq!(of(&format!("{role}/Health/State")), "NotReady");
        assert_eq!(of(&format!("{role}/Health/Details/SubStatus")), "ProvisioningFailed");
        assert_eq!(of(&format!("{role}/Health/Details/Description")), TAMED);
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        for letter in ["a", "ü", "☺", "𝄞", "<"] {
            let told = description(&letter.repeat(600));
            assert_eq!(told, letter.repeat(DESCRIPTION_LIMIT));
        }
        assert_eq!(description(&"ü".repeat(512)), "ü".repeat(512));
    }

    #[test]
    fn a_goal_state_without_its_parts_is_none() {
        for part in ["Incarnation", "ContainerId", "InstanceId"] {
            for text in [GOAL.replace(part, "Other"), GOAL.replace(&format!("<{part}>"), &format!("<{part}><a/>"))] {
                assert_eq!(GoalState::parse(text.as_bytes()).unwrap_err().kind, Kind::Corrupt, "{part}");
            }
        }
        let twice =
            GOAL.replace("<Incarnation>7</Incarnation>", "<Incarnation>7</Incarnation><Incarnation>8</Incarnation>");
        assert_eq!(GoalState::parse(twice.as_bytes()).unwrap_err().kind, Kind::Corrupt);
        let empty = GOAL.replace("<Incarnation>7<", "<Incarnation> <");
        assert!(GoalState::parse(empty.as_bytes()).unwrap_err().why.contains("Incarnation"));
        assert_eq!(GoalState::parse(b"<Health/>").unwrap_err().kind, Kind::Corrupt);
    }
}
