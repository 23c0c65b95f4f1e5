//! A server that does exactly what its script says, one connection after the other, and then is gone.

use super::port::reserve;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use wisp::fetch::{Connector, Endpoint};

/// What the server does on a connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Receives a request.
    Hear,
    /// Sends this.
    Say(Vec<u8>),
    /// Sends this byte by byte.
    Spell(Vec<u8>),
    /// Sends this for ever.
    Babble(&'static [u8]),
    /// Waits until the client closes.
    Hold,
    /// Drops the connection with what the client sent unread, which resets it.
    Reset,
}

/// A reply with a body of known length.
pub fn reply(status: u16, fields: &str, body: &str) -> Step {
    Step::Say(format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// A request heard and a reply said.
pub fn answer(status: u16, fields: &str, body: &str) -> [Step; 2] {
    [Step::Hear, reply(status, fields, body)]
}

/// A running server.
pub struct Server {
    pub endpoint: Endpoint,
    thread: JoinHandle<Vec<String>>,
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Server {
    /// Over TCP, with one list of steps for each connection.
    pub fn tcp(connections: Vec<Vec<Step>>) -> Self {
        Self::at("127.0.0.1:0", connections)
    }

    /// The same at an address of choice.
    pub fn at(address: &str, connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let accept = move || {
            let stream = listener.accept().unwrap().0;
            stream.set_nodelay(true).unwrap();
            Box::new(stream) as Box<dyn Connection>
        };
        Self { endpoint, thread: std::thread::spawn(move || serve(connections, accept)) }
    }

    /// Over a Unix socket.
    pub fn unix(name: &str, connections: Vec<Vec<Step>>) -> Self {
        let path = std::env::temp_dir().join(format!("wisp-fetch-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let endpoint = Endpoint::Unix(path.to_str().unwrap().to_owned());
        let accept = move || Box::new(listener.accept().unwrap().0) as Box<dyn Connection>;
        let thread = std::thread::spawn(move || {
            let heard = serve(connections, accept);
            std::fs::remove_file(path).unwrap();
            heard
        });
        Self { endpoint, thread }
    }

    pub fn dial(&self) -> Connector {
        dial(vec![self.endpoint.clone()])
    }

    pub fn port(&self) -> u16 {
        let Endpoint::Tcp(address) = self.endpoint else { panic!("a Unix socket has no port") };
        address.port()
    }

    /// The requests it heard, when its script has come to its end.
    pub fn heard(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// These addresses, nothing special.
pub fn dial(endpoints: Vec<Endpoint>) -> Connector {
    Connector { endpoints, interface: None, low_port: false, host: "metadata.test".into(), tls: None }
}

/// An address without a listener.
pub fn deaf() -> Endpoint {
    Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, reserve())))
}

fn serve(connections: Vec<Vec<Step>>, accept: impl Fn() -> Box<dyn Connection>) -> Vec<String> {
    let mut heard = Vec::new();
    for steps in connections {
        let mut stream = accept();
        for step in steps {
            // The client may give up at any moment, and often should.
            let _ = act(&mut *stream, step, &mut heard);
        }
    }
    heard
}

fn act(stream: &mut dyn Connection, step: Step, heard: &mut Vec<String>) -> std::io::Result<()> {
    match step {
        Step::Hear => heard.push(hear(stream)),
        Step::Say(bytes) => stream.write_all(&bytes)?,
        Step::Spell(bytes) => bytes.iter().try_for_each(|byte| stream.write_all(&[*byte]))?,
        Step::Babble(bytes) => loop {
            stream.write_all(bytes)?;
        },
        Step::Hold => std::io::copy(stream, &mut std::io::sink()).map(|_| ())?,
        Step::Reset => stream.read_exact(&mut [0])?,
    }
    Ok(())
}

/// One request with its body; empty when the client closes instead.
fn hear(stream: &mut dyn Connection) -> String {
    let mut text = String::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) => text.push(char::from(byte[0])),
            _ => return text,
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}
