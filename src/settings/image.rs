//! Before `switch_root`: whether an image is to be written, which, where to, and what comes then.
//!
//! Here a word that cannot be meant is no complaint with a default behind it: it overwrites a disk. Nothing is written
//! then, nor without a digest, unless the user says in so many words that he has none.

#![forbid(unsafe_code)]

use super::{Network, boot};
use crate::error::{Error, Result};
use crate::text::checksum::Checksum;
use crate::text::cmdline::Cmdline;
use crate::text::device_spec::DeviceSpec;
use alloc::format;
use alloc::string::String;

/// What becomes of the machine when the image is written (`wisp.after=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The boot goes on, with what was written: the default, as it takes nothing from anybody who watches.
    Boot,
    /// The machine starts again.
    Reboot,
    /// It is switched off, by which others see that it is done.
    PowerOff,
}

/// Where the image is.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// On a web server. It may hold what no log should, so it is never shown.
    Url(String),
    /// On a block device, from its first byte on.
    Device(DeviceSpec),
    /// In a file: the filesystem, and the absolute path in it.
    File(DeviceSpec, String),
}

/// An image that is to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// `wisp.image=`.
    pub origin: Origin,
    /// `wisp.image.sha256=`, `wisp.image.sha512=`; `None` with `wisp.image.unverified`.
    pub checksum: Option<Checksum>,
    /// `wisp.target=`.
    pub target: DeviceSpec,
    /// `wisp.after=`.
    pub after: After,
    /// `wisp.image.verify`: everything is read back before the first MiB is written.
    pub verify: bool,
    /// `wisp.image.again`: also where the image seems to be written already.
    pub again: bool,
    /// `wisp.image.raw`: also what is not a disk image, or was cut off.
    pub raw: bool,
    /// `wisp.image.tries=`: how often it is tried in all.
    pub tries: u32,
    /// `ip=`, `nameserver=`.
    pub network: Network,
}

/// Every word there is, so that one with a letter wrong is not passed over in silence.
const WORDS: [&str; 7] = [
    "wisp.image.sha256",
    "wisp.image.sha512",
    "wisp.image.unverified",
    "wisp.image.verify",
    "wisp.image.again",
    "wisp.image.raw",
    "wisp.image.tries",
];

const AFTER: [(&str, After); 3] = [("boot", After::Boot), ("reboot", After::Reboot), ("poweroff", After::PowerOff)];

/// A server that starts again is back after a minute; what fails three times fails for another reason.
const TRIES: u32 = 3;

/// More would wear out a disk before anybody looks.
const TRIES_LIMIT: u32 = 100;

const DOING: &str = "understand";

impl Image {
    /// Reads what a kernel command line says; `None` where no image is asked for.
    ///
    /// # Errors
    /// `Usage`, `Unsupported` for a word that cannot be meant; `Refused` for an image that nothing vouches for.
    #[must_use]
    pub fn from_cmdline(line: &Cmdline) -> Option<Result<Self>> {
        let origin = line.value("wisp.image").filter(|value| !value.is_empty())?;
        Some(read(line, origin))
    }
}

fn read(line: &Cmdline, origin: &str) -> Result<Image> {
    let strange = |word: &&str| word.starts_with("wisp.image.") && !WORDS.contains(word);
    if let Some(word) = line.words().iter().map(|word| word.name.as_str()).find(strange) {
        return Err(Error::usage(DOING, "there is no such word").to(word));
    }
    let target = line.value("wisp.target").filter(|value| !value.is_empty());
    let target = target.ok_or_else(|| Error::usage(DOING, "it is missing: the disk to write to").to("wisp.target="))?;
    Ok(Image {
        origin: read_origin(origin)?,
        checksum: checksum(line)?,
        target: DeviceSpec::parse(target)?,
        after: after(line)?,
        verify: line.has("wisp.image.verify"),
        again: line.has("wisp.image.again"),
        raw: line.has("wisp.image.raw"),
        tries: tries(line)?,
        network: Network::from_cmdline(line)?,
    })
}

/// A URL, a device, or a file as `LABEL=name:/path`.
fn read_origin(text: &str) -> Result<Origin> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))) {
        return Ok(Origin::Url(text.into()));
    }
    match text.split_once(":/") {
        Some((device, path)) => Ok(Origin::File(DeviceSpec::parse(device)?, format!("/{path}"))),
        None => DeviceSpec::parse(text).map(Origin::Device),
    }
}

fn checksum(line: &Cmdline) -> Result<Option<Checksum>> {
    const NAMES: &str = "wisp.image.sha256= or wisp.image.sha512=";
    let given = |name, word| {
        let text = line.value(name).filter(|value| !value.is_empty())?;
        Some(Checksum::parse(word, text).map_err(|error| error.to(format!("{name}="))))
    };
    let digests = (given("wisp.image.sha256", "sha256"), given("wisp.image.sha512", "sha512"));
    match (digests, line.has("wisp.image.unverified")) {
        ((Some(digest), None) | (None, Some(digest)), false) => digest.map(Some),
        ((None, None), true) => Ok(None),
        ((Some(_), Some(_)), false) => Err(Error::usage(DOING, "one of them is enough").to(NAMES)),
        ((Some(_), _) | (_, Some(_)), true) => {
            Err(Error::usage(DOING, "wisp.image.unverified is there as well").to(NAMES))
        }
        ((None, None), false) => {
            let why = "it is missing; wisp.image.unverified would write whatever comes";
            Err(Error::refused("write the image without", why).to(NAMES))
        }
    }
}

fn after(line: &Cmdline) -> Result<After> {
    let Some(value) = line.value("wisp.after") else { return Ok(After::Boot) };
    let known = AFTER.iter().find(|(word, _)| *word == value).map(|(_, after)| *after);
    known.ok_or_else(|| Error::usage(DOING, boot::one_of(&AFTER)).to(format!("wisp.after={value}")))
}

fn tries(line: &Cmdline) -> Result<u32> {
    let Some(value) = line.value("wisp.image.tries") else { return Ok(TRIES) };
    let number = value.parse().ok().filter(|number| (1..=TRIES_LIMIT).contains(number));
    number.ok_or_else(|| Error::usage(DOING, "a number from 1 to 100 is meant").to(format!("wisp.image.tries={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image(text: &str) -> Option<Result<Image>> {
        Image::from_cmdline(&Cmdline::parse(text))
    }

    #[test]
    fn without_an_image_nothing_is_written() {
        for text in ["", "wisp.image=", "wisp.target=/dev/vda wisp.after=poweroff wisp.image.sha256=x"] {
            assert!(image(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_word_is_understood() {
        let told = image(&format!(
            "wisp.image=https://h/i.zst?key=1 wisp.image.sha256={} wisp.target=serial=disk-1 wisp.after=poweroff \
             wisp.image.verify wisp.image.again wisp.image.tries=7 ip=10.0.0.2::10.0.0.1:24",
            DIGEST.to_uppercase()
        ));
        let Some(Ok(told)) = told else { panic!("it is in order") };
        assert!(told.origin == Origin::Url("https://h/i.zst?key=1".into()));
        assert_eq!(told.checksum, Checksum::parse("sha256", DIGEST).ok());
        assert_eq!((told.target, told.after), (DeviceSpec::Serial("disk-1".into()), After::PowerOff));
        assert!(told.verify && told.again && told.network.fixed.is_some());
        assert_eq!(told.tries, 7);
    }

    #[test]
    fn without_a_word_the_boot_goes_on_after_three_tries() {
        let Some(Ok(told)) = image("wisp.image=/dev/vdb wisp.image.unverified wisp.target=/dev/vda") else {
            panic!("it is in order")
        };
        assert!(told.checksum.is_none() && !told.verify && !told.again);
        assert_eq!((told.after, told.tries), (After::Boot, TRIES));
    }

    #[test]
    fn an_image_has_three_places_to_be() {
        for (text, wanted) in [
            ("HTTP://h/x", Origin::Url("HTTP://h/x".into())),
            ("/dev/vdb", Origin::Device(DeviceSpec::Path("/dev/vdb".into()))),
            ("serial=vol-2", Origin::Device(DeviceSpec::Serial("vol-2".into()))),
            ("LABEL=out:/a/b.zst", Origin::File(DeviceSpec::Label("out".into()), "/a/b.zst".into())),
            ("/dev/vdb1:/b", Origin::File(DeviceSpec::Path("/dev/vdb1".into()), "/b".into())),
        ] {
            assert!(read_origin(text).unwrap() == wanted, "{text}");
        }
        for text in ["ftp://h/x", "file", "-", "/etc/passwd", "LABEL=:/x"] {
            assert!(read_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_overwrites_nothing() {
        let sound = format!("wisp.image=/dev/vdb wisp.image.sha256={DIGEST} wisp.target=/dev/vda");
        assert!(image(&sound).unwrap().is_ok());
        for (more, kind) in [
            ("wisp.image.sha256=", Kind::Refused),
            ("wisp.image.sha512=e3b0", Kind::Usage),
            (&format!("wisp.image.sha512={DIGEST}{DIGEST}"), Kind::Usage),
            ("wisp.image.sha256=e3b0", Kind::Usage),
            (&format!("wisp.image.sha256=+{}", &DIGEST[1..]), Kind::Usage),
            ("wisp.image.unverified", Kind::Usage),
            ("wisp.target=", Kind::Usage),
            ("wisp.target=vda", Kind::Unsupported),
            ("wisp.after=off", Kind::Usage),
            ("wisp.image.tries=0", Kind::Usage),
            ("wisp.image.verfy", Kind::Usage),
            ("ip=10.0.0.300", Kind::Usage),
        ] {
            assert_eq!(image(&format!("{sound} {more}")).unwrap().err().map(|it| it.kind), Some(kind), "{more}");
        }
    }

    #[test]
    fn errors_about_a_url_contain_none_of_it() {
        let error = image("wisp.image=https://me:secret@h/i wisp.target=/dev/vda").unwrap().err().unwrap();
        assert!(!format!("{error:?}").contains("secret"));
    }
}
