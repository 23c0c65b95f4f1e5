//! What a Rust program without `std` must bring itself when musl starts it: `main`, an allocator, a panic handler,
//! and two symbols that the compiler's own library refers to and that are never called with `panic = "abort"`.

#![expect(unsafe_code, reason = "the C entry point hands over raw pointers, and an allocator is unsafe by contract")]

use super::{fork, power, stdio};
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::Write as _;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use rustix::fs::{Mode, OFlags};

unsafe extern "C" {
    fn abort() -> !;
    fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int;
    /// The ELF header at the beginning of the program in memory; the linker defines it.
    static __ehdr_start: Header;
}

/// The fields of `Elf64_Ehdr` that are used here (System V ABI, chapter 4).
#[repr(C)]
struct Header {
    ident: [u8; 16],
    kind: [u16; 2],
    version: u32,
    entry: u64,
    phoff: u64,
    shoff: u64,
    flags: u32,
    ehsize: u16,
    phentsize: u16,
    phnum: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

const PT_GNU_RELRO: u32 = 0x6474_e552;
const PROT_READ: c_int = 1;
/// The page size that the linker aligns segments to: no kernel for that CPU has larger pages.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };

/// Called by musl's `_start` code.
// SAFETY: the one `main` of the program; the name is what musl's start file asks for.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, vector: *const *const c_char) -> c_int {
    protect_relocated_data();
    let count = usize::try_from(count).unwrap_or(0);
    let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the kernel and musl guarantee `count` valid NUL-terminated strings in `vector`, alive to the end.
        let argument = unsafe { CStr::from_ptr(*vector.add(index)) };
        arguments.push(argument.to_bytes().to_vec());
    }
    c_int::from(crate::command::run(&arguments))
}

/// Makes read-only what only the relocation at start writes (RELRO). A dynamic loader does that for other programs; the
/// start file of a static one does not.
fn protect_relocated_data() {
    // SAFETY: the linker places the header at the beginning of the first loaded segment, followed by `phnum` program
    // headers at `phoff`, which that segment covers.
    let (base, segments) = unsafe {
        let base = &raw const __ehdr_start;
        let first = base.byte_add(__ehdr_start.phoff as usize).cast::<Segment>();
        (base.cast::<u8>(), core::slice::from_raw_parts(first, __ehdr_start.phnum.into()))
    };
    for segment in segments.iter().filter(|segment| segment.kind == PT_GNU_RELRO) {
        let start = base.wrapping_add(segment.vaddr as usize);
        let end = start.addr().saturating_add(segment.memsz as usize);
        // Whole pages only: the linker fills the last one where it can, and what follows must stay writable.
        let (first, length) = whole_pages(start.addr(), end);
        // SAFETY: the range lies in the program's own data; relocation is over, and nothing writes there again.
        let _ = unsafe { mprotect(start.with_addr(first).cast_mut().cast(), length, PROT_READ) };
    }
}

/// Where the page of `start` begins, and the bytes from there to where that of `end` does.
const fn whole_pages(start: usize, end: usize) -> (usize, usize) {
    let (first, last) = (start & !PAGE.wrapping_sub(1), end & !PAGE.wrapping_sub(1));
    (first, last.saturating_sub(first))
}

/// A line cut to what fits, on the stack: the panic handler must not allocate.
struct Fixed {
    bytes: [u8; 512],
    used: usize,
}

impl core::fmt::Write for Fixed {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (place, byte) in self.bytes.iter_mut().skip(self.used).zip(text.bytes()) {
            *place = byte;
            self.used = self.used.saturating_add(1);
        }
        Ok(())
    }
}

impl Fixed {
    /// The line with its newline. One inside would begin another record, so it becomes a blank.
    fn end(&mut self) -> &[u8] {
        let last = self.used.min(self.bytes.len().saturating_sub(1));
        for byte in self.bytes.iter_mut().take(last).filter(|byte| **byte == b'\n') {
            *byte = b' ';
        }
        if let Some(byte) = self.bytes.get_mut(last) {
            *byte = b'\n';
        }
        self.bytes.get(..=last).unwrap_or_default()
    }
}

/// The priority in front of a record for the kernel's log: critical.
const PRIORITY: &str = "<2>";

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Prints message, file, line and the program's load address to standard error (in an initramfs: the console) and to the
/// kernel's log, and aborts; PID 1 ends the machine as it was configured instead. `addr2line` with the debug file of the
/// same build ID and the address less the load address names a call from a core file.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic inside of the report must not report itself for ever.
    if !PANICKING.swap(true, Relaxed) {
        report(info);
        if fork::is_first() {
            power::end_after_panic();
        }
    }
    // SAFETY: abort takes no argument and does not return.
    unsafe { abort() }
}

fn report(info: &PanicInfo<'_>) {
    let mut line = Fixed { bytes: [0; 512], used: 0 };
    let _ = write!(line, "{PRIORITY}wisp: panic");
    if let Some(place) = info.location() {
        let _ = write!(line, " at {}:{}:{}", place.file(), place.line(), place.column());
    }
    let base = (&raw const __ehdr_start).addr();
    let _ = write!(line, ": {} (process {}, loaded at {base:#x})", info.message(), fork::own_number());
    let text = line.end();
    // Nothing is left to do if neither can be written to.
    let _ = rustix::io::write(stdio::error(), text.strip_prefix(PRIORITY.as_bytes()).unwrap_or(text));
    if let Ok(log) = rustix::fs::open("/dev/kmsg", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(&log, text);
    }
}

/// Referred to by the precompiled `core`; never called, since nothing unwinds.
// SAFETY: no other definition exists, as neither std nor libgcc is linked.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Referred to by the precompiled `alloc`; never called, since nothing unwinds.
// SAFETY: no other definition exists, as neither std nor libgcc is linked.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: abort takes no argument and does not return.
    unsafe { abort() }
}
