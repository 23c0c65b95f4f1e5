//! Runs programs that are the user's: a script, a command, the distribution's own tools.
//!
//! A program gets wisp's environment, `/dev/null` to read from, and one descriptor for all that it says. That is a file and
//! never a pipe: what it leaves running in the background may hold it open for ever, and no one waits for its end.
//!
//! Each program runs in a session and process group of its own, so that `kill 0` in a script does not reach wisp:
//!
//! ```text
//! wisp ─ session leader, a copy of wisp that only waits ─ program ─ its children
//!        └──────────────── one process group ──────────────────────┘
//! ```
//!
//! The program is not the session leader: a leader that opens a terminal makes it the controlling terminal, and the kernel
//! hangs that terminal up when the leader ends. Termination signals that wisp receives meanwhile go to the group.

use super::fork::ProgressPipe;
use super::signal::{self, Relay};
use super::{environment, fork, refused};
use crate::error::{Error, Kind, Result};
use alloc::borrow::ToOwned as _;
use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, WaitOptions};

/// How often someone looks at what a program says meanwhile: often enough for a person at the console.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Variables that a program finds where wisp has none of that name: a service manager gives no `HOME`, a kernel no `PATH`.
const USUAL: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")];

/// What shells answer for a program that a signal ended: this and its number.
const SIGNALLED: u8 = 128;

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its file; a name without a slash is looked for in `PATH`.
    pub path: &'a str,
    /// What it is given, without its own name.
    pub arguments: &'a [&'a str],
    /// Variables besides those of wisp.
    pub environment: &'a [(&'a str, &'a str)],
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(u8),
    /// By the signal of this number.
    Signal(i32),
}

impl Ended {
    /// The exit code as shells say it: 128 and the number of the signal.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => SIGNALLED.saturating_add(u8::try_from(number).unwrap_or(u8::MAX)),
        }
    }

    /// Nothing, if it did what it is for.
    ///
    /// # Errors
    /// `Ended`, with the exit code or the signal and no word of what was run.
    pub fn success(self, doing: &'static str) -> Result<()> {
        let why = match self {
            Self::Code(0) => return Ok(()),
            Self::Code(code) => format!("ended with exit code {code}"),
            Self::Signal(number) => format!("ended by signal {number}"),
        };
        Err(Error::new(Kind::Ended, doing, why))
    }
}

impl Program<'_> {
    /// Runs it to its end, however long that takes, with all that it says going to `output`; `look` is called now and then
    /// meanwhile. Termination signals are passed on to it and its children, and no other program is started after one.
    ///
    /// # Errors
    /// `Os` when it cannot be started: absent, or its interpreter is; not executable. `Usage`: a NUL byte inside. `Refused`
    /// after a termination signal.
    pub fn run(&self, output: BorrowedFd<'_>, look: &mut dyn FnMut()) -> Result<Ended> {
        const DOING: &str = "run";
        let call = self.call().ok_or_else(|| Error::usage(DOING, "there is a NUL byte inside").to(self.path))?;
        if let Some(number) = signal::received() {
            return Err(Error::refused(DOING, format!("not started: signal {number} was received")).to(self.path));
        }
        let _relay = Relay::install();
        let mut child = fork::spawn(|teller| call.make(output, teller))?;
        // A program that begins closes the pipe and says nothing.
        let errno = child.last_word().and_then(|word| word.parse().ok());
        Relay::set_group(child.number());
        let outcome = child.wait(LOOK_EVERY, look);
        match (errno, outcome) {
            (Some(errno), _) => Err(Error::os(errno, DOING).to(self.path)),
            (None, Ok(code)) => Ok(Ended::Code(code)),
            (None, Err(number)) => Ok(Ended::Signal(number)),
        }
    }

    /// All that is needed of memory, before there is another process.
    fn call(&self) -> Option<Call> {
        let mut environment = environment::all();
        for (name, value) in USUAL {
            if !environment.iter().any(|entry| is_named(entry, name)) {
                environment.push(format!("{name}={value}").into_bytes());
            }
        }
        for (name, value) in self.environment {
            environment.retain(|entry| !is_named(entry, name));
            environment.push(format!("{name}={value}").into_bytes());
        }
        let path =
            environment.iter().find(|entry| is_named(entry, "PATH")).and_then(|entry| entry.get("PATH=".len()..));
        let files = match path {
            Some(path) if !self.path.contains('/') => {
                let folders = path.split(|byte| *byte == b':').filter(|folder| folder.starts_with(b"/"));
                folders.map(|folder| [folder, b"/", self.path.as_bytes()].concat()).collect()
            }
            _ => Vec::from([self.path.as_bytes().to_owned()]),
        };
        let arguments = core::iter::once(&self.path).chain(self.arguments).map(|text| Vec::from(text.as_bytes()));
        Some(Call { files: strings(files)?, arguments: strings(arguments)?, environment: strings(environment)? })
    }
}

fn is_named(entry: &[u8], name: &str) -> bool {
    entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
}

fn strings(texts: impl IntoIterator<Item = Vec<u8>>) -> Option<Vec<CString>> {
    texts.into_iter().map(|text| CString::new(text).ok()).collect()
}

/// A call of execve.
struct Call {
    /// Tried in turn.
    files: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Call {
    /// In a child process: makes a session and starts the program in it; returns how the program ended, as an exit code. A
    /// program that a signal ends has this process ended by the same signal. Why one cannot be started is sent to `teller`.
    fn make(&self, output: BorrowedFd<'_>, teller: &ProgressPipe) -> u8 {
        // A process that was just made leads no group, so this cannot fail.
        let _ = rustix::process::setsid();
        // What is sent to the group is for the program and its children; this process reports how the program ends.
        signal::block_all();
        let failed = |errno: Errno| {
            teller.notify(&format!("{}", errno.raw_os_error()));
            0
        };
        match fork::split() {
            Ok(None) => failed(self.replace(output)),
            Ok(Some(program)) => {
                fork::close_inherited();
                mirror(program)
            }
            Err(errno) => failed(errno),
        }
    }

    /// Becomes the program; comes back only with the reason why that did not work.
    fn replace(&self, output: BorrowedFd<'_>) -> Errno {
        signal::restore_defaults();
        let wired = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(rustix::stdio::dup2_stdin)
            .and_then(|()| rustix::stdio::dup2_stdout(output))
            .and_then(|()| rustix::stdio::dup2_stderr(output));
        if let Err(errno) = wired {
            return errno;
        }
        let mut reason = Errno::NOENT;
        for file in &self.files {
            match fork::replace(file, &self.arguments, &self.environment) {
                Errno::NOENT | Errno::NOTDIR => {}
                // As a shell does, which goes on looking.
                Errno::ACCESS => reason = Errno::ACCESS,
                errno => return errno,
            }
        }
        reason
    }
}

/// Waits for the end of `program`, a child of this process, and ends the same way.
fn mirror(program: Pid) -> u8 {
    let status = loop {
        match rustix::process::waitpid(Some(program), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(Errno::INTR) => {}
            // Nothing else waits for it.
            Err(_) => return u8::MAX,
        }
    };
    let Some(number) = status.terminating_signal() else {
        return status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    };
    // One core file of the same crash is enough.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    signal::end_by(number);
    Ended::Signal(number).status()
}

/// A file that programs write into, and that is shown to the console as it grows.
#[derive(Debug)]
pub struct Transcript {
    file: OwnedFd,
    shown: Cell<u64>,
}

impl Transcript {
    /// Opens the file at `path`, for its owner alone: what scripts say may be secret. Without `keep` it begins empty, else
    /// it is added to.
    ///
    /// # Errors
    /// `Os`: a symbolic link is not followed; `Os` (EPERM) for what is no file, or another's: he would read it.
    pub fn open(path: &str, keep: bool) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || {
            let file = rustix::fs::open(path, flags, mode)?;
            let facts = rustix::fs::fstat(&file)?;
            let is_ours = facts.st_uid == rustix::process::geteuid().as_raw() && facts.st_nlink == 1;
            if !is_ours || !FileType::from_raw_mode(facts.st_mode).is_file() {
                return Err(Errno::PERM);
            }
            rustix::fs::fchmod(&file, mode)?;
            if !keep {
                rustix::fs::ftruncate(&file, 0)?;
            }
            let shown = Cell::new(length(&file)?);
            Ok(Self { file, shown })
        };
        open().map_err(|errno| refused(errno, "write").to(path))
    }

    /// What is written into.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Writes what was added since the last time to `to`. What comes in while it does is for the next time: a program that
    /// never stops writing is not followed for ever.
    pub fn show(&self, to: BorrowedFd<'_>) {
        let end = length(&self.file).unwrap_or(0);
        let mut at = self.shown.get();
        let mut buffer = [0; 4096];
        while at < end {
            let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
            let count = match rustix::io::pread(&self.file, buffer.get_mut(..wanted).unwrap_or_default(), at) {
                Ok(count) if count > 0 => count,
                Err(Errno::INTR) => continue,
                // Someone cut it; what is left is in the file.
                _ => break,
            };
            super::stdio::write_all(to, buffer.get(..count).unwrap_or_default());
            at = at.saturating_add(count as u64);
        }
        self.shown.set(at);
    }
}

fn length(file: &OwnedFd) -> rustix::io::Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString as _};

    /// How `sh -c TEXT` ends, and what it says.
    fn shell(text: &str, environment: &[(&str, &str)]) -> (Ended, String) {
        run(&Program { path: "sh", arguments: &["-c", text], environment })
    }

    fn run(program: &Program<'_>) -> (Ended, String) {
        let path = file("run");
        let transcript = Transcript::open(&path, false).unwrap();
        let ended = program.run(transcript.descriptor(), &mut || {}).unwrap();
        let shown = file("shown");
        transcript.show(sink(&shown).as_fd());
        let said = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&shown).unwrap(), said);
        for path in [path, shown] {
            std::fs::remove_file(path).unwrap();
        }
        (ended, said)
    }

    fn sink(path: &str) -> OwnedFd {
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CREATE, Mode::RUSR | Mode::WUSR).unwrap()
    }

    fn file(name: &str) -> String {
        let thread = format!("{:?}", std::thread::current().id());
        let path = std::env::temp_dir().join(format!("wisp-program-{name}-{}-{thread}", std::process::id()));
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn a_program_ends_with_its_code_or_its_signal_and_says_why() {
        assert_eq!(shell("echo one; echo two >&2; exit 3", &[]), (Ended::Code(3), "one\ntwo\n".into()));
        assert_eq!(shell("kill -9 $$", &[]).0, Ended::Signal(9));
        assert_eq!((Ended::Signal(9).status(), Ended::Code(3).status()), (137, 3));
        assert!(Ended::Code(0).success("run").is_ok());
        let error = Ended::Code(3).success("run the script").unwrap_err();
        assert_eq!((error.kind, error.to_string()), (Kind::Ended, "run the script: ended with exit code 3".into()));
        assert_eq!(Ended::Signal(15).success("run").unwrap_err().to_string(), "run: ended by signal 15");
    }

    #[test]
    fn a_program_inherits_variables_and_nothing_else() {
        let said = shell("echo $HOME $PATH; read line || echo end", &[("HOME", "/h")]).1;
        assert_eq!(said, format!("/h {}\nend\n", std::env::var("PATH").unwrap()));
        let links = shell("ls -l /proc/$$/fd", &[]).1;
        assert_eq!(links.matches("wisp-program-run").count(), 2, "output and error, and no third: {links}");
        assert!(links.contains("0 -> /dev/null"), "{links}");
        let masks = shell("grep -E 'Sig(Blk|Ign)' /proc/self/status", &[]).1;
        let sets = masks.lines().map(|line| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap());
        assert_eq!(sets.map(|set| set & 0x7fff_ffff).collect::<Vec<_>>(), [0, 0], "{masks}");
    }

    #[test]
    fn much_is_said_and_shown() {
        let (ended, said) = shell("head -c 1048576 /dev/zero | tr '\\0' x; echo end", &[]);
        assert_eq!((ended, said.len(), said.ends_with("xend\n")), (Ended::Code(0), (1 << 20) + 4, true));
    }

    #[test]
    fn a_child_in_the_background_is_not_waited_for() {
        let begin = super::super::clock::now();
        assert_eq!(shell("sleep 60 & echo begun", &[]), (Ended::Code(0), "begun\n".into()));
        assert!(super::super::clock::now() - begin < Duration::from_secs(30));
    }

    #[test]
    fn a_program_has_a_session_and_a_group_of_its_own() {
        assert_eq!(shell("trap 'exit 5' TERM; kill 0; exit 6", &[]).0, Ended::Code(5), "wisp is not in the group");
        assert_eq!(shell("kill 0", &[]).0, Ended::Signal(15));
        assert_eq!(shell("kill -KILL 0", &[]).0, Ended::Signal(9));
        let (_, said) = shell("cut -d' ' -f5,6 /proc/$$/stat; echo $$", &[]);
        let numbers: Vec<i32> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [group, session, own] = numbers[..] else { panic!("{said}") };
        assert!(group == session && session != own, "a terminal that it opens does not become its own: {said}");
        let count =
            "for try in $(seq 500); do [ $(ls /proc/$PPID/fd | wc -l) = 3 ] && echo three && break; sleep 0.01; done";
        assert_eq!(shell(count, &[]).1, "three\n", "what waits for it holds no lock");
        // By its file: getsid() of rustix panics where the session began outside of this PID namespace, and its number is 0.
        let of_test = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = of_test.rsplit_once(") ").unwrap();
        assert_ne!(session.to_string(), fields.split(' ').nth(3).unwrap());
    }

    #[test]
    fn somebody_looks_while_a_program_runs() {
        let path = file("look");
        let transcript = Transcript::open(&path, false).unwrap();
        let sink = sink("/dev/null");
        // It ends when what it said was seen.
        let fifo = format!("{path}.fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let program = Program { path: "sh", arguments: &["-c", "echo seen; read line < $0", &fifo], environment: &[] };
        let mut answer = "go\n";
        let look = &mut || {
            transcript.show(sink.as_fd());
            if transcript.shown.get() == 5 && !answer.is_empty() {
                std::fs::write(&fifo, core::mem::take(&mut answer)).unwrap();
            }
        };
        assert_eq!(program.run(transcript.descriptor(), look).unwrap(), Ended::Code(0));
        for path in [path, fifo] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        let path = file("not");
        let transcript = Transcript::open(&path, true).unwrap();
        let error = |path: &str| {
            let program = Program { path, arguments: &[], environment: &[] };
            program.run(transcript.descriptor(), &mut || {}).unwrap_err().kind
        };
        assert_eq!(error("wisp-nobody-has-this"), Kind::Os(2));
        assert_eq!(error("/nonexistent/program"), Kind::Os(2));
        assert_eq!(error(&path), Kind::Os(13));
        assert_eq!(error("/bin/tr\0ue"), Kind::Usage);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_transcript_is_for_its_owner_and_follows_no_link() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = file("mode");
        std::fs::write(&path, "old\n").unwrap();
        let kept = Transcript::open(&path, true).unwrap();
        rustix::io::write(kept.descriptor(), b"new\n").unwrap();
        let shown = file("mode-shown");
        kept.show(sink(&shown).as_fd());
        assert_eq!(std::fs::read_to_string(&shown).unwrap(), "new\n", "what was there is not shown again");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\nnew\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        Transcript::open(&path, false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        std::fs::remove_file(&shown).unwrap();
        std::os::unix::fs::symlink(&path, &shown).unwrap();
        assert_eq!(Transcript::open(&shown, true).unwrap_err().kind, Kind::Os(40));
        std::fs::remove_file(&shown).unwrap();
        std::fs::hard_link(&path, &shown).unwrap();
        assert_eq!(
            Transcript::open(&shown, false).unwrap_err().kind,
            Kind::Os(1),
            "somebody has it under another name"
        );
        for path in [path, shown] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
