//! The errors of Linux: the name of each number, and the text that `strerror` has for it.
//!
//! The numbers are those of `include/uapi/asm-generic/errno-base.h` and `errno.h`, which x86-64 and aarch64 share; the
//! names are those of errno(3), the texts those of the GNU C library, so that a search finds them.
#![forbid(unsafe_code)]

/// No such file or directory.
pub const ENOENT: i32 = 2;

/// The table: one line a number, beginning with 1; an empty line is a number that Linux does not use. One text instead
/// of an array of pairs saves 4 KB of pointers in a program that an initramfs carries.
const TABLE: &str = "\
EPERM operation not permitted\n\
ENOENT no such file or directory\n\
ESRCH no such process\n\
EINTR interrupted system call\n\
EIO input/output error\n\
ENXIO no such device or address\n\
E2BIG argument list too long\n\
ENOEXEC exec format error\n\
EBADF bad file descriptor\n\
ECHILD no child processes\n\
EAGAIN resource temporarily unavailable\n\
ENOMEM cannot allocate memory\n\
EACCES permission denied\n\
EFAULT bad address\n\
ENOTBLK block device required\n\
EBUSY device or resource busy\n\
EEXIST file exists\n\
EXDEV invalid cross-device link\n\
ENODEV no such device\n\
ENOTDIR not a directory\n\
EISDIR is a directory\n\
EINVAL invalid argument\n\
ENFILE too many open files in system\n\
EMFILE too many open files\n\
ENOTTY inappropriate ioctl for device\n\
ETXTBSY text file busy\n\
EFBIG file too large\n\
ENOSPC no space left on device\n\
ESPIPE illegal seek\n\
EROFS read-only file system\n\
EMLINK too many links\n\
EPIPE broken pipe\n\
EDOM numerical argument out of domain\n\
ERANGE numerical result out of range\n\
EDEADLK resource deadlock avoided\n\
ENAMETOOLONG file name too long\n\
ENOLCK no locks available\n\
ENOSYS function not implemented\n\
ENOTEMPTY directory not empty\n\
ELOOP too many levels of symbolic links\n\
\n\
ENOMSG no message of desired type\n\
EIDRM identifier removed\n\
ECHRNG channel number out of range\n\
EL2NSYNC level 2 not synchronized\n\
EL3HLT level 3 halted\n\
EL3RST level 3 reset\n\
ELNRNG link number out of range\n\
EUNATCH protocol driver not attached\n\
ENOCSI no CSI structure available\n\
EL2HLT level 2 halted\n\
EBADE invalid exchange\n\
EBADR invalid request descriptor\n\
EXFULL exchange full\n\
ENOANO no anode\n\
EBADRQC invalid request code\n\
EBADSLT invalid slot\n\
\n\
EBFONT bad font file format\n\
ENOSTR device not a stream\n\
ENODATA no data available\n\
ETIME timer expired\n\
ENOSR out of streams resources\n\
ENONET machine is not on the network\n\
ENOPKG package not installed\n\
EREMOTE object is remote\n\
ENOLINK link has been severed\n\
EADV advertise error\n\
ESRMNT srmount error\n\
ECOMM communication error on send\n\
EPROTO protocol error\n\
EMULTIHOP multihop attempted\n\
EDOTDOT RFS specific error\n\
EBADMSG bad message\n\
EOVERFLOW value too large for defined data type\n\
ENOTUNIQ name not unique on network\n\
EBADFD file descriptor in bad state\n\
EREMCHG remote address changed\n\
ELIBACC can not access a needed shared library\n\
ELIBBAD accessing a corrupted shared library\n\
ELIBSCN .lib section in a.out corrupted\n\
ELIBMAX attempting to link in too many shared libraries\n\
ELIBEXEC cannot exec a shared library directly\n\
EILSEQ invalid or incomplete multibyte or wide character\n\
ERESTART interrupted system call should be restarted\n\
ESTRPIPE streams pipe error\n\
EUSERS too many users\n\
ENOTSOCK socket operation on non-socket\n\
EDESTADDRREQ destination address required\n\
EMSGSIZE message too long\n\
EPROTOTYPE protocol wrong type for socket\n\
ENOPROTOOPT protocol not available\n\
EPROTONOSUPPORT protocol not supported\n\
ESOCKTNOSUPPORT socket type not supported\n\
EOPNOTSUPP operation not supported\n\
EPFNOSUPPORT protocol family not supported\n\
EAFNOSUPPORT address family not supported by protocol\n\
EADDRINUSE address already in use\n\
EADDRNOTAVAIL cannot assign requested address\n\
ENETDOWN network is down\n\
ENETUNREACH network is unreachable\n\
ENETRESET network dropped connection on reset\n\
ECONNABORTED software caused connection abort\n\
ECONNRESET connection reset by peer\n\
ENOBUFS no buffer space available\n\
EISCONN transport endpoint is already connected\n\
ENOTCONN transport endpoint is not connected\n\
ESHUTDOWN cannot send after transport endpoint shutdown\n\
ETOOMANYREFS too many references: cannot splice\n\
ETIMEDOUT connection timed out\n\
ECONNREFUSED connection refused\n\
EHOSTDOWN host is down\n\
EHOSTUNREACH no route to host\n\
EALREADY operation already in progress\n\
EINPROGRESS operation now in progress\n\
ESTALE stale file handle\n\
EUCLEAN structure needs cleaning\n\
ENOTNAM not a XENIX named type file\n\
ENAVAIL no XENIX semaphores available\n\
EISNAM is a named type file\n\
EREMOTEIO remote I/O error\n\
EDQUOT disk quota exceeded\n\
ENOMEDIUM no medium found\n\
EMEDIUMTYPE wrong medium type\n\
ECANCELED operation canceled\n\
ENOKEY required key not available\n\
EKEYEXPIRED key has expired\n\
EKEYREVOKED key has been revoked\n\
EKEYREJECTED key was rejected by service\n\
EOWNERDEAD owner died\n\
ENOTRECOVERABLE state not recoverable\n\
ERFKILL operation not possible due to RF-kill\n\
EHWPOISON memory page has hardware error";

/// Name and text of `errno`, or `None` for a number that Linux does not define: `("ENOSPC", "no space left on device")`.
#[must_use]
pub fn describe(errno: i32) -> Option<(&'static str, &'static str)> {
    let index = usize::try_from(errno).ok()?.checked_sub(1)?;
    TABLE.split('\n').nth(index)?.split_once(' ')
}

/// Whether the same call may succeed a moment later, because the cause may pass: a device that appears, a network that
/// comes up, memory that becomes free. The others say that the request itself is wrong or not permitted.
#[must_use]
pub const fn may_pass(errno: i32) -> bool {
    // EPERM, EACCES, EFAULT, ENOTBLK, EXDEV, ENOTDIR, EISDIR, EINVAL, ENOTTY, EFBIG, EROFS, ENAMETOOLONG, ENOSYS, ELOOP,
    // EPROTOTYPE to EAFNOSUPPORT (91 to 97), EMSGSIZE.
    !matches!(errno, 1 | 13..=15 | 18 | 20..=22 | 25 | 27 | 30 | 36 | 38 | 40 | 90..=97)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C library of the host is the judge of every text.
    #[test]
    fn every_number_has_the_text_of_strerror() {
        for errno in 1..=133 {
            let theirs = std::io::Error::from_raw_os_error(errno).to_string();
            let theirs = theirs.rsplit_once(" (os error").expect("std names the number").0.to_string();
            let Some((name, text)) = describe(errno) else {
                assert!(theirs.starts_with("Unknown error"), "{errno}: {theirs}");
                continue;
            };
            assert!(text.eq_ignore_ascii_case(&theirs), "{errno}: {text:?}, {theirs:?}");
            assert!(
                name.starts_with('E') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            );
        }
    }

    /// The kernel's own header is the judge of the names, as the crate generated from it has it.
    #[test]
    fn names_are_those_of_the_kernel() {
        use rustix::io::Errno;
        for (number, name) in [
            (Errno::PERM, "EPERM"),
            (Errno::NAMETOOLONG, "ENAMETOOLONG"),
            (Errno::MFILE, "EMFILE"),
            (Errno::SRCH, "ESRCH"),
            (Errno::OPNOTSUPP, "EOPNOTSUPP"),
            (Errno::UCLEAN, "EUCLEAN"),
            (Errno::KEYREJECTED, "EKEYREJECTED"),
            (Errno::HWPOISON, "EHWPOISON"),
        ] {
            assert_eq!(describe(number.raw_os_error()).map(|(name, _)| name), Some(name));
        }
        for nothing in [0, -1, 41, 58, 134, i32::MAX, i32::MIN] {
            assert_eq!(describe(nothing), None);
        }
    }

    #[test]
    fn every_number_has_the_name_of_the_kernels_header() {
        let mut names = 0;
        for header in ["errno-base.h", "errno.h"] {
            let Ok(text) = std::fs::read_to_string(std::format!("/usr/include/asm-generic/{header}")) else {
                return crate::skip::skip("the headers of the kernel (linux-libc-dev) are not installed");
            };
            for line in text.lines() {
                let mut words = line.split_ascii_whitespace();
                let (Some("#define"), Some(name), Some(number)) = (words.next(), words.next(), words.next()) else {
                    continue;
                };
                // Some are another name of a number: `#define EWOULDBLOCK EAGAIN`.
                if let Ok(number) = number.parse() {
                    assert_eq!(describe(number).map(|(name, _)| name), Some(name), "{number}");
                    names += 1;
                }
            }
        }
        assert!(names > 100, "the names were found: {names}");
    }

    #[test]
    fn a_wrong_request_does_not_become_right_by_waiting() {
        for errno in [1, 13, 22, 30, 36, 97] {
            assert!(!may_pass(errno), "{errno}");
        }
        for errno in [2, 5, 11, 16, 19, 28, 101, 104, 110, 111, 113] {
            assert!(may_pass(errno), "{errno}");
        }
    }
}
