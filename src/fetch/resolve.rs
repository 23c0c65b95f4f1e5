//! Names of servers: their addresses, by `/etc/hosts` and the DNS servers of `/etc/resolv.conf`.
//!
//! Metadata services have addresses; names are for the seeds and images that users name. A stub resolver: it asks
//! servers that do the work, and believes an answer that comes from there with the right number and question.

use crate::error::{Error, Kind, Result};
use crate::packet::dns::{Answer, Family, Name, Query, UDP_LIMIT};
use crate::sys::datagram::{self, Udp};
use crate::sys::socket::{Address, Origin, Stream, wait_connected};
use crate::sys::{clock, file, random};
use crate::units::Deadline;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;

const PORT: u16 = 53;

/// As many servers and domains as libc honours (`MAXNS` and the older `MAXDNSRCH` of resolv.h).
const SERVERS_LIMIT: usize = 3;
const DOMAINS_LIMIT: usize = 6;

/// Lists that block advertisements have some megabytes.
const HOSTS_LIMIT: usize = 8 << 20;
const CONF_LIMIT: usize = 64 << 10;

/// How long a server may take in the first round; each further round is twice as long, up to the second number. A
/// server that must ask others first takes some hundred milliseconds.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How much longer the other family's answer may take once one has addresses; servers that never answer questions for
/// IPv6 are still met.
const OTHER_WAIT: Duration = Duration::from_millis(300);

const DOING: &str = "look up";

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// The DNS servers.
    pub servers: Vec<SocketAddr>,
    /// The domains in which a name without a dot is looked for first.
    pub domains: Vec<String>,
    /// The text of `/etc/hosts`.
    pub hosts: String,
}

impl Resolver {
    /// What the files below `root` (empty for the machine's own) say. Without `resolv.conf` it is, as for libc, a server
    /// on this machine.
    #[must_use]
    pub fn read(root: &str) -> Self {
        let text = |path: &str, limit| {
            let bytes = file::read(&format!("{root}{path}"), limit).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { hosts: text("/etc/hosts", HOSTS_LIMIT), ..Self::parse(&text("/etc/resolv.conf", CONF_LIMIT)) }
    }

    /// What a `resolv.conf` (resolv.conf(5)) says; its options are not honoured.
    #[must_use]
    pub fn parse(conf: &str) -> Self {
        let mut resolver = Self::default();
        for line in conf.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < SERVERS_LIMIT => {
                    resolver.servers.extend(words.next().and_then(server));
                }
                Some("search" | "domain") => {
                    resolver.domains = words.take(DOMAINS_LIMIT).map(Into::into).collect();
                }
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        resolver
    }

    /// The addresses of `name`, which may be an address itself, IPv4 first.
    ///
    /// # Errors
    /// `Absent`: there is no such name, or it has no address. `TimedOut`: no server says before `deadline`. `Usage`: it
    /// cannot be a name.
    pub fn lookup(&self, name: &str, deadline: Deadline) -> Result<Vec<IpAddr>> {
        if let Ok(address) = name.parse() {
            return Ok(Vec::from([address]));
        }
        let known = self.find_host(name);
        if !known.is_empty() {
            return Ok(known);
        }
        let own = Name::parse(name)?;
        let domains = if name.contains('.') { &[] } else { self.domains.as_slice() };
        // A domain that makes no name is none: `search .` is what is written where there is none.
        let longer = domains.iter().filter_map(|domain| Name::parse(&format!("{name}.{domain}")).ok());
        for full in longer.chain([own]) {
            let found = self.ask(&full, deadline).map_err(|error| error.to(name))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(Error::absent(DOING, "there is no such name, or it has no address").to(name))
    }

    /// The addresses that `/etc/hosts` has for `name`.
    fn find_host(&self, name: &str) -> Vec<IpAddr> {
        let name = name.trim_end_matches('.');
        let address = |line: &str| {
            let mut words = line.split('#').next()?.split_ascii_whitespace();
            let address = words.next()?;
            words.any(|alias| alias.eq_ignore_ascii_case(name)).then(|| address.parse().ok())?
        };
        self.hosts.lines().filter_map(address).collect()
    }

    /// Asks one server after the other, again and again, until one knows: no address means that there is none.
    fn ask(&self, name: &Name, deadline: Deadline) -> Result<Vec<IpAddr>> {
        let mut trouble = Error::new(Kind::TimedOut, DOING, "no DNS server answers");
        let mut wait = FIRST_WAIT;
        loop {
            let round = Deadline::after(clock::now(), wait).sooner(deadline);
            for server in &self.servers {
                let until = Deadline::after(clock::now(), wait).sooner(deadline);
                match Attempt::new(name, *server, until).and_then(Attempt::run) {
                    Ok(Some(addresses)) => return Ok(addresses),
                    Ok(None) => {}
                    Err(error) => trouble = Error::new(Kind::TimedOut, DOING, format!("{server}: {error}")),
                }
                if deadline.has_passed(clock::now()) {
                    return Err(trouble);
                }
            }
            // Where all have refused at once, nothing announces that they have come up.
            clock::pause(round.remaining(clock::now()).unwrap_or_default());
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }
}

/// Both questions about one name, to one server.
struct Attempt {
    server: SocketAddr,
    socket: Udp,
    until: Deadline,
    /// Each with its answer, once there is one.
    questions: [(Query, Option<Answer>); 2],
}

impl Attempt {
    fn new(name: &Name, server: SocketAddr, until: Deadline) -> Result<Self> {
        let question = |family| (Query { id: random::number() as u16, name: name.clone(), family }, None);
        let questions = [question(Family::V4), question(Family::V6)];
        Ok(Self { server, socket: Udp::connect(server)?, until, questions })
    }

    /// The addresses; none when there are none; `None` when this server did not say.
    fn run(mut self) -> Result<Option<Vec<IpAddr>>> {
        for (query, _) in &self.questions {
            self.socket.send(&query.emit())?;
        }
        let mut buffer = [0; UDP_LIMIT];
        while self.questions.iter().any(|(_, answer)| answer.is_none()) {
            match self.socket.receive(&mut buffer, self.until) {
                Ok(length) => self.take(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind == Kind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        self.verdict()
    }

    /// Puts an answer to its question.
    fn take(&mut self, message: &[u8]) -> Result<()> {
        for (query, answer) in self.questions.iter_mut().filter(|(_, answer)| answer.is_none()) {
            // What is broken may be forged: the right answer may still come.
            let Ok(Some(found)) = query.find_answer(message) else { continue };
            let found = if found == Answer::Truncated { ask_by_tcp(self.server, query, self.until)? } else { found };
            if matches!(&found, Answer::Addresses(addresses) if !addresses.is_empty()) {
                self.until = self.until.sooner(Deadline::after(clock::now(), OTHER_WAIT));
            }
            *answer = Some(found);
        }
        Ok(())
    }

    /// What the answers mean together.
    fn verdict(self) -> Result<Option<Vec<IpAddr>>> {
        let answers = self.questions.map(|(_, answer)| answer);
        // That there is no such name holds for both families.
        let is_settled = answers.contains(&Some(Answer::NoSuchName))
            || answers.iter().all(|answer| matches!(answer, Some(Answer::Addresses(_))));
        let (mut found, mut failed) = (Vec::new(), None);
        for answer in answers.into_iter().flatten() {
            match answer {
                Answer::Addresses(addresses) => found.extend(addresses),
                Answer::Failed(code) => failed = Some(code),
                Answer::NoSuchName | Answer::Truncated => {}
            }
        }
        match failed {
            _ if is_settled || !found.is_empty() => Ok(Some(found)),
            Some(code) => Err(Error::new(Kind::Remote(code.into()), "ask", "instead of an address")),
            None => Ok(None),
        }
    }
}

/// Asks by TCP, where answers have no limit (RFC 7766): each message stands behind its length.
fn ask_by_tcp(server: SocketAddr, query: &Query, until: Deadline) -> Result<Answer> {
    const DOING: &str = "ask";
    let stream = Stream::connect(Address::Tcp(server), Origin::default())?;
    if wait_connected(&[&stream], until)?.is_none() {
        return Err(Error::new(Kind::TimedOut, DOING, "it takes no connection"));
    }
    stream.outcome()?;
    let question = query.emit();
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[length.to_be_bytes().as_slice(), &question].concat(), until)?;
    let mut length = [0; 2];
    read_exactly(&stream, &mut length, until)?;
    let mut message = alloc::vec![0; u16::from_be_bytes(length).into()];
    read_exactly(&stream, &mut message, until)?;
    query.find_answer(&message)?.ok_or_else(|| Error::corrupt(DOING, "it answers another question"))
}

fn read_exactly(stream: &Stream, mut rest: &mut [u8], until: Deadline) -> Result<()> {
    while !rest.is_empty() {
        let count = stream.read(rest, until)?;
        if count == 0 {
            return Err(Error::corrupt("ask", "the answer ends too early"));
        }
        rest = rest.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

/// The server that a word of `resolv.conf` names; a link-local address has its interface behind a `%`.
fn server(word: &str) -> Option<SocketAddr> {
    let Some((address, interface)) = word.split_once('%') else {
        return word.parse().ok().map(|address: IpAddr| SocketAddr::new(address, PORT));
    };
    let index = interface.parse().ok().or_else(|| datagram::interface_index(interface).ok())?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, index).into())
}

#[cfg(test)]
mod tests;
