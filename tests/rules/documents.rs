//! Rules for the documents: how long a page may be, that each is found from the README, and that links lead somewhere.

/// Lines and columns of README.md: it is read on a terminal.
const README: (usize, usize) = (150, 80);

/// Lines of a page in docs/.
const PAGE_LINES: usize = 200;

/// A README or a page of docs/ that is too long.
pub fn too_long(path: &str, text: &str) -> Vec<String> {
    let (lines, columns) = match path {
        "README.md" => README,
        _ if is_page(path) => (PAGE_LINES, usize::MAX),
        _ => return Vec::new(),
    };
    let count = text.lines().count();
    let total = (count > lines).then(|| format!("{path}: {count} lines of {lines}"));
    let wide = text.lines().enumerate().filter(|(_, line)| line.chars().count() > columns);
    total.into_iter().chain(wide.map(|(index, _)| format!("{path}:{}: wider than {columns}", index + 1))).collect()
}

/// Pages of docs/ that README.md, whose text is `readme`, does not link.
pub fn unlinked(readme: &str, paths: &[&str]) -> Vec<String> {
    let linked = links(readme);
    let is_linked = |path: &str| linked.iter().any(|link| split(link).0 == path);
    let lost = paths.iter().filter(|path| is_page(path) && !is_linked(path));
    lost.map(|path| format!("{path}: README.md does not link it")).collect()
}

/// Scenarios among `paths` that none of the pages `texts` names: what was tested with what is found there.
pub fn unnamed_scenarios(paths: &[&str], texts: &[&str]) -> Vec<String> {
    let name = |path: &&str| path.strip_prefix("qemu/scenarios/")?.strip_suffix("/scenario").map(str::to_owned);
    let is_named = |name: &str| texts.iter().any(|text| text.contains(&format!("`{name}`")));
    let lost = paths.iter().filter_map(name).filter(|name| !is_named(name));
    lost.map(|name| format!("qemu/scenarios/{name}: docs/compatibility.md does not name it")).collect()
}

/// Relative links of the document `path` that lead nowhere. `exists` says whether the repository has a path, `read` has
/// the text of a document.
pub fn broken(
    path: &str,
    text: &str,
    exists: impl Fn(&str) -> bool,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let leads_nowhere = |link: &&str| {
        let (target, fragment) = split(link);
        let target = if target.is_empty() { path.into() } else { resolve(folder, target) };
        let has_heading = |fragment| read(&target).is_some_and(|text| headings(&text).iter().any(|it| it == fragment));
        !exists(&target) || fragment.is_some_and(|fragment| !has_heading(fragment))
    };
    let local = links(text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    local.filter(leads_nowhere).map(|link| format!("{path}: nothing at {link}")).collect()
}

fn is_page(path: &str) -> bool {
    path.starts_with("docs/") && path.ends_with(".md")
}

/// The targets of Markdown's `[text](target)`, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        // Between backquotes, every second piece is code.
        for piece in line.split('`').step_by(2).filter(|_| !in_code) {
            out.extend(piece.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)));
        }
    }
    // A link whose text is code, [`text`](target), has its "](" at the begin of a piece that is no code, too.
    out
}

fn split(link: &str) -> (&str, Option<&str>) {
    link.split_once('#').map_or((link, None), |(target, fragment)| (target, Some(fragment)))
}

/// The path from the root of the repository of what `target` means in `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings, as GitHub and GitLab make them.
fn headings(text: &str) -> Vec<String> {
    let mut in_code = false;
    let heading = |line: &str| {
        in_code ^= line.starts_with("```");
        line.strip_prefix('#').filter(|_| !in_code).map(|rest| anchor(rest.trim_start_matches('#').trim()))
    };
    text.lines().filter_map(heading).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pages_are_found() {
        assert!(too_long("README.md", &"a\n".repeat(150)).is_empty());
        assert_eq!(too_long("README.md", &"a\n".repeat(151)).len(), 1);
        assert_eq!(too_long("README.md", &"ä".repeat(81)), ["README.md:1: wider than 80"]);
        assert!(too_long("docs/a.md", &"a".repeat(300)).is_empty());
        assert_eq!(too_long("docs/a.md", &"a\n".repeat(201)).len(), 1);
        assert!(too_long("BENCHMARKS.md", &"a\n".repeat(900)).is_empty());
    }

    #[test]
    fn a_page_is_found_from_the_readme() {
        let readme = "See [a](docs/a.md), [`b`](docs/b.md#part) and `[c](docs/c.md)`.\n```\n[d](docs/d.md)\n```\n";
        let paths = ["README.md", "docs/a.md", "docs/b.md", "docs/c.md", "docs/d.md", "docs/picture.svg"];
        let lost = ["docs/c.md: README.md does not link it", "docs/d.md: README.md does not link it"];
        assert_eq!(unlinked(readme, &paths), lost);
    }

    #[test]
    fn a_scenario_is_named() {
        let paths = ["qemu/scenarios/xfs/scenario", "qemu/scenarios/power-cut/scenario", "qemu/run"];
        assert!(unnamed_scenarios(&paths, &["`xfs`", "and `power-cut`"]).is_empty());
        let lost = ["qemu/scenarios/power-cut: docs/compatibility.md does not name it"];
        assert_eq!(unnamed_scenarios(&paths, &["`xfs`, `power-cut-far`"]), lost);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let check = |text: &str| {
            let has = |path: &str| ["docs/a.md", "docs/b.md", "qemu", "README.md"].contains(&path);
            broken("docs/a.md", text, has, |path| has(path).then(|| "# Exit codes: `6`\n".into())).len()
        };
        assert_eq!(check("[b](b.md) [q](../qemu/) [w](https://example.org/x) [up](#exit-codes-6)"), 0);
        assert_eq!(check("[r](../README.md#exit-codes-6)"), 0);
        for wrong in ["[c](c.md)", "[b](docs/b.md)", "[b](b.md#other)", "[up](#other)", "[r](README.md)"] {
            assert_eq!(check(wrong), 1, "{wrong}");
        }
    }
}
