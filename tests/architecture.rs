//! The house rules, read off the sources: who may import whom, what the sans-IO core stays away from, how long a file may
//! be, and that no dependency lies unused. The rules themselves are in `architecture/rules.rs`.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::{Finding, MANY_LINES, MAX_LINES, ROOMS, check_source, crates_used, test_files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files under `folder` of this package, by their path from the package's root.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let path = folder.join(entry.expect("a folder of the source tree can be read").file_name());
            let full = root.join(&path);
            if full.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&full).expect("a source file is UTF-8");
                files.insert(path.to_string_lossy().into_owned(), text);
            }
        }
    }
    files
}

/// Whether the whole file is test code: declared under `#[cfg(test)]`, or named like it.
fn is_test_file(path: &str, declared: &[String]) -> bool {
    let named =
        path.split('/').any(|part| matches!(part, "tests" | "tests.rs") || part.ends_with("_tests.rs"));
    named
        || declared.iter().any(|test| path == test || test.ends_with('/') && path.starts_with(test.as_str()))
}

fn listing(findings: &[Finding]) -> String {
    findings.iter().map(|found| format!("\n{}:{}: {}", found.file, found.line, found.what)).collect()
}

#[test]
fn rooms_keep_their_rules() {
    let files = sources("src");
    assert!(files.contains_key("src/lib.rs"), "no sources found");
    let declared: Vec<String> = files.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let mut findings: Vec<Finding> = Vec::new();
    for (path, text) in &files {
        findings.extend(check_source(path, text, is_test_file(path, &declared)));
    }
    findings.sort();
    assert!(findings.is_empty(), "{} findings:{}", findings.len(), listing(&findings));
}

#[test]
fn files_stay_short() {
    let mut long = Vec::new();
    for (path, text) in ["src", "tests", "benches", "fuzz/bodies"].into_iter().flat_map(sources) {
        let lines = text.lines().count();
        if lines > MANY_LINES {
            println!("warning: {path} has {lines} lines, more than {MANY_LINES}");
        }
        if lines > MAX_LINES {
            long.push(format!("{path}: {lines}"));
        }
    }
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_table_has_no_circle() {
    for (position, room) in ROOMS.iter().enumerate() {
        for target in room.imports {
            let found = ROOMS.iter().position(|room| room.name == *target);
            assert!(
                found.is_some_and(|found| found > position),
                "{} imports {target}, which is not below it",
                room.name
            );
            let target_core = found.is_some_and(|found| ROOMS[found].core);
            assert!(!room.core || target_core, "{} is core, {target} is not", room.name);
        }
    }
}

/// The crate names of a dependency table, as code writes them.
fn crate_names(manifest: &toml::Table, table: &str) -> Vec<String> {
    let own = manifest.get(table).into_iter();
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let of_targets = targets.filter_map(|(_, target)| target.get(table));
    own.chain(of_targets)
        .filter_map(toml::Value::as_table)
        .flat_map(|table| table.keys())
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn unused<'n>(names: &'n [String], folders: &[&str], with_test_code: bool) -> Vec<&'n str> {
    let mut left: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let files: BTreeMap<String, String> = folders.iter().flat_map(|folder| sources(folder)).collect();
    let declared: Vec<String> = files.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    for (path, text) in &files {
        if with_test_code || !is_test_file(path, &declared) {
            for used in crates_used(text, &left.clone(), with_test_code) {
                left.remove(used);
            }
        }
    }
    left.into_iter().collect()
}

#[test]
fn no_dependency_lies_unused() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    let product = crate_names(&manifest, "dependencies");
    assert!(!product.is_empty(), "no dependencies found");
    let product = unused(&product, &["src"], false);
    let development = crate_names(&manifest, "dev-dependencies");
    let development = unused(&development, &["src", "tests", "benches"], true);
    assert!(
        product.is_empty() && development.is_empty(),
        "take these out of Cargo.toml or use them.\n[dependencies] that no product code under src names: {product:?}\n\
         [dev-dependencies] that no code names: {development:?}"
    );
}

// The checker checked: a made-up source with every way around the rules that we thought of.

/// The lines on which the checker finds something in `text`, taken as `path`.
fn lines_found(path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = check_source(path, text, false).into_iter().map(|found| found.line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The lines of `text` that are marked `// BAD`.
fn lines_marked(text: &str) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| line.contains("// BAD")).map(|(at, _)| at + 1).collect()
}

#[test]
fn the_checker_finds_what_breaks_the_rules() {
    let bad = include_str!("architecture/bad_core.txt");
    assert_eq!(lines_found("src/esp/deep/er.rs", bad), lines_marked(bad));
    assert!(lines_marked(bad).len() > 25, "the example was cut short");
}

#[test]
fn the_checker_knows_tests_from_product() {
    let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more {\n use std::fs;\n use crate::time::Now;\n}\nuse std::fs;\n";
    assert_eq!(lines_found("src/crypto/mod.rs", text), [8]);
    assert_eq!(test_files("src/crypto/mod.rs", text), ["src/crypto/tests.rs", "src/crypto/tests/"]);
    assert_eq!(test_files("src/crypto/kex.rs", text), ["src/crypto/kex/tests.rs", "src/crypto/kex/tests/"]);
    // Test code may look further down than the product, but never up.
    let test = "use crate::gateway::Gateway;\nuse crate::lab::Lab;\n";
    assert_eq!(check_source("src/client/tests.rs", test, true).len(), 1);
    assert_eq!(check_source("src/client/mod.rs", test, false).len(), 2);
    let certificates = "use crate::lab::pki::{Leaf, Pki};";
    assert_eq!(check_source("src/ike/cert/tests.rs", certificates, true), []);
    assert_eq!(check_source("src/ike/cert/mod.rs", certificates, false).len(), 1);
}

#[test]
fn the_checker_knows_rooms_and_lengths() {
    assert_eq!(check_source("src/cellar/mod.rs", "", false).len(), 1, "an unknown room");
    assert_eq!(check_source("src/main.rs", "use ikeep::cellar::X;\nuse ikeep::cli;", false).len(), 1);
    assert_eq!(check_source("src/plan/mod.rs", &"\n".repeat(MAX_LINES), false), []);
    assert_eq!(check_source("src/plan/mod.rs", &"\n".repeat(MAX_LINES + 1), false).len(), 1);
    assert_eq!(check_source("src/crypto/signature.rs", "use ring::rand::SystemRandom;", false), []);
}

#[test]
fn the_checker_finds_used_crates() {
    let names = BTreeSet::from(["aes", "serde", "tokio", "hex", "rand"]);
    let text = "use aes as cipher;\n#[derive(serde::Deserialize)]\nstruct A { hex: u8 }\n// tokio::spawn\n\
                const T: &str = \"tokio::x\";\nuse serde_json as hex;\n#[cfg(test)]\nmod tests { use rand::Rng; }";
    assert_eq!(crates_used(text, &names, false), BTreeSet::from(["aes", "serde"]));
    assert_eq!(crates_used(text, &names, true), BTreeSet::from(["aes", "rand", "serde"]));
}
