//! Keys as OpenSSL writes them.

use super::*;
use std::process::Command;
use tempfile::TempDir;

fn openssl(words: &str) -> Vec<u8> {
    let done = Command::new("openssl").args(words.split(' ')).output().expect("openssl runs");
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A key of this curve with a certificate.
struct Pair {
    _folder: TempDir,
    key: String,
    certificate: Vec<u8>,
}

fn pair(curve: &str) -> Pair {
    let folder = TempDir::new().expect("a folder");
    let key = folder.path().join("key.pem").display().to_string();
    openssl(&format!("ecparam -genkey -name {curve} -out {key}"));
    let certificate = openssl(&format!("req -x509 -new -subj /CN=Anna -days 3 -key {key}"));
    Pair { _folder: folder, key, certificate }
}

#[test]
fn keys_in_the_older_form_of_elliptic_curves_are_read() {
    for curve in ["prime256v1", "secp384r1"] {
        let pair = pair(curve);
        let sec1 = std::fs::read(&pair.key).expect("the key");
        assert!(String::from_utf8_lossy(&sec1).contains("BEGIN EC PRIVATE KEY"));
        OwnCertificate::read(&pair.certificate, &sec1, None).expect(curve);
    }
    let pair = pair("secp521r1");
    let sec1 = std::fs::read(&pair.key).expect("the key");
    let error = OwnCertificate::read(&pair.certificate, &sec1, None).expect_err("no such curve");
    assert_eq!(error, OwnCertificateError::NoKey);
}

#[test]
fn a_passphrase_opens_a_key_and_only_the_right_one() {
    let Pair { key, certificate, .. } = &pair("prime256v1");
    let (right, wrong) = (Secret::from(&b"correct horse"[..]), Secret::from(&b"correct"[..]));
    let read = |pem: &[u8], passphrase| OwnCertificate::read(certificate, pem, passphrase).map(|_| ());
    let ways = [
        "-v2 aes-256-cbc",
        "-v2 aes-128-cbc -v2prf hmacWithSHA512",
        "-scrypt",
        "-v2 aes-256-cbc -iter 300000",
    ];
    for way in ways {
        let words: Vec<&str> = ["pkcs8", "-topk8", "-in", key].into_iter().chain(way.split(' ')).collect();
        let done = Command::new("openssl").args(words).args(["-passout", "pass:correct horse"]).output();
        let locked = done.expect("openssl runs").stdout;
        assert_eq!(read(&locked, Some(&right)), Ok(()), "{way}");
        assert_eq!(read(&locked, Some(&wrong)), Err(OwnCertificateError::Passphrase), "{way}");
        assert_eq!(read(&locked, None), Err(OwnCertificateError::Locked), "{way}");
        for cut in (0..locked.len()).step_by(7) {
            assert!(read(&locked[..cut], Some(&right)).is_err(), "{way} cut at {cut}");
        }
    }
}

#[test]
fn weak_or_endless_protection_is_refused_unasked() {
    let Pair { key, certificate, .. } = &pair("prime256v1");
    let refused = |pem: &[u8]| {
        let right = Secret::from(&b"x"[..]);
        let error = OwnCertificate::read(certificate, pem, Some(&right)).expect_err("refused");
        assert!(matches!(error, OwnCertificateError::Protection(_)), "{error}");
    };
    refused(&openssl(&format!("ec -aes256 -passout pass:x -in {key}")));
    refused(&openssl(&format!("pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout pass:x -in {key}")));
    refused(&openssl(&format!("pkcs8 -topk8 -v2 des3 -passout pass:x -in {key}")));
    // N r that takes 1 GiB, as whoever wants to stop an agent would write it; one round, so that it is made in no time.
    let scrypt = openssl(&format!(
        "pkcs8 -topk8 -scrypt -scrypt_N 1024 -scrypt_r 8 -scrypt_p 9999 -passout pass:x -in {key}"
    ));
    refused(&scrypt);
}

#[test]
fn the_time_of_a_certificate_is_told_before_it_is_over() {
    let Pair { key, certificate, .. } = &pair("prime256v1");
    let own = OwnCertificate::read(certificate, &std::fs::read(key).expect("the key"), None).expect("a pair");
    let from = parse(&own.chain[0]).expect("it is read").validity().not_before.timestamp();
    let at = |days: i64| UnixTime::from_secs(u64::try_from(from + days * 86_400 + 60).expect("after 1970"));
    let day = Duration::from_secs(86_400);
    assert_eq!(own.check_time(at(0), day), Ok(None));
    let soon = own.check_time(at(2), day).expect("it counts");
    assert!(soon.is_some_and(|text| text.contains("expires in 0 days")));
    for (when, word) in [(-1, "is valid from"), (3, "expired on")] {
        let error = own.check_time(at(when), day).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
}
