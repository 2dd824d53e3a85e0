//! `ikeep lab` as a command: exit codes, one JSON document, no progress into a pipe.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn ikeep(state: &Path) -> Command {
    let mut command = Command::cargo_bin("ikeep").unwrap();
    command.env("XDG_STATE_HOME", state);
    command
}

#[test]
fn one_json_document_with_everything_that_was_promised() {
    let state = tempfile::tempdir().unwrap();
    let output = ikeep(state.path())
        .args(["lab", "--scenario", "reconnect", "--scenario", "delete", "--json"])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(
        output.stderr.is_empty(),
        "progress went into a pipe: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kept"], true);
    assert!(report["note"].as_str().unwrap().contains("not verified against the vendor's hardware"));
    assert!(report["folder"].as_str().unwrap().starts_with(state.path().to_str().unwrap()));
    let scenarios = report["scenarios"].as_array().unwrap();
    let names: Vec<_> = scenarios.iter().map(|s| s["scenario"].as_str().unwrap()).collect();
    assert_eq!(names, ["delete", "reconnect"]);
    for scenario in scenarios {
        assert_eq!(scenario["round_trips"], 2);
        assert_eq!(scenario["aaa_requests"], 1);
        assert_eq!(scenario["address_kept"], true);
        assert!(scenario["times"]["handshake_ms"].as_f64().unwrap() > 0.0);
        assert!(scenario["echoes"]["sent"].as_u64().unwrap() >= 150);
        assert!(scenario["noticed"].as_str().unwrap().ends_with('.'));
        assert!(scenario["shortened"].is_array());
        assert!(scenario["promises"].as_array().unwrap().iter().all(|promise| promise["kept"] == true));
    }
}

#[test]
fn an_unknown_scenario_is_a_usage_error_that_names_the_known_ones() {
    let state = tempfile::tempdir().unwrap();
    let output = ikeep(state.path()).args(["lab", "--scenario", "volcano"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("volcano") && told.contains("outage"), "{told}");
}

#[test]
fn people_get_a_table_and_the_place_of_the_files() {
    let state = tempfile::tempdir().unwrap();
    let output = ikeep(state.path()).args(["lab", "--scenario", "reconnect"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stdout).unwrap();
    for part in ["What the user noticed", "promises of 1 scenarios kept", state.path().to_str().unwrap()] {
        assert!(told.contains(part), "{part:?} is missing in\n{told}");
    }
}
