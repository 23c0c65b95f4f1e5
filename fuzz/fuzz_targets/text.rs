//! Any bytes as the kernel's texts: its command line, its table of mounts, its announcements of devices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::account::key::Key;
use wisp::settings::Boot;
use wisp::sys::uevent::Event;
use wisp::text::cmdline::Cmdline;
use wisp::text::device_spec::DeviceSpec;
use wisp::text::mountinfo;
use wisp::units::Guid;

fuzz_target!(|input: &[u8]| {
    let event = Event::parse(input);
    let _ = event.value("DEVPATH");
    let text = String::from_utf8_lossy(input);
    let line = Cmdline::parse(&text);
    let _ = Boot::from_cmdline(&line);
    for word in line.words() {
        assert!(line.has(&word.name), "every word is found by its name");
    }
    let _ = DeviceSpec::parse(&text);
    let _ = mountinfo::find(&text, "/");
    let _ = mountinfo::find_device(&text, (8, 1));
    if let Some(guid) = Guid::parse(&text) {
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
    }
    for line in text.lines() {
        if let Ok(key) = Key::parse(line) {
            assert!(!key.body().contains(char::is_whitespace), "a key is one word");
        }
    }
});
