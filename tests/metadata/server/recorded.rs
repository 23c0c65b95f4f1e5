//! One cloud's recorded replies: answers requests from them as the cloud would, its demands on headers and tokens
//! included. Knows no socket; how the recordings are written is the business of `statements.rs`.

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

/// Stands in replies and in demands for the number that Azure's wire server counts up when a machine is changed.
const INCARNATION: &str = "$incarnation";

/// The tokens that one server has handed out, and what else it counts.
#[derive(Debug, Default)]
pub struct Tokens {
    issued: Vec<(String, usize)>,
    uses: usize,
    /// How often the machine was changed.
    pub incarnation: usize,
}

impl Tokens {
    /// Tokens that are good for so many requests each.
    pub fn new(uses: usize) -> Self {
        Self { issued: Vec::new(), uses, incarnation: 1 }
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
pub(super) struct Demand {
    pub(super) status: u16,
    pub(super) prefix: String,
    pub(super) wish: Wish,
}

#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// This header with this value; `$token` is any token that is good.
    Header(String, String),
    /// This header, whatever it says.
    Has(String),
    /// This text in the body, where there is a body.
    Body(String),
    /// No such header.
    Without(String),
    /// This parameter in the query.
    Query(String),
    /// A source port below 1024.
    LowPort,
}

/// How a token is got: by a request with a header that says how many seconds it is to live.
#[derive(Clone, Debug)]
pub(super) struct TokenRule {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) header: String,
    pub(super) longest: u32,
}

/// A reply, and what it is the reply to.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) reply: Reply,
}

/// The replies of one cloud.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub(super) demands: Vec<Demand>,
    pub(super) token: Option<TokenRule>,
    /// Headers of every reply.
    pub(super) every: Vec<(String, String)>,
    /// What begins with the first is answered as if it began with the second.
    pub(super) same: Vec<(String, String)>,
    /// Below these, a final slash makes no difference.
    pub(super) slash: Vec<String>,
    pub(super) entries: Vec<Entry>,
    /// The reply to whatever else begins so.
    pub(super) otherwise: Vec<(String, Reply)>,
}

fn plain(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

impl Recorded {
    /// What the cloud answers.
    pub fn answer(&self, request: &Request, tokens: &mut Tokens) -> Reply {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
        let mut reply = match &self.token {
            Some(rule) if rule.method == request.method && rule.path == path => rule.answer(request, tokens),
            _ => match self.broken(request, path, &parameters, tokens) {
                Some(demand) => plain(demand.status),
                None => self.find(&request.method, &self.meant(path), &parameters),
            },
        };
        if let Some(text) = std::str::from_utf8(&reply.body).ok().filter(|text| text.contains(INCARNATION)) {
            reply.body = text.replace(INCARNATION, &tokens.incarnation.to_string()).into_bytes();
        }
        reply.headers.extend(self.every.iter().cloned());
        reply
    }

    /// The first demand that the request does not meet.
    fn broken(&self, request: &Request, path: &str, parameters: &[&str], tokens: &mut Tokens) -> Option<&Demand> {
        let mut demands = self.demands.iter().filter(|demand| path.starts_with(&demand.prefix));
        demands.find(|demand| match &demand.wish {
            Wish::Header(name, value) if value == "$token" => {
                !request.header(name).is_some_and(|token| tokens.spend(token))
            }
            Wish::Header(name, value) => request.header(name) != Some(value),
            Wish::Has(name) => request.header(name).is_none_or(str::is_empty),
            Wish::Body(text) => {
                let wanted = text.replace(INCARNATION, &tokens.incarnation.to_string());
                !request.body.is_empty() && !String::from_utf8_lossy(&request.body).contains(&wanted)
            }
            Wish::Without(name) => request.header(name).is_some(),
            Wish::Query(name) => !parameters.iter().any(|parameter| parameter.split('=').next() == Some(name)),
            Wish::LowPort => !request.low_port,
        })
    }

    /// The path under which the replies stand: versions of one interface share them.
    fn meant(&self, path: &str) -> String {
        let rest = |asked: &str| path.strip_prefix(asked).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let same = self.same.iter().find_map(|(asked, meant)| Some(format!("{meant}{}", rest(asked)?)));
        same.unwrap_or_else(|| path.to_owned())
    }

    /// Of the replies whose parameters are all there, the one with the most of them.
    fn find(&self, method: &str, path: &str, parameters: &[&str]) -> Reply {
        let slash_matters = !self.slash.iter().any(|prefix| path.starts_with(prefix));
        let bare = |path: &str| path.trim_end_matches('/').to_owned();
        let wanted = |entry: &Entry| -> Option<usize> {
            let (known, wanted) = entry.target.split_once('?').unwrap_or((&entry.target, ""));
            let alike = known == path || !slash_matters && bare(known) == bare(path);
            let mut wanted = wanted.split('&').filter(|wanted| !wanted.is_empty());
            let count = wanted.clone().count();
            (entry.method == method && alike && wanted.all(|wanted| parameters.contains(&wanted))).then_some(count)
        };
        let found = self.entries.iter().filter(|entry| wanted(entry).is_some()).max_by_key(|entry| wanted(entry));
        let mut others = self.otherwise.iter().filter(|(prefix, _)| path.starts_with(prefix));
        found.map(|entry| &entry.reply).or_else(|| others.next().map(|(_, reply)| reply)).cloned().unwrap_or(plain(404))
    }

    /// Every method and target that is answered.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (entry.method.as_str(), entry.target.as_str()))
    }
}

impl TokenRule {
    fn answer(&self, request: &Request, tokens: &mut Tokens) -> Reply {
        let seconds = request.header(&self.header).and_then(|value| value.parse::<u32>().ok());
        match seconds.filter(|seconds| (1..=self.longest).contains(seconds)) {
            Some(seconds) => {
                let headers = vec![(self.header.clone(), seconds.to_string())];
                Reply { status: 200, headers, body: tokens.issue().into_bytes() }
            }
            None => plain(400),
        }
    }
}
