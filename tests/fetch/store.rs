//! A web server with one file, of which it sends parts, and which it breaks off in as many ways as networks do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How a reply ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// As it should, the connection being closed after so many bytes of its body.
    Close(usize),
    /// By a reset, in which bytes on their way are lost, after so many.
    Reset(usize),
    /// Not at all: nothing comes after so many.
    Silence(usize),
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub struct Turn {
    pub bytes: Arc<Vec<u8>>,
    /// Header fields, each with its line end.
    pub fields: String,
    /// Whether it honours ranges.
    pub ranges: bool,
    /// The body in chunks of so many bytes.
    pub chunks: Option<usize>,
    pub end: End,
    /// This and nothing else.
    pub instead: Option<String>,
}

impl Turn {
    pub fn whole(bytes: &Arc<Vec<u8>>) -> Self {
        let fields = "ETag: \"one\"\r\nAccept-Ranges: bytes\r\n".into();
        Self { bytes: bytes.clone(), fields, ranges: true, chunks: None, end: End::Close(usize::MAX), instead: None }
    }

    pub fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    pub fn saying(head: impl Into<String>) -> Self {
        Self { instead: Some(head.into()), ..Self::whole(&Arc::default()) }
    }
}

/// A running server; it lives as long as the test program.
pub struct Store {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Store {
    /// Does with each request, counted from 0, what `turn` says. One connection carries one request.
    pub fn new(turn: impl Fn(usize, &str) -> Turn + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = heard.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let request = hear(&mut stream);
                let turn = turn(number, &request);
                if !matches!(turn.end, End::Reset(_)) {
                    // What is left unread when a connection is closed resets it.
                    let _ = stream.read(&mut [0]);
                }
                log.lock().unwrap().push(request.clone());
                // The client may go at any moment.
                let _ = answer(&mut stream, &request, &turn);
                if let End::Silence(_) = turn.end {
                    silent.push(stream);
                }
            }
        });
        Self { port, heard }
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}{target}", self.port)
    }

    /// The requests so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// The value of a header field of `request`.
pub fn field<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A request but for its last byte.
fn hear(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        text.push(char::from(byte[0]));
    }
    text.replace('\r', "")
}

fn answer(stream: &mut TcpStream, request: &str, turn: &Turn) -> std::io::Result<()> {
    if let Some(instead) = &turn.instead {
        return stream.write_all(instead.as_bytes());
    }
    let size = turn.bytes.len();
    let range = field(request, "Range").filter(|_| turn.ranges);
    let is_same = field(request, "If-Range").is_none_or(|value| turn.fields.contains(value));
    let first = range.filter(|_| is_same).map(|range| range["bytes=".len()..].trim_end_matches('-').parse().unwrap());
    let (status, part) = match first {
        Some(first) if first < size => ("206 Part", format!("Content-Range: bytes {first}-{}/{size}\r\n", size - 1)),
        Some(_) => return stream.write_all(format!("HTTP/1.1 416 No\r\n{}\r\n", turn.fields).as_bytes()),
        None => ("200 OK", String::new()),
    };
    let body = &turn.bytes[first.unwrap_or(0)..];
    let framing = match turn.chunks {
        Some(_) => "Transfer-Encoding: chunked\r\n".into(),
        None => format!("Content-Length: {}\r\n", body.len()),
    };
    stream.write_all(format!("HTTP/1.1 {status}\r\n{}{part}{framing}\r\n", turn.fields).as_bytes())?;
    let (End::Close(cut) | End::Reset(cut) | End::Silence(cut)) = turn.end;
    let sent = &body[..cut.min(body.len())];
    let Some(chunk) = turn.chunks else { return stream.write_all(sent) };
    for piece in sent.chunks(chunk) {
        stream.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
    }
    if sent.len() == body.len() { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
}
