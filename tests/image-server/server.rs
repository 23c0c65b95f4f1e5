//! A web server for guests and benchmarks: hands out files, whole and by ranges, and breaks off where it is told to.
//! `cargo run --example image-server -- FILE…`; `--help` lists its options. Only `std`, and no code of wisp: the
//! product's HTTP must not be judged by itself.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const HELP: &str = "\
Usage: image-server FILE... [--address IP:PORT] [--cut BYTES:KIND]... [--log FILE]
Serves each FILE under its own name by HTTP until it is killed, byte ranges too.
  --address IP:PORT  127.0.0.1:0, the default, takes a free port. The first line printed is the address
  --cut BYTES:KIND   what goes wrong, once, when so many bytes of files were sent in all:
                     reset  the connection is reset
                     close  it is closed, as if this were the end
                     stall  nothing more is sent, and the connection stays open
                     down   it is reset, and for two seconds nobody listens
                     mark   nothing: only the log says that so much was sent
  --log FILE         a line for every connection (`connection N`), request (`N METHOD TARGET STATUS FIRST END`)
                     and cut (`N KIND BYTES`)
";

/// A request's head beyond this ends the connection.
const HEAD_LIMIT: usize = 16 * 1024;
/// Bytes of a file that are read and sent at once.
const BLOCK: usize = 256 * 1024;
/// How long no one listens.
const DOWN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reset,
    Close,
    Stall,
    Down,
    Mark,
}

const KINDS: [(&str, Kind); 5] = [
    ("reset", Kind::Reset),
    ("close", Kind::Close),
    ("stall", Kind::Stall),
    ("down", Kind::Down),
    ("mark", Kind::Mark),
];

/// What all connections share.
#[derive(Debug)]
struct Scene {
    files: Vec<PathBuf>,
    log: Option<PathBuf>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    connections: usize,
    /// Bytes of files that were sent.
    sent: u64,
    /// What is still to go wrong, the last first.
    cuts: Vec<(u64, Kind)>,
    /// The server is to go down for a while.
    down: bool,
}

fn main() -> ExitCode {
    match parse(env::args().skip(1)) {
        Ok(Some((address, scene))) => serve(address, &Arc::new(scene)),
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("image-server: {complaint}");
            ExitCode::from(2)
        }
    }
}

/// `None` when the help is wanted.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<(SocketAddr, Scene)>, String> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut scene = Scene { files: Vec::new(), log: None, memory: Mutex::default() };
    let mut memory = Memory::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "--address" => address = value()?.parse().map_err(|_| "--address wants IP:PORT".to_owned())?,
            "--cut" => memory.cuts.push(cut(&value()?).ok_or("--cut wants BYTES:KIND")?),
            "--log" => scene.log = Some(value()?.into()),
            _ if word.starts_with('-') => return Err(format!("{word} is not understood")),
            _ => scene.files.push(word.into()),
        }
    }
    if scene.files.is_empty() {
        return Err("which file?".to_owned());
    }
    memory.cuts.sort_by_key(|cut| std::cmp::Reverse(cut.0));
    scene.memory = Mutex::new(memory);
    Ok(Some((address, scene)))
}

fn cut(value: &str) -> Option<(u64, Kind)> {
    let (bytes, name) = value.split_once(':')?;
    let kind = KINDS.iter().find(|kind| kind.0 == name)?.1;
    Some((bytes.parse().ok()?, kind))
}

/// Takes connections, each into a thread of its own; the address stays the same when it was down.
fn serve(mut address: SocketAddr, scene: &Arc<Scene>) -> ExitCode {
    let mut listener = TcpListener::bind(address).expect("the address is free");
    address = listener.local_addr().expect("a listener has an address");
    println!("{address}");
    drop(io::stdout().flush());
    loop {
        let Ok((stream, _)) = listener.accept() else { return ExitCode::FAILURE };
        let number = {
            let mut memory = scene.memory.lock().expect("no thread panicked");
            if std::mem::take(&mut memory.down) {
                drop(listener);
                drop(stream);
                thread::park_timeout(DOWN);
                listener = TcpListener::bind(address).expect("the address is still free");
                continue;
            }
            memory.connections += 1;
            memory.connections
        };
        scene.note(&format!("connection {number}"));
        let scene = Arc::clone(scene);
        thread::spawn(move || {
            // A client that goes away is no fault of the server's.
            if let Ok(Some(Kind::Down)) = scene.converse(stream, number) {
                scene.memory.lock().expect("no thread panicked").down = true;
                drop(TcpStream::connect(address)); // wakes the one that listens
            }
        });
    }
}

impl Scene {
    /// One connection, until either side has enough of it; what cut it.
    fn converse(&self, mut stream: TcpStream, number: usize) -> io::Result<Option<Kind>> {
        stream.set_nodelay(true)?;
        while let Some(head) = read_head(&mut stream)? {
            if let Some(kind) = self.answer(&mut stream, number, &head)? {
                if matches!(kind, Kind::Close | Kind::Stall) {
                    read_last(&mut stream)?;
                }
                if kind == Kind::Stall {
                    while stream.read(&mut [0; 64])? > 0 {}
                }
                return Ok(Some(kind));
            }
            read_last(&mut stream)?;
            if header(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        Ok(None)
    }

    /// Answers one request; what broke the answer off.
    fn answer(&self, stream: &mut TcpStream, number: usize, head: &str) -> io::Result<Option<Kind>> {
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        let named = |file: &&PathBuf| file.file_name() == Path::new(path).file_name();
        let Some(file) = self.files.iter().find(named).and_then(|path| File::open(path).ok()) else {
            self.note(&format!("{number} {method} {target} 404"));
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(None);
        };
        let about = file.metadata()?;
        let size = about.len();
        let tag = format!("\"{:x}-{:x}-{size:x}\"", about.ino(), about.mtime());
        let same = header(head, "if-range").is_none_or(|value| value == tag);
        let wanted = header(head, "range").filter(|_| same).and_then(|value| range(value, size));
        let (status, first, end) = match wanted {
            None => ("200 OK", 0, size),
            Some((first, end)) if first < end => ("206 Partial Content", first, end),
            Some(_) => ("416 Range Not Satisfiable", 0, 0),
        };
        self.note(&format!("{number} {method} {target} {} {first} {end}", &status[..3]));
        let part = match (&status[..3], first, end) {
            ("206", first, end) => format!("Content-Range: bytes {first}-{}/{size}\r\n", end - 1),
            ("416", ..) => format!("Content-Range: bytes */{size}\r\n"),
            _ => String::new(),
        };
        let reply = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{part}Accept-Ranges: bytes\r\nETag: {tag}\r\n\r\n",
            end - first
        );
        stream.write_all(reply.as_bytes())?;
        if method == "HEAD" { Ok(None) } else { self.send(stream, number, &file, first, end) }
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        number: usize,
        file: &File,
        first: u64,
        end: u64,
    ) -> io::Result<Option<Kind>> {
        let mut block = vec![0; BLOCK];
        let mut at = first;
        while at < end {
            let (count, cut) = self.claim((end - at).min(BLOCK as u64));
            let count = usize::try_from(count).expect("a block fits into memory");
            file.read_exact_at(&mut block[..count], at)?;
            stream.write_all(&block[..count])?;
            at += count as u64;
            let Some((bytes, name, kind)) = cut else { continue };
            self.note(&format!("{number} {name} {bytes}"));
            if kind != Kind::Mark {
                return Ok(Some(kind));
            }
        }
        Ok(None)
    }

    /// How many of `count` bytes may be sent now, and what happens behind them.
    fn claim(&self, count: u64) -> (u64, Option<(u64, &'static str, Kind)>) {
        let mut memory = self.memory.lock().expect("no thread panicked");
        let next = memory.cuts.last().copied();
        let Some((bytes, kind)) = next.filter(|cut| cut.0 <= memory.sent + count) else {
            memory.sent += count;
            return (count, None);
        };
        memory.cuts.pop();
        let count = bytes.saturating_sub(memory.sent);
        memory.sent += count;
        let name = KINDS.iter().find(|entry| entry.1 == kind).map_or("", |entry| entry.0);
        (count, Some((bytes, name, kind)))
    }

    /// A line of the log. One `write` a line, so that threads do not mix theirs.
    fn note(&self, line: &str) {
        if let Some(path) = &self.log {
            let mut file = File::options().append(true).create(true).open(path).expect("the log can be opened");
            file.write_all(format!("{line}\n").as_bytes()).expect("the log can be written");
        }
    }
}

/// The head of the next request but for its last byte: a kernel that closes a connection with unread bytes resets it.
/// `None` when the client has gone.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut seen = vec![0; HEAD_LIMIT];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r") {
        let count = stream.peek(&mut seen)?;
        let ahead = [head.as_slice(), &seen[..count]].concat();
        let ends = ahead.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 3);
        if count == 0 || ahead.len() >= HEAD_LIMIT && ends.is_none() {
            return Ok(None);
        }
        let taken = ends.unwrap_or(ahead.len()) - head.len();
        stream.read_exact(&mut seen[..taken])?;
        head.extend_from_slice(&seen[..taken]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

fn read_last(stream: &mut TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.trim())
}

/// The first byte of a range and the one behind its last, which is not behind the first where nothing can be sent.
/// `None` for what is no single range, which a server may ignore (RFC 9110, 14.2).
fn range(value: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some((size.saturating_sub(last.parse().ok()?), size));
    }
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1).min(size) };
    Some((first.parse().ok()?, end))
}
