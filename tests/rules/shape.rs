//! How large things may be, and what each file must open with.

use crate::source::{Source, closing};

/// More code lines than this and a file is questioned: it needs a reason in the list that `file_size` is given.
pub const QUESTIONED: usize = 300;
/// More than this and no reason helps.
pub const REFUSED: usize = 500;
/// A function stays below this, so that it can be seen whole.
pub const FUNCTION: usize = 70;

/// Judges the size of `source`; `reasons` are (path, why this file is better whole).
pub fn file_size(source: &Source, reasons: &[(&str, &str)]) -> Option<String> {
    let lines = source.code_lines();
    let reason = reasons.iter().any(|(path, why)| *path == source.path && !why.is_empty());
    let path = &source.path;
    match lines {
        _ if lines > REFUSED => Some(format!("{path}: {lines} lines of code, at most {REFUSED} are accepted")),
        _ if lines > QUESTIONED && !reason => Some(format!("{path}: {lines} lines of code and no reason given")),
        _ if lines <= QUESTIONED && reason => Some(format!("{path}: has a reason to be large and is not")),
        _ => None,
    }
}

/// Functions that are too long.
pub fn long_functions(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let lines: Vec<&str> = source.code.lines().collect();
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        let Some(name) = tokens.get(at + 1).filter(|_| tokens[at].text == "fn") else { continue };
        let mut body = at;
        while let Some(token) = tokens.get(body) {
            match token.text {
                "(" | "[" => body = closing(&tokens, body).unwrap_or(tokens.len()),
                "{" | ";" => break,
                _ => {}
            }
            body += 1;
        }
        let Some(end) = tokens.get(body).filter(|token| token.text == "{").and_then(|_| closing(&tokens, body)) else {
            continue;
        };
        let span = &lines[tokens[at].line - 1..tokens[end].line];
        let length = span.iter().filter(|line| !line.trim().is_empty()).count();
        if length >= FUNCTION {
            out.push(format!("{}:{}: fn {} has {length} lines", source.path, tokens[at].line, name.text));
        }
    }
    out
}

/// Every file says what it is for.
pub fn header(source: &Source) -> Option<String> {
    let opens = source.text.starts_with("//! ");
    (!opens).then(|| format!("{}: does not open with //! and what it is for", source.path))
}

/// Whether `source` is the root file of a module: the one that the module's `mod` line names.
fn is_module_root(path: &str) -> bool {
    let inside = path.trim_start_matches("src/");
    !inside.contains('/') || inside.ends_with("/mod.rs") && inside.matches('/').count() == 1
}

/// `unsafe` lives in `sys` only: every other module forbids it, and a file of `sys` that has it says why.
pub fn unsafe_fence(source: &Source) -> Option<String> {
    let flat: String = source.code.split_whitespace().collect();
    let path = &source.path;
    if path.starts_with("src/sys/") {
        let has = source.tokens().iter().any(|token| token.text == "unsafe");
        let says = flat.contains("#![expect(unsafe_code,reason=");
        return (has && !says).then(|| format!("{path}: has unsafe code and no #![expect(unsafe_code, reason = …)]"));
    }
    let forbids = flat.contains("#![forbid(unsafe_code)]");
    let needs = path != "src/lib.rs" && is_module_root(path);
    (needs && !forbids).then(|| format!("{path}: does not say #![forbid(unsafe_code)]"))
}

/// Unsafe blocks and implementations without a SAFETY comment directly above, or above the statement they end.
pub fn unexplained_unsafe(source: &Source) -> Vec<String> {
    /// Lines that rustfmt may put between a comment and the block: the start of a broken statement.
    const BETWEEN: usize = 2;
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let is_comment = |line: &&&str| line.starts_with("//");
    let mut out = Vec::new();
    for pair in source.tokens().windows(2) {
        if pair[0].text != "unsafe" || !matches!(pair[1].text, "{" | "impl") {
            continue;
        }
        let above: Vec<&str> = lines[..pair[0].line - 1].iter().rev().copied().collect();
        let gap = above.iter().position(|line| line.starts_with("//")).unwrap_or(usize::MAX);
        let explained = gap <= BETWEEN
            && above.iter().skip(gap).take_while(|line| is_comment(line)).any(|line| line.contains("SAFETY: "));
        if !explained {
            out.push(format!("{}:{}: unsafe without a SAFETY comment", source.path, pair[0].line));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("src/table/gpt.rs", text)
    }

    #[test]
    fn size_is_judged_without_comments_and_tests() {
        let code = |lines: usize| source(&("// a comment\n\nx;\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n\n}\n"));
        let reasons = [("src/table/gpt.rs", "one table")];
        assert_eq!(file_size(&code(QUESTIONED), &[]), None);
        assert!(file_size(&code(QUESTIONED), &reasons).is_some(), "a reason that is not needed goes");
        assert!(file_size(&code(QUESTIONED + 1), &[]).is_some());
        assert_eq!(file_size(&code(QUESTIONED + 1), &reasons), None);
        assert!(file_size(&code(REFUSED + 1), &reasons).is_some());
    }

    #[test]
    fn functions_end_where_their_braces_do() {
        let function = |lines: usize| {
            source(&format!("fn f(a: [u8; 4]) -> u8 {{\n{}}}\nfn g();\n", "if x { \"}\" }\n".repeat(lines)))
        };
        assert!(long_functions(&function(FUNCTION - 3)).is_empty());
        assert_eq!(long_functions(&function(FUNCTION - 2)), ["src/table/gpt.rs:1: fn f has 70 lines"]);
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert_eq!(header(&source("//! GPT.\n")), None);
        assert!(header(&source("use crate::error;\n//! GPT.\n")).is_some());
        assert!(header(&source("")).is_some());
    }

    #[test]
    fn modules_forbid_unsafe_and_sys_says_why() {
        let judge = |path: &str, text: &str| unsafe_fence(&Source::parse(path, text)).is_none();
        assert!(judge("src/disk.rs", "#![forbid(unsafe_code)]") && !judge("src/disk.rs", "// #![forbid(unsafe_code)]"));
        assert!(!judge("src/table/mod.rs", ""));
        assert!(judge("src/table/gpt.rs", ""), "the module's own file forbids it for all of the module");
        assert!(judge("src/sys/mod.rs", "pub mod entry;"));
        assert!(!judge("src/sys/entry.rs", "unsafe { f() }"));
        assert!(judge("src/sys/entry.rs", "#![expect(unsafe_code, reason = \"C\")]\nunsafe { f() }"));
    }

    #[test]
    fn unsafe_is_explained_where_it_stands() {
        for text in [
            "// SAFETY: it is.\nunsafe { f() }",
            "// SAFETY: it is,\n// really.\nlet a =\n    unsafe { f() };",
            "unsafe extern \"C\" {}",
            "let text = \"unsafe {\";",
        ] {
            assert!(unexplained_unsafe(&source(text)).is_empty(), "{text}");
        }
        for text in ["unsafe { f() }", "// Safe.\nunsafe { f() }", "// SAFETY: far\na;\nb;\nc;\nunsafe impl A for B {}"]
        {
            assert_eq!(unexplained_unsafe(&source(text)).len(), 1, "{text}");
        }
    }
}
