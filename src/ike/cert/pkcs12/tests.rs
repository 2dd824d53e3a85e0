use super::super::{OwnCertificate, OwnCertificateError as Error};
use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

const PASSPHRASE: &str = "correct höřse";

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A CA and somebody's certificate of it with a key of this kind, as PEM files.
fn anna(kind: &[&str]) -> TempDir {
    let folder = TempDir::with_prefix("ikeep-p12-").unwrap();
    let at = folder.path();
    let days = ["-days", "30"];
    let ca =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=CA"];
    openssl(at, &[&ca[..], &days, &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
    openssl(at, &[&["genpkey"], kind, &["-out", "anna.key"]].concat());
    openssl(at, &["req", "-new", "-key", "anna.key", "-subj", "/CN=Anna", "-out", "anna.csr"]);
    let sign = ["x509", "-req", "-in", "anna.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(at, &[&sign[..], &days, &["-out", "anna.pem"]].concat());
    folder
}

fn export(folder: &TempDir, passphrase: &str, more: &[&str]) -> Vec<u8> {
    let pass = format!("pass:{passphrase}");
    let words =
        ["pkcs12", "-export", "-inkey", "anna.key", "-in", "anna.pem", "-out", "anna.p12", "-passout", &pass];
    openssl(folder.path(), &[&words[..], more].concat());
    fs::read(folder.path().join("anna.p12")).unwrap()
}

fn own(file: &[u8], passphrase: Option<&str>) -> Result<OwnCertificate, Error> {
    OwnCertificate::read(file, file, passphrase.map(|text| Secret::from(text.as_bytes())).as_ref())
}

fn from_pem(folder: &TempDir) -> OwnCertificate {
    let read = |name| fs::read(folder.path().join(name)).unwrap();
    OwnCertificate::read(&read("anna.pem"), &read("anna.key"), None).unwrap()
}

const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const KINDS: [&[&str]; 4] = [
    &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    &P256,
    &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    &["-algorithm", "ED25519"],
];

#[test]
fn keys_of_each_kind_come_out_of_todays_files_and_of_old_ones() {
    for kind in KINDS {
        let folder = anna(kind);
        let old: &[&str] =
            &["-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-macalg", "SHA1", "-legacy"];
        let rc2: &[&str] = &["-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128", "-legacy"];
        let open: &[&str] = &["-certpbe", "NONE", "-keypbe", "NONE"];
        let strong: &[&str] =
            &["-macalg", "SHA512", "-certpbe", "AES-128-CBC", "-keypbe", "AES-256-CBC", "-iter", "5000"];
        for more in [&[], old, rc2, open, strong, &["-certfile", "ca.pem"], &["-nomac"]] {
            let file = export(&folder, PASSPHRASE, more);
            assert!(is_meant(&file));
            let read =
                own(&file, Some(PASSPHRASE)).unwrap_or_else(|error| panic!("{kind:?} {more:?}: {error}"));
            assert_eq!(read.chain(), from_pem(&folder).chain(), "{kind:?} {more:?}: a root is left out");
            assert_eq!(read.identity(), from_pem(&folder).identity());
        }
    }
}

#[test]
fn a_wrong_passphrase_is_told_and_none_is_asked_for_where_there_is_none() {
    let folder = anna(&P256);
    for more in
        [&[][..], &["-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-macalg", "SHA1", "-legacy"]]
    {
        let file = export(&folder, PASSPHRASE, more);
        assert_eq!(own(&file, None).err(), Some(Error::Locked), "{more:?}");
        assert_eq!(own(&file, Some("correct horse")).err(), Some(Error::Passphrase), "{more:?}");
        assert_eq!(own(&file, Some("")).err(), Some(Error::Passphrase), "{more:?}");
        let free = export(&folder, "", more);
        assert!(own(&free, None).is_ok(), "{more:?}");
        assert!(
            own(&free, Some("whatever")).is_ok(),
            "a passphrase does not count where there is none: {more:?}"
        );
    }
    // What is no text is no passphrase of PKCS#12.
    let file = export(&folder, PASSPHRASE, &[]);
    let read = OwnCertificate::read(&file, &file, Some(&Secret::from(&[0xff, 0xfe][..])));
    assert_eq!(read.err(), Some(Error::Passphrase));
}

#[test]
fn what_is_in_it_is_told_apart() {
    let folder = anna(&P256);
    let at = folder.path();
    // No key; a key and no certificate of it; somebody else's certificate in front.
    openssl(
        at,
        &["pkcs12", "-export", "-nokeys", "-in", "anna.pem", "-out", "none.p12", "-passout", "pass:"],
    );
    assert_eq!(own(&fs::read(at.join("none.p12")).unwrap(), None).err(), Some(Error::NoKey));
    openssl(
        at,
        &["pkcs12", "-export", "-nocerts", "-inkey", "anna.key", "-out", "key.p12", "-passout", "pass:"],
    );
    assert_eq!(own(&fs::read(at.join("key.p12")).unwrap(), None).err(), Some(Error::NoCertificateInside));
    let file = export(&folder, "", &["-certfile", "ca.pem", "-name", "Anna's"]);
    assert_eq!(own(&file, None).unwrap().chain(), from_pem(&folder).chain());
    // A key beside it.
    let key = fs::read(at.join("anna.key")).unwrap();
    assert_eq!(OwnCertificate::read(&file, &key, None).err(), Some(Error::Apart));
    assert!(!is_meant(&key) && !is_meant(&fs::read(at.join("anna.pem")).unwrap()) && !is_meant(b""));
}

#[test]
fn work_without_end_is_refused_at_once() {
    let folder = anna(&P256);
    let file = export(&folder, PASSPHRASE, &["-iter", "65536"]);
    assert!(own(&file, Some(PASSPHRASE)).is_ok());
    // Eight million rounds for each of its parts.
    let rounds = [2, 3, 1, 0, 0];
    let at: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(&rounds)).collect();
    let mut changed = file.clone();
    for at in &at {
        changed[*at..at + rounds.len()].copy_from_slice(&[2, 3, 0x7f, 0xff, 0xff]);
    }
    assert!(!at.is_empty());
    assert!(matches!(own(&changed, Some(PASSPHRASE)).err(), Some(Error::Protection(_))));
}

/// A file without a passphrase that costs no work.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| export(&anna(&P256), "", &["-iter", "1"]));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage is an error, and no panic.
    #[test]
    fn any_damage_is_survived(cut: prop::sample::Index, at: prop::sample::Index, octet: u8) {
        let file = &*SAMPLE;
        let _ = read(&file[..cut.index(file.len())], None);
        let mut changed = file.to_vec();
        changed[at.index(file.len())] = octet;
        let _ = read(&changed, None);
    }

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&octets, None);
        let _ = read(&[&[0x30, 0x80, 2, 1, 3][..], &octets].concat(), None);
    }
}
