//! Every kind of error that some module returns is provoked by some test.

use crate::source::{Source, closing};

/// The variants of `Kind` in `src/error.rs`.
pub fn variants(error: &Source) -> Vec<String> {
    let tokens = error.tokens();
    let open =
        tokens.windows(3).position(|three| (three[0].text, three[1].text, three[2].text) == ("enum", "Kind", "{"));
    let Some(open) = open.map(|at| at + 2) else { return Vec::new() };
    let (mut out, mut at) = (Vec::new(), open + 1);
    while let Some(token) = tokens.get(at).filter(|token| token.text != "}") {
        match token.text {
            "(" | "[" | "{" => at = closing(&tokens, at).unwrap_or(tokens.len()),
            "," | "#" => {}
            name => out.push(name.to_owned()),
        }
        at += 1;
    }
    out
}

/// Whether `code` makes an error of the kind, or names it.
fn returns(code: &str, kind: &str) -> bool {
    let flat: String = code.split_whitespace().collect();
    flat.contains(&format!("Error::{}(", kind.to_lowercase())) || names(&flat, kind)
}

/// Whether `code` expects the kind of something else: to make an error of it is not to provoke one.
fn expects(code: &str, kind: &str) -> bool {
    let flat: String = code.split_whitespace().collect();
    names(&flat.replace("Error::new(Kind::", ""), kind)
}

/// Whether `flat`, code without blanks, has the variant.
fn names(flat: &str, kind: &str) -> bool {
    // `Kind::Os` must not be found in a longer name that begins alike.
    let variant = format!("Kind::{kind}");
    let is_word =
        |at: usize| !flat[at + variant.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
    flat.match_indices(&variant).any(|(at, _)| is_word(at))
}

/// Kinds that are returned somewhere and provoked nowhere.
pub fn unprovoked(kinds: &[String], sources: &[Source]) -> Vec<String> {
    let elsewhere = || sources.iter().filter(|source| source.path != "src/error.rs");
    let returned = |kind: &&String| elsewhere().any(|source| returns(&source.code, kind));
    let provoked = |kind: &String| elsewhere().any(|source| expects(&source.test_code, kind));
    let missing = kinds.iter().filter(returned).filter(|kind| !provoked(kind));
    missing.map(|kind| format!("no test provokes Kind::{kind}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = "/// Why.\npub enum Kind {\n/// A.\n#[doc(hidden)]\nAbsent,\n/// B.\nOs(i32),\n}\nimpl Kind {}";

    #[test]
    fn variants_come_without_their_fields() {
        assert_eq!(variants(&Source::parse("src/error.rs", ERROR)), ["Absent", "Os"]);
    }

    #[test]
    fn a_returned_kind_needs_a_test() {
        let kinds = variants(&Source::parse("src/error.rs", ERROR));
        let judge = |code: &str, test: &str| {
            unprovoked(&kinds, &[Source::parse("src/disk.rs", code), Source::parse("tests/disk.rs", test)]).len()
        };
        assert_eq!(judge("", ""), 0, "what nobody returns cannot be provoked");
        assert_eq!(judge("Err(Error::absent(a, b))", "kind == Kind::Absent"), 0);
        assert_eq!(judge("Err(Error::new(Kind::Os(5)))", "Error::os(5, a)"), 1, "making one is not provoking one");
        assert_eq!(judge("Err(Error::new(Kind::Os(5)))", "Error::new(Kind::Os(5), a)"), 1);
        assert_eq!(judge("Err(Error::new(Kind::Os(5)))", "assert_eq!(error.kind, Kind::Os(5))"), 0);
        assert_eq!(judge("Err(Error::absent(a, b)); Kind::Os(1)", ""), 2);
        assert_eq!(judge("Kind::Os(1)", "Kind::Osmium"), 1);
        assert_eq!(judge("Kind::Os(1)", "\"Kind::Os\" // Kind::Os"), 1, "saying it is not provoking it");
    }
}
