//! "Honoured" in `ikeep profile check` means that a test changes the setting and sees the behaviour change: the test named
//! in the schema must be there.

use ikeep::profile::schema::{ROOT, Spec, Support};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn named(spec: &Spec, names: &mut BTreeSet<&'static str>) {
    if let Support::Honoured { test } = spec.support {
        names.insert(test);
    }
    spec.children.iter().for_each(|child| named(child, names));
}

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let line = |line: &'_ str| line.trim().trim_start_matches("async ").to_owned();
            let lines: Vec<String> = text.lines().map(line).collect();
            let functions = lines.iter().filter_map(|line| line.strip_prefix("fn honours_"));
            found.extend(
                functions.filter_map(|rest| rest.split('(').next()).map(|rest| format!("honours_{rest}")),
            );
        }
    }
}

#[test]
fn every_honoured_setting_names_a_test_that_exists() {
    let (mut names, mut found) = (BTreeSet::new(), BTreeSet::new());
    named(&ROOT, &mut names);
    for folder in ["src", "tests"] {
        tests_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(names.len() > 8, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "the schema claims tests that do not exist: {missing:?}");
    let unknown: Vec<_> = found.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "tests of settings that the schema does not call honoured: {unknown:?}");
}
