//! What wisp changes in `mkinitfs.conf`: one word of `features=`, and the line `init=`. All else stays byte for byte.
//!
//! The file is shell that mkinitfs sources. What is not plain `KEY=value` could mean anything: a file that holds such a line
//! is refused and stays what it is. Pure: a text in, a text out.

use super::{PROGRAMS, Way};
use crate::error::{Error, Result};
use crate::text::shell_assignments::{Assignment, Conf};
use alloc::format;
use alloc::string::String;
use core::ops::Range;

const DOING: &str = "change";

/// The feature that brings the shell and the programs which Alpine's own init calls.
const STOCK_FEATURE: &str = "base";

/// Which way `text` asks for, if any.
///
/// # Errors
/// `Refused`: it holds more than assignments.
pub fn way(text: &str) -> Result<Option<Way>> {
    let conf = parse(text)?;
    let features = conf.value("features").unwrap_or_default();
    let is_named = |way: &Way| features.split_ascii_whitespace().any(|word| word == way.feature());
    let is_init = conf.value("init").is_some_and(is_ours);
    Ok([Way::OwnInit, Way::StockInit].into_iter().find(is_named).filter(|_| is_init))
}

/// The configuration `text` with wisp in it: a feature, and `init=PROGRAM`.
///
/// # Errors
/// `Refused`: it holds more than assignments, has no `features=` or one in strange quotes, or an `init=` of another's.
pub fn with(text: &str, way: Way, program: &str) -> Result<String> {
    let conf = parse(text)?;
    if let Some(init) = last(&conf, "init").filter(|init| !is_ours(&init.value)) {
        let why = format!("line {} says init={}, and of two programs only one can be /init", init.line, init.value);
        return Err(Error::refused(DOING, why));
    }
    let Some(features) = last(&conf, "features") else {
        return Err(Error::refused(DOING, "there is no line features=… in it"));
    };
    let text = with_features(text, features, |words| {
        match way {
            Way::StockInit => replace(words, Way::OwnInit.feature(), STOCK_FEATURE),
            Way::OwnInit => {
                replace(words, Way::StockInit.feature(), "");
                replace(words, STOCK_FEATURE, way.feature());
            }
        }
        add(words, way.feature());
    })?;
    let conf = parse(&text)?;
    if let Some(init) = last(&conf, "init") {
        return Ok(spliced(&text, &init.word, program));
    }
    let end = last(&conf, "features").map_or(text.len(), |features| line_of(&text, &features.word).end);
    // The last line of a file need not have an end.
    let line = if text.get(..end).is_some_and(|head| head.ends_with('\n')) {
        format!("init={program}\n")
    } else {
        format!("\ninit={program}")
    };
    Ok(spliced(&text, &(end..end), &line))
}

/// The configuration `text` without wisp, as it was before [`with`].
///
/// # Errors
/// As [`with`].
pub fn without(text: &str) -> Result<String> {
    let conf = parse(text)?;
    let mut text = match last(&conf, "features") {
        Some(features) => with_features(text, features, |words| {
            replace(words, Way::StockInit.feature(), "");
            replace(words, Way::OwnInit.feature(), STOCK_FEATURE);
        })?,
        None => text.into(),
    };
    // There are no more lines than there were assignments.
    for _ in &conf.assignments {
        let conf = parse(&text)?;
        let Some(init) = last(&conf, "init").filter(|init| is_ours(&init.value)) else { break };
        let mut line = line_of(&text, &init.word);
        if !text.get(..line.end).is_some_and(|head| head.ends_with('\n')) {
            line.start = line.start.saturating_sub(1);
        }
        text = spliced(&text, &line, "");
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Conf> {
    let conf = Conf::parse(text);
    match conf.complaints.first() {
        Some(complaint) => Err(Error::refused(DOING, format!("line {}: {}", complaint.line, complaint.why))),
        None => Ok(conf),
    }
}

/// The assignment that counts.
fn last<'a>(conf: &'a Conf, key: &str) -> Option<&'a Assignment> {
    conf.assignments.iter().rev().find(|assignment| assignment.key == key)
}

fn is_ours(program: &str) -> bool {
    PROGRAMS.contains(&program)
}

/// `text` with other words in `features`, in the quotes that it has, or in some if it has none.
fn with_features(text: &str, features: &Assignment, change: impl FnOnce(&mut String)) -> Result<String> {
    let raw = text.get(features.word.clone()).unwrap_or_default();
    let within = |quote: char| raw.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    let (quote, old) = match (within('"'), within('\'')) {
        (Some(inner), _) => ('"', inner),
        (None, Some(inner)) => ('\'', inner),
        (None, None) if !raw.contains(['"', '\'', '\\']) => ('"', raw),
        (None, None) => {
            let why = format!("line {}: features= is put together of several pieces", features.line);
            return Err(Error::refused(DOING, why));
        }
    };
    let mut new = String::from(old);
    change(&mut new);
    if new == old {
        return Ok(text.into());
    }
    Ok(spliced(text, &features.word, &format!("{quote}{new}{quote}")))
}

/// Puts `new` in the place of the word `old`; an empty one, or one that is there already, takes a blank away with it.
fn replace(words: &mut String, old: &str, new: &str) {
    let Some(mut place) = find(words, old) else { return };
    let new = if find(words, new).is_some() { "" } else { new };
    if new.is_empty() {
        match words.get(..place.start).is_some_and(|head| head.ends_with(' ')) {
            true => place.start = place.start.saturating_sub(1),
            false if words.get(place.end..).is_some_and(|tail| tail.starts_with(' ')) => {
                place.end = place.end.saturating_add(1);
            }
            false => {}
        }
    }
    *words = spliced(words, &place, new);
}

fn add(words: &mut String, word: &str) {
    if find(words, word).is_some() {
        return;
    }
    if !words.is_empty() && !words.ends_with(|last: char| last.is_ascii_whitespace()) {
        words.push(' ');
    }
    words.push_str(word);
}

/// Where `word` stands among `words`.
fn find(words: &str, word: &str) -> Option<Range<usize>> {
    if word.is_empty() {
        return None;
    }
    let is_blank = |text: Option<&str>, at_end: bool| {
        let text = text.unwrap_or_default();
        let next = if at_end { text.chars().next_back() } else { text.chars().next() };
        next.is_none_or(|letter| letter.is_ascii_whitespace())
    };
    words
        .match_indices(word)
        .map(|(start, found)| start..start.saturating_add(found.len()))
        .find(|place| is_blank(words.get(..place.start), true) && is_blank(words.get(place.end..), false))
}

/// The line that `word` is in, with its end.
fn line_of(text: &str, word: &Range<usize>) -> Range<usize> {
    let start = text.get(..word.start).and_then(|head| head.rfind('\n')).map_or(0, |newline| newline.saturating_add(1));
    let newline = text.get(word.end..).and_then(|tail| tail.find('\n'));
    start..newline.map_or(text.len(), |newline| word.end.saturating_add(newline).saturating_add(1))
}

fn spliced(text: &str, place: &Range<usize>, new: &str) -> String {
    let [head, tail] = [text.get(..place.start), text.get(place.end..)].map(Option::unwrap_or_default);
    format!("{head}{new}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const PROGRAM: &str = "/usr/libexec/wisp/wisp-initramfs";

    fn with_stock(text: &str) -> String {
        with(text, Way::StockInit, PROGRAM).unwrap()
    }

    #[test]
    fn one_word_and_one_line_are_added_and_taken_away_again() {
        let init = format!("init={PROGRAM}");
        for (text, wanted) in [
            ("features=\"ata base ext4\"\n", format!("features=\"ata base ext4 wisp\"\n{init}\n")),
            ("features=\"ata base ext4\"", format!("features=\"ata base ext4 wisp\"\n{init}")),
            ("features='base'\n", format!("features='base wisp'\n{init}\n")),
            ("features=\"\"\n", format!("features=\"wisp\"\n{init}\n")),
            ("features=\"base \"\n", format!("features=\"base wisp\"\n{init}\n")),
            ("features=\"base \\\n  ext4\"\n", format!("features=\"base \\\n  ext4 wisp\"\n{init}\n")),
            ("features='base\n ext4\n'\n", format!("features='base\n ext4\nwisp'\n{init}\n")),
            (
                "# my own\n\n  features=\"base\"  # few\ninitfscomp='zstd'\n",
                format!("# my own\n\n  features=\"base wisp\"  # few\n{init}\ninitfscomp='zstd'\n"),
            ),
            (
                "features=\"cramfs\"\r\nfeatures=\"base wispy\"\r\ndisable_trigger=no",
                format!("features=\"cramfs\"\r\nfeatures=\"base wispy wisp\"\r\n{init}\ndisable_trigger=no"),
            ),
        ] {
            let new = with_stock(text);
            assert_eq!(new, wanted);
            assert_eq!(with_stock(&new), new, "a second time changes nothing");
            assert_eq!(way(&new), Ok(Some(Way::StockInit)), "{new}");
            let old = without(&new).unwrap();
            assert_eq!(without(&old).unwrap(), old);
            assert_eq!(way(&old), Ok(None));
            if !text.contains("base \"") && !text.contains("\n'") {
                assert_eq!(old, text);
            }
        }
        assert_eq!(with_stock("features=base\n"), format!("features=\"base wisp\"\n{init}\n"), "two words want quotes");
    }

    #[test]
    fn the_own_init_stands_in_the_place_of_what_the_stock_one_needs() {
        let own = |text: &str| with(text, Way::OwnInit, PROGRAM).unwrap();
        let text = "features=\"ata base ext4\"\n";
        let new = format!("features=\"ata wisp-init ext4\"\ninit={PROGRAM}\n");
        assert_eq!(own(text), new);
        assert_eq!(own(&new), new);
        assert_eq!(own(&with_stock(text)), new);
        assert_eq!(with_stock(&new), with_stock(text));
        assert_eq!((way(&new), without(&new).as_deref()), (Ok(Some(Way::OwnInit)), Ok(text)));
        assert_eq!(own("features=\"ext4\"\n"), format!("features=\"ext4 wisp-init\"\ninit={PROGRAM}\n"));
        assert_eq!(without("features=\"wisp-init base\"\n").unwrap(), "features=\"base\"\n");
    }

    #[test]
    fn an_init_of_ours_in_another_place_is_replaced() {
        let text = "init=/usr/local/libexec/wisp/wisp-initramfs # local\nfeatures=\"base wisp\"\n";
        assert_eq!(with_stock(text), format!("init={PROGRAM} # local\nfeatures=\"base wisp\"\n"));
        assert_eq!(without(&format!("{text}init={PROGRAM}\n")).unwrap(), "features=\"base\"\n");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_says_where() {
        for (text, why) in [
            ("features=\"base\"\ninit=/opt/init\n", "line 2 says init=/opt/init"),
            ("features=\"base\"\n. /etc/other.conf\n", "line 2: "),
            ("features=\"$features base\"\n", "line 1: "),
            ("features=\"base\"\nif true; then\nfeatures=x\nfi\n", "line 2: "),
            ("features=\"base\"' ext4'\n", "line 1: features= is put together"),
            ("features=base\\ ext4\n", "line 1: features= is put together"),
            ("initfscomp=zstd\n", "no line features="),
            ("", "no line features="),
        ] {
            let error = with(text, Way::StockInit, PROGRAM).unwrap_err();
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.why.contains(why), "{text}: {}", error.why);
        }
        let foreign = "features=\"base\"\ninit=/opt/init\n";
        assert_eq!(without(foreign).unwrap(), foreign);
        assert_eq!(without("").unwrap(), "");
        assert!(without("features=`ls`\n").is_err());
    }

    #[test]
    fn every_cut_is_refused_or_changed_for_good() {
        let text =
            "# a\nfeatures=\"ata base \\\n  'ext4' wisp-init\" # b\ninit='/usr/libexec/wisp/wisp-initramfs'\nx=1\n";
        for (end, _) in text.char_indices() {
            for way in [Way::StockInit, Way::OwnInit] {
                let Ok(new) = with(&text[..end], way, PROGRAM) else { continue };
                assert_eq!(with(&new, way, PROGRAM).unwrap(), new, "{end}");
                assert_eq!(super::way(&new), Ok(Some(way)), "{end}: {new}");
            }
        }
    }
}
