//! The words beside the code: links that lead somewhere, and tables that say what the code says.
//!
//! `IKEEP_DOCS=write cargo test --test docs` writes the tables anew.

use ikeep::journal::Reason;
use ikeep::profile::schema::{ROOT, Spec, Support};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the root and of docs/.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs")];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files
}

/// The lines outside code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect()
}

/// Anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &&str| line.starts_with('#');
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    prose(text).into_iter().filter(heading).map(anchor).collect()
}

/// What stands in `](..)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let mut rest = plain.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else { break };
            found.push(target.to_owned());
            rest = after;
        }
    }
    found
}

/// The links of a page that lead nowhere.
fn broken(page: &Path, text: &str) -> Vec<String> {
    let leads = |link: &String| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { page.to_owned() } else { page.with_file_name(file) };
        let there = target.exists();
        let found = || anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(anchor);
        there && (anchor.is_empty() || found())
    };
    let relative = |link: &String| !link.contains("://") && !link.starts_with("mailto:");
    links(text).into_iter().filter(|link| relative(link) && !leads(link)).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        seen += links(&text).len();
        wrong.extend(broken(&page, &text).into_iter().map(|link| format!("{}: {link}", page.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 20, "{seen} links");
}

#[test]
fn broken_links_are_found() {
    let page = root().join("docs/security.md");
    let text = "# A b\n[x](#a-b) [y](none.md) `[z](no)`\n```\n[w](no.md)\n```\n[v](../README.md#no-such) [u](https://e.org/x)";
    assert_eq!(
        broken(&page, text),
        ["#a-b", "none.md", "../README.md#no-such"],
        "the page on disk has no such heading"
    );
}

#[test]
fn every_page_is_in_the_readmes_list() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for page in pages() {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        if name.starts_with("docs/") {
            assert!(readme.contains(&format!("]({name})")), "{name} is not in README.md");
        }
    }
}

/// The functions of all sources, each with the modules that it may be in: the parts of its file's path, one set a file.
fn functions() -> BTreeMap<String, Vec<BTreeSet<String>>> {
    fn collect(folder: &Path, found: &mut BTreeMap<String, Vec<BTreeSet<String>>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let within = path.with_extension("");
                let parts = within.strip_prefix(root()).unwrap().iter();
                let mut modules: BTreeSet<String> =
                    parts.map(|part| part.to_string_lossy().into_owned()).collect();
                let inline =
                    text.lines().filter_map(|line| line.trim().strip_prefix("mod ")?.strip_suffix(" {"));
                modules.extend(inline.map(str::to_owned));
                let named =
                    text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once('('));
                for (name, _) in named {
                    found.entry(name.to_owned()).or_default().push(modules.clone());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    for folder in ["src", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    found
}

/// Whether there is this function in these modules.
fn is_there(there: &BTreeMap<String, Vec<BTreeSet<String>>>, (modules, name): (&str, &str)) -> bool {
    let all = |file: &BTreeSet<String>| modules.split("::").all(|module| file.contains(module));
    there.get(name).is_some_and(|files| files.iter().any(all))
}

#[test]
fn a_test_is_looked_for_in_its_module() {
    let there = functions();
    let own = "a_test_is_looked_for_in_its_module";
    assert!(is_there(&there, ("docs", own)));
    assert!(!is_there(&there, ("ike::eap", own)) && !is_there(&there, ("docs", "no_such_test")));
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let (text, there) = (fs::read_to_string(root().join("docs/threat-model.md")).unwrap(), functions());
    let named: Vec<_> =
        text.split('`').skip(1).step_by(2).filter_map(|code| code.rsplit_once("::")).collect();
    let missing: Vec<_> = named.iter().filter(|name| !is_there(&there, **name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(named.len() > 50, "{}", named.len());
}

/// Compares what stands between the marks of a page with what the code says, or writes it.
fn table(page: &str, name: &str, wanted: &str) {
    let (begin, end) =
        (format!("<!-- {name}: made by tests/docs.rs -->\n"), format!("<!-- end of {name} -->"));
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    if std::env::var_os("IKEEP_DOCS").is_some_and(|value| value == "write") {
        fs::write(&path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(found, wanted, "{page}: IKEEP_DOCS=write cargo test --test docs");
}

#[test]
fn the_table_of_reason_codes_is_the_codes() {
    let mut text = "| class | code | text in the log |\n|---|---|---|\n".to_owned();
    for reason in Reason::ALL {
        writeln!(text, "| {} | {} | {} |", reason.class().as_str(), reason.code(), reason.text()).unwrap();
    }
    table("docs/help-desk.md", "reason codes", &text);
}

fn settings(spec: &Spec, path: &str, text: &mut String) {
    let path = if path.is_empty() { spec.name.to_owned() } else { format!("{path}/{}", spec.name) };
    let row = match spec.support {
        Support::Container => None,
        Support::Honoured { .. } => Some(("honoured", "")),
        Support::Ignored { why } => Some(("ignored", why)),
        Support::NotForLinux { why } => Some(("not for Linux", why)),
    };
    if let Some((status, why)) = row {
        writeln!(text, "| {path} | {status} | {why} |").unwrap();
    }
    for child in spec.children {
        settings(child, &path, text);
    }
}

#[test]
fn the_table_of_profile_settings_is_the_schema() {
    let mut text = "| setting | on Linux, with ikeep | why |\n|---|---|---|\n".to_owned();
    for child in ROOT.children {
        settings(child, "", &mut text);
    }
    table("docs/coming-from-the-vendors-client.md", "profile settings", &text);
}

#[test]
fn every_subcommand_that_the_pages_name_is_one() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_ikeep")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(known.contains("connect"), "{help}");
    let mut wrong = Vec::new();
    for page in pages() {
        for span in fs::read_to_string(&page).unwrap().split('`').skip(1).step_by(2) {
            let Some(rest) = span.strip_prefix("ikeep ") else { continue };
            let word = rest.split_whitespace().next().unwrap_or_default();
            if word.starts_with(|c: char| c.is_ascii_lowercase()) && !known.contains(word) {
                wrong.push(format!("{}: {span}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
