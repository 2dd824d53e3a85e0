//! The client's side: what it shows is read and verified by OpenSSL.

use crate::openssl::{Ca, P256, RSA, User, openssl};
use ikeep::crypto::Hash;
use ikeep::ike::auth::{method, sign};
use ikeep::ike::cert::{OwnCertificate, pkcs7};
use std::fs;

fn own(user: &User) -> OwnCertificate {
    let pem = fs::read(&user.both).unwrap();
    OwnCertificate::read(&pem, &pem, None).unwrap()
}

#[test]
fn openssl_reads_the_chain_and_gives_the_same_octets_for_it() {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let chain = own(&anna).chain().to_vec();
    fs::write(ca.file("chain.p7b"), pkcs7::encode(&chain)).unwrap();
    let read = ca.run(&["pkcs7", "-inform", "DER", "-in", "chain.p7b", "-print_certs"]);
    let read = String::from_utf8(read).unwrap();
    assert_eq!(read.matches("BEGIN CERTIFICATE").count(), 1, "{read}");
    let der = openssl(ca.folder(), &["x509", "-in", "anna.crt", "-outform", "DER"]);
    fs::write(ca.file("read.pem"), &read).unwrap();
    assert_eq!(ca.run(&["x509", "-in", "read.pem", "-outform", "DER"]), der, "{read}");
    assert!(read.contains("CN = anna") || read.contains("CN=anna"), "{read}");
    // What OpenSSL writes for the same chain is the same, but for the list of revoked ones that it leaves out, too.
    let theirs = ca.run(&["crl2pkcs7", "-nocrl", "-certfile", "anna.crt", "-outform", "DER"]);
    assert_eq!(pkcs7::decode(&theirs).unwrap(), chain);
    assert_eq!(pkcs7::encode(&chain), theirs);
}

#[test]
fn openssl_verifies_the_signature() {
    let ca = Ca::new("users");
    let octets = b"RealMessage, nonce and the MACed ID";
    fs::write(ca.file("octets"), octets).unwrap();
    let verifies = |user: &User, signature: &[u8], more: &[&str]| {
        let certificate = user.certificate.display().to_string();
        fs::write(ca.file("public"), ca.run(&["x509", "-in", &certificate, "-noout", "-pubkey"])).unwrap();
        fs::write(ca.file("signature"), signature).unwrap();
        let begin = ["dgst", "-verify", "public", "-signature", "signature"];
        let said = ca.run(&[&begin[..], more, &["octets"]].concat());
        assert_eq!(String::from_utf8(said).unwrap(), "Verified OK\n");
    };
    let (anna, eve) = (ca.user("anna", RSA, "clientAuth"), ca.user("eve", P256, "clientAuth"));
    // With RFC 7427: the length of the algorithm's identifier, the identifier, the signature.
    let named = |user: &User| {
        let (number, data) = sign(own(user).signer(), octets, Some(&[Hash::Sha256]), Hash::Sha512).unwrap();
        assert_eq!(number, method::DIGITAL_SIGNATURE);
        data[1 + usize::from(data[0])..].to_vec()
    };
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest", "-sha256"];
    verifies(&anna, &named(&anna), &pss);
    verifies(&eve, &named(&eve), &["-sha256"]);
    // Without: the hash of the PRF.
    let (number, data) = sign(own(&anna).signer(), octets, None, Hash::Sha512).unwrap();
    assert_eq!(number, method::RSA);
    verifies(&anna, &data, &["-sha512"]);
}
