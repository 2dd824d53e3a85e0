//! Negotiation: what is offered, chosen and accepted.

use super::*;
use transform_kind::{ADDITIONAL_KE, ENCR, ESN, INTEG, KE, PRF};

fn t(kind: u8, id: u16) -> Transform {
    Transform { kind, id, key_bits: None }
}

fn cipher(id: u16, bits: u16) -> Transform {
    Transform { kind: ENCR, id, key_bits: Some(bits) }
}

fn ike(number: u8, transforms: &[Transform]) -> Proposal {
    Proposal { number, protocol: protocol::IKE, spi: vec![], transforms: transforms.to_vec() }
}

fn esp(number: u8, transforms: &[Transform]) -> Proposal {
    Proposal { number, protocol: protocol::ESP, spi: vec![0, 0, 0, 7], transforms: transforms.to_vec() }
}

/// The seed's suites, as the recordings hold them.
const SEED_IKE: [Transform; 4] = [
    Transform { kind: ENCR, id: 12, key_bits: Some(256) },
    Transform { kind: PRF, id: 7, key_bits: None },
    Transform { kind: INTEG, id: 14, key_bits: None },
    Transform { kind: KE, id: 19, key_bits: None },
];
const SEED_ESP: [Transform; 3] = [
    Transform { kind: ENCR, id: 12, key_bits: Some(256) },
    Transform { kind: INTEG, id: 13, key_bits: None },
    Transform { kind: ESN, id: 0, key_bits: None },
];
const SEED_IKE_SUITE: IkeSuite = IkeSuite {
    encr: Encr::AesCbc256,
    integ: Some(Integ::HmacSha512_256),
    prf: Prf::HmacSha512,
    group: Group::Ecp256,
    additional: None,
};

#[test]
fn offers_begin_with_the_seeds_suite() {
    let proposals = Algorithms::ike().ike_proposals(&[], None);
    assert_eq!(proposals.len(), 2);
    assert_eq!((proposals[0].number, proposals[1].number), (1, 2));
    let first = |kind| proposals[0].transforms.iter().find(|transform| transform.kind == kind).copied();
    for transform in SEED_IKE {
        assert_eq!(first(transform.kind), Some(transform));
    }
    assert!(proposals[1].transforms.iter().all(|transform| transform.kind != INTEG), "AEAD has no integrity");
    // ChaCha20-Poly1305 has one key length and does not say it (RFC 7634 4).
    let says_length = |t: &Transform| t.kind == ENCR && t.id != 28;
    assert!(proposals.iter().flat_map(|p| &p.transforms).all(|t| says_length(t) == t.key_bits.is_some()));

    let proposals = Algorithms::esp().esp_proposals(0x0102_0304, false);
    assert_eq!(proposals[0].spi, [1, 2, 3, 4]);
    assert_eq!(proposals[0].transforms[0], SEED_ESP[0]);
    assert!(proposals.iter().all(|p| p.transforms.ends_with(&[t(ESN, 1), t(ESN, 0)])));
    assert!(proposals.iter().flat_map(|p| &p.transforms).all(|t| t.kind != KE), "no group in IKE_AUTH");
    let no_esn = Algorithms { esn: false, ..Algorithms::esp() };
    assert!(no_esn.esp_proposals(1, false).iter().all(|p| !p.transforms.contains(&t(ESN, 1))));
}

#[test]
fn the_group_that_was_taken_last_is_offered_first() {
    let groups = |first| {
        let proposals = Algorithms::ike().ike_proposals(&[9; 8], first);
        assert!(proposals.iter().all(|p| p.spi == [9; 8]));
        let ids = proposals[1].transforms.iter().filter(|t| t.kind == KE).map(|t| t.id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(groups(None), [19, 14, 21, 20, 31, 15, 16]);
    assert_eq!(groups(Some(Group::Ecp521)), [21, 19, 14, 20, 31, 15, 16]);
}

#[test]
fn the_order_of_proposals_follows_the_ciphers() {
    let aead_first = Algorithms { encr: vec![Encr::AesGcm128, Encr::AesCbc128], ..Algorithms::ike() };
    let encr = |proposal: &Proposal| proposal.transforms.iter().find(|t| t.kind == ENCR).map(|t| t.id);
    assert_eq!(
        aead_first.ike_proposals(&[], None).iter().map(encr).collect::<Vec<_>>(),
        [Some(20), Some(12)]
    );
    let no_integrity = Algorithms { integ: vec![], ..Algorithms::ike() };
    let proposals = no_integrity.ike_proposals(&[], None);
    assert_eq!(
        proposals.iter().map(encr).collect::<Vec<_>>(),
        [Some(20)],
        "CBC is not offered without integrity"
    );
    assert_eq!(proposals[0].number, 1);
    assert!(Algorithms { encr: vec![], ..Algorithms::ike() }.ike_proposals(&[], None).is_empty());
}

#[test]
fn what_one_side_offers_the_other_can_choose_and_the_first_accepts() {
    for encr in
        [vec![Encr::AesCbc256], vec![Encr::AesGcm128], vec![Encr::ChaCha20Poly1305], Algorithms::ike().encr]
    {
        let responder = Algorithms { encr, ..Algorithms::ike() };
        let (suite, answer) =
            responder.choose_ike(&Algorithms::ike().ike_proposals(&[], None)).expect("common");
        assert_eq!(Algorithms::ike().accept_ike(&[answer]), Some((suite, vec![])));
    }
    for pfs in [false, true] {
        let offered = Algorithms::esp().esp_proposals(5, pfs);
        let (suite, peer_spi, answer) = Algorithms::esp().choose_esp(&offered, 6, pfs).expect("common");
        assert_eq!((peer_spi, suite.esn), (5, true));
        assert_eq!(suite.group, pfs.then_some(Group::Ecp256));
        assert_eq!(Algorithms::esp().accept_esp(&[answer], pfs), Some((suite, 6)));
    }
}

#[test]
fn a_responder_with_aead_only_finds_the_second_proposal() {
    let aead = Algorithms { encr: vec![Encr::AesGcm256], integ: vec![], ..Algorithms::ike() };
    let offered = Algorithms::ike().ike_proposals(&[3; 8], None);
    let (suite, answer) = aead.choose_ike(&offered).expect("AEAD is in the second proposal");
    assert_eq!((suite.encr, suite.integ), (Encr::AesGcm256, None));
    assert_eq!((answer.number, answer.spi.as_slice()), (2, [3; 8].as_slice()));
    assert_eq!(answer.transforms, [cipher(20, 256), t(PRF, 7), t(KE, 19)]);
    assert_eq!(Algorithms::ike().accept_ike(&[answer]), Some((suite, vec![3; 8])));
}

#[test]
fn the_responders_preference_counts_within_a_proposal() {
    let offer = ike(
        1,
        &[
            cipher(12, 128),
            cipher(12, 256),
            t(INTEG, 12),
            t(INTEG, 14),
            t(PRF, 5),
            t(PRF, 7),
            t(KE, 14),
            t(KE, 19),
        ],
    );
    assert_eq!(Algorithms::ike().choose_ike(&[offer]).map(|(suite, _)| suite), Some(SEED_IKE_SUITE));
}

#[test]
fn foreign_transforms_are_skipped_and_foreign_kinds_refused() {
    let with = |extra: Transform| ike(1, &[&[extra], SEED_IKE.as_slice()].concat());
    let chosen = |offer| Algorithms::ike().choose_ike(&[offer]).map(|(suite, _)| suite);
    for understood_kind in [cipher(3, 192), t(ENCR, 12), t(INTEG, 2), t(PRF, 2), t(KE, 2), cipher(12, 192)] {
        assert_eq!(chosen(with(understood_kind)), Some(SEED_IKE_SUITE), "{understood_kind:?}");
    }
    assert_eq!(chosen(with(t(6, 35))), None, "an additional key exchange (RFC 9370) cannot be left out");
    assert_eq!(chosen(with(t(ESN, 0))), None, "an IKE SA has no sequence numbers");
    let other = ike(2, &SEED_IKE);
    assert_eq!(
        Algorithms::ike().choose_ike(&[with(t(6, 35)), other]).map(|(_, answer)| answer.number),
        Some(2)
    );
    for missing in 0..SEED_IKE.len() {
        let mut transforms = SEED_IKE.to_vec();
        transforms.remove(missing);
        assert_eq!(chosen(ike(1, &transforms)), None, "without {missing}");
    }
    assert_eq!(
        Algorithms::ike().choose_ike(&[Proposal { protocol: protocol::ESP, ..ike(1, &SEED_IKE) }]),
        None
    );
    assert_eq!(chosen(ike(1, &[])), None);
}

#[test]
fn aead_may_name_no_integrity_but_not_another() {
    let offer = |integ: &[Transform]| ike(1, &[&[cipher(20, 256), t(PRF, 7), t(KE, 19)], integ].concat());
    let (suite, answer) = Algorithms::ike().choose_ike(&[offer(&[t(INTEG, 0)])]).expect("integrity none");
    assert_eq!(suite.integ, None);
    assert!(answer.transforms.contains(&t(INTEG, 0)), "each kind offered is answered");
    assert_eq!(Algorithms::ike().choose_ike(&[offer(&[t(INTEG, 14)])]), None);
}

#[test]
fn esp_needs_spi_integrity_and_sequence_numbers() {
    let choose = |algorithms: &Algorithms, offer| algorithms.choose_esp(&[offer], 9, false);
    let (all, no_esn) = (Algorithms::esp(), Algorithms { esn: false, ..Algorithms::esp() });
    let (suite, peer_spi, answer) = choose(&all, esp(3, &SEED_ESP)).expect("the seed's suite");
    assert_eq!(
        suite,
        EspSuite { encr: Encr::AesCbc256, integ: Some(Integ::HmacSha384_192), group: None, esn: false }
    );
    assert_eq!((peer_spi, answer.number, answer.spi.as_slice()), (7, 3, [0, 0, 0, 9].as_slice()));
    assert_eq!(answer.transforms, SEED_ESP);

    assert!(choose(&all, esp(1, &SEED_ESP[..2])).is_none(), "ESN is mandatory (RFC 7296 3.3.3)");
    assert!(choose(&all, esp(1, &[SEED_ESP[0], SEED_ESP[2]])).is_none(), "CBC without integrity");
    assert!(choose(&all, Proposal { spi: vec![0; 4], ..esp(1, &SEED_ESP) }).is_none(), "SPI zero");
    let esn_only = esp(1, &[SEED_ESP[0], SEED_ESP[1], t(ESN, 1)]);
    assert!(choose(&all, esn_only.clone()).is_some_and(|(suite, ..)| suite.esn));
    assert!(choose(&no_esn, esn_only).is_none());
}

#[test]
fn a_group_of_a_child_sa_is_chosen_only_with_pfs() {
    let offer = |groups: &[Transform]| esp(1, &[SEED_ESP.as_slice(), groups].concat());
    let choose = |pfs, groups: &[Transform]| {
        let chosen = Algorithms::esp().choose_esp(&[offer(groups)], 9, pfs);
        chosen
            .map(|(suite, _, answer)| (suite.group, answer.transforms.iter().find(|t| t.kind == KE).copied()))
    };
    assert_eq!(choose(true, &[t(KE, 20), t(KE, 19)]), Some((Some(Group::Ecp256), Some(t(KE, 19)))));
    assert_eq!(choose(true, &[t(KE, 2), t(KE, 0)]), Some((None, Some(t(KE, 0)))), "none is offered too");
    assert_eq!(choose(true, &[t(KE, 2)]), None);
    assert_eq!(choose(true, &[]), Some((None, None)), "the peer wants no PFS");
    assert_eq!(choose(false, &[t(KE, 19)]), Some((None, None)), "IKE_AUTH has no KE payload");
}

#[test]
fn an_answer_that_is_not_exactly_one_offer_is_refused() {
    let algorithms = Algorithms::ike();
    let accept = |transforms: &[Transform]| algorithms.accept_ike(&[ike(1, transforms)]);
    assert_eq!(accept(&SEED_IKE), Some((SEED_IKE_SUITE, vec![])));
    assert_eq!(accept(&[&SEED_IKE[..], &[t(PRF, 6)]].concat()), None, "two PRFs");
    assert_eq!(accept(&[&SEED_IKE[..], &SEED_IKE[1..2]].concat()), None, "the same PRF twice");
    assert_eq!(accept(&[&SEED_IKE[..], &[t(ESN, 0)]].concat()), None, "a kind that was not offered");
    assert_eq!(accept(&[&[t(ENCR, 12)], &SEED_IKE[1..]].concat()), None, "no key length");
    assert_eq!(
        accept(&[&[cipher(12, 192)], &SEED_IKE[1..]].concat()),
        None,
        "a key length that was not offered"
    );
    assert_eq!(accept(&[&[cipher(20, 256)], &SEED_IKE[1..]].concat()), None, "AEAD is in the other proposal");
    for missing in 0..SEED_IKE.len() {
        let mut transforms = SEED_IKE.to_vec();
        transforms.remove(missing);
        assert_eq!(accept(&transforms), None, "without {missing}");
    }
    let twice = [ike(1, &SEED_IKE), ike(1, &SEED_IKE)];
    assert_eq!(algorithms.accept_ike(&twice), None, "two proposals");
    assert_eq!(algorithms.accept_ike(&[]), None);
    for number in [0, 2, 3] {
        assert_eq!(algorithms.accept_ike(&[ike(number, &SEED_IKE)]), None, "number {number}");
    }
    assert_eq!(algorithms.accept_esp(&[ike(1, &SEED_IKE)], false), None);
}

#[test]
fn an_esp_answer_keeps_to_the_pfs_that_was_offered() {
    let with_group = [SEED_ESP.as_slice(), &[t(KE, 19)]].concat();
    let accept = |transforms: &[Transform], pfs| Algorithms::esp().accept_esp(&[esp(1, transforms)], pfs);
    assert_eq!(
        accept(&with_group, true).map(|(suite, spi)| (suite.group, spi)),
        Some((Some(Group::Ecp256), 7))
    );
    assert_eq!(accept(&with_group, false), None);
    assert_eq!(accept(&SEED_ESP, true), None);
    assert!(accept(&SEED_ESP, false).is_some());
    assert_eq!(Algorithms::esp().accept_esp(&[Proposal { spi: vec![], ..esp(1, &SEED_ESP) }], false), None);
}

#[test]
fn there_is_one_sa_payload_or_none() {
    let sa = Payload::Sa(vec![ike(1, &SEED_IKE)]);
    let nonce = Payload::Nonce(vec![0; 16]);
    assert_eq!(proposals(&[nonce.clone(), sa.clone()]).map(<[_]>::len), Some(1));
    assert_eq!(proposals(&[nonce]), None);
    assert_eq!(proposals(&[sa.clone(), sa]), None);
}

#[test]
fn ml_kem_is_offered_before_the_same_without_it() {
    let wish = |ml_kem| Algorithms { ml_kem, ..Algorithms::ike() };
    let numbers = |offer: &[Proposal]| offer.iter().map(|p| p.number).collect::<Vec<_>>();
    let with = |offer: &[Proposal]| -> Vec<bool> {
        offer.iter().map(|p| p.transforms.contains(&t(ADDITIONAL_KE, 36))).collect()
    };
    let (no, offer, require) = (wish(Wish::No), wish(Wish::Offer), wish(Wish::Require));
    let said = offer.ike_proposals(&[], None);
    assert_eq!((numbers(&said), with(&said)), (vec![1, 2, 3, 4], vec![true, true, false, false]));
    assert_eq!(with(&require.ike_proposals(&[], None)), [true, true]);
    let plain = no.ike_proposals(&[], None);
    assert!(said[2..].iter().zip(&plain).all(|(said, plain)| said.transforms == plain.transforms));

    // Whoever insists believes no answer without it.
    let (_, answer) = no.choose_ike(&plain).expect("a choice");
    assert!(offer.accept_ike(&[Proposal { number: 3, ..answer.clone() }]).is_some());
    assert!((1..=4).all(|number| require.accept_ike(&[Proposal { number, ..answer.clone() }]).is_none()));

    let kem = Some(Kem::MlKem768);
    let wishes = [&no, &offer, &require];
    let expected =
        [[Some(None), Some(None), None], [Some(None), Some(kem), Some(kem)], [None, Some(kem), Some(kem)]];
    for (responder, row) in wishes.iter().zip(expected) {
        for (initiator, expected) in wishes.iter().zip(row) {
            let chosen = responder.choose_ike(&initiator.ike_proposals(&[], None));
            assert_eq!(chosen.as_ref().map(|(suite, _)| suite.additional), expected);
            if let Some((suite, answer)) = chosen {
                assert_eq!(initiator.accept_ike(&[answer]), Some((suite, vec![])));
            }
        }
    }
}

#[test]
fn an_additional_key_exchange_may_be_none_but_no_other() {
    let wish = |ml_kem| Algorithms { ml_kem, ..Algorithms::ike() };
    let plain = Algorithms::ike().ike_proposals(&[], None).remove(0);
    let offered = |ids: &[u16]| {
        let more = ids.iter().map(|id| t(ADDITIONAL_KE, *id));
        vec![Proposal { transforms: plain.transforms.iter().copied().chain(more).collect(), ..plain.clone() }]
    };
    let chosen = |ml_kem, ids: &[u16]| Some(wish(ml_kem).choose_ike(&offered(ids))?.0.additional);
    assert_eq!(chosen(Wish::Offer, &[35, 36]), Some(Some(Kem::MlKem768)));
    assert_eq!(chosen(Wish::Offer, &[35, 0]), Some(None));
    assert_eq!(chosen(Wish::Require, &[35, 0]), None);
    assert_eq!(chosen(Wish::Offer, &[35, 37]), None);
    assert_eq!(chosen(Wish::No, &[36, 0]), None, "whoever does not know the kind takes no such proposal");
    // A second one, ADDITIONAL_KEY_EXCHANGE_2, is no business of ours.
    let mut second = offered(&[36]);
    second[0].transforms.push(t(7, 36));
    assert!(wish(Wish::Offer).choose_ike(&second).is_none());
}
