//! Any bytes as the files that depmod writes, and the question that is asked of them.
//!
//! The input is cut at each NUL: modules.dep, modules.alias, modules.softdep, modules.builtin, a file of modprobe.d, and
//! what is looked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use wisp::text::modules::Index;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let mut index = Index::new();
    index.add_dep(part());
    index.add_alias(part());
    index.add_softdep(part());
    index.add_builtin(part());
    index.add_config(part());
    let wanted = String::from_utf8_lossy(part()).into_owned();
    let loads = index.resolve(&wanted);
    let paths: BTreeSet<&str> = loads.iter().map(|load| load.path).collect();
    assert_eq!(paths.len(), loads.len(), "each module is loaded once");
});
