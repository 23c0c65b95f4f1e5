//! One cloud's recorded replies: reads the file `replies`, in the form that `tests/metadata/README.md` describes, and
//! answers requests from it as the cloud would, its demands on headers and tokens included. Knows no socket.

use std::fs;
use std::path::PathBuf;

/// A request, as far as a metadata service looks at it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `PUT`…
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// In the order in which they came.
    pub headers: Vec<(String, String)>,
    /// What followed the head.
    pub body: Vec<u8>,
    /// Whether it came from a port below 1024, or from where ports say nothing.
    pub low_port: bool,
    /// Whether the client means to use the connection again.
    pub keeps_alive: bool,
}

impl Request {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Those beside `Content-Length` and `Connection`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What every token begins with, so that a test can tell one where none should be.
pub const TOKEN_PREFIX: &str = "AQAEA-";

/// The tokens that one server has handed out.
#[derive(Debug, Default)]
pub struct Tokens {
    issued: Vec<(String, usize)>,
    uses: usize,
}

impl Tokens {
    /// Tokens that are good for so many requests each.
    pub fn new(uses: usize) -> Self {
        Self { issued: Vec::new(), uses }
    }

    fn issue(&mut self) -> String {
        let token = format!("{TOKEN_PREFIX}{:04}-NWb5cQ==", self.issued.len() + 1);
        self.issued.push((token.clone(), self.uses));
        token
    }

    /// Takes one use of the token, if it has one left.
    fn spend(&mut self, token: &str) -> bool {
        let Some((_, left)) = self.issued.iter_mut().find(|(issued, left)| issued == token && *left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }
}

/// What a service wants of requests whose path begins so; otherwise it answers with `status`.
#[derive(Clone, Debug)]
struct Demand {
    status: u16,
    prefix: String,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    /// This header with this value; `$token` is any token that is good.
    Header(String, String),
    /// No such header.
    Without(String),
    /// This parameter in the query.
    Query(String),
    /// A source port below 1024.
    LowPort,
}

/// How a token is got: by a request with a header that says how many seconds it is to live.
#[derive(Clone, Debug)]
struct TokenRule {
    method: String,
    target: String,
    header: String,
    longest: u32,
}

/// The replies of one cloud.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    demands: Vec<Demand>,
    token: Option<TokenRule>,
    every: Vec<(String, String)>,
    same: Vec<(String, String)>,
    slash: Vec<String>,
    replies: Vec<(String, String, Reply)>,
    otherwise: Vec<(String, Reply)>,
}

/// Where the lines that follow belong, and whether a body has begun there.
enum Open {
    Nothing,
    Reply(usize, bool),
    Otherwise(usize, bool),
}

impl Recorded {
    /// Reads `cloud`'s folder; of `aws/bare`, first `aws`, then what `aws/bare` replaces and drops. Panics with the
    /// place of what it does not understand.
    pub fn read(cloud: &str) -> Self {
        let (mut out, mut folder) = (Self::default(), PathBuf::from(super::folder()));
        for part in cloud.split('/') {
            folder.push(part);
            let path = folder.join("replies");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut open = Open::Nothing;
            for (index, line) in text.lines().enumerate() {
                let read = |name: &str| fs::read(folder.join(name)).ok();
                open = out
                    .take(line, open, read)
                    .unwrap_or_else(|| panic!("{}:{}: not understood: {line}", path.display(), index + 1));
            }
        }
        out
    }

    /// Takes one line of the file.
    fn take(&mut self, line: &str, open: Open, read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Open> {
        if let Some(text) = line.strip_prefix('|') {
            // Between lines, not behind each: most replies end without a line feed.
            let (feed, next) = match open {
                Open::Nothing => return None,
                Open::Reply(at, begun) => (begun, Open::Reply(at, true)),
                Open::Otherwise(at, begun) => (begun, Open::Otherwise(at, true)),
            };
            let body = &mut self.opened(&next)?.body;
            if feed {
                body.push(b'\n');
            }
            body.extend_from_slice(text.strip_prefix(' ').unwrap_or(text).as_bytes());
            return Some(next);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => return Some(Open::Nothing),
            [first, ..] if first.starts_with('#') => {}
            ["<", name, ..] => {
                let value = line.split_once(": ")?.1.to_owned();
                self.opened(&open)?.headers.push((name.trim_end_matches(':').to_owned(), value));
                return Some(open);
            }
            ["file", name] => {
                self.opened(&open)?.body = read(name)?;
                return Some(open);
            }
            ["token", method, target, "ttl", header, longest] => {
                let (method, target, header) = (method.to_owned(), target.to_owned(), header.to_owned());
                self.token = Some(TokenRule { method, target, header, longest: longest.parse().ok()? });
            }
            ["demand", status, prefix, ref wish @ ..] => {
                let wish = match *wish {
                    ["header", name, ..] => {
                        Wish::Header(name.trim_end_matches(':').to_owned(), line.split_once(": ")?.1.to_owned())
                    }
                    ["without", name] => Wish::Without(name.to_owned()),
                    ["query", name] => Wish::Query(name.to_owned()),
                    ["low-port"] => Wish::LowPort,
                    _ => return None,
                };
                self.demands.push(Demand { status: status.parse().ok()?, prefix: prefix.to_owned(), wish });
            }
            ["every", name, ..] => {
                let name = name.trim_end_matches(':').to_owned();
                self.every.retain(|(known, _)| *known != name);
                self.every.push((name, line.split_once(": ")?.1.to_owned()));
            }
            ["slash", prefix] => self.slash.push(prefix.to_owned()),
            ["same", asked, meant] => self.same.push((asked.to_owned(), meant.to_owned())),
            ["drop", target] => self.replies.retain(|(_, known, _)| !below(known, target)),
            ["otherwise", prefix, status] => {
                self.otherwise.retain(|(known, _)| known != prefix);
                self.otherwise.push((prefix.to_owned(), Reply { status: status.parse().ok()?, ..Reply::default() }));
                return Some(Open::Otherwise(self.otherwise.len() - 1, false));
            }
            [method @ ("GET" | "PUT" | "POST" | "PATCH"), target, ref status @ ..] => {
                let status = status.first().map_or(Ok(200), |status| status.parse()).ok()?;
                let (method, target) = (method.to_owned(), target.to_owned());
                self.replies.retain(|(known, at, _)| (known, at) != (&method, &target));
                self.replies.push((method, target, Reply { status, ..Reply::default() }));
                return Some(Open::Reply(self.replies.len() - 1, false));
            }
            _ => return None,
        }
        Some(Open::Nothing)
    }

    fn opened(&mut self, open: &Open) -> Option<&mut Reply> {
        match *open {
            Open::Nothing => None,
            Open::Reply(at, _) => self.replies.get_mut(at).map(|(_, _, reply)| reply),
            Open::Otherwise(at, _) => self.otherwise.get_mut(at).map(|(_, reply)| reply),
        }
    }

    /// What the cloud answers.
    pub fn answer(&self, request: &Request, tokens: &mut Tokens) -> Reply {
        let mut reply = self.find(request, tokens);
        reply.headers.extend(self.every.iter().cloned());
        reply
    }

    fn find(&self, request: &Request, tokens: &mut Tokens) -> Reply {
        let plain = |status: u16| Reply { status, ..Reply::default() };
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if let Some(rule) =
            self.token.as_ref().filter(|rule| (&rule.method, rule.target.as_str()) == (&request.method, path))
        {
            let seconds = request.header(&rule.header).and_then(|value| value.parse::<u32>().ok());
            return match seconds {
                Some(seconds) if (1..=rule.longest).contains(&seconds) => {
                    let headers = vec![(rule.header.clone(), seconds.to_string())];
                    Reply { status: 200, headers, body: tokens.issue().into_bytes() }
                }
                _ => plain(400),
            };
        }
        let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
        let broken =
            self.demands.iter().filter(|demand| path.starts_with(&demand.prefix)).find(|demand| match &demand.wish {
                Wish::Header(name, value) if value == "$token" => {
                    !request.header(name).is_some_and(|token| tokens.spend(token))
                }
                Wish::Header(name, value) => request.header(name) != Some(value),
                Wish::Without(name) => request.header(name).is_some(),
                Wish::Query(name) => !parameters.iter().any(|parameter| parameter.split('=').next() == Some(name)),
                Wish::LowPort => !request.low_port,
            });
        if let Some(demand) = broken {
            return plain(demand.status);
        }
        let path = self.meant(path);
        // Where a final slash does not matter, neither side of the comparison below keeps it.
        let slash_matters = !self.slash.iter().any(|prefix| path.starts_with(prefix));
        let alike =
            |known: &str| known == path || !slash_matters && known.trim_end_matches('/') == path.trim_end_matches('/');
        let fits = |(method, target, _): &&(String, String, Reply)| {
            let (known, wanted) = target.split_once('?').unwrap_or((target, ""));
            let all = wanted.split('&').filter(|wanted| !wanted.is_empty()).all(|wanted| parameters.contains(&wanted));
            *method == request.method && alike(known) && all
        };
        // The reply that says most about the query.
        let found = self.replies.iter().filter(fits).max_by_key(|(_, target, _)| target.matches(['?', '&']).count());
        let otherwise = || {
            self.otherwise.iter().filter(|(prefix, _)| path.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len())
        };
        found.map(|(_, _, reply)| reply).or_else(|| otherwise().map(|(_, reply)| reply)).cloned().unwrap_or(plain(404))
    }

    /// The path under which the replies stand: versions of one interface share them.
    fn meant(&self, path: &str) -> String {
        let rest = |asked: &str| path.strip_prefix(asked).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let same = self.same.iter().find_map(|(asked, meant)| Some(format!("{meant}{}", rest(asked)?)));
        same.unwrap_or_else(|| path.to_owned())
    }

    /// Every method and target that is answered.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.replies.iter().map(|(method, target, _)| (method.as_str(), target.as_str()))
    }
}

/// Whether `target` is `dropped`, or below it if that ends in a slash.
fn below(target: &str, dropped: &str) -> bool {
    target == dropped || dropped.ends_with('/') && target.starts_with(dropped)
}
