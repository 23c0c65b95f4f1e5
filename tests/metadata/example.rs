//! The metadata service of the tests as a program: `cargo run --example metadata-server -- CLOUD [OPTION…]`. Guests are
//! given it at the real address; `--help` lists its options.

mod server;

use std::env;
use std::io::Write;
use std::process::ExitCode;
use std::thread;

use server::fault::{self, FAULTS};
use server::{Options, Place, Server};

const HELP: &str = "\
Usage: metadata-server CLOUD [--over FOLDER] [--port N [--address IP] | --unix PATH] [--fault NAME] [--any-port]
                       [--log FILE]
Plays a cloud's metadata service from tests/metadata/recorded/CLOUD until it is killed.
  --over FOLDER what the file `replies` in this folder says replaces what the cloud's own says
  --port N      on 127.0.0.1; 0, the default, takes a free one. The first line printed is the address
  --address IP  on this address instead
  --unix PATH   on a Unix socket instead
  --fault NAME  what goes wrong: one of those below
  --any-port    lets clients from ports above 1023 ask what the cloud gives to low ports only
  --log FILE    a line for every connection (`connection N`), request (`N METHOD TARGET STATUS`) and body (`N sent BODY`)
Faults:
";

fn main() -> ExitCode {
    match parse(env::args().skip(1)) {
        Ok(Some(options)) => play(options),
        Ok(None) => {
            print!("{HELP}");
            for fault in FAULTS {
                println!("  {:17} {}", fault.name, fault.what);
            }
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("metadata-server: {complaint}");
            ExitCode::from(2)
        }
    }
}

/// `None` when the help is wanted.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut out = Options::of("");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "--over" => out.over = Some(value()?.into()),
            "--port" => out.place = Place::Port(value()?.parse().map_err(|_| "--port wants a number".to_owned())?),
            "--address" => out.address = value()?.parse().map_err(|_| "--address wants an IPv4 address".to_owned())?,
            "--unix" => out.place = Place::Unix(value()?.into()),
            "--fault" => {
                let name = value()?;
                out.fault = fault::find(&name).ok_or(format!("no fault is called {name}"))?;
            }
            "--any-port" => out.ports = false,
            "--log" => out.log = Some(value()?.into()),
            _ if word.starts_with('-') || !out.cloud.is_empty() => return Err(format!("{word} is not understood")),
            _ => out.cloud = word,
        }
    }
    if out.cloud.is_empty() { Err("which cloud?".to_owned()) } else { Ok(Some(out)) }
}

fn play(options: Options) -> ExitCode {
    let shown = match &options.place {
        Place::Unix(path) => Some(path.display().to_string()),
        Place::Port(_) => None,
    };
    let server = Server::start(options);
    println!("{}", shown.unwrap_or_else(|| server.address().to_string()));
    drop(std::io::stdout().flush());
    loop {
        thread::park();
    }
}
