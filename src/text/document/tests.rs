//! Documents of both languages: what is taken, what is not, and where it ends.

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
        "[1] # one",
        "# one\n[1]",
        "#\":\t1",
        r#"["\x41"]"#,
        r#"["\ "]"#,
        r#"["\U00000041"]"#,
        r"[\n]",
        "[\"\\\n\"]",
        "[\"\\\t\"]",
        r#"["\"#,
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

/// Numbers without a pattern, the same in every run.
struct Seed(u64);

impl Seed {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 24] = [
            'a', 'Z', '0', ' ', '"', '\\', '/', '\n', '\t', '\r', ':', ',', '#', '{', ']', '-', 'é', '😀', '\u{2028}',
            '\u{85}', '\u{feff}', '\u{7f}', '\0', '\'',
        ];
        (0..self.below(8)).map(|_| LETTERS[self.below(24) as usize]).collect()
    }

    fn document(&mut self, depth: u64) -> Document {
        match self.below(if depth == 0 { 3 } else { 5 }) {
            0 => Document::Null,
            1 => Document::Scalar(["-0", "true", "1e5", "18446744073709551616"][self.below(4) as usize].into()),
            2 => Document::Scalar(self.text()),
            3 => Document::List((0..self.below(4)).map(|_| self.document(depth - 1)).collect()),
            _ => Document::Map((0..self.below(4)).map(|_| (self.text(), self.document(depth - 1))).collect()),
        }
    }

    /// JSON for `document`, with blanks and escapes as chance has it.
    fn emit(&mut self, document: &Document, out: &mut String) {
        let blank = ["", "", " ", "\n", "\r\n", "\t", "\n\t  "];
        out.push_str(blank[self.below(7) as usize]);
        match document {
            Document::Null => out.push_str("null"),
            Document::Scalar(text) if ["-0", "true", "1e5", "18446744073709551616"].contains(&text.as_str()) => {
                out.push_str(text)
            }
            Document::Scalar(text) => self.quote(text, out),
            Document::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.emit(value, out);
                }
                out.push(']');
            }
            Document::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(blank[self.below(7) as usize]);
                    self.quote(key, out);
                    out.push_str(blank[self.below(7) as usize]);
                    out.push(':');
                    self.emit(value, out);
                }
                out.push('}');
            }
        }
        out.push_str(blank[self.below(7) as usize]);
    }

    fn quote(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => out.extend(['\\', letter]),
                '\n' => out.push_str("\\n"),
                letter if letter < ' ' || self.below(4) == 0 => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

#[test]
fn every_json_is_understood() {
    let mut seed = Seed(1);
    for _ in 0..3000 {
        let document = match seed.document(4) {
            Document::Map(entries) => Document::Map(entries),
            other => Document::List(vec![other]),
        };
        let mut text = String::new();
        seed.emit(&document, &mut text);
        assert_eq!(Document::parse_json(text.as_bytes()), Ok(document.clone()), "{text:?}");
        assert_eq!(Document::parse(text.as_bytes()), Ok(document), "{text:?}");
    }
}

#[test]
fn long_keys_are_understood() {
    let key = "k".repeat(5000);
    assert_eq!(json(&format!("{{\"{key}\":1}}")).at(&[&key]), Some(&scalar("1")));
}

#[test]
fn a_cut_document_is_an_error_or_what_is_there() {
    let text = r#"{"a":{"b":["x\ud83d\ude00",{"c":"y"}],"n":12},"d":null}"#;
    for end in 0..text.len() {
        assert!(Document::parse_json(&text.as_bytes()[..end]).is_err(), "{end}");
        assert!(Document::parse(&text.as_bytes()[..end]).is_err() || end == 0, "{end}");
    }
    for end in 0..SAMPLE.len() {
        // A line of YAML can be whole and the file not; the scalars that are there say what they say in the whole.
        let Ok(cut) = Document::parse_yaml(&SAMPLE.as_bytes()[..end]) else { continue };
        assert!(cut.map().len() <= 15, "{end}");
    }
}

#[test]
fn no_flipped_bit_breaks_anything() {
    for sample in
        [SAMPLE, r#"{"a":{"b":["x\ud83d\ude00",{"c":"y"}],"n":12},"d":null}"#, "a: &a [x, &b {c: d}]\ne: *a\nf: *b\n"]
    {
        for at in 0..sample.len() {
            for bit in 0..8 {
                let mut bytes = sample.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let _ = Document::parse(&bytes);
                let _ = Document::parse_json(&bytes);
                let _ = Document::parse_yaml(&bytes);
            }
        }
    }
}

#[test]
fn aliases_are_copies_with_a_price() {
    let document = yaml("a: &a {x: [1, 2]}\nb: *a\nc: &c text\nd: [*c, *c]\n? *c\n: key\n");
    assert_eq!(document.path("b/x/1"), Some(&scalar("2")));
    assert_eq!(document.path("d"), Some(&Document::List(vec![scalar("text"), scalar("text")])));
    assert_eq!(document.path("text"), Some(&scalar("key")));
    assert_eq!(yaml("a: &a 1\nb: &a 2\nc: *a\n").path("c"), Some(&scalar("2")), "a name given again");
    assert_eq!(yaml("x: &x {a: 1}\n<<: *x\n").path("<</a"), Some(&scalar("1")), "nothing is merged");
    for (text, kind) in [
        ("a: *b\nb: &b 1\n", Kind::Corrupt),
        ("a: &a [*a]\n", Kind::Corrupt),
        ("&a {b: *a}\n", Kind::Corrupt),
        ("a: &a [1]\n*a : 1\n", Kind::Unsupported),
    ] {
        assert_eq!(Document::parse_yaml(text.as_bytes()).unwrap_err().kind, kind, "{text}");
    }
    let mut laughs = String::from("l0: &l0 lol\n");
    for level in 1..30 {
        laughs.push_str(&format!("l{level}: &l{level} [{}]\n", vec![format!("*l{}", level - 1); 9].join(",")));
    }
    let long = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(100_000), ["*a"; 60].join(","));
    let names: String = (0..1001).map(|name| format!("- &n{name} x\n")).collect();
    let mut tower = String::from("- &t0 []\n");
    for level in 1..70 {
        tower.push_str(&format!("- &t{level} [*t{}]\n", level - 1));
    }
    for (text, why) in [
        (laughs, "100,000 values"),
        (long, "too much text"),
        (names, "too many values have names"),
        (tower, "64 levels"),
    ] {
        let error = Document::parse_yaml(text.as_bytes()).unwrap_err();
        assert!(error.kind == Kind::Refused && error.why.contains(why), "{error}");
    }
}

#[test]
fn every_limit_holds() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let block = |depth: usize| "- ".repeat(depth) + "x";
    for (text, fits) in [
        (nested(64), true),
        (nested(65), false),
        (nested(200), false),
        (block(64), true),
        (block(65), false),
        (format!("[{}]", vec!["1"; 99_999].join(",")), true),
        (format!("[{}]", vec!["1"; 100_000].join(",")), false),
        (format!("{}{}", "#".repeat(LENGTH_LIMIT - 2), "\n1"), true),
        (format!("{}{}", "#".repeat(LENGTH_LIMIT - 1), "\n1"), false),
    ] {
        let found = Document::parse(text.as_bytes()).map(|_| ()).map_err(|error| error.kind);
        assert_eq!(found, if fits { Ok(()) } else { Err(Kind::Refused) }, "{:.20} {}", text, text.len());
    }
}

#[test]
fn what_is_no_text_is_an_error() {
    for bytes in [&b"a: \0b"[..], b"a: \x01", b"\x0b", b"a: \xff", b"\x1f\x8b\x08", b"\xff\xfea\0", b"a: \xc3"] {
        assert_eq!(Document::parse(bytes).unwrap_err().kind, Kind::Corrupt, "{bytes:?}");
    }
    assert_eq!(Document::parse("\u{feff}a: b".as_bytes()), Ok(map(&[("a", scalar("b"))])));
    assert_eq!(Document::parse("\u{feff}[1]".as_bytes()), Ok(Document::List(vec![scalar("1")])));
}

#[test]
fn one_document_is_one() {
    for empty in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "null"] {
        assert_eq!(yaml(empty), Document::Null, "{empty:?}");
    }
    assert_eq!(yaml("--- a\n...\n"), scalar("a"));
    for two in ["a\n---\nb\n", "---\n---\n", "a: 1\n---\n"] {
        assert_eq!(Document::parse_yaml(two.as_bytes()).unwrap_err().kind, Kind::Unsupported, "{two:?}");
    }
}

#[test]
fn a_map_needs_scalars_for_keys() {
    assert_eq!(Document::parse_yaml(b"{{ a }}: 1").unwrap_err().kind, Kind::Unsupported);
    assert_eq!(
        yaml("? a\n: b\n~: c\n: d\n1: e\n").map().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["a", "~", "", "1"]
    );
}

#[test]
fn an_error_says_where_and_not_what() {
    let error = Document::parse_yaml(b"password: secret\ntoken: 'sec\n").unwrap_err();
    assert!(error.why.starts_with("line ") && error.why.contains(", column "), "{error}");
    for text in [
        "secret: @secret",
        "a: `secret`",
        "secret: *secret",
        "secret: !secret!x y",
        "a: \"\\secret\"",
        "secret: secret: secret",
        "[secret",
        "{secret: [}",
    ] {
        let error = Document::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains('@'), "{error}");
    }
    assert_eq!(
        Document::parse_yaml(b"a: b\n\n@: c\n").unwrap_err().to_string(),
        "understand the YAML document: line 3, column 1: unexpected character"
    );
}

#[test]
fn what_looks_like_json_may_be_yaml() {
    assert_eq!(Document::parse(b"{a: b}"), Ok(map(&[("a", scalar("b"))])));
    assert_eq!(Document::parse(b"[a, 'b'] # list"), Ok(Document::List(vec![scalar("a"), scalar("b")])));
    let error = Document::parse(b" {\"a\": ").unwrap_err();
    assert!(error.doing.contains("JSON"), "{error}");
    for (text, place) in [("[1,\n \t# c\n]", "line 2, column 3"), (r#"["é\x"]"#, "line 1, column 4")] {
        let error = Document::parse_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.why, format!("{place}: JSON has nothing of this kind"), "{text}");
    }
}

#[test]
fn line_ends_and_headers_of_other_systems_are_understood() {
    for text in [
        "#cloud-config\ninstance-id: a\nlist: [1, 2]\n",
        "%YAML 1.1\n---\ninstance-id: a\nlist:\n- 1\n- 2\n...\n",
        "instance-id: a\r\nlist:\r\n  - 1\r\n  - 2\r\n",
        "instance-id: a\nlist:\n  - 1\n  - 2",
        "---\n\n\"instance-id\": 'a'   # b\n'list': [1,\n 2]\n",
        "{instance-id: a, list: [1, 2,],}",
    ] {
        let document = yaml(text);
        assert_eq!(document.path("instance-id"), Some(&scalar("a")), "{text}");
        assert_eq!(document.path("list/1"), Some(&scalar("2")), "{text}");
    }
    assert_eq!(yaml("a: |\r\n  b\r\n  c\r\n").path("a"), Some(&scalar("b\nc\n")), "YAML 1.2.2, 5.4");
}
