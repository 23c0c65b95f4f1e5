//! Netlink: the frame of every message, its attributes, and when a request has been answered
//! (`include/uapi/linux/netlink.h`, Documentation/userspace-api/netlink/intro.rst).
//!
//! Numbers are in the byte order of the machine, as the kernel of the same machine writes them.

use crate::bytes::ByteReader;
use crate::error::{Error, Result};
use alloc::vec::Vec;
use linux_raw_sys::netlink as raw;

/// The flag of a request that is to be carried out and answered with the errno.
pub const ACKNOWLEDGED: u16 = (raw::NLM_F_REQUEST | raw::NLM_F_ACK) as u16;
/// The flags of a request for everything of a kind.
pub const DUMP: u16 = (raw::NLM_F_REQUEST | raw::NLM_F_DUMP) as u16;
/// The flags of a request for something new, which fails when it is there already.
pub const CREATE: u16 = ACKNOWLEDGED | (raw::NLM_F_CREATE | raw::NLM_F_EXCL) as u16;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: two bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// The answers one request may have. A machine with a thousand containers has some thousand addresses.
const ANSWERS_LIMIT: usize = 1 << 16;

const DOING: &str = "parse a message of the kernel's network";

/// A request: what is asked, and with which attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: the number of the request that it answers.
    pub sequence: u32,
    /// What follows the header: the fixed part of the message's kind, then attributes.
    pub body: &'a [u8],
}

/// The messages of a datagram, one after the other; a broken one ends them.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// The attributes of a message or of a nested attribute, each with its type; a broken one ends them.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

/// What came for one request so far.
#[derive(Clone, Debug)]
pub struct Answers {
    sequence: u32,
    bodies: Vec<Vec<u8>>,
    is_torn: bool,
}

impl Request {
    /// A request of `kind` (`RTM_...`) that begins with the fixed part `body`, whose length is a multiple of 4.
    #[must_use]
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        Self { kind, flags, body: body.into() }
    }

    /// The request with one attribute more.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len().saturating_add(ATTRIBUTE_HEADER)).unwrap_or(u16::MAX);
        self.body.extend_from_slice(&length.to_ne_bytes());
        self.body.extend_from_slice(&kind.to_ne_bytes());
        self.body.extend_from_slice(value);
        self.body.resize(aligned(self.body.len()), 0);
        self
    }

    /// The bytes of it as request number `sequence`.
    #[must_use]
    pub fn emit(&self, sequence: u32) -> Vec<u8> {
        let nlmsg_len = self.body.len().saturating_add(HEADER);
        let mut out = Vec::with_capacity(nlmsg_len);
        out.extend_from_slice(&u32::try_from(nlmsg_len).unwrap_or(u32::MAX).to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        // nlmsg_pid: the kernel knows the sender by its socket.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.body);
        out
    }
}

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let first = parse_message(bytes);
        if let Ok((_, length)) = first {
            self.0 = bytes.get(aligned(length)..).unwrap_or_default();
        }
        Some(first.map(|(message, _)| message))
    }
}

fn parse_message(bytes: &[u8]) -> Result<(Message<'_>, usize)> {
    let fields = ByteReader::new(bytes, DOING);
    let nlmsg_len = usize::try_from(u32_at(bytes, 0)?).unwrap_or(usize::MAX);
    let Some(length) = nlmsg_len.checked_sub(HEADER) else {
        return Err(Error::corrupt(DOING, "it is shorter than its header"));
    };
    let message = Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        body: fields.slice(HEADER, length)?,
    };
    Ok((message, nlmsg_len))
}

impl<'a> Attributes<'a> {
    /// The attributes that follow a fixed part of `skip` bytes.
    #[must_use]
    pub fn after(body: &'a [u8], skip: usize) -> Self {
        Self(body.get(skip..).unwrap_or_default())
    }

    /// The value of the attribute of type `kind`.
    #[must_use]
    pub fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(it, _)| *it == kind).map(|(_, value)| value)
    }

    /// The value of an attribute that is a 32-bit number.
    #[must_use]
    pub fn number(&self, kind: u16) -> Option<u32> {
        u32_at(self.value(kind)?, 0).ok()
    }

    /// The value of an attribute that is a string, which ends at its first NUL.
    #[must_use]
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        let value = self.value(kind)?.split(|byte| *byte == 0).next()?;
        core::str::from_utf8(value).ok()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.0);
        let nla_len = usize::from(u16_at(bytes, 0).ok()?);
        let nla_type = u16_at(bytes, 2).ok()?;
        let value = bytes.get(ATTRIBUTE_HEADER..nla_len)?;
        self.0 = bytes.get(aligned(nla_len)..).unwrap_or_default();
        Some((nla_type & TYPE_MASK, value))
    }
}

impl Answers {
    /// To request number `sequence`.
    #[must_use]
    pub const fn new(sequence: u32) -> Self {
        Self { sequence, bodies: Vec::new(), is_torn: false }
    }

    /// Takes in a datagram. Whether the request is answered to the end: by the kernel's acknowledgement, or by the
    /// last message of a dump. Messages for other requests (one that was given up) do not count.
    ///
    /// # Errors
    /// `Os`: the kernel refused the request. `Corrupt`: a message contradicts its format, or they do not end.
    pub fn take(&mut self, datagram: &[u8], doing: &'static str) -> Result<bool> {
        for message in Messages::new(datagram) {
            let message = message?;
            if message.sequence != self.sequence {
                continue;
            }
            self.is_torn |= u32::from(message.flags) & raw::NLM_F_DUMP_INTR != 0;
            match u32::from(message.kind) {
                raw::NLMSG_NOOP => {}
                // A dump may end with an errno too; kernels before 2.6.25 sent none.
                raw::NLMSG_ERROR | raw::NLMSG_DONE => {
                    let error = u32_at(message.body, 0).map_or(0, u32::cast_signed);
                    return if error == 0 { Ok(true) } else { Err(Error::os(error.saturating_neg(), doing)) };
                }
                raw::NLMSG_OVERRUN => return Err(Error::corrupt(DOING, "the kernel lost data")),
                _ if self.bodies.len() >= ANSWERS_LIMIT => {
                    return Err(Error::corrupt(DOING, "there is no end of them"));
                }
                _ => self.bodies.push(message.body.into()),
            }
        }
        Ok(false)
    }

    /// Whether something changed while the kernel wrote a dump (`NLM_F_DUMP_INTR`): entries may be missing from it.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// The bodies of the messages, in the kernel's order.
    #[must_use]
    pub fn into_bodies(self) -> Vec<Vec<u8>> {
        self.bodies
    }
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`: the next message or attribute begins at a multiple of 4.
fn aligned(length: usize) -> usize {
    length.checked_next_multiple_of(4).unwrap_or(usize::MAX)
}

/// The 16-bit number at `at`.
fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    ByteReader::new(bytes, DOING).array(at).map(u16::from_ne_bytes)
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    ByteReader::new(bytes, DOING).array(at).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const DOING: &str = "test";

    fn answer(kind: u32, flags: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
        Request::new(kind as u16, flags as u16, body).emit(sequence)
    }

    fn error(sequence: u32, errno: i32) -> Vec<u8> {
        answer(raw::NLMSG_ERROR, 0, sequence, &(-errno).to_ne_bytes())
    }

    #[test]
    fn a_request_has_the_kernels_form() {
        let request = Request::new(18, DUMP, &[1, 2, 3, 4]).with(3, b"ab\0").with(5, &[]);
        let bytes = request.emit(7);
        let expected: &[u8] =
            &[32, 0, 0, 0, 18, 0, 1, 3, 7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 7, 0, 3, 0, b'a', b'b', 0, 0, 4, 0, 5, 0];
        assert_eq!(bytes, expected);
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (18, 0x301, 7));
        let attributes = Attributes::after(message.body, 4);
        assert_eq!(attributes.clone().count(), 2);
        assert_eq!(attributes.text(3), Some("ab"));
        assert_eq!(attributes.value(5), Some(&[][..]));
        assert_eq!((attributes.value(4), attributes.number(3)), (None, None));
    }

    #[test]
    fn a_dump_ends_with_its_last_message_and_an_order_with_its_acknowledgement() {
        let mut answers = Answers::new(9);
        let first = [answer(16, 2, 9, &[1; 4]), answer(16, 2, 8, &[9; 4])].concat();
        assert_eq!(answers.take(&first, DOING), Ok(false));
        let second = [answer(16, 2, 9, &[2; 8]), answer(raw::NLMSG_DONE, 2, 9, &[0; 4])].concat();
        assert_eq!(answers.take(&second, DOING), Ok(true));
        assert!(!answers.is_torn());
        assert_eq!(answers.into_bodies(), [vec![1; 4], vec![2; 8]]);
        assert_eq!(Answers::new(1).take(&error(1, 0), DOING), Ok(true));
        assert_eq!(Answers::new(1).take(&error(2, 0), DOING), Ok(false), "the answer to another request");
    }

    #[test]
    fn errors_of_the_kernel_are_reported() {
        assert_eq!(Answers::new(1).take(&error(1, 101), DOING).unwrap_err().kind, Kind::Os(101));
        let done = answer(raw::NLMSG_DONE, 0, 1, &(-12i32).to_ne_bytes());
        assert_eq!(Answers::new(1).take(&done, DOING).unwrap_err().kind, Kind::Os(12));
        let overrun = answer(raw::NLMSG_OVERRUN, 0, 1, &[]);
        assert_eq!(Answers::new(1).take(&overrun, DOING).unwrap_err().kind, Kind::Corrupt);
    }

    #[test]
    fn a_dump_that_was_disturbed_says_so() {
        let mut answers = Answers::new(1);
        assert_eq!(answers.take(&answer(16, raw::NLM_F_DUMP_INTR, 1, &[]), DOING), Ok(false));
        assert!(answers.is_torn());
    }

    #[test]
    fn answers_without_end_are_given_up() {
        let mut answers = Answers::new(1);
        let many = answer(16, 2, 1, &[]).repeat(ANSWERS_LIMIT);
        assert_eq!(answers.take(&many, DOING), Ok(false));
        assert_eq!(answers.take(&answer(16, 2, 1, &[]), DOING).unwrap_err().kind, Kind::Corrupt);
    }

    #[test]
    fn broken_messages_end_in_an_error() {
        let good = [answer(16, 2, 1, &[1; 8]), answer(raw::NLMSG_DONE, 2, 1, &[0; 4])].concat();
        for length in 1..good.len() {
            let got = Answers::new(1).take(&good[..length], DOING);
            assert_eq!(got.is_err(), length != 24, "{length}");
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let _ = Answers::new(1).take(&bad, DOING);
            assert!(Attributes::after(&bad, 0).count() <= good.len() / 4);
        }
        assert_eq!(Messages::new(&[8, 0, 0, 0, 1, 0, 0, 0]).next().unwrap().unwrap_err().kind, Kind::Corrupt);
    }
}
