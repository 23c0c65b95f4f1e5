//! A DHCPv4 client for one interface: asks until it has a lease, and gives it back (RFC 2131, section 4.4).
//!
//! It never configures anything, and keeps no lease alive: what is needed for longer than the lease lasts is another
//! client's business. Whether the address is in use already is not asked of the neighbours: in a cloud only its DHCP
//! server hands out addresses, and the question would cost every boot two seconds.

use super::Interface;
use crate::error::{Error, Kind, Result};
use crate::packet::dhcp4::{Answer, Client, Lease, MESSAGE_LIMIT, Request};
use crate::packet::ipv4::Datagram;
use crate::sys::datagram::{EVERYBODY, Packets, Udp};
use crate::sys::{clock, random};
use crate::units::Deadline;
use alloc::format;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;

/// How long the first answer may take. RFC 2131 says 4 seconds, which is a long time at boot: a cloud answers within
/// milliseconds, and the first message is often lost because the port of the switch is not open yet. An answer that
/// takes longer still counts, because all messages have the same number.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Each wait is twice the one before, up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// How often an offered address is asked for before looking for another offer: for 0.5 + 1 + 2 + 4 seconds.
const REQUESTS: u32 = 4;

/// A packet as large as an Ethernet frame carries one; the message inside is at most `MESSAGE_LIMIT`.
const PACKET_LIMIT: usize = MESSAGE_LIMIT + 28;

/// `EAFNOSUPPORT`.
const NO_SUCH_SOCKET: i32 = 97;

/// How messages get from and to an interface that has no address.
#[derive(Debug)]
pub enum Channel {
    /// As IPv4 packets of our own, past the kernel's routing.
    Packets(Packets),
    /// By UDP, where the kernel lacks that.
    Udp(Udp),
}

/// A client with a lease.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    client: Client,
    /// The Ethernet address that the lease came from: the server's or a relay's.
    neighbour: [u8; 6],
}

impl Channel {
    /// The better one that this kernel has.
    ///
    /// # Errors
    /// `Os`.
    pub fn open(interface: &Interface) -> Result<Self> {
        match Packets::open(interface.index) {
            Ok(packets) => Ok(Self::Packets(packets)),
            Err(error) if error.kind == Kind::Os(NO_SUCH_SOCKET) => {
                Udp::open(&interface.name, CLIENT_PORT).map(Self::Udp)
            }
            Err(error) => Err(error.to(interface.name.as_str())),
        }
    }

    /// Sends `message` to `server` at the Ethernet address `mac`, from the address `source`.
    fn send(&self, message: &[u8], source: Ipv4Addr, server: Ipv4Addr, mac: [u8; 6]) -> Result<()> {
        let destination = SocketAddrV4::new(server, SERVER_PORT);
        match self {
            Self::Udp(socket) => socket.send_to(message, destination),
            Self::Packets(socket) => {
                let source = SocketAddrV4::new(source, CLIENT_PORT);
                socket.send(&Datagram { source, destination, payload: message }.emit()?, mac)
            }
        }
    }
}

/// Asks for a lease through `channel`, which belongs to `interface`, until `deadline`.
///
/// # Errors
/// `TimedOut`: no server answered, or no question could be sent. `Os`: the interface went away. `Unsupported`: it is no
/// Ethernet interface.
pub fn acquire(channel: Channel, interface: &Interface, deadline: Deadline) -> Result<(Lease, Session)> {
    const DOING: &str = "get a DHCP lease on";
    let Some(mac) = interface.mac else {
        return Err(Error::unsupported(DOING, "it is no Ethernet interface").to(interface.name.as_str()));
    };
    let client = Client {
        transaction: random::number() as u32,
        mac,
        // Replies to the offered address reach a packet socket; the kernel would keep them from a UDP socket.
        wants_broadcast: matches!(channel, Channel::Udp(_)),
    };
    let mut search = Search {
        session: Session { channel, client, neighbour: EVERYBODY },
        started: clock::now(),
        deadline,
        trouble: None,
    };
    let found = search.run().map_err(|error| error.to(interface.name.as_str()))?;
    let Some(lease) = found else {
        let why = search.trouble.map_or("no DHCP server answered".into(), |trouble| format!("{trouble}"));
        return Err(Error::new(Kind::TimedOut, DOING, why).to(interface.name.as_str()));
    };
    Ok((lease, search.session))
}

impl Session {
    /// Gives `lease` back. There is no answer to that.
    ///
    /// # Errors
    /// `Os`: it could not be sent.
    pub fn release(&self, lease: &Lease) -> Result<()> {
        let said = Request::Release { address: lease.address, server: lease.server };
        // Each release is a transaction of its own.
        let client = Client { transaction: random::number() as u32, ..self.client };
        self.channel.send(&client.emit(said, 0), lease.address, lease.server, self.neighbour)
    }
}

/// The way from nothing to a lease.
struct Search {
    session: Session,
    started: Duration,
    deadline: Deadline,
    /// Why a message could not be sent. A link that has just come up refuses the first ones, so that ends nothing.
    trouble: Option<Error>,
}

impl Search {
    /// A lease, or `None` at the deadline.
    fn run(&mut self) -> Result<Option<Lease>> {
        let mut wait = FIRST_WAIT;
        while !self.is_over() {
            if let Some(Answer::Offer(offer)) = self.say(Request::Discover, wait)? {
                match self.request(&offer)? {
                    Some(Answer::Acknowledged(lease)) => return Ok(Some(lease)),
                    // A server that offers what it refuses would be asked without a pause.
                    Some(Answer::Refused(_)) => clock::pause(self.wait(wait)),
                    _ => {}
                }
            }
            wait = longer(wait);
        }
        Ok(None)
    }

    /// Asks for what was offered.
    fn request(&mut self, offer: &Lease) -> Result<Option<Answer>> {
        let said = Request::Request { address: offer.address, server: offer.server };
        let mut wait = FIRST_WAIT;
        for _ in 0..REQUESTS {
            let answer = self.say(said, wait)?;
            if answer.is_some() || self.is_over() {
                return Ok(answer);
            }
            wait = longer(wait);
        }
        Ok(None)
    }

    /// Says something to all servers, and listens for about `wait` to the fitting answer.
    fn say(&mut self, said: Request, wait: Duration) -> Result<Option<Answer>> {
        let seconds = clock::now().saturating_sub(self.started).as_secs();
        let message = self.session.client.emit(said, u16::try_from(seconds).unwrap_or(u16::MAX));
        let until = Deadline::after(clock::now(), self.wait(wait));
        let sent = self.session.channel.send(&message, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, EVERYBODY);
        self.trouble = sent.err();
        let mut buffer = [0; PACKET_LIMIT];
        loop {
            let answer = match self.listen(&mut buffer, until) {
                Ok(answer) => answer,
                Err(error) if error.kind == Kind::TimedOut => return Ok(None),
                // Someone's rubbish with our number in it: there may be a better answer behind it.
                Err(error) if error.kind == Kind::Corrupt => None,
                Err(error) => return Err(error),
            };
            match (said, &answer) {
                (Request::Discover, Some(Answer::Offer(_))) => return Ok(answer),
                (Request::Request { server, .. }, Some(Answer::Acknowledged(Lease { server: from, .. })))
                | (Request::Request { server, .. }, Some(Answer::Refused(from)))
                    if server == *from =>
                {
                    return Ok(answer);
                }
                _ => {}
            }
        }
    }

    /// The next message from a DHCP server, if it is an answer to this client.
    fn listen(&mut self, buffer: &mut [u8], until: Deadline) -> Result<Option<Answer>> {
        let (message, neighbour) = match &self.session.channel {
            Channel::Udp(socket) => {
                let length = socket.receive(buffer, until)?;
                (buffer.get(..length), EVERYBODY)
            }
            Channel::Packets(socket) => {
                let (length, from) = socket.receive(buffer, until)?;
                let datagram = buffer.get(..length).and_then(Datagram::find);
                let ours =
                    datagram.filter(|it| it.source.port() == SERVER_PORT && it.destination.port() == CLIENT_PORT);
                (ours.map(|it| it.payload), from)
            }
        };
        let answer = self.session.client.find_answer(message.unwrap_or_default())?;
        if answer.is_some() {
            self.session.neighbour = neighbour;
        }
        Ok(answer)
    }

    /// `span`, shorter or longer by up to a quarter, so that a thousand machines that boot together do not stay in
    /// step, and not beyond the deadline.
    fn wait(&self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let jitter = random::number().checked_rem(millis / 2).unwrap_or(0);
        let wait = Duration::from_millis((millis / 4).saturating_mul(3).saturating_add(jitter));
        self.deadline.remaining(clock::now()).map_or(wait, |left| wait.min(left))
    }

    fn is_over(&self) -> bool {
        self.deadline.has_passed(clock::now())
    }
}

fn longer(wait: Duration) -> Duration {
    wait.saturating_mul(2).min(LONGEST_WAIT)
}
