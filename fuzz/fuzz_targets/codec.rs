//! Any bytes as a compressed file, and as user-data: decoded within the limit, or refused.
//!
//! The first byte of the input sets the limit; the rest is the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::codec::Format;
use wisp::userdata;

fuzz_target!(|input: &[u8]| {
    let Some((&flags, file)) = input.split_first() else { return };
    let limit = 1 << (flags % 21);
    if let Ok(output) = userdata::decode(file.to_vec()) {
        assert!(output.len() <= userdata::LIMIT, "the limit of user-data holds");
    }
    let Some(format) = Format::sniff(file) else { return };
    if let Ok(output) = format.decode(file, limit) {
        assert!(output.len() <= limit, "the limit holds");
        assert_eq!(format.decode(file, usize::MAX >> 1), Ok(output), "the limit does not change the output");
    }
});
