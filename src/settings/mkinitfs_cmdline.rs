//! Words of the kernel command line that Alpine's init knows beyond those of every init (mkinitfs-bootparam(7)).
//!
//! Each name `X` comes as `X=v`, as `X`, which means yes, and as `noX`; the last of them counts. Which of its words wisp
//! honours, and what stands in the place of the others, is a table in docs/kernel-parameters.md.

use super::boot::list;
use crate::text::cmdline::Cmdline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpine {
    /// `modules=`: drivers to load whatever the devices ask for.
    pub modules: Vec<String>,
    /// `usrflags=`: options for the `/usr` of the root's fstab; `None`: it is not to be mounted (`disable`).
    pub usr_options: Option<String>,
    /// `overlaytmpfs`, `overlaytmpfsflags=`: the root stays as it is, and changes go to a tmpfs with these options.
    pub overlay: Option<String>,
    /// `init_args=`: more arguments for the real init.
    pub init_arguments: Vec<String>,
    /// `single`, `s` or `1`: a shell, if the initramfs has one, before the real init.
    pub single: bool,
    /// `debug_init`: all that wisp does on the console.
    pub debug: bool,
    /// Words that ask for programs which wisp does without.
    pub beyond: Vec<&'static str>,
}

/// They need cryptsetup, nbd-client, ip, wg, bootchartd. (Those of Alpine on s390x are not wisp's, which does not run there.)
const BEYOND: [&str; 6] = ["aoe", "chart", "cryptroot", "memdisk", "nbd", "wireguard"];

/// Behind these of them the root may be.
const OPENERS: [&str; 3] = ["aoe", "cryptroot", "nbd"];

/// Bare words that every init takes for the rescue system.
const SINGLE: [&str; 3] = ["single", "s", "1"];

/// The mode of a root, whatever else the user wants of the tmpfs above it.
const OVERLAY_OPTIONS: &str = "mode=0755";

impl Alpine {
    /// Whether the root may be behind what only another program opens.
    pub(super) fn hides_root(&self) -> bool {
        self.beyond.iter().any(|name| OPENERS.contains(name))
    }

    /// Reads them from a kernel command line.
    #[must_use]
    pub(super) fn from_cmdline(line: &Cmdline) -> Self {
        let text = |name| value(line, name).filter(|value| !value.is_empty());
        let is_on = |name| value(line, name).is_some_and(|value| matches!(value, "" | "yes"));
        let overlay =
            || text("overlaytmpfsflags").map_or(OVERLAY_OPTIONS.into(), |more| format!("{OVERLAY_OPTIONS},{more}"));
        Self {
            modules: text("modules").map(list).unwrap_or_default(),
            usr_options: match value(line, "usrflags") {
                Some("disable") => None,
                given => Some(given.unwrap_or_default().into()),
            },
            overlay: is_on("overlaytmpfs").then(overlay),
            init_arguments: text("init_args").unwrap_or_default().split_ascii_whitespace().map(String::from).collect(),
            single: line.words().iter().any(|word| word.value.is_none() && SINGLE.contains(&&*word.name)),
            debug: value(line, "debug_init").is_some_and(|value| value != "no"),
            beyond: BEYOND.into_iter().filter(|name| value(line, name).is_some_and(|value| value != "no")).collect(),
        }
    }
}

/// The value of the last word for `name`: empty for the bare name, none if `noNAME` came last.
fn value<'a>(line: &'a Cmdline, name: &str) -> Option<&'a str> {
    let no = format!("no{name}");
    if line.last_of(&[name, &no]) == Some(name) { line.value(name) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alpine(text: &str) -> Alpine {
        Alpine::from_cmdline(&Cmdline::parse(text))
    }

    #[test]
    fn without_a_word_only_usr_is_mounted() {
        assert_eq!(alpine("root=/dev/vda1"), Alpine { usr_options: Some("".into()), ..Alpine::default() });
    }

    #[test]
    fn every_word_is_understood() {
        let told = alpine(
            "modules=sd-mod,usb-storage,ext4 usrflags=noatime overlaytmpfs overlaytmpfsflags=size=10M init_args=\"a b\" s \
             debug_init cryptroot=UUID=x nbd=10.0.0.1:10809",
        );
        assert_eq!(told.modules, ["sd-mod", "usb-storage", "ext4"]);
        assert_eq!(told.usr_options.as_deref(), Some("noatime"));
        assert_eq!(told.overlay.as_deref(), Some("mode=0755,size=10M"));
        assert_eq!(told.init_arguments, ["a", "b"]);
        assert!(told.single && told.debug);
        assert_eq!(told.beyond, ["cryptroot", "nbd"]);
    }

    #[test]
    fn each_name_has_three_forms_and_the_last_counts() {
        for (text, overlay) in [
            ("overlaytmpfs", true),
            ("overlaytmpfs=yes", true),
            ("overlaytmpfs=no", false),
            ("nooverlaytmpfs", false),
            ("overlaytmpfs nooverlaytmpfs", false),
            ("nooverlaytmpfs overlaytmpfs=yes", true),
            ("overlaytmpfsflags=size=1M", false),
        ] {
            assert_eq!(alpine(text).overlay.is_some(), overlay, "{text}");
        }
        assert_eq!(alpine("modules=a modules=b").modules, ["b"]);
        assert_eq!(alpine("modules=a nomodules").modules, [""; 0]);
        assert_eq!(alpine("usrflags=ro usrflags=disable").usr_options, None);
        assert_eq!(alpine("usrflags=disable nousrflags").usr_options.as_deref(), Some(""));
        assert_eq!(alpine("cryptroot=x nocryptroot wireguard=no chart").beyond, ["chart"]);
        assert!(!alpine("debug_init nodebug_init").debug && !alpine("debug_init=no").debug);
    }

    #[test]
    fn a_shell_is_asked_for_by_a_bare_word() {
        for word in ["single", "s", "1"] {
            assert!(alpine(word).single && !alpine(&format!("x={word} {word}=x -- {word}")).single, "{word}");
        }
    }
}
