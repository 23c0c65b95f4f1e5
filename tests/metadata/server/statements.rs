//! How recorded replies are written down: the statements of a file `replies`, as `tests/metadata/README.md` has them.

use std::fs;
use std::path::{Path, PathBuf};

use super::recorded::{Demand, Entry, Recorded, Reply, TokenRule, Wish};

/// The reply that lines of a body belong to.
enum Open {
    Nothing,
    Entry(usize),
    Otherwise(usize),
}

/// A file that is being read.
struct Reading {
    into: Recorded,
    open: Open,
    /// Whether the open reply has a line of its body already.
    has_line: bool,
}

impl Recorded {
    /// Reads `cloud`'s folder; of `aws/bare`, first `aws`, then what `aws/bare` replaces and drops. Panics with the
    /// place of what it does not understand.
    pub fn read(cloud: &str) -> Self {
        Self::read_over(cloud, None)
    }

    /// The same, and then what the folder `over` replaces and drops, which may be anywhere.
    pub fn read_over(cloud: &str, over: Option<&Path>) -> Self {
        let mut reading = Reading { into: Self::default(), open: Open::Nothing, has_line: false };
        let mut folder = PathBuf::from(super::folder());
        let parts = cloud.split('/').map(|part| {
            folder.push(part);
            folder.clone()
        });
        for folder in parts.chain(over.map(Path::to_owned)) {
            let path = folder.join("replies");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            reading.open = Open::Nothing;
            for (index, line) in text.lines().enumerate() {
                let file = |name: &str| fs::read(folder.join(name)).ok();
                let understood = reading.line(line, file);
                understood.unwrap_or_else(|| panic!("{}:{}: not understood: {line}", path.display(), index + 1));
            }
        }
        reading.into
    }
}

impl Reading {
    /// Takes one line; `None` if it is not understood.
    fn line(&mut self, line: &str, file: impl Fn(&str) -> Option<Vec<u8>>) -> Option<()> {
        if let Some(text) = line.strip_prefix('|') {
            return self.body_line(text.strip_prefix(' ').unwrap_or(text));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => self.open = Open::Nothing,
            [first, ..] if first.starts_with('#') => {}
            ["<", ..] => {
                let header = header(line.strip_prefix("< ")?)?;
                self.reply()?.headers.push(header);
            }
            ["file", name] => self.reply()?.body = file(name)?,
            [method @ ("GET" | "PUT" | "POST" | "PATCH"), target] => self.begin(method, target, 200),
            [method @ ("GET" | "PUT" | "POST" | "PATCH"), target, status] => {
                self.begin(method, target, status.parse().ok()?);
            }
            _ => self.rule(line, &words)?,
        }
        Some(())
    }

    /// Takes a statement that is no part of a reply.
    fn rule(&mut self, line: &str, words: &[&str]) -> Option<()> {
        let into = &mut self.into;
        match *words {
            ["token", method, path, "ttl", header, longest] => {
                let (method, path, header) = (method.to_owned(), path.to_owned(), header.to_owned());
                into.token = Some(TokenRule { method, path, header, longest: longest.parse().ok()? });
            }
            ["demand", status, prefix, ..] => {
                let wish = wish(line.split_once(prefix)?.1.trim())?;
                into.demands.push(Demand { status: status.parse().ok()?, prefix: prefix.to_owned(), wish });
            }
            ["every", ..] => {
                let header = header(line.strip_prefix("every ")?)?;
                into.every.retain(|(known, _)| *known != header.0);
                into.every.push(header);
            }
            ["slash", prefix] => into.slash.push(prefix.to_owned()),
            ["same", asked, meant] => into.same.push((asked.to_owned(), meant.to_owned())),
            ["drop", target] => into.entries.retain(|entry| !is_dropped(&entry.target, target)),
            ["otherwise", prefix, status] => {
                into.otherwise.retain(|(known, _)| known != prefix);
                into.otherwise.push((prefix.to_owned(), Reply { status: status.parse().ok()?, ..Reply::default() }));
                (self.open, self.has_line) = (Open::Otherwise(into.otherwise.len() - 1), false);
            }
            _ => return None,
        }
        Some(())
    }

    /// Begins a reply; one to the same request is replaced.
    fn begin(&mut self, method: &str, target: &str, status: u16) {
        let entries = &mut self.into.entries;
        entries.retain(|entry| (entry.method.as_str(), entry.target.as_str()) != (method, target));
        let reply = Reply { status, ..Reply::default() };
        entries.push(Entry { method: method.to_owned(), target: target.to_owned(), reply });
        (self.open, self.has_line) = (Open::Entry(entries.len() - 1), false);
    }

    /// Takes a line of a body. A line feed comes between two, not behind each: most replies end without one.
    fn body_line(&mut self, text: &str) -> Option<()> {
        let has_line = self.has_line;
        let body = &mut self.reply()?.body;
        if has_line {
            body.push(b'\n');
        }
        body.extend_from_slice(text.as_bytes());
        self.has_line = true;
        Some(())
    }

    /// The reply that is open.
    fn reply(&mut self) -> Option<&mut Reply> {
        match self.open {
            Open::Nothing => None,
            Open::Entry(at) => self.into.entries.get_mut(at).map(|entry| &mut entry.reply),
            Open::Otherwise(at) => self.into.otherwise.get_mut(at).map(|(_, reply)| reply),
        }
    }
}

/// `NAME: VALUE`.
fn header(text: &str) -> Option<(String, String)> {
    text.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// What a demand wants.
fn wish(text: &str) -> Option<Wish> {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("header", rest) => header(rest).map(|(name, value)| Wish::Header(name, value)),
        ("without", name) => Some(Wish::Without(name.to_owned())),
        ("has", name) => Some(Wish::Has(name.to_owned())),
        ("body", text) => Some(Wish::Body(text.to_owned())),
        ("query", name) => Some(Wish::Query(name.to_owned())),
        ("low-port", "") => Some(Wish::LowPort),
        _ => None,
    }
}

/// Whether `target` is `dropped`, or below it if that ends in a slash.
fn is_dropped(target: &str, dropped: &str) -> bool {
    target == dropped || dropped.ends_with('/') && target.starts_with(dropped)
}
