//! Any bytes as metadata: JSON, YAML, XML; as user-data; and as a configuration of `KEY=value`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wisp::settings::{Agent, Sources};
use wisp::text::cmdline::Cmdline;
use wisp::text::document::Document;
use wisp::text::shell_assignments::Conf;
use wisp::text::xml::Xml;
use wisp::userdata::Config;

/// How many values are in `document`, and how deep.
fn measure(document: &Document) -> (usize, usize) {
    let inner = document.list().iter().chain(document.map().iter().map(|(_, value)| value));
    inner.map(measure).fold((1, 0), |all, one| (all.0 + one.0, all.1.max(one.1 + 1)))
}

/// Asks for everything.
fn heed(config: &Config) {
    let _ = (config.account("alpine"), config.authorized_keys(), config.ntp_client(), config.packages());
    let _ = (config.commands("bootcmd"), config.apk_cache(), config.repositories());
    for file in config.files().into_iter().flat_map(|(files, _)| files) {
        assert!(file.path.starts_with('/') && file.path.split('/').all(|part| part != "..") && file.mode <= 0o7777);
    }
}

fuzz_target!(|input: &[u8]| {
    let (json, yaml) = (Document::parse_json(input), Document::parse_yaml(input));
    if let (Ok(json), Ok(yaml)) = (&json, &yaml) {
        assert_eq!(json, yaml, "what is JSON and YAML is one document");
    }
    for document in [json, yaml].into_iter().flatten() {
        let (values, depth) = measure(&document);
        assert!(values <= 100_000 && depth <= 64);
        for (key, _) in document.map() {
            assert!(document.at(&[key]).is_some(), "every key is found");
        }
    }
    if let Ok(config) = Config::parse(input) {
        heed(&config);
    }
    if let Ok(xml) = Xml::parse(input) {
        let _ = xml.root("", "a").and_then(|root| root.at("", "b/c")?.map(|found| found.text()).transpose());
    }
    let text = String::from_utf8_lossy(input);
    let conf = Conf::parse(&text);
    let lines = text.split('\n').count();
    assert!(conf.assignments.iter().all(|found| found.line <= lines && conf.value(&found.key).is_some()));
    assert!(conf.complaints.iter().all(|complaint| complaint.line <= lines));
    let cmdline = Cmdline::parse(&text);
    let _ = Agent::parse(&Sources { root: "", environment: input, file: Some(("conf", &text)), cmdline: &cmdline });
});
