//! The first instructions of the program: they apply packed relocations, then go to musl's start file.
//!
//! A position-independent program without a dynamic loader relocates itself. The tables of pointers in this one need some
//! 800 relocations: 20 KB as `DT_RELA`, 200 bytes as `DT_RELR` (generic ABI, "Relative Relocation Table"). musl's start
//! file knows the latter since 1.2.4, and Debian 12 has 1.2.3. So they are applied here, and the start file of a later
//! musl then finds an empty table.

#![expect(unsafe_code, reason = "this runs before pointers are relocated")]

use core::arch::global_asm;

const DT_NULL: u64 = 0;
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: u64,
    value: u64,
}

// The stack pointer is what the kernel left, as musl's `_start` takes argc, argv and the rest from there.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl wisp_start",
    "wisp_start:",
    "xor ebp, ebp",
    "mov rbx, rsp",
    "lea rdi, [rip + _DYNAMIC]",
    "lea rsi, [rip + __ehdr_start]",
    "call {relocate}",
    "mov rsp, rbx",
    "xor edx, edx",
    "jmp _start",
    ".hidden _DYNAMIC",
    ".hidden __ehdr_start",
    relocate = sym relocate,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl wisp_start",
    "wisp_start:",
    "mov x29, #0",
    "mov x30, #0",
    "adrp x0, _DYNAMIC",
    "add x0, x0, :lo12:_DYNAMIC",
    "adrp x1, __ehdr_start",
    "add x1, x1, :lo12:__ehdr_start",
    "bl {relocate}",
    "mov x30, #0",
    "b _start",
    ".hidden _DYNAMIC",
    ".hidden __ehdr_start",
    relocate = sym relocate,
);

/// Adds the address at which the program was loaded to each pointer that `DT_RELR` names: an even word is the address of
/// one, an odd word is a bitmap of the 63 behind it.
///
/// # Safety
/// To be called once, at the start, with the program's dynamic section and the address of its first byte. It must use no
/// pointer from memory: none is relocated yet.
unsafe extern "C" fn relocate(dynamic: *mut Dynamic, base: *mut u8) {
    let (mut table, mut bytes) = (0, 0);
    let mut entry = dynamic;
    // SAFETY: the section ends with DT_NULL; it lies in memory that is writable until `entry` protects it.
    unsafe {
        while (*entry).tag != DT_NULL {
            match (*entry).tag {
                DT_RELR => table = (*entry).value,
                DT_RELRSZ => bytes = core::mem::take(&mut (*entry).value),
                _ => {}
            }
            entry = entry.add(1);
        }
    }
    let mut word = base.wrapping_add(table as usize).cast::<u64>();
    let end = word.wrapping_byte_add(bytes as usize);
    let mut place = base.cast::<u64>();
    while word < end {
        // SAFETY: the word lies in the table, and what it names in the program's writable data, as the linker made them.
        unsafe {
            let value = word.read();
            if value & 1 == 0 {
                place = base.wrapping_add(value as usize).cast();
                place.write(place.read().wrapping_add(base as u64));
                place = place.wrapping_add(1);
            } else {
                let (mut bits, mut at) = (value >> 1, place);
                while bits != 0 {
                    if bits & 1 != 0 {
                        at.write(at.read().wrapping_add(base as u64));
                    }
                    bits >>= 1;
                    at = at.wrapping_add(1);
                }
                place = place.wrapping_add(63);
            }
        }
        word = word.wrapping_add(1);
    }
}
