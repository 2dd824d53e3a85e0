//! The lab through the library: every promise of the scenarios that need no 7 s of silence. The others are `ikeep lab`.

use ikeep::lab::{Scenario, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const FAST: [Scenario; 13] = [
    Scenario::Login,
    Scenario::Traffic,
    Scenario::Roam,
    Scenario::Hop,
    Scenario::Late,
    Scenario::Offline,
    Scenario::Sleep,
    Scenario::Nap,
    Scenario::Grudging,
    Scenario::Delete,
    Scenario::Child,
    Scenario::Reconnect,
    Scenario::Crash,
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn every_promise_is_kept_and_the_files_tell_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab");
    let mut finished = 0;
    let report = run(&FAST, Some(&lab), |_| finished += 1).unwrap();
    assert_eq!((finished, report.scenarios.len()), (FAST.len(), FAST.len()));
    for scenario in &report.scenarios {
        assert!(scenario.promises.len() >= 6, "{}: {} promises", scenario.scenario, scenario.promises.len());
        let broken: Vec<_> = scenario.broken().collect();
        assert!(broken.is_empty() && scenario.kept, "{}: {broken:#?}", scenario.scenario);
        assert!(scenario.echoes.sent > 100 && scenario.echoes.lost <= scenario.echoes.lost_allowed);
        for name in ["events.log", "gateway.txt", "gateway-events.txt", "status.json"] {
            assert!(scenario.files.join(name).is_file(), "{}: no {name}", scenario.scenario);
        }
    }
    assert!(report.kept);

    for path in files(&lab) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in ["cosco", "246810", "\"cisco\"", ">cisco<"] {
            assert!(!text.contains(secret), "{secret:?} in {}", path.display());
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} can be read by others", path.display());
    }
    assert_eq!(fs::metadata(&lab).unwrap().permissions().mode() & 0o777, 0o700);
}
