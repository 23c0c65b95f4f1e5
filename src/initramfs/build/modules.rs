//! The modules of an initramfs: which ones, their files unpacked, and the lists that `/init` finds them by.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Recipe;
use crate::codec::Format;
use crate::container::cpio::Archive;
use crate::error::{Error, Kind, Result};
use crate::filesystem::requested_by;
use crate::sys::file;
use crate::text::modules::{FILE_LIMIT, Index, Name, alias_of, lines, soft_wanted};

/// Bytes of one list: the largest, modules.alias, has 1 to 2 MB for Debian's and Fedora's full kernels.
const LIST_LIMIT: usize = 32 << 20;

/// Where an administrator and a distribution configure modules, below the root; of several files with one name, the
/// first counts (modprobe.d(5)).
const CONFIG_DIRECTORIES: [&str; 4] =
    ["etc/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];

/// How many other kernels an error names: a machine has two or three.
const SHOWN: usize = 8;

/// The texts that an [`Index`] of the whole kernel borrows from.
struct Texts {
    dep: Vec<u8>,
    alias: Vec<u8>,
    softdep: Vec<u8>,
    builtin: Vec<u8>,
    /// By file name, which is the order in which they count.
    config: BTreeMap<String, Vec<u8>>,
}

/// Adds the modules of `recipe`, their lists and the configuration to `archive`; how many modules, and which expected ones
/// are not among them.
pub(super) fn add(recipe: &Recipe, archive: &mut Archive<'_>) -> Result<(usize, Vec<String>)> {
    let texts = Texts::read(recipe)?;
    check_dep(&texts).map_err(|error| error.to(format!("{}/modules.dep", recipe.modules_dir)))?;
    let index = texts.index();
    let (names, paths) = choose(&index, recipe)?;
    let is_missing = |name: &&String| {
        !names.contains(&Name(name))
            && index.resolve(name).iter().any(|load| !names.contains(&Name::of_path(load.path)))
    };
    let missing = recipe.expected.iter().filter(is_missing).cloned().collect();
    let target = format!("lib/modules/{}", recipe.kernel);
    for path in &paths {
        archive.add_file(&format!("{target}/{}", path_inside(path)), 0o644, read_module(recipe, path)?)?;
    }
    for (name, list) in [
        ("modules.dep", trim_dep(&texts.dep, &names)),
        ("modules.alias", trim_alias(&texts.alias, &names)),
        ("modules.softdep", trim_softdep(&texts.softdep, &names)),
        ("modules.builtin", trim_builtin(&texts, &names, recipe)),
    ] {
        archive.add_file(&format!("{target}/{name}"), 0o644, list.into_bytes())?;
    }
    for (name, text) in &texts.config {
        archive.add_file(&format!("etc/modprobe.d/{name}"), 0o644, text.clone())?;
    }
    Ok((paths.len(), missing))
}

/// Refuses a `modules.dep` that lists nothing although the kernel has nothing built in either, or that is something else:
/// an image without drivers would find no root.
fn check_dep(texts: &Texts) -> Result<()> {
    const DOING: &str = "read the modules in";
    let is_module = |path: &str| {
        let path = [".gz", ".xz", ".zst"].iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path);
        path.ends_with(".ko")
    };
    let is_line = |line: &[u8]| {
        let line = core::str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
        line.is_some_and(|(path, needs)| is_module(path) && needs.split_ascii_whitespace().all(is_module))
    };
    let mut written = (1..).zip(texts.dep.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty()).peekable();
    if written.peek().is_none() && lines(&texts.builtin).next().is_none() {
        return Err(Error::corrupt(DOING, "it is empty; depmod writes it"));
    }
    match written.find(|(_, line)| !line.starts_with(b"#") && !is_line(line)) {
        Some((number, _)) => {
            Err(Error::corrupt(DOING, format!("line {number} is not one that depmod writes (PATH.ko: PATH.ko...)")))
        }
        None => Ok(()),
    }
}

impl Texts {
    fn read(recipe: &Recipe) -> Result<Self> {
        let path = |name: &str| format!("{}/{name}", recipe.modules_dir);
        if !file::is_directory(&recipe.modules_dir) {
            return Err(no_directory(recipe));
        }
        let dep = read_if_there(&path("modules.dep"))?.ok_or_else(|| {
            let why = format!("it is not there; `depmod {}` writes it", recipe.kernel);
            Error::absent("read", why).to(path("modules.dep"))
        })?;
        // A kernel may have nothing to say in the others, and old depmods did not write them then.
        let list = |name: &str| read_if_there(&path(name)).map(Option::unwrap_or_default);
        Ok(Self {
            dep,
            alias: list("modules.alias")?,
            softdep: list("modules.softdep")?,
            builtin: list("modules.builtin")?,
            config: read_config(recipe)?,
        })
    }

    fn index(&self) -> Index<'_> {
        let mut index = Index::new();
        index.add_dep(&self.dep);
        index.add_alias(&self.alias);
        index.add_softdep(&self.softdep);
        index.add_builtin(&self.builtin);
        for text in self.config.values() {
            index.add_config(text);
        }
        index
    }
}

/// The names of all modules that go in, and their paths as `modules.dep` writes them.
fn choose<'a>(index: &Index<'a>, recipe: &Recipe) -> Result<(BTreeSet<Name<'a>>, Vec<&'a str>)> {
    if let Some(name) = recipe.modules.iter().find(|name| !index.contains(name)) {
        let why = format!("kernel {} has no module of that name", recipe.kernel);
        return Err(Error::absent("find", why).to(name.as_str()));
    }
    let (mut names, mut paths) = (BTreeSet::new(), Vec::new());
    for load in wanted(recipe).into_iter().flat_map(|name| index.resolve(name)) {
        if names.insert(Name::of_path(load.path)) {
            paths.push(load.path);
        }
    }
    Ok((names, paths))
}

/// All names that were asked for, and what those request of the kernel when they mount a filesystem.
fn wanted(recipe: &Recipe) -> Vec<&str> {
    let mut names: Vec<&str> =
        recipe.drivers.iter().copied().chain(recipe.modules.iter().map(String::as_str)).collect();
    let requested: Vec<&str> = names.iter().flat_map(|name| requested_by(name)).copied().collect();
    names.extend(requested);
    names
}

/// The module at `path`, unpacked.
fn read_module(recipe: &Recipe, path: &str) -> Result<Vec<u8>> {
    let path = if path.starts_with('/') {
        format!("{}{path}", root(recipe).unwrap_or_default())
    } else {
        format!("{}/{path}", recipe.modules_dir)
    };
    let bytes = file::read(&path, FILE_LIMIT)?;
    match Format::sniff(&bytes) {
        Some(format) => format.decode(&bytes, FILE_LIMIT).map_err(|error| error.to(path)),
        None => Ok(bytes),
    }
}

/// Where the module at `path` lies in the archive: unpacked, and below the kernel's directory even where depmod was
/// told of places outside of it.
fn path_inside(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    [".gz", ".xz", ".zst"].iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path)
}

/// The lines of `modules.dep` for `names`; whatever these depend on is one of them.
fn trim_dep(text: &[u8], names: &BTreeSet<Name<'_>>) -> String {
    let mut list = String::new();
    for line in lines(text) {
        let Some((path, needs)) = line.split_once(':') else { continue };
        if names.contains(&Name::of_path(path)) {
            list.push_str(path_inside(path));
            list.push(':');
            for path in needs.split_ascii_whitespace() {
                list.push(' ');
                list.push_str(path_inside(path));
            }
            list.push('\n');
        }
    }
    list
}

fn trim_alias(text: &[u8], names: &BTreeSet<Name<'_>>) -> String {
    keep(text, |line| alias_of(line.split_ascii_whitespace()).is_some_and(|(_, module)| names.contains(&Name(module))))
}

fn trim_softdep(text: &[u8], names: &BTreeSet<Name<'_>>) -> String {
    keep(text, |line| line.split_ascii_whitespace().nth(1).is_some_and(|module| names.contains(&Name(module))))
}

/// What `/init` may be asked for and has not to look for: built-in modules that were wanted or are soft dependencies.
fn trim_builtin(texts: &Texts, chosen: &BTreeSet<Name<'_>>, recipe: &Recipe) -> String {
    let softdep = trim_softdep(&texts.softdep, chosen);
    let soft = lines(softdep.as_bytes()).flat_map(soft_wanted);
    // One by one: `collect` would sort them first, by a sort that weighs 4 KB.
    let mut names = BTreeSet::new();
    names.extend(wanted(recipe).into_iter().chain(soft).map(Name));
    keep(&texts.builtin, |line| names.contains(&Name::of_path(line)))
}

/// The lines for which `is_kept` holds.
fn keep(text: &[u8], is_kept: impl Fn(&str) -> bool) -> String {
    lines(text).filter(|line| is_kept(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The root below which the modules lie, if they lie where a root has them.
fn root(recipe: &Recipe) -> Option<&str> {
    let root = recipe.modules_dir.strip_suffix(recipe.kernel.as_str())?.strip_suffix("/lib/modules/")?;
    Some(root.strip_suffix("/usr").unwrap_or(root))
}

fn read_config(recipe: &Recipe) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut config = BTreeMap::new();
    let Some(root) = root(recipe) else { return Ok(config) };
    for directory in CONFIG_DIRECTORIES {
        let directory = format!("{root}/{directory}");
        if !file::is_directory(&directory) {
            continue;
        }
        for name in file::list(&directory)? {
            if name.ends_with(".conf") && !config.contains_key(&name) {
                // A link to nowhere, such as one to /dev/null in another root, hides the later file of its name.
                let text = read_if_there(&format!("{directory}/{name}"))?.unwrap_or_default();
                config.insert(name, text);
            }
        }
    }
    Ok(config)
}

/// Why there are no modules, and for which kernels there are.
fn no_directory(recipe: &Recipe) -> Error {
    let above = recipe.modules_dir.rsplit_once('/').map_or("", |(above, _)| above);
    let mut there = file::list(above).unwrap_or_default();
    there.truncate(SHOWN);
    let why = match there.is_empty() {
        true => format!("no such directory; kernel {} is not installed", recipe.kernel),
        false => format!("no such directory; kernel {} is not installed, there is {}", recipe.kernel, there.join(", ")),
    };
    Error::absent("read the modules in", why).to(recipe.modules_dir.as_str())
}

fn read_if_there(path: &str) -> Result<Option<Vec<u8>>> {
    /// The kernel's number for a file that is not there.
    const ENOENT: i32 = 2;
    match file::read(path, LIST_LIMIT) {
        Err(error) if error.kind == Kind::Os(ENOENT) => Ok(None),
        other => other.map(Some),
    }
}
