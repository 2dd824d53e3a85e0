//! ML-KEM in IKE_INTERMEDIATE (RFC 9370, RFC 9242): a gateway that agrees to it and then does otherwise gets no IKE_AUTH.

use crate::gateway::{Dice, HOST, Rogue, Victim, pki, status};
use ikeep::crypto::{Kem, encapsulate};
use ikeep::ike::initiator::Failure;
use ikeep::ike::keys::SaKeys;
use ikeep::ike::message::{Exchange, Payload, notify};
use ikeep::ike::proposal::{Algorithms, Wish};
use std::time::Duration;

fn algorithms() -> Algorithms {
    Algorithms { ml_kem: Wish::Require, ..Algorithms::ike() }
}

/// IKE_INTERMEDIATE has been asked for: our public key.
fn asked() -> (Victim, Rogue, Vec<u8>) {
    let mut victim = Victim::new(|config| config.ike = algorithms());
    let mut rogue = Rogue::met_with(&mut victim, &algorithms());
    assert!(rogue.sa.suite().additional == Some(Kem::MlKem768));
    let payloads = rogue.hear(&mut victim);
    assert_eq!(rogue.waiting.map(|(_, exchange)| exchange), Some(Exchange::IkeIntermediate));
    let [Payload::Ke { group, data }] = &payloads[..] else { panic!("{payloads:?}") };
    assert_eq!(*group, Kem::MlKem768.id());
    let public = data.clone();
    (victim, rogue, public)
}

#[test]
fn answers_that_are_no_key_exchange() {
    let ke = |group, octets| Payload::Ke { group, data: vec![3; octets] };
    let kem = Kem::MlKem768.id();
    let cases: [(&str, Vec<Payload>); 6] = [
        ("nothing", vec![]),
        ("an octet less", vec![ke(kem, 1_087)]),
        ("an octet more", vec![ke(kem, 1_089)]),
        ("of no length", vec![ke(kem, 0)]),
        ("another method", vec![ke(kem + 1, 1_088)]),
        ("a notify in its place", vec![status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, &[])]),
    ];
    for (what, answer) in cases {
        let (mut victim, mut rogue, _) = asked();
        rogue.say(&mut victim, &answer);
        assert!(matches!(victim.failure(), Some(Failure::Protocol(_))), "{what}");
        assert!(victim.sent().is_empty(), "{what}: no IKE_AUTH");
    }
}

/// Which of two is meant? Neither is heard, and the attempt is over in its time.
#[test]
fn two_key_exchanges_in_one_answer() {
    let (mut victim, mut rogue, public) = asked();
    let mut dice = Dice::new(3);
    let (ciphertext, _) = encapsulate(&public, &mut dice).expect("a public key");
    let ke = || Payload::Ke { group: Kem::MlKem768.id(), data: ciphertext.clone() };
    let waiting = rogue.waiting.expect("a request");
    for datagram in rogue.forge(waiting, &[ke(), ke()], None) {
        assert!(victim.take(&datagram).is_err());
    }
    assert!(victim.sent().is_empty(), "no IKE_AUTH");
    let (failure, after) = victim.wait();
    assert!(failure.is_some() && after <= Duration::from_secs(30), "{failure:?} after {after:?}");
}

#[test]
fn errors_in_its_place_end_the_attempt() {
    let (mut victim, mut rogue, _) = asked();
    rogue.say(&mut victim, &[status(notify::INVALID_SYNTAX, &[])]);
    assert!(victim.failure().is_some());
    assert!(victim.sent().is_empty());
}

/// A ciphertext of anybody's: ML-KEM makes a secret of it that nobody else has (FIPS 203, implicit rejection). So IKE_AUTH goes out
/// under keys that the gateway does not have, and nothing that it says under the old ones is heard.
#[test]
fn a_ciphertext_for_another_key() {
    let (mut victim, mut rogue, public) = asked();
    let mut dice = Dice::new(3);
    let (mut ciphertext, shared) = encapsulate(&public, &mut dice).expect("a public key");
    ciphertext[500] ^= 1;
    rogue.say(&mut victim, &[Payload::Ke { group: Kem::MlKem768.id(), data: ciphertext }]);
    assert!(victim.failure().is_none());
    let (suite, keys) = (*rogue.sa.suite(), rogue.sa.keys());
    let (spi_i, spi_r) = rogue.sa.spis();
    let guess =
        SaKeys::derive_rekey(suite.prf, &keys.sk_d, &suite, &rogue.ni, &rogue.nr, &shared, &spi_i, &spi_r);
    let sent = victim.sent();
    assert!(!sent.is_empty(), "IKE_AUTH");
    for keys in [None, Some(guess)] {
        if let Some(keys) = keys {
            rogue.sa.change_keys(keys);
        }
        for datagram in &sent {
            assert!(rogue.sa.handle(victim.now.at, datagram, &mut dice).is_err(), "under keys of its own");
        }
    }
}

/// The keys of before IKE_INTERMEDIATE are over: IKE_AUTH under them, with a proof that would hold, is thrown away.
#[test]
fn an_answer_under_the_keys_of_before() {
    let (mut victim, mut rogue, public) = asked();
    let mut dice = Dice::new(3);
    let (ciphertext, shared) = encapsulate(&public, &mut dice).expect("a public key");
    rogue.say(&mut victim, &[Payload::Ke { group: Kem::MlKem768.id(), data: ciphertext }]);
    assert!(!victim.sent().is_empty(), "IKE_AUTH");
    // Message ID 2, whatever it says: the rogue pretends to have read it.
    let identity = pki().gateway(HOST).expect("a certificate");
    let proof = rogue.proof(&identity);
    let sealed = rogue.forge((2, Exchange::IkeAuth), &proof, None);
    for datagram in sealed {
        assert!(victim.take(&datagram).is_err());
    }
    assert!(victim.events().iter().all(|event| format!("{event:?}").find("GatewayVerified").is_none()));
    drop(shared);
}

/// The transcript of IKE_INTERMEDIATE is in the proof: one over other octets does not hold.
#[test]
fn a_proof_without_the_exchange_in_it() {
    let (mut victim, mut rogue, public) = asked();
    let mut dice = Dice::new(3);
    let (ciphertext, shared) = encapsulate(&public, &mut dice).expect("a public key");
    rogue.say(&mut victim, &[Payload::Ke { group: Kem::MlKem768.id(), data: ciphertext }]);
    let (suite, keys) = (*rogue.sa.suite(), rogue.sa.keys());
    let (spi_i, spi_r) = rogue.sa.spis();
    let keys =
        SaKeys::derive_rekey(suite.prf, &keys.sk_d, &suite, &rogue.ni, &rogue.nr, &shared, &spi_i, &spi_r);
    rogue.sa.change_keys(keys);
    rogue.hear(&mut victim);
    let identity = pki().gateway(HOST).expect("a certificate");
    let proof = rogue.proof_without_intermediate(&identity);
    rogue.say(&mut victim, &proof);
    assert_eq!(victim.failure(), Some(Failure::GatewayAuth));
}
