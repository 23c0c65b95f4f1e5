//! TLS against OpenSSL: certificates that must be believed, and those that must not.
//!
//! Whom wisp believes stands in its environment, which a process must not change while its threads read it: each fetch
//! is made by this program started again, with the one test that does it.

use super::port::reserve;
use super::server::deaf;
use super::{ONCE, PATIENT};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use wisp::codec::Source;
use wisp::error::Kind;
use wisp::fetch::{Connector, Download, Endpoint, Session, Url};

/// Where [`the_child_process_fetches`] finds its order: a port, the name the server must prove, and what to get.
const ORDER: &str = "WISP_TEST_ORDER";

fn openssl(folder: &Path, arguments: &str) -> Output {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("openssl: {error}"));
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder with an authority (`ca.pem`) and, signed by it, a certificate for `localhost` (`leaf.pem`, `leaf.key`).
struct Authority(PathBuf);

impl Authority {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wisp-tls-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let ca = "[ca]\ndefault_ca = a\n[a]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\n\
            default_md = sha384\npolicy = p\n[p]\ncommonName = supplied\n";
        std::fs::write(folder.join("ca.cnf"), ca).unwrap();
        std::fs::write(folder.join("index.txt"), "").unwrap();
        openssl(&folder, "ecparam -name secp384r1 -genkey -noout -out ca.key");
        let request = "req -x509 -new -key ca.key -sha384 -days 30 -subj /CN=test -out ca.pem";
        openssl(&folder, request);
        Self(folder)
    }

    /// Signs a certificate with a new key of this kind, for `names`, for these years.
    fn sign(self, key: &str, names: &str, years: (u32, u32)) -> Self {
        openssl(&self.0, &format!("genpkey {key} -out leaf.key"));
        openssl(&self.0, "req -new -key leaf.key -subj /CN=leaf -out leaf.csr");
        std::fs::write(self.0.join("leaf.cnf"), format!("subjectAltName = {names}\nbasicConstraints = CA:false\n"))
            .unwrap();
        let dates = format!("-startdate {}0101000000Z -enddate {}0101000000Z", years.0, years.1);
        let sign = "ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -extfile leaf.cnf";
        openssl(&self.0, &format!("{sign} {dates} -in leaf.csr -out leaf.pem"));
        self
    }

    /// A server with that certificate, which answers each request of one connection with the next of `replies`.
    fn serve(&self, options: &str, replies: Vec<Vec<u8>>) -> Peer {
        let port = reserve();
        let arguments = format!("s_server -quiet -cert leaf.pem -key leaf.key -accept 127.0.0.1:{port} {options}");
        let mut child = Command::new("openssl")
            .args(arguments.trim().split(' '))
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut reply, requests) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            let mut ends = requests.lines().map_while(Result::ok).filter(String::is_empty);
            for bytes in replies {
                ends.next();
                let _ = reply.write_all(&bytes);
            }
            // As long as its input is open it goes on serving.
            ends.next();
        });
        Peer { child, port }
    }

    fn file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Peer {
    child: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a new process, with this file of authorities, gets at `targets` from the server, which must be called `name`.
fn fetch(port: u16, name: &str, targets: &str, authorities: Option<&Path>) -> String {
    start_again("tls::the_child_process_fetches", &format!("{port} {name} {targets}"), authorities)
}

/// What the test of this name says when it is given this order.
fn start_again(test: &str, order: &str, authorities: Option<&Path>) -> String {
    run(Command::new(std::env::current_exe().unwrap()), test, order, authorities)
}

/// The same, by the command that starts this program.
fn run(mut command: Command, test: &str, order: &str, authorities: Option<&Path>) -> String {
    command.args(["--exact", test, "--nocapture"]);
    command.env(ORDER, order).env_remove("SSL_CERT_FILE");
    if let Some(path) = authorities {
        command.env("SSL_CERT_FILE", path);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = text.lines().filter_map(|line| line.split_once("GOT ")).map(|(_, said)| said).collect();
    assert!(output.status.success() && !said.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    said.join("\n")
}

/// Without an order it only shows that where no one listens there is no one to trust.
#[test]
fn the_child_process_fetches() {
    let order = std::env::var(ORDER).unwrap_or_else(|_| {
        let Endpoint::Tcp(address) = deaf() else { panic!() };
        format!("{} localhost /", address.port())
    });
    let [port, name, targets] = order.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let dial = Connector {
        endpoints: vec![Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap())))],
        interface: None,
        low_port: false,
        host: name.into(),
        tls: Some(name.into()),
    };
    // The server may still be starting, which it does once.
    let policy = if std::env::var(ORDER).is_ok() { PATIENT } else { ONCE };
    let mut session = Session::new(dial, policy, &[], None);
    for target in targets.split(',') {
        match session.get(target) {
            Ok(reply) => println!("GOT {:?}", reply.map(|reply| (reply.body.len(), reply.body.last().copied()))),
            Err(error) => {
                println!("GOT {error}");
                assert!(std::env::var(ORDER).is_ok() || error.kind == Kind::Os(111), "{error}");
            }
        }
    }
    println!("GOT {:?}", session.counts());
}

/// Without an order, as above.
#[test]
fn the_child_process_downloads() {
    let order = std::env::var(ORDER).unwrap_or_else(|_| {
        let Endpoint::Tcp(address) = deaf() else { panic!() };
        format!("https://{address}/")
    });
    let policy = if std::env::var(ORDER).is_ok() { PATIENT } else { ONCE };
    for url in order.split(' ') {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 70_000];
        let mut read = || -> wisp::error::Result<()> {
            let mut download = Download::open(url, policy, &[], &|_| ())?;
            while let count @ 1.. = download.read(&mut piece)? {
                bytes.extend_from_slice(&piece[..count]);
            }
            Ok(())
        };
        match read() {
            Ok(()) => println!("GOT {} {:?}", bytes.len(), bytes.last()),
            Err(error) => {
                println!("GOT {error}");
                assert!(std::env::var(ORDER).is_ok() || error.kind == Kind::Os(111), "{error}");
            }
        }
    }
}

#[test]
fn a_download_is_encrypted_from_its_first_byte_to_its_last() {
    let authority = Authority::new("download").sign(P256, "DNS:localhost", NOW);
    let moved = b"HTTP/1.1 302 Moved\r\nLocation: http://localhost/secret?secret\r\nContent-Length: 0\r\n\r\n";
    let peer = authority.serve("", vec![reply(&vec![b'z'; 300_000]), moved.to_vec()]);
    let url = format!("https://localhost:{}", peer.port);
    let got = start_again("tls::the_child_process_downloads", &format!("{url}/a {url}/b?c"), Some(&authority.file()));
    let refused = "it redirects from https to http, http://localhost/secret";
    assert_eq!(got, format!("300000 Some(122)\nGET {url}/b: {refused}"));
}

fn reply(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

const NOW: (u32, u32) = (2026, 2049);
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";

#[test]
fn servers_of_every_usual_kind_are_understood() {
    // More than a record, so that it comes in several.
    let long = vec![b'z'; 100_000];
    for (name, key, options) in [
        ("p256", P256, ""),
        ("p384", P384, "-ciphersuites TLS_AES_256_GCM_SHA384"),
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-ciphersuites TLS_AES_128_GCM_SHA256"),
        ("rsa4", "-algorithm RSA -pkeyopt rsa_keygen_bits:4096", "-num_tickets 0 -groups X25519:P-256"),
        ("ed25519", "-algorithm ED25519", "-groups X25519"),
        ("p256chacha", P256, "-ciphersuites TLS_CHACHA20_POLY1305_SHA256 -groups P-384"),
        ("p256tls12", P256, "-tls1_2"),
        ("rsatls12", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256"),
    ] {
        let authority = Authority::new(name).sign(key, "DNS:localhost", NOW);
        let peer = authority.serve(options, vec![reply(b"a"), reply(&long), reply(b"")]);
        let got = fetch(peer.port, "localhost", "/a,/b,/c", Some(&authority.file()));
        let (values, counts) = got.rsplit_once('\n').unwrap();
        assert_eq!(values, "Some((1, Some(97)))\nSome((100000, Some(122)))\nSome((0, None))", "{name}");
        assert!(counts.starts_with("Counts { requests: 3, connections: "), "one connection carries them: {counts}");
    }
}

#[test]
fn a_server_with_an_invalid_certificate_gets_no_request() {
    for (name, names, years, asked, authorities, why) in [
        ("name", "DNS:other", NOW, "localhost", true, "its certificate is for another name"),
        ("address", "DNS:localhost", NOW, "127.0.0.1", true, "its certificate is for another name"),
        ("expired", "DNS:localhost", (2020, 2021), "localhost", true, "its certificate has expired"),
        ("future", "DNS:localhost", (2048, 2049), "localhost", true, "its certificate is not valid yet"),
        ("unknown", "DNS:localhost", NOW, "localhost", false, "its certificate is from no authority"),
    ] {
        let authority = Authority::new(name).sign(P256, names, years);
        let peer = authority.serve("", vec![reply(b"secret")]);
        let file = authority.file();
        let got = fetch(peer.port, asked, "/x?query", authorities.then_some(file.as_path()));
        assert!(got.starts_with(&format!("GET https://{asked}/x: {why}")), "{got}");
        assert!(got.contains("requests: 0"), "{got}");
    }
}

#[test]
fn the_authorities_of_the_system_are_trusted() {
    let authority = Authority::new("system").sign(P256, "DNS:localhost", NOW);
    let peer = authority.serve("", vec![reply(b"a")]);
    let script = "mount -t tmpfs none /etc/ssl && mkdir /etc/ssl/certs && cp \"$0\" /etc/ssl/certs/ca-certificates.crt \
        && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).arg(authority.file()).arg(std::env::current_exe().unwrap());
    let got = run(command, "tls::the_child_process_fetches", &format!("{} localhost /", peer.port), None);
    assert!(got.starts_with("Some((1, Some(97)))"), "{got}");
}

#[test]
fn an_address_can_be_proven_too() {
    let authority = Authority::new("proven").sign(P256, "IP:127.0.0.1", NOW);
    let peer = authority.serve("", vec![reply(b"a")]);
    let got = fetch(peer.port, "127.0.0.1", "/", Some(&authority.file()));
    assert!(got.starts_with("Some((1, Some(97)))"), "{got}");
}

#[test]
fn old_protocols_are_refused_by_name() {
    let authority = Authority::new("old").sign(P256, "DNS:localhost", NOW);
    for options in ["-tls1_1 -cipher ALL:@SECLEVEL=0", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", "-groups X448"] {
        let peer = authority.serve(options, Vec::new());
        let got = fetch(peer.port, "localhost", "/", Some(&authority.file()));
        assert!(
            got.contains("it breaks off with alert") || got.contains("no TLS version or algorithm in common"),
            "{options}: {got}"
        );
    }
}

#[test]
fn authorities_that_cannot_be_read_are_said() {
    let authority = Authority::new("files");
    let empty = authority.0.join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = fetch(port, "localhost", "/", Some(&empty));
    assert!(got.contains("no certificate is in ") && got.contains("empty.pem"), "{got}");
    let got = fetch(port, "localhost", "/", Some(Path::new("/nonexistent/ca.pem")));
    assert!(got.contains("no such file") && got.contains("/nonexistent/ca.pem"), "{got}");
}

#[test]
fn a_server_without_tls_and_a_name_that_is_none_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n");
        }
    });
    let dial = |tls: &str| Connector {
        endpoints: vec![Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))],
        interface: None,
        low_port: false,
        host: "localhost".into(),
        tls: Some(tls.into()),
    };
    let error = Session::new(dial("localhost"), ONCE, &[], None).get("/").unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
    let error = Session::new(dial("not a name"), ONCE, &[], None).get("/").unwrap_err();
    assert_eq!(error.kind, Kind::Usage, "{error}");
    assert_eq!(Url::parse("https://localhost/").unwrap().port, 443);
}
