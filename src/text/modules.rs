//! Which kernel modules a name or a modalias asks for, in the order in which to load them.
//!
//! Reads what depmod and the administrator wrote: `modules.dep`, `modules.alias`, `modules.softdep`,
//! `modules.builtin` (modules.dep(5)), the files of `modprobe.d` (modprobe.d(5)) and the words of the kernel's command
//! line. The answers are those of libkmod, but for two things: every `softdep` line of a module counts and not only the
//! first (in an initramfs without /sbin/modprobe, the kernel cannot fetch the checksum driver of a btrfs later), and
//! `install` and `remove` lines of `modprobe.d` are **not** executed: wisp runs no shell for a driver. Nothing is copied
//! but what must be joined. Lines that make no sense are left out, as libkmod does: a driver that can be found is worth
//! more than an error.

mod alias;

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use alias::Table;

/// Bytes that one unpacked module file may have. The largest of Debian and Fedora (amdgpu, xe) have some 15 to 30 MB,
/// drivers from outside the kernel (nvidia) up to 100 MB; beyond that, it is no module.
pub const FILE_LIMIT: usize = 128 << 20;

/// How deeply dependencies may nest. depmod writes the whole closure of hard dependencies into one line, so that only
/// soft ones nest at all, and two or three deep in practice.
const DEPTH_LIMIT: usize = 32;

/// A module's name; `-` and `_` are the same in it.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a str);

impl<'a> Name<'a> {
    /// The name of the module in the file at `path`: what comes before the first dot, as libkmod has it.
    #[must_use]
    pub fn of_path(path: &'a str) -> Self {
        let file = path.rsplit('/').next().unwrap_or(path);
        Self(file.split('.').next().unwrap_or(file))
    }

    fn bytes(self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(fold)
    }
}

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Name<'_> {}

/// `-` and `_` as one byte.
const fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// A module to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load<'a> {
    /// The file, as `modules.dep` writes it: relative to its own directory unless it begins with `/`.
    pub path: &'a str,
    /// The parameters to load it with, as finit_module(2) takes them; later ones win.
    pub options: String,
}

/// A line of `modules.dep`.
#[derive(Clone, Copy, Debug)]
struct Module<'a> {
    name: Name<'a>,
    path: &'a str,
    /// The paths behind the colon, the one to load first at the end.
    needs: &'a str,
}

/// What the lists say about each module, in their order.
type Lines<'a> = BTreeMap<Name<'a>, Vec<Cow<'a, str>>>;

/// Everything known about the modules of one kernel. Borrows from the texts it was given.
#[derive(Debug, Default)]
pub struct Index<'a> {
    modules: BTreeMap<Name<'a>, Module<'a>>,
    builtin: BTreeMap<Name<'a>, Module<'a>>,
    aliases: Table<'a>,
    /// Aliases of `modprobe.d`, which win over everything else.
    aliases_configured: Table<'a>,
    /// What stands behind the name in `softdep NAME pre: … post: …`.
    soft: Lines<'a>,
    options: Lines<'a>,
    blacklist: BTreeSet<Name<'a>>,
}

impl<'a> Index<'a> {
    /// An index that knows no module yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of `modules.dep`.
    pub fn add_dep(&mut self, text: &'a [u8]) {
        for line in lines(text) {
            let Some((path, needs)) = line.split_once(':') else { continue };
            let path = path.trim_ascii();
            if !path.is_empty() {
                let name = Name::of_path(path);
                self.modules.insert(name, Module { name, path, needs });
            }
        }
    }

    /// Adds the text of `modules.builtin`.
    pub fn add_builtin(&mut self, text: &'a [u8]) {
        for path in lines(text) {
            let name = Name::of_path(path);
            self.builtin.insert(name, Module { name, path, needs: "" });
        }
    }

    /// Adds the text of `modules.alias`.
    pub fn add_alias(&mut self, text: &'a [u8]) {
        self.aliases.extend(lines(text).filter_map(|line| alias_of(line.split_ascii_whitespace())));
    }

    /// Adds the text of `modules.softdep`.
    pub fn add_softdep(&mut self, text: &'a [u8]) {
        for line in lines(text) {
            self.add_softdep_line(line);
        }
    }

    /// Adds the text of one file of `modprobe.d`. The caller reads only those that end in `.conf`, and where several
    /// directories have a file of one name, only that of the first.
    pub fn add_config(&mut self, text: &'a [u8]) {
        self.aliases_configured.extend(lines(text).filter_map(|line| alias_of(words(line))));
        for line in lines(text) {
            let mut words = words(line);
            match (words.next(), words.next()) {
                (Some("blacklist"), Some(name)) => _ = self.blacklist.insert(Name(name)),
                (Some("options"), Some(name)) => {
                    let options = after_words(line, 2).trim_ascii();
                    self.options.entry(Name(name)).or_default().push(Cow::Borrowed(options));
                }
                (Some("softdep"), Some(_)) => self.add_softdep_line(line),
                _ => {}
            }
        }
    }

    /// Adds an argument of the kernel's command line, which the caller has freed from its quotes:
    /// `modprobe.blacklist=a,b`, `module_blacklist=a,b`, `rd.driver.blacklist=a,b`, `blacklist=a,b`, or
    /// `MODULE.parameter=value`.
    /// Others have no effect.
    pub fn add_argument(&mut self, key: &'a str, value: Option<&'a str>) {
        const BLACKLISTS: [Name<'_>; 4] =
            [Name("modprobe.blacklist"), Name("module_blacklist"), Name("rd.driver.blacklist"), Name("blacklist")];
        if BLACKLISTS.contains(&Name(key)) {
            let names = value.unwrap_or_default().split(',').filter(|name| !name.is_empty());
            self.blacklist.extend(names.map(Name));
        } else if let Some((module, parameter)) = key.split_once('.') {
            let option = match value {
                // The kernel takes the words of the option string apart again.
                Some(value) if value.contains(char::is_whitespace) => Cow::Owned(format!("{parameter}=\"{value}\"")),
                Some(value) => Cow::Owned(format!("{parameter}={value}")),
                None => Cow::Borrowed(parameter),
            };
            self.options.entry(Name(module)).or_default().push(option);
        }
    }

    /// Whether `wanted`, a name or a modalias, is or leads to a module that is there or built into the kernel.
    #[must_use]
    pub fn contains(&self, wanted: &str) -> bool {
        self.find(wanted).iter().any(|name| self.module(*name).is_some() || self.builtin(*name).is_some())
    }

    /// What to load for `wanted`, a name or a modalias, in this order: hard dependencies, soft ones (`pre:`), the
    /// module, what it asks to follow it (`post:`). Modules built into the kernel are left out; blacklisted ones are
    /// left out where an alias leads to them, not where they are named or depended on. Each module appears once.
    #[must_use]
    pub fn resolve(&self, wanted: &str) -> Vec<Load<'a>> {
        let mut order = Resolution { index: self, seen: BTreeSet::new(), loads: Vec::new() };
        order.push_wanted(wanted, 0);
        order.loads
    }

    fn add_softdep_line(&mut self, line: &'a str) {
        let mut words = words(line);
        if let (Some("softdep"), Some(name)) = (words.next(), words.next()) {
            self.soft.entry(Name(name)).or_default().push(Cow::Borrowed(after_words(line, 2)));
        }
    }

    /// The names that `wanted` stands for, in libkmod's order of places; the first place that knows it decides.
    fn find(&self, wanted: &str) -> Vec<Name<'a>> {
        let configured = self.aliases_configured.find(wanted);
        if !configured.is_empty() {
            return self.without_blacklisted(configured);
        }
        if let Some(module) = self.module(Name(wanted)) {
            return Vec::from([module.name]);
        }
        let aliased = self.aliases.find(wanted);
        if !aliased.is_empty() {
            return self.without_blacklisted(aliased);
        }
        self.builtin(Name(wanted)).into_iter().collect()
    }

    fn module(&self, name: Name<'_>) -> Option<Module<'a>> {
        self.modules.get(&name).copied()
    }

    fn builtin(&self, name: Name<'_>) -> Option<Name<'a>> {
        self.builtin.get(&name).map(|module| module.name)
    }

    fn without_blacklisted(&self, modules: Vec<&'a str>) -> Vec<Name<'a>> {
        modules.into_iter().map(Name).filter(|name| !self.blacklist.contains(name)).collect()
    }

    fn options_of(&self, name: Name<'_>) -> String {
        // Backslash and newline are what is left of a line that was continued.
        self.options.get(&name).map(|options| options.join(" ").replace("\\\n", " ")).unwrap_or_default()
    }
}

/// The answer while it is being made.
struct Resolution<'a, 'i> {
    index: &'i Index<'a>,
    /// Modules that are in `loads` or on their way there: cycles end here.
    seen: BTreeSet<Name<'a>>,
    loads: Vec<Load<'a>>,
}

impl<'a> Resolution<'a, '_> {
    fn push_wanted(&mut self, wanted: &str, depth: usize) {
        if depth < DEPTH_LIMIT {
            for name in self.index.find(wanted) {
                self.push_module(name, depth.saturating_add(1));
            }
        }
    }

    fn push_module(&mut self, name: Name<'a>, depth: usize) {
        let Some(module) = self.index.module(name) else { return };
        if depth >= DEPTH_LIMIT || !self.seen.insert(name) {
            return;
        }
        let below = depth.saturating_add(1);
        for path in module.needs.split_ascii_whitespace().rev() {
            self.push_module(Name::of_path(path), below);
        }
        let soft = self.index.soft.get(&name).map(Vec::as_slice).unwrap_or_default();
        for wanted in soft.iter().flat_map(|line| listed(line, "pre:")) {
            self.push_wanted(wanted, below);
        }
        self.loads.push(Load { path: module.path, options: self.index.options_of(name) });
        for wanted in soft.iter().flat_map(|line| listed(line, "post:")) {
            self.push_wanted(wanted, below);
        }
    }
}

/// The lines of `text` that are UTF-8 and neither empty nor a comment. A newline behind a backslash does not end a
/// line.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    let mut before = b'\n';
    text.split(move |byte| {
        let ends = *byte == b'\n' && before != b'\\';
        before = *byte;
        ends
    })
    .filter_map(|line| core::str::from_utf8(line).ok())
    .map(str::trim_ascii)
    .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a line; the backslash of a continued one is none.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace().filter(|word| *word != "\\")
}

/// What follows the first `count` words of a line.
fn after_words(line: &str, count: usize) -> &str {
    let mut rest = line;
    for _ in 0..count {
        rest = rest.trim_start_matches(|byte: char| byte.is_ascii_whitespace() || byte == '\\');
        rest = rest.split_once(|byte: char| byte.is_ascii_whitespace()).map_or("", |(_, rest)| rest);
    }
    rest
}

/// Pattern and module of a line `alias PATTERN MODULE`.
pub(crate) fn alias_of<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    (words.next()? == "alias").then_some(())?;
    Some((words.next()?, words.next()?))
}

/// All names and aliases in a line `softdep NAME pre: … post: …` that should be loaded with NAME.
#[cfg(feature = "full")]
pub(crate) fn soft_wanted(line: &str) -> impl Iterator<Item = &str> {
    words(line).skip(2).filter(|word| !word.ends_with(':'))
}

/// The words of a soft dependency that stand behind `list`, up to the next list.
fn listed<'a>(line: &'a str, list: &'static str) -> impl Iterator<Item = &'a str> {
    let mut inside = false;
    words(line).filter(move |word| {
        if word.ends_with(':') {
            inside = *word == list;
            return false;
        }
        inside
    })
}
