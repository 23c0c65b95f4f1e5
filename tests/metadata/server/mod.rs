//! A metadata service for tests: plays one cloud from its recorded replies, on a loopback port or a Unix socket, with at
//! most one fault, and remembers what it was asked. Tests use it as a module, guests as `cargo run --example
//! metadata-server`. Only `std`, and no code of wisp: the product's HTTP must not be judged by itself.
//!
//! `tests/metadata/README.md` describes the recorded replies.
#![allow(dead_code, reason = "each program that includes this module uses a part of it")]

mod connection;
pub mod fault;
pub mod recorded;
mod statements;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use connection::{Connection, Stream};
use fault::{Fault, How};
use recorded::{Recorded, Request, Tokens};

/// At which no program of any machine listens, and which the kernel gives to none.
const UNUSED_PORT: u16 = 1;

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Place {
    /// A port of 127.0.0.1; 0 lets the kernel choose.
    Port(u16),
    /// A Unix socket, made again.
    Unix(PathBuf),
}

/// What to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder below `tests/metadata/recorded/`: `aws`, or `aws/bare` for a variant.
    pub cloud: String,
    /// A folder like a variant's, anywhere, whose replies replace the cloud's.
    pub over: Option<PathBuf>,
    /// The one thing that goes wrong; `fault::NONE` for nothing.
    pub fault: &'static Fault,
    /// Where.
    pub place: Place,
    /// The address that a port is of: of this machine alone, unless a program says otherwise.
    pub address: Ipv4Addr,
    /// Whether source ports are taken as seen. Not where something stands between client and server, as in a guest.
    pub ports: bool,
    /// A file that gets a line for every connection and every request.
    pub log: Option<PathBuf>,
}

impl Options {
    /// `cloud` without a fault on any port.
    pub fn of(cloud: &str) -> Self {
        Self {
            cloud: cloud.to_owned(),
            over: None,
            fault: &fault::NONE,
            place: Place::Port(0),
            address: Ipv4Addr::LOCALHOST,
            ports: true,
            log: None,
        }
    }

    /// The same with a fault.
    pub fn with(self, fault: &'static Fault) -> Self {
        Self { fault, ..self }
    }

    /// The same at another place.
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

/// One request and how it was answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As it came.
    pub request: Request,
    /// Which connection it came over, from 1.
    pub connection: usize,
    /// The status it got; 0 if it got none.
    pub status: u16,
}

/// What the threads of one server share.
#[derive(Debug)]
struct Scene {
    options: Options,
    recorded: Recorded,
    memory: Mutex<Memory>,
    closing: AtomicBool,
}

/// What a server remembers.
#[derive(Debug, Default)]
struct Memory {
    tokens: Tokens,
    connections: usize,
    asked: Vec<Asked>,
    /// How often each method and target was answered.
    reads: BTreeMap<String, usize>,
}

/// A server that plays until it is dropped.
#[derive(Debug)]
pub struct Server {
    scene: Arc<Scene>,
    place: Place,
}

impl Server {
    /// Begins to listen. Panics when the replies cannot be read or the place is taken: either is a fault of the test.
    pub fn start(options: Options) -> Self {
        let fresh_tokens = Tokens::new(options.fault.token_uses());
        let scene = Arc::new(Scene {
            recorded: Recorded::read_over(&options.cloud, options.over.as_deref()),
            memory: Mutex::new(Memory { tokens: fresh_tokens, ..Memory::default() }),
            closing: AtomicBool::new(false),
            options,
        });
        let place = match &scene.options.place {
            // A port that was given and closed again would be given to another server, which answers.
            Place::Port(0) if scene.options.fault.how == How::Refuse => Place::Port(UNUSED_PORT),
            Place::Port(port) => {
                let listener = TcpListener::bind((scene.options.address, *port)).expect("the port is free");
                let place = Place::Port(listener.local_addr().expect("a listener has an address").port());
                scene.listen(move || listener.accept().map(|(stream, from)| (Stream::Tcp(stream), from.port())));
                place
            }
            Place::Unix(path) => {
                drop(std::fs::remove_file(path));
                let listener = UnixListener::bind(path).expect("the socket can be made");
                scene.listen(move || listener.accept().map(|(stream, _)| (Stream::Unix(stream), 0)));
                Place::Unix(path.clone())
            }
        };
        Self { scene, place }
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self.place {
            Place::Port(port) => port,
            Place::Unix(_) => 0,
        }
    }

    /// The address to connect to. Panics for a Unix socket.
    pub fn address(&self) -> SocketAddr {
        assert!(matches!(self.place, Place::Port(_)), "this server has a path instead of an address");
        SocketAddr::from((self.scene.options.address, self.port()))
    }

    /// Everything that was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.scene.memory().asked.clone()
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> usize {
        self.scene.memory().connections
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.scene.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection; if none waits any more, there is nothing to wake.
        match &self.place {
            Place::Port(_) => drop(TcpStream::connect(self.address())),
            Place::Unix(path) => drop(UnixStream::connect(path)),
        }
    }
}

impl Scene {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no thread of the server panicked")
    }

    /// Takes connections in a thread of its own, each into another one. A server that refuses closes its place at once.
    fn listen(self: &Arc<Self>, accept: impl Fn() -> io::Result<(Stream, u16)> + Send + 'static) {
        if self.options.fault.how == How::Refuse {
            return;
        }
        let scene = Arc::clone(self);
        thread::spawn(move || {
            while let Ok((stream, port)) = accept() {
                if scene.closing.load(Ordering::SeqCst) {
                    break;
                }
                let scene = Arc::clone(&scene);
                thread::spawn(move || scene.serve(stream, port));
            }
        });
    }

    /// One connection, until either side has enough of it.
    fn serve(&self, stream: Stream, port: u16) {
        let number = {
            let mut memory = self.memory();
            memory.connections += 1;
            memory.connections
        };
        self.note(&format!("connection {number}"));
        let mut connection = Connection::new(stream, self.options.fault.how);
        let low_port = !self.options.ports || matches!(connection.stream, Stream::Unix(_)) || port < 1024;
        while let Ok(Some(request)) = connection.read_request(low_port) {
            let (reply, nth) = {
                let mut memory = self.memory();
                let reads = memory.reads.entry(format!("{} {}", request.method, request.target)).or_default();
                *reads += 1;
                let reads = *reads;
                let nth = fault::Nth { request: memory.asked.len() + 1, read: reads };
                memory.tokens.incarnation += usize::from(self.options.fault.changes_machine(&request, nth));
                let reply = self.recorded.answer(&request, &mut memory.tokens);
                (self.options.fault.bend(reply, &request, nth), nth)
            };
            let status = self.options.fault.shown_status(&reply);
            self.note(&format!("{number} {} {} {status}", request.method, request.target));
            if !request.body.is_empty() {
                let body = String::from_utf8_lossy(&request.body).replace(char::is_control, " ");
                self.note(&format!("{number} sent {body}"));
            }
            let goes_on = request.keeps_alive;
            self.memory().asked.push(Asked { request, connection: number, status });
            if !matches!(connection.send(&reply, goes_on, nth), Ok(true)) {
                break;
            }
        }
        connection.end();
    }

    /// A line of the log. One `write` a line, so that threads do not mix theirs.
    fn note(&self, line: &str) {
        if let Some(path) = &self.options.log {
            let mut file =
                std::fs::File::options().append(true).create(true).open(path).expect("the log can be opened");
            file.write_all(format!("{line}\n").as_bytes()).expect("the log can be written");
        }
    }
}

/// The folder of all recorded replies.
pub fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/metadata/recorded"))
}
