use super::*;
use crate::error::Kind;

fn yaml(text: &str) -> Document {
    Document::parse_yaml(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn json(text: &str) -> Document {
    Document::parse_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn scalar(text: &str) -> Document {
    Document::Scalar(text.into())
}

fn map(entries: &[(&str, Document)]) -> Document {
    Document::Map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
}

const SAMPLE: &str = "# comment
instance-id: i-0123
local-hostname: 'host.example'
mode: 0755
on: yes
version: 3.16
big: 1234567890123456789012
nothing:
tilde: ~
word: null
text: \"null\"
empty: ''
key: !!binary aGVsbG8=
public-keys:
  - ssh-ed25519 AAAA me@here
  - {openssh-key: 'ssh-rsa BBBB'}
script: |
  #!/bin/sh
    echo \"a: b\"

folded: >-
  one
  two
";

#[test]
fn scalars_are_raw() {
    let document = yaml(SAMPLE);
    for (path, wanted) in [
        ("instance-id", "i-0123"),
        ("local-hostname", "host.example"),
        ("mode", "0755"),
        ("on", "yes"),
        ("version", "3.16"),
        ("big", "1234567890123456789012"),
        ("text", "null"),
        ("empty", ""),
        ("key", "aGVsbG8="),
        ("public-keys/0", "ssh-ed25519 AAAA me@here"),
        ("public-keys/1/openssh-key", "ssh-rsa BBBB"),
        ("script", "#!/bin/sh\n  echo \"a: b\"\n"),
        ("folded", "one two"),
    ] {
        assert_eq!(document.path(path).and_then(Document::text), Some(wanted), "{path}");
    }
    for path in ["nothing", "tilde", "word"] {
        assert_eq!(document.path(path), Some(&Document::Null), "{path}");
    }
    assert_eq!(document.map().len(), 15);
    assert_eq!(document.map()[0].0, "instance-id");
}

#[test]
fn a_path_leads_through_maps_and_lists() {
    let document = json(r#"{"a":{"b":["x",{"c/d":"y"}]},"0":"zero"}"#);
    assert_eq!(document.at(&["a", "b", "0"]), Some(&scalar("x")));
    assert_eq!(document.at(&["a", "b", "1", "c/d"]), Some(&scalar("y")));
    assert_eq!(document.at(&["0"]), Some(&scalar("zero")));
    assert_eq!(document.path("a/b/0/"), Some(&scalar("x")));
    assert_eq!(document.path(""), Some(&document));
    assert_eq!(document.at(&[]), Some(&document));
    for missing in ["b", "a/c", "a/b/2", "a/b/-1", "a/b/+1", "a/b/x", "a/b/0/x", "a/b/99999999999999999999999"] {
        assert_eq!(document.path(missing), None, "{missing}");
    }
    assert_eq!(document.path("a/b").map(|list| list.list().len()), Some(2));
    assert!(document.list().is_empty() && document.text().is_none() && scalar("x").map().is_empty());
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    assert_eq!(yaml("a: 1\nb: 2\na: 3\n").path("a"), Some(&scalar("3")));
    assert_eq!(json(r#"{"a":1,"a":2}"#).path("a"), Some(&scalar("2")));
}

#[test]
fn json_keeps_what_is_written() {
    let document = json(
        r#" { "id" : 12345678901234567890123 , "float":-1.50e+10,"t":true,"f":false,"n":null,
            "s":"a\"b\\c\/d\b\f\n\r\t\u00e9\u0000","none":{},"list":[],"":"empty key"} "#,
    );
    for (path, wanted) in [
        ("id", "12345678901234567890123"),
        ("float", "-1.50e+10"),
        ("t", "true"),
        ("f", "false"),
        ("s", "a\"b\\c/d\u{8}\u{c}\n\r\té\0"),
    ] {
        assert_eq!(document.path(path).and_then(Document::text), Some(wanted), "{path}");
    }
    assert_eq!(document.path("n"), Some(&Document::Null));
    assert_eq!(document.path("none"), Some(&map(&[])));
    assert_eq!(document.path("list"), Some(&Document::List(Vec::new())));
    assert_eq!(document.at(&[""]), Some(&scalar("empty key")));
}

#[test]
fn pairs_of_surrogates_are_one_character() {
    assert_eq!(json(r#"["\ud83d\ude00x\uD83D\uDE00","é\ud83d\ude00"]"#).list()[0], scalar("😀x😀"));
    assert_eq!(json(r#"["\\ud83d\\ude00"]"#).list()[0], scalar(r"\ud83d\ude00"), "an escaped backslash");
    assert_eq!(json(r#"["\\\ud83d\ude00"]"#).list()[0], scalar(r"\😀"));
    for half in [r#"["\ud83d"]"#, r#"["\ude00"]"#, r#"["\ud83d\ud83d"]"#, r#"["\ude00\ud83d"]"#, r#"["\ud83dx"]"#] {
        assert_eq!(Document::parse_json(half.as_bytes()).unwrap_err().kind, Kind::Corrupt, "{half}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        "{",
        "[",
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":1,"#,
        r#"["a"#,
        "[1}",
        "{]",
        "[a]",
        "[yes]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[--1]",
        "[1e]",
        "[0x10]",
        "[NaN]",
        "['a']",
        "[\"a\nb\"]",
        r#"["\x41\q"]"#,
        "{a: 1}",
        "{1: 2}",
        r#"{"a" "b"}"#,
        r#"{"a"}"#,
        "[1 2]",
        "[&a 1]",
        "[!!str 1]",
        "[*a]",
        "[1]]",
        "[1][2]",
        "[1]\n---\n[2]",
        "[1,,2]",
        "[,]",
        "{,}",
        "\"a\u{1}b\"",
        "- 1",
        "a: 1",
        "|\n a",
        "? a",
        "---\n[]",
        "[\"a\": 1]",
        "[\u{7f}]",
        "[null null]",
        r#"["a""b"]"#,
        r#"{"a":1 "b":2}"#,
    ] {
        if let Ok(document) = Document::parse_json(text.as_bytes()) {
            panic!("{text}: {document:?}");
        }
    }
}
