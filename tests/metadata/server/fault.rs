//! Everything that can go wrong with a metadata service, by name. Any cloud can be played with any of these.

use self::Leaves::{Absence, Anything, Error, Late, Values};
use super::recorded::{Reply, Request};

/// One way to go wrong, or merely to be unusual.
#[derive(Debug)]
pub struct Fault {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// What a good client makes of it.
    pub leaves: Leaves,
    /// How it is done.
    pub how: How,
}

/// What a good client makes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Every value: the reply is unusual and legal, or the fault passes.
    Values,
    /// An error. Never a value, and never that there is none.
    Error,
    /// That there is none, or an error. Never a value.
    Absence,
    /// The value, or that there is none, or an error: the service did not know at first, and a cloud decides for itself
    /// what that means.
    Late,
    /// Whatever was sent: the service lies in a way that only some replies give away.
    Anything,
}

/// How a fault is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// No fault.
    Nothing,
    /// Nothing listens.
    Refuse,
    /// Requests are read and not answered.
    Silence,
    /// The connection is closed instead of an answer.
    HangUp,
    /// Half of the reply, then a reset.
    Reset,
    /// Half of the reply, then the end of the stream.
    Half,
    /// The reply one byte at a time, with a pause before each.
    Slow,
    /// Bytes that are not HTTP.
    Garbage,
    /// A head that does not end.
    EndlessHead,
    /// A body that does not end and has no length.
    EndlessBody,
    /// One more than 2^64 bytes are announced, then come the true ones.
    HugeLength,
    /// A byte more is announced than sent; then the end of the stream.
    LengthTooLarge,
    /// A byte less is announced than sent; the connection stays open.
    LengthTooSmall,
    /// A chunk announces more than comes; then the end of the stream.
    ChunkCut,
    /// The size of a chunk is no number.
    ChunkSize,
    /// Chunks without end.
    ChunkEndless,
    /// 200 and no body.
    Empty,
    /// This status for the first so many requests, with `Retry-After` where there is one.
    Status(u16, usize, Option<u32>),
    /// 302 to another path.
    Redirect,
    /// The wire server takes reports only in XML, and finds the machine changed since it was asked at the first so many
    /// of them.
    Xml(usize),
    /// Tokens are good for so many requests.
    Tokens(usize),
    /// Anyone who reads a second time reads something else.
    Changed,
    /// The reply in chunks, one of them a single byte, with an extension and a trailer.
    Chunked,
    /// No length: the body ends with the stream.
    UntilClose,
    /// `Connection: close` behind each reply, and so it happens.
    CloseSaid,
    /// Each connection is closed behind its first reply without a word.
    CloseUnsaid,
    /// The head in pieces of one byte, each in a packet of its own.
    Pieces,
}

/// Which request it is, for faults that pass.
#[derive(Clone, Copy, Debug)]
pub struct Nth {
    /// Of the whole server, from 1.
    pub request: usize,
    /// Of this method and target, from 1.
    pub read: usize,
}

/// So many requests fail before a fault that passes has passed.
const FIRST: usize = 2;

/// The right service.
pub static NONE: Fault = fault("none", "every reply is as recorded", Values, How::Nothing);

/// All of them.
pub static FAULTS: &[Fault] = &[
    fault("refused", "nothing listens", Error, How::Refuse),
    fault("black-hole", "requests are never answered", Error, How::Silence),
    fault("hang-up", "the connection closes instead of an answer", Error, How::HangUp),
    fault("reset", "half of the reply, then a reset", Error, How::Reset),
    fault("half", "half of the reply, then the end of the stream", Error, How::Half),
    fault("slow-bytes", "one byte at a time", Error, How::Slow),
    fault("garbage", "bytes that are not HTTP", Error, How::Garbage),
    fault("endless-head", "a head that does not end", Error, How::EndlessHead),
    fault("endless-body", "a body that does not end", Error, How::EndlessBody),
    fault("huge-length", "more than 2^64 bytes are announced", Error, How::HugeLength),
    fault("length-too-large", "a byte more is announced than sent", Error, How::LengthTooLarge),
    fault("length-too-small", "a byte less is announced than sent", Anything, How::LengthTooSmall),
    fault("chunk-cut", "a chunk is shorter than it says", Error, How::ChunkCut),
    fault("chunk-size", "the size of a chunk is no number", Error, How::ChunkSize),
    fault("chunk-endless", "chunks without end", Error, How::ChunkEndless),
    fault("empty", "200 and no body", Absence, How::Empty),
    fault("401", "401, always", Error, How::Status(401, usize::MAX, None)),
    fault("403", "403, always", Error, How::Status(403, usize::MAX, None)),
    fault("404", "404, always", Absence, How::Status(404, usize::MAX, None)),
    fault("404-first", "404 for a while", Late, How::Status(404, FIRST, None)),
    fault("410", "410, always", Absence, How::Status(410, usize::MAX, None)),
    fault("410-first", "410 for a while", Late, How::Status(410, FIRST, None)),
    fault("429", "429, always", Error, How::Status(429, usize::MAX, None)),
    fault("429-first", "429 with Retry-After for a while", Values, How::Status(429, FIRST, Some(0))),
    fault("500", "500, always", Error, How::Status(500, usize::MAX, None)),
    fault("500-first", "500 for a while", Values, How::Status(500, FIRST, None)),
    fault("503", "503 with a Retry-After of an hour, always", Error, How::Status(503, usize::MAX, Some(3600))),
    fault("503-first", "503 with Retry-After for a while", Values, How::Status(503, FIRST, Some(0))),
    fault("redirect", "302 to another path", Error, How::Redirect),
    fault("expired-token", "tokens are good for two requests", Values, How::Tokens(2)),
    fault("useless-token", "no token is good", Error, How::Tokens(0)),
    fault("changed", "a second read gives another body", Anything, How::Changed),
    fault("xml", "reports only in XML (Azure)", Values, How::Xml(0)),
    fault("xml-moved", "the same; two are for an incarnation that is past", Values, How::Xml(FIRST)),
    fault("xml-moving", "the same; all are for an incarnation that is past", Values, How::Xml(usize::MAX)),
    fault("chunked", "the reply in chunks", Values, How::Chunked),
    fault("until-close", "the body ends with the stream", Values, How::UntilClose),
    fault("close-said", "one reply a connection, announced", Values, How::CloseSaid),
    fault("close-unsaid", "one reply a connection, not announced", Values, How::CloseUnsaid),
    fault("pieces", "the head in packets of one byte", Values, How::Pieces),
];

const fn fault(name: &'static str, what: &'static str, leaves: Leaves, how: How) -> Fault {
    Fault { name, what, leaves, how }
}

/// The fault of that name.
pub fn find(name: &str) -> Option<&'static Fault> {
    std::iter::once(&NONE).chain(FAULTS).find(|fault| fault.name == name)
}

impl Fault {
    /// For how many requests a token is good.
    pub fn token_uses(&self) -> usize {
        match self.how {
            How::Tokens(uses) => uses,
            _ => usize::MAX,
        }
    }

    /// Whether the machine is changed just before `request` is answered.
    pub fn changes_machine(&self, request: &Request, nth: Nth) -> bool {
        matches!(self.how, How::Xml(first) if nth.read <= first) && request.target.starts_with("/machine?")
    }

    /// The reply as this fault has it, where the fault is in what is said and not in how it is sent.
    pub fn bend(&self, right: Reply, request: &Request, nth: Nth) -> Reply {
        match self.how {
            How::Status(status, first, after) if nth.request <= first => {
                let headers = after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
                Reply { status, headers: headers.into_iter().collect(), body: b"not now".to_vec() }
            }
            How::Redirect => {
                let headers = vec![("Location".to_owned(), format!("/elsewhere{}", request.target))];
                Reply { status: 302, headers, body: Vec::new() }
            }
            How::Xml(_) if request.target.starts_with("/provisioning/") => {
                Reply { status: 404, headers: Vec::new(), body: Vec::new() }
            }
            How::Empty => Reply { status: 200, body: Vec::new(), ..right },
            // Digits for digits: JSON, YAML and base64 stay what they are.
            How::Changed if nth.read > 1 => {
                let other = |byte: &u8| if *byte == b'1' { b'2' } else { *byte };
                Reply { body: right.body.iter().map(other).collect(), ..right }
            }
            _ => right,
        }
    }

    /// The status that a client gets to see; 0 if none.
    pub fn shown_status(&self, reply: &Reply) -> u16 {
        match self.how {
            How::Refuse | How::Silence | How::HangUp | How::Garbage | How::EndlessHead => 0,
            _ => reply.status,
        }
    }
}
