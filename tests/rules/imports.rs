//! A module uses only modules above its line in `src/lib.rs`; the list there is the only one.

use crate::source::{Source, Token, tokens};

/// The modules of `lib.rs`, each with the number of its line: modules without a blank line between them share one.
pub fn modules(lib: &str) -> Vec<(String, usize)> {
    let (mut out, mut line) = (Vec::new(), 0);
    for text in lib.lines().map(str::trim) {
        let name = text.strip_prefix("pub mod ").or_else(|| text.strip_prefix("mod "));
        match name.and_then(|rest| rest.strip_suffix(';')) {
            Some(name) => out.push((name.to_owned(), line)),
            None if text.is_empty() => line += 1,
            None => {}
        }
    }
    out
}

/// What `source` uses and must not, one sentence each; `exceptions` are (path, module it may use, why).
pub fn upward(source: &Source, modules: &[(String, usize)], exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let path: Vec<&str> = source.path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let module = path[0];
    if matches!(module, "lib" | "main") {
        return Vec::new();
    }
    let depth = path.iter().filter(|part| **part != "mod").count();
    let line_of = |name: &str| modules.iter().find(|(module, _)| module == name).map(|(_, line)| *line);
    let Some(own) = line_of(module) else { return vec![format!("{}: {module} is not in lib.rs", source.path)] };
    let mut out = Vec::new();
    for Token { line, text: used } in used(&tokens(&source.code), depth) {
        let place = format!("{}:{line}", source.path);
        match line_of(used) {
            _ if used == module
                || exceptions.iter().any(|exception| (exception.0, exception.1) == (source.path.as_str(), used)) => {}
            None => out.push(format!("{place}: {used} is not a module of lib.rs")),
            Some(other) if other >= own => out.push(format!("{place}: {module} uses {used}, which is not above it")),
            Some(_) => {}
        }
    }
    out
}

/// Every name taken from the root of the crate in a file `depth` modules below it.
fn used<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<Token<'a>> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        let starts_path = at == 0 || text(at - 1) != "::";
        if !starts_path || !matches!(text(at), "crate" | "super") {
            continue;
        }
        let (mut next, mut climbed) = (at, 0);
        while text(next) == "super" && text(next + 1) == "::" {
            (next, climbed) = (next + 2, climbed + 1);
        }
        if text(at) == "crate" {
            (next, climbed) = (at + 2, depth);
        }
        // A `crate` without a path is a visibility.
        if climbed < depth || text(next - 1) != "::" {
            continue;
        }
        if text(next) == "{" {
            out.extend(group(tokens, next));
        } else {
            out.extend(tokens.get(next).cloned());
        }
    }
    out
}

/// The first names in the braces at `open`: `a` and `d` of `{a::{b, c}, d}`.
fn group<'a>(tokens: &[Token<'a>], open: usize) -> Vec<Token<'a>> {
    let (mut depth, mut out) = (0usize, Vec::new());
    for pair in tokens[open..].windows(2) {
        match pair[0].text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].text, "{" | ",") && pair[1].text != "}" {
            out.push(pair[1].clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "pub mod error;\npub mod units;\n\npub mod table;\n\nmod plan;\n";

    fn complaints(path: &str, code: &str) -> usize {
        upward(&Source::parse(path, code), &modules(LIB), &[("src/table/door.rs", "plan", "it is an exception")]).len()
    }

    #[test]
    fn modules_share_a_line_without_a_blank_one_between() {
        let modules = modules(LIB);
        let found: Vec<(&str, usize)> = modules.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        assert_eq!(found, [("error", 0), ("units", 0), ("table", 1), ("plan", 2)]);
    }

    #[test]
    fn downward_uses_are_accepted() {
        for code in [
            "use crate::error::Error;",
            "use crate::{error::{Error, Kind}, units};",
            "use crate::table::gpt; pub(crate) fn f() {}",
            "use super::plan; // inside the module",
            "use super::super::units::Lba;",
            "#[cfg(test)]\nmod tests { use crate::plan; }",
            "let text = \"crate::plan\";",
        ] {
            assert_eq!(complaints("src/table/gpt.rs", code), 0, "{code}");
        }
    }

    #[test]
    fn an_exception_is_for_one_module_of_one_file() {
        assert_eq!(complaints("src/table/door.rs", "use crate::plan;"), 0);
        assert_eq!(complaints("src/table/door.rs", "use crate::cellar;"), 1);
    }

    #[test]
    fn upward_sideways_and_unknown_uses_are_refused() {
        for (path, code) in [
            ("src/table/gpt.rs", "use crate::plan::Step;"),
            ("src/table/gpt.rs", "use crate::{error::Error, plan};"),
            ("src/table/gpt.rs", "fn f() -> crate::plan::Step {}"),
            ("src/table/gpt.rs", "use super::super::plan;"),
            ("src/table/mod.rs", "use super::plan;"),
            ("src/table/gpt.rs", "use crate::*;"),
            ("src/error.rs", "use crate::units;"),
            ("src/cellar.rs", ""),
        ] {
            assert_eq!(complaints(path, code), 1, "{path}: {code}");
        }
    }
}
