use super::super::collect::Source;
use super::super::gather::{ENTRY, LEAST, WHOLE, gather};
use super::*;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use zip::ZipArchive;

const NOW: UnixTime = UnixTime::from_secs(1_741_835_324);

fn entries(bundle: &Path) -> Vec<(String, String)> {
    let mut zip = ZipArchive::new(File::open(bundle).unwrap()).unwrap();
    (0..zip.len())
        .map(|at| {
            let mut entry = zip.by_index(at).unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.name().unwrap().into_owned(), text)
        })
        .collect()
}

#[test]
fn one_folder_a_manifest_that_fits_and_names_that_do_not_collide() {
    let folder = tempfile::tempdir().unwrap();
    let sources = [
        ("status.json".to_owned(), Source::Json(json!({ "state": "connected" }))),
        ("gone.txt".to_owned(), Source::File(folder.path().join("gone"))),
    ];
    let paths: Vec<PathBuf> =
        (0..3).map(|_| write(folder.path(), NOW, &gather(&sources, &[]), false).unwrap()).collect();
    let stems: Vec<&str> = paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    let stem = stems[0];
    assert_eq!(stem.len(), "DARTBundle_20250313_0308".len(), "{stem}");
    assert_eq!(stems[1..], [format!("{stem}_2"), format!("{stem}_3")]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
    assert_eq!(fs::metadata(&paths[0]).unwrap().permissions().mode() & 0o777, 0o600);

    let entries = entries(&paths[0]);
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    let within = |name: &str| format!("{stem}/{name}");
    assert_eq!(names, [within("status.json"), within("gone.txt.unreadable.txt"), within("manifest.json")]);
    assert!(entries[1].1.contains("gone: it cannot be read: No such file"), "{}", entries[1].1);
    let manifest: Value = serde_json::from_str(&entries[2].1).unwrap();
    for (at, (name, text)) in entries[..2].iter().enumerate() {
        let told = &manifest["entries"][at];
        let sha256 = digest(&SHA256, text.as_bytes());
        let sha256: String = sha256.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(told["name"], name[stem.len() + 1..]);
        assert_eq!((&told["octets"], &told["sha256"]), (&json!(text.len()), &json!(sha256)));
    }
    assert_eq!(manifest["left_out"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["made"], "2025-03-13T03:08:44Z");
}

#[test]
fn the_whole_has_its_limit_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let line = "0123456789abcde\n";
    fs::write(folder.path().join("big"), line.repeat((ENTRY / 16) + 4096)).unwrap();
    let sources: Vec<(String, Source)> =
        (0..10).map(|number| (format!("{number}.log"), Source::File(folder.path().join("big")))).collect();
    let bundle = write(folder.path(), NOW, &gather(&sources, &[]), false).unwrap();
    assert!(fs::metadata(&bundle).unwrap().len() < 1 << 20, "it is packed");
    let entries = entries(&bundle);
    let manifest: Value = serde_json::from_str(&entries.last().unwrap().1).unwrap();
    let octets: u64 =
        manifest["entries"].as_array().unwrap().iter().map(|e| e["octets"].as_u64().unwrap()).sum();
    assert!(octets <= WHOLE as u64 && octets > (WHOLE - LEAST) as u64, "{octets}");
    assert_eq!(manifest["entries"][0]["cut"], 4096 * 16 + 16);
    assert_eq!(manifest["entries"].as_array().unwrap().len(), 8);
    assert_eq!(manifest["left_out"].as_array().unwrap().len(), 2);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(&folder.path().join("none"), NOW, &Gathered::default(), false).is_err());
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(write(&folder.path().join("file"), NOW, &Gathered::default(), false).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
