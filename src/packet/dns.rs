//! DNS messages: a question for the addresses of a name, and the answer to it (RFC 1035, RFC 3596).
//!
//! An answer counts only when it repeats number and question; of its records only those that belong to the name, by way
//! of aliases, are read.

use crate::bytes::ByteReader;
use crate::error::{Error, Result};
use alloc::vec::Vec;
use core::net::IpAddr;

/// The longest answer that comes by UDP to a question like ours (RFC 1035, section 2.3.4).
pub const UDP_LIMIT: usize = 512;

/// Bytes of a name with the lengths of its labels (RFC 1035, section 2.3.4), and of one label.
const NAME_LIMIT: usize = 255;
const LABEL_LIMIT: usize = 63;

const HEADER: usize = 12;

/// Aliases of aliases: content networks have three or four, and a loop must end.
const ALIASES_LIMIT: usize = 16;

/// Addresses of one name that are looked at; more are never tried.
const ADDRESSES_LIMIT: usize = 16;

/// The class `IN` and the type `CNAME`.
const INTERNET: u16 = 1;
const ALIAS: u16 = 5;

/// Flags of the header: a response; its operation; cut short; recursion desired.
const RESPONSE: u16 = 0x8000;
const OPERATION: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION: u16 = 0x0100;

const DOING: &str = "parse a DNS answer";

/// A name: labels, each behind its length, in small letters; the last one is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4: records of type A.
    V4,
    /// IPv6: records of type AAAA.
    V6,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The number by which its answer is detected.
    pub id: u16,
    /// The name.
    pub name: Name,
    /// Which of its addresses.
    pub family: Family,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name is there, with these addresses of the family: perhaps none.
    Addresses(Vec<IpAddr>),
    /// There is no such name, whatever is asked for.
    NoSuchName,
    /// The answer is too long for UDP.
    Truncated,
    /// The server could not or would not find out; the response code.
    Failed(u8),
}

impl Name {
    /// The name in its usual form, with or without a dot at its end.
    ///
    /// # Errors
    /// `Usage`: a label is empty or longer than 63 bytes, the name is longer than 253, or not ASCII.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why| Error::usage("look up", why).to(text);
        let mut bytes = Vec::new();
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
            if label.is_empty() || label.len() > LABEL_LIMIT {
                return Err(wrong("each part of a name has 1 to 63 letters"));
            } else if !label.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("a name is made of ASCII letters"));
            }
            bytes.push(length);
            bytes.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        bytes.push(0);
        if bytes.len() > NAME_LIMIT {
            return Err(wrong("a name has at most 253 letters"));
        }
        Ok(Self(bytes))
    }

    /// The name at `at` in `message`, and where the next field begins.
    fn read(message: &[u8], at: usize) -> Result<(Self, usize)> {
        let fields = ByteReader::new(message, DOING);
        let mut bytes = Vec::new();
        // A pointer must lead to before everything that was read of this name, so the walk has an end.
        let (mut at, mut begin, mut next) = (at, at, None);
        loop {
            let length = fields.u8(at)?;
            match length >> 6 {
                0 => {
                    let label = fields.slice(at, usize::from(length).saturating_add(1))?;
                    at = at.saturating_add(label.len());
                    bytes.extend(label.iter().map(u8::to_ascii_lowercase));
                    if bytes.len() > NAME_LIMIT {
                        return Err(Error::corrupt(DOING, "a name is longer than 255 bytes"));
                    } else if length == 0 {
                        return Ok((Self(bytes), next.unwrap_or(at)));
                    }
                }
                3 => {
                    let target = usize::from(fields.u16_be(at)? & 0x3fff);
                    next = next.or(Some(at.saturating_add(2)));
                    if target >= begin {
                        return Err(Error::corrupt(DOING, "a name continues behind itself"));
                    }
                    (at, begin) = (target, target);
                }
                _ => return Err(Error::corrupt(DOING, "a name has a label of unknown kind")),
            }
        }
    }
}

impl Family {
    /// The record type.
    const fn code(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }

    fn address(self, data: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            Self::V6 => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        }
    }
}

/// A record of an answer that can matter.
struct Record<'a> {
    owner: Name,
    is_alias: bool,
    /// Where the data lies in the message.
    at: usize,
    data: &'a [u8],
}

impl Query {
    /// The message: one question, recursion desired.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let header = [self.id, RECURSION, 1, 0, 0, 0].map(u16::to_be_bytes);
        let end = [self.family.code(), INTERNET].map(u16::to_be_bytes);
        [header.as_flattened(), &self.name.0, end.as_flattened()].concat()
    }

    /// The answer in `message`; `None` when it answers something else.
    ///
    /// # Errors
    /// `Corrupt`: it is the answer, and contradicts its specification.
    pub fn find_answer(&self, message: &[u8]) -> Result<Option<Answer>> {
        let fields = ByteReader::new(message, DOING);
        let (Ok(id), Ok(flags), Ok(qdcount)) = (fields.u16_be(0), fields.u16_be(2), fields.u16_be(4)) else {
            return Ok(None);
        };
        if id != self.id || flags & (RESPONSE | OPERATION) != RESPONSE {
            return Ok(None);
        }
        let rcode = (flags & 0xf) as u8;
        // A server that does not understand the question need not repeat it.
        if qdcount == 0 && rcode != 0 {
            return Ok(Some(Answer::Failed(rcode)));
        }
        let (name, at) = Name::read(message, HEADER)?;
        let end = at.saturating_add(4);
        let (qtype, qclass) = (fields.u16_be(at)?, fields.u16_be(at.saturating_add(2))?);
        if qdcount != 1 || (name, qtype, qclass) != (self.name.clone(), self.family.code(), INTERNET) {
            return Ok(None);
        }
        Ok(Some(match rcode {
            _ if flags & TRUNCATED != 0 => Answer::Truncated,
            0 => Answer::Addresses(self.addresses(message, end)?),
            3 => Answer::NoSuchName,
            code => Answer::Failed(code),
        }))
    }

    /// The addresses that the records from `at` on lead to.
    fn addresses(&self, message: &[u8], at: usize) -> Result<Vec<IpAddr>> {
        let records = self.records(message, at)?;
        let mut name = self.name.clone();
        for _ in 0..ALIASES_LIMIT {
            let own = || records.iter().filter(|record| record.owner == name);
            let addresses: Vec<IpAddr> = own()
                .filter(|record| !record.is_alias)
                .filter_map(|record| self.family.address(record.data))
                .take(ADDRESSES_LIMIT)
                .collect();
            let alias = own().find(|record| record.is_alias);
            match alias {
                Some(alias) if addresses.is_empty() => name = Name::read(message, alias.at)?.0,
                _ => return Ok(addresses),
            }
        }
        Err(Error::corrupt(DOING, "its aliases have no end"))
    }

    /// The addresses and aliases of the answer section; each takes at least 11 bytes of the message, so there are not
    /// too many.
    fn records<'a>(&self, message: &'a [u8], mut at: usize) -> Result<Vec<Record<'a>>> {
        let fields = ByteReader::new(message, DOING);
        let mut records = Vec::new();
        for _ in 0..fields.u16_be(6)? {
            let (owner, fixed) = Name::read(message, at)?;
            let field = |offset| fields.u16_be(fixed.saturating_add(offset));
            let (rtype, class, rdlength) = (field(0)?, field(2)?, field(8)?);
            let begin = fixed.saturating_add(10);
            let data = fields.slice(begin, rdlength.into())?;
            if class == INTERNET && (rtype == ALIAS || rtype == self.family.code()) {
                records.push(Record { owner, is_alias: rtype == ALIAS, at: begin, data });
            }
            at = begin.saturating_add(data.len());
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn query(family: Family) -> Query {
        Query { id: 0xbeef, name: Name::parse("Seed.Example.ORG").unwrap(), family }
    }

    /// `seed.example.org` is an alias of `a.example.org`, which has the address 192.0.2.7 (and a second record, of
    /// another name); written as RFC 1035, section 4.1.4, compresses names.
    const ANSWER: &[u8] = b"\xbe\xef\x81\x80\0\x01\0\x03\0\0\0\0\
        \x04seed\x07example\x03org\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x11\
        \xc0\x2e\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x07\
        \xc0\x11\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x09";

    fn changed(at: usize, value: u8) -> Vec<u8> {
        let mut out = ANSWER.to_vec();
        out[at] = value;
        out
    }

    #[test]
    fn a_question_has_the_form_of_the_rfc() {
        let expected = b"\xbe\xef\x01\0\0\x01\0\0\0\0\0\0\x04seed\x07example\x03org\0\0\x1c\0\x01";
        assert_eq!(query(Family::V6).emit(), expected);
        assert_eq!(Name::parse("seed.example.org."), Name::parse("seed.example.org"));
    }

    #[test]
    fn names_have_limits() {
        let label = "a".repeat(63);
        let long = [label.as_str(); 3].join(".");
        assert!(Name::parse(&format!("{long}.{}", "b".repeat(61))).is_ok());
        for text in
            ["", ".", "a..b", ".a", "m\u{fc}ll.de", "a b", &"a".repeat(64), &format!("{long}.{}", "b".repeat(62))]
        {
            assert_eq!(Name::parse(text).unwrap_err().kind, Kind::Usage, "{text}");
        }
    }

    #[test]
    fn aliases_lead_to_addresses() {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(query(Family::V4).find_answer(ANSWER), Ok(Some(Answer::Addresses(vec![address]))));
        let upper = query(Family::V4).find_answer(&changed(13, b'S'));
        assert_eq!(upper, Ok(Some(Answer::Addresses(vec![address]))), "servers may keep the case of a question");
        let six = b"\0\x01\x85\0\0\x01\0\x01\0\0\0\0\x01x\0\0\x1c\0\x01\xc0\x0c\0\x1c\0\x01\0\0\0\0\0\x10\
            \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01";
        let query = Query { id: 1, name: Name::parse("x").unwrap(), family: Family::V6 };
        assert_eq!(query.find_answer(six), Ok(Some(Answer::Addresses(vec!["2001:db8::1".parse().unwrap()]))));
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        // Number, question instead of response, operation, count of questions, name, type, class.
        for (at, value) in [(0, 0), (1, 0), (2, 1), (2, 0x89), (5, 2), (13, b'x'), (31, 28), (33, 3)] {
            assert_eq!(query(Family::V4).find_answer(&changed(at, value)), Ok(None), "byte {at}");
        }
        assert_eq!(query(Family::V6).find_answer(ANSWER), Ok(None));
        assert_eq!(query(Family::V4).find_answer(b"\xbe\xef"), Ok(None));
        let empty = query(Family::V4).find_answer(&changed(7, 0));
        assert_eq!(empty, Ok(Some(Answer::Addresses(vec![]))), "the name is there and has no such address");
        let dangling = query(Family::V4).find_answer(&changed(7, 1));
        assert_eq!(dangling, Ok(Some(Answer::Addresses(vec![]))));
    }

    #[test]
    fn servers_say_what_they_cannot() {
        assert_eq!(query(Family::V4).find_answer(&changed(3, 0x83)), Ok(Some(Answer::NoSuchName)));
        assert_eq!(query(Family::V4).find_answer(&changed(3, 0x82)), Ok(Some(Answer::Failed(2))));
        assert_eq!(query(Family::V4).find_answer(&changed(2, 0x83)), Ok(Some(Answer::Truncated)));
        let bare = b"\xbe\xef\x81\x01\0\0\0\0\0\0\0\0";
        assert_eq!(query(Family::V4).find_answer(bare), Ok(Some(Answer::Failed(1))));
    }

    #[test]
    fn names_that_bite_their_tail_are_refused() {
        // The alias leads to itself; a pointer to itself, to what follows, and a label of unknown kind.
        for bad in [changed(35, 34), changed(35, 60), changed(34, 0x80), changed(49, 0x2e)] {
            assert_eq!(query(Family::V4).find_answer(&bad).unwrap_err().kind, Kind::Corrupt);
        }
        let mut circle = ANSWER[..46].to_vec();
        circle[7] = 1;
        circle[45] = 2;
        circle.extend(b"\xc0\x0c");
        assert_eq!(query(Family::V4).find_answer(&circle).unwrap_err().why, "its aliases have no end");
    }

    #[test]
    fn cut_and_damaged_answers_end_in_a_value_or_an_error() {
        for length in 0..ANSWER.len() {
            let got = query(Family::V4).find_answer(&ANSWER[..length]);
            assert!(!matches!(got, Ok(Some(_))), "{length}");
        }
        for bit in 0..ANSWER.len() * 8 {
            let _ = query(Family::V4).find_answer(&changed(bit / 8, ANSWER[bit / 8] ^ 1 << (bit % 8)));
        }
    }
}
