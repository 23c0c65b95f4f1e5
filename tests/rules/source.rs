//! A Rust file as the rules see it: code, test code and comments apart, strings blanked.
//!
//! This is a lexer and no parser: enough to know what is code, never to know what the code means.

/// One file. `code` and `test_code` keep the line structure of the file; what is not theirs is blank.
pub struct Source {
    pub path: String,
    pub text: String,
    /// Without comments, string contents and test modules.
    pub code: String,
    /// The test modules alone, without comments and string contents.
    pub test_code: String,
    /// Line number from 1, and the comment with its slashes.
    pub comments: Vec<(usize, String)>,
}

/// A word or a mark of the code, with its line from 1; `::` is one mark, every other mark one character.
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'a> {
    pub line: usize,
    pub text: &'a str,
}

impl Source {
    pub fn parse(path: &str, text: &str) -> Self {
        let (blanked, comments) = blank(text);
        let whole = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let mut tests: Vec<bool> = vec![whole; blanked.len()];
        if !whole {
            mark_tests(&blanked, &mut tests);
        }
        let keep = |wanted: bool| {
            let pick = |(index, &letter): (usize, &char)| match letter {
                '\n' => '\n',
                letter if tests[index] == wanted => letter,
                _ => ' ',
            };
            blanked.iter().enumerate().map(pick).collect()
        };
        Self { path: path.into(), text: text.into(), code: keep(false), test_code: keep(true), comments }
    }

    /// Lines of product code: no blanks, no comments, no tests.
    pub fn code_lines(&self) -> usize {
        self.code.lines().filter(|line| !line.trim().is_empty()).count()
    }

    pub fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.code)
    }
}

/// Cuts code into words and marks.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
    let bytes = code.as_bytes();
    let (mut out, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        let start = at;
        at += 1;
        if is_word(bytes[start]) {
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else if bytes[start..].starts_with(b"::") {
            at += 1;
        } else if bytes[start].is_ascii_whitespace() {
            line += usize::from(bytes[start] == b'\n');
            continue;
        }
        out.push(Token { line, text: &code[start..at] });
    }
    out
}

/// The index of the mark that closes the bracket of any kind at `open`.
pub fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// The text with comments and the contents of strings and characters blanked, and the comments.
fn blank(text: &str) -> (Vec<char>, Vec<(usize, String)>) {
    let letters: Vec<char> = text.chars().collect();
    let mut out = letters.clone();
    let mut comments = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < letters.len() {
        let (end, is_comment) = match letters[at] {
            '/' if letters.get(at + 1) == Some(&'/') => (find(&letters, at, |rest| rest[0] == '\n'), true),
            '/' if letters.get(at + 1) == Some(&'*') => (end_of_block_comment(&letters, at), true),
            '"' => (end_of_string(&letters, at + 1), false),
            '\'' => (end_of_character(&letters, at), false),
            letter if letter.is_alphanumeric() || letter == '_' => {
                let end = find(&letters, at, |rest| !(rest[0].is_alphanumeric() || rest[0] == '_'));
                let word: String = letters[at..end].iter().collect();
                match raw_string(&word, &letters[end..]) {
                    Some(length) => (end + length, false),
                    None => {
                        at = end;
                        continue;
                    }
                }
            }
            letter => {
                line += usize::from(letter == '\n');
                at += 1;
                continue;
            }
        };
        if is_comment {
            comments.push((line, letters[at..end].iter().collect()));
        }
        line += letters[at..end].iter().filter(|&&letter| letter == '\n').count();
        for letter in out[at..end].iter_mut().filter(|letter| **letter != '\n') {
            *letter = ' ';
        }
        // A string still is something where it stood: a line of a table is a line of code.
        if !is_comment {
            out[at] = '"';
        }
        at = end;
    }
    (out, comments)
}

/// The first place from `at` where `is_end` holds for what follows, or the end.
fn find(letters: &[char], at: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (at..letters.len()).find(|&index| is_end(&letters[index..])).unwrap_or(letters.len())
}

fn end_of_block_comment(letters: &[char], at: usize) -> usize {
    let (mut depth, mut index) = (0usize, at);
    while index < letters.len() {
        match letters[index..] {
            ['/', '*', ..] => (depth, index) = (depth + 1, index + 2),
            ['*', '/', ..] => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index.min(letters.len())
}

fn end_of_string(letters: &[char], mut index: usize) -> usize {
    while index < letters.len() && letters[index] != '"' {
        index += if letters[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(letters.len())
}

/// A character literal; of a lifetime only the apostrophe.
fn end_of_character(letters: &[char], at: usize) -> usize {
    match letters[at + 1..] {
        ['\\', _, ..] => (find(letters, at + 3, |rest| rest[0] == '\'') + 1).min(letters.len()),
        [_, '\'', ..] => at + 3,
        _ => at + 1,
    }
}

/// How far a raw string reaches behind its prefix `word`.
fn raw_string(word: &str, rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&letter| letter == '#').count();
    if !matches!(word, "r" | "br" | "cr") || rest.get(hashes) != Some(&'"') {
        return None;
    }
    let is_end = |rest: &[char]| {
        rest[0] == '"' && rest.iter().skip(1).take_while(|&&letter| letter == '#').take(hashes).count() == hashes
    };
    Some((find(rest, hashes + 1, is_end) + 1 + hashes).min(rest.len()))
}

/// Marks every item under `#[cfg(test)]`.
fn mark_tests(blanked: &[char], tests: &mut [bool]) {
    let attribute: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut at = 0;
    while at < blanked.len() {
        if !blanked[at..].starts_with(&attribute) {
            at += 1;
            continue;
        }
        let body = find(blanked, at, |rest| matches!(rest[0], '{' | ';'));
        let (mut depth, mut end) = (0usize, body);
        while end < blanked.len() {
            depth += usize::from(blanked[end] == '{');
            depth -= usize::from(blanked[end] == '}');
            end += 1;
            if depth == 0 {
                break;
            }
        }
        tests[at..end].fill(true);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::parse("src/a.rs", text).code
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g").split_whitespace().collect::<Vec<_>>(), ["a", "c", "g"]);
        for literal in [r#""fn \" x""#, r##"r#"fn " x"#"##, r#"b"fn""#, r"'\''", "'\"'", r"b'\x27'"] {
            let code = code(&format!("a {literal} z"));
            assert!(!code.contains("fn") && code.contains('z') && code.contains('a'), "{literal}: {code}");
        }
        assert_eq!(code("fn f<'a>(x: &'a str) {}").matches(['<', '>', '{', 'a']).count(), 5);
        let source = Source::parse("src/a.rs", "//! one\nx // two\n");
        assert_eq!(source.comments, [(1, "//! one".into()), (2, "// two".into())]);
    }

    #[test]
    fn tests_are_kept_apart() {
        let source = Source::parse("src/a.rs", "real\n#[cfg(test)]\nmod tests {\n fake { }\n}\nmore\n");
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>(), ["real", "more"]);
        assert!(source.test_code.contains("fake") && !source.test_code.contains("more"));
        assert_eq!(source.code_lines(), 2);
        assert_eq!(Source::parse("src/a.rs", "#[cfg(test)]\nmod tests;\nreal").code.trim(), "real");
        assert_eq!(Source::parse("src/a/tests.rs", "fake").code.trim(), "");
    }

    #[test]
    fn tokens_know_their_line() {
        let found = tokens("a::b\n(c)");
        let texts: Vec<&str> = found.iter().map(|token| token.text).collect();
        assert_eq!(texts, ["a", "::", "b", "(", "c", ")"]);
        assert_eq!((found[2].line, found[3].line), (1, 2));
        assert_eq!(closing(&found, 3), Some(5));
        assert_eq!(closing(&tokens("( {"), 0), None);
    }
}
