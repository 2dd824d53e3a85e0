//! The table of the module `established`: two exchanges that meet. The number in a name is the section of RFC 7296.

use super::script::{Script, delete_esp, delete_ike, deleted, deletes_ike, error, esp_spi_of, notice};
use super::*;

/// A nonce that is lower, or higher, than each of ours.
const LOW: u8 = 0;
const HIGH: u8 = 0xff;

/// The peer's inbound SPI of a new Child SA.
const THEIRS: u32 = 0x5000;

fn both(test: impl Fn(Script)) {
    test(Script::new(true));
    test(Script::new(false));
}

#[test]
fn s2_8_1_child_rekeys_cross_and_ours_stays() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        let request = s.child_request(theirs, THEIRS, LOW);
        let answer = s.ask(0, Exchange::CreateChildSa, request);
        assert_eq!(error(&answer), None);
        let redundant = esp_spi_of(&answer);
        let ours = esp_spi_of(&asked.payloads);
        let answer = s.child_answer(&asked, THEIRS + 1, HIGH);
        s.answer(&asked, &answer);
        s.expect_delete(old, theirs);
        assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(THEIRS))), [redundant]);
        assert_eq!(s.children(), [ours]);
        assert_eq!(s.us.esp.current().map(SaPair::spi_in), Some(ours));
    });
}

#[test]
fn s2_8_1_child_rekeys_cross_and_theirs_stays() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        let request = s.child_request(theirs, THEIRS, HIGH);
        let winner = esp_spi_of(&s.ask(0, Exchange::CreateChildSa, request));
        let ours = esp_spi_of(&asked.payloads);
        let answer = s.child_answer(&asked, THEIRS + 1, LOW);
        s.answer(&asked, &answer);
        // Its maker deletes the redundant one, the winner's maker the old one.
        s.expect_delete(ours, THEIRS + 1);
        assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [old]);
        assert_eq!(s.children(), [winner]);
        assert_eq!(s.us.esp.current().map(SaPair::spi_in), Some(winner));
    });
}

#[test]
fn s2_8_1_the_old_child_is_deleted_before_the_answer_that_loses() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        let request = s.child_request(theirs, THEIRS, HIGH);
        let winner = esp_spi_of(&s.ask(0, Exchange::CreateChildSa, request));
        assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [old]);
        // The answer was on its way for longer: what it made is still ours to delete.
        let ours = esp_spi_of(&asked.payloads);
        let answer = s.child_answer(&asked, THEIRS + 1, LOW);
        s.answer(&asked, &answer);
        s.expect_delete(ours, THEIRS + 1);
        assert_eq!(s.children(), [winner]);
    });
}

#[test]
fn s2_8_1_the_peer_did_not_notice_our_child_rekey() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        let request = s.child_request(theirs, THEIRS, LOW);
        let winner = esp_spi_of(&s.ask(0, Exchange::CreateChildSa, request));
        // It closes the old one already when our request comes.
        s.answer(&asked, &notice(notify::TEMPORARY_FAILURE));
        s.pass(Duration::from_secs(20));
        assert!(s.is_quiet(), "the old one is not rekeyed a second time");
        assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [old]);
        assert_eq!(s.children(), [winner]);
        assert_eq!(s.us.count("ChildDown"), 1);
    });
}

#[test]
fn s2_25_1_a_rekey_of_a_child_that_we_delete() {
    both(|mut s| {
        let (ours, theirs) = s.first_child();
        s.us.ike.delete_child(s.now, ours, &mut s.us.random);
        let asked = s.next();
        let request = s.child_request(theirs, THEIRS, HIGH);
        assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, request)), Some(notify::TEMPORARY_FAILURE));
        s.answer(&asked, &delete_esp(theirs));
        assert_eq!((s.children().len(), s.us.count("ChildDown")), (0, 1));
    });
}

#[test]
fn s2_25_1_a_rekey_of_a_child_that_does_not_exist() {
    both(|mut s| {
        let request = s.child_request(4711, THEIRS, HIGH);
        assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, request)), Some(notify::CHILD_SA_NOT_FOUND));
        // And the peer does not have ours: it is gone here too, at once and once.
        s.rekey_child();
        let asked = s.next();
        s.answer(&asked, &notice(notify::CHILD_SA_NOT_FOUND));
        assert_eq!((s.children().len(), s.us.count("ChildDown")), (0, 1));
        assert!(!s.us.ike.has_child());
    });
}

#[test]
fn s2_25_1_a_delete_of_a_child_that_we_rekey_is_the_end_of_it() {
    for refusal in [notify::TEMPORARY_FAILURE, notify::CHILD_SA_NOT_FOUND, notify::NO_PROPOSAL_CHOSEN] {
        both(|mut s| {
            let (ours, theirs) = s.first_child();
            s.rekey_child();
            let asked = s.next();
            assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [ours]);
            assert!(s.us.ike.has_child(), "its successor may be on its way");
            s.answer(&asked, &notice(refusal));
            assert!(!s.us.ike.has_child());
            assert_eq!(s.us.count("ChildDown"), 2, "the owner hears that none follows");
            s.pass(Duration::from_secs(20));
            assert!(s.is_quiet());
        });
    }
}

#[test]
fn s2_25_1_a_delete_overtakes_the_answer_to_our_rekey() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [old]);
        let ours = esp_spi_of(&asked.payloads);
        let answer = s.child_answer(&asked, THEIRS, HIGH);
        s.answer(&asked, &answer);
        assert_eq!(s.children(), [ours]);
        assert_eq!(s.us.esp.current().map(SaPair::spi_in), Some(ours));
        assert!(s.is_quiet(), "the old one is deleted already");
    });
}

#[test]
fn s2_25_1_a_delete_of_a_child_that_we_delete() {
    both(|mut s| {
        let (ours, theirs) = s.first_child();
        s.us.ike.delete_child(s.now, ours, &mut s.us.random);
        let asked = s.next();
        assert_eq!(s.ask(0, Exchange::Informational, delete_esp(theirs)), []);
        s.answer(&asked, &[]);
        assert_eq!((s.children().len(), s.us.count("ChildDown")), (0, 1));
    });
}

#[test]
fn a_delete_of_ours_that_waits_for_our_rekey_is_meant_for_the_successor_too() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        s.rekey_child();
        let asked = s.next();
        s.us.ike.delete_child(s.now, old, &mut s.us.random);
        let new = esp_spi_of(&asked.payloads);
        let answer = s.child_answer(&asked, THEIRS, HIGH);
        s.answer(&asked, &answer);
        s.expect_delete(old, theirs);
        s.expect_delete(new, THEIRS);
        assert_eq!(s.children(), Vec::<u32>::new());
    });
}

#[test]
fn s2_25_what_is_put_off_is_tried_again_and_what_is_refused_is_told() {
    both(|mut s| {
        s.rekey_child();
        let asked = s.next();
        s.answer(&asked, &notice(notify::TEMPORARY_FAILURE));
        s.pass(Duration::from_secs(4));
        assert!(s.is_quiet(), "not at once");
        s.pass(Duration::from_secs(12));
        let asked = s.next();
        assert_eq!(asked.exchange, Exchange::CreateChildSa);
        s.answer(&asked, &notice(notify::NO_ADDITIONAL_SAS));
        assert_eq!((s.us.count("RekeyRefused"), s.us.count("ChildDown")), (1, 0));
        s.pass(Duration::from_secs(299));
        assert!(s.is_quiet(), "nor soon");
        s.pass(Duration::from_secs(17));
        assert_eq!(s.next().exchange, Exchange::CreateChildSa);

        s = Script::new(s.us.ike.sa().is_initiator());
        s.rekey_ike();
        let asked = s.next();
        s.answer(&asked, &notice(notify::TEMPORARY_FAILURE));
        s.pass(Duration::from_secs(16));
        assert_eq!(s.next().exchange, Exchange::CreateChildSa);
    });
}

#[test]
fn s1_3_more_child_sas_are_refused_and_the_session_stays() {
    both(|mut s| {
        let (old, theirs) = s.first_child();
        let additional = s.child_request(theirs, THEIRS, HIGH).split_off(1);
        assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, additional)), Some(notify::NO_ADDITIONAL_SAS));
        assert_eq!(s.children(), [old]);
        // Nor by rekeying the same one again and again.
        let answers: Vec<_> = (0..20)
            .map(|n| {
                let request = s.child_request(theirs, THEIRS + n, HIGH);
                error(&s.ask(0, Exchange::CreateChildSa, request))
            })
            .collect();
        assert_eq!(answers[0], None);
        assert_eq!(answers[19], Some(notify::NO_ADDITIONAL_SAS));
        assert!(s.children().len() <= 8);
        assert_eq!(s.ask(0, Exchange::Informational, Vec::new()), []);
    });
}

#[test]
fn s2_8_2_ike_rekeys_cross_and_ours_stays() {
    both(|mut s| {
        s.rekey_ike();
        let asked = s.next();
        let (rekey, request) = s.ike_request(LOW);
        let answer = s.ask(0, Exchange::CreateChildSa, request);
        let theirs = s.take_ike_answer(&rekey, &answer);
        assert_eq!(s.ask(theirs, Exchange::Informational, Vec::new()), [], "it lives until one has lost");
        let (ours, answer) = s.ike_answer(&asked, HIGH);
        s.answer(&asked, &answer);
        assert_eq!(s.us.count("Rekeyed"), 1);
        let asked = s.next();
        assert_eq!((asked.on, deletes_ike(&asked.payloads)), (0, true), "we delete the old one");
        s.answer(&asked, &[]);
        assert_eq!(s.ask(theirs, Exchange::Informational, delete_ike()), []);
        assert_eq!(s.us.count("DeletedByPeer"), 0);
        s.only_ike_sa(ours);
    });
}

#[test]
fn s2_8_2_ike_rekeys_cross_and_theirs_stays() {
    both(|mut s| {
        s.rekey_ike();
        let asked = s.next();
        let (rekey, request) = s.ike_request(HIGH);
        let answer = s.ask(0, Exchange::CreateChildSa, request);
        let theirs = s.take_ike_answer(&rekey, &answer);
        let (ours, answer) = s.ike_answer(&asked, LOW);
        s.answer(&asked, &answer);
        assert_eq!(s.us.count("Rekeyed"), 1);
        let asked = s.next();
        assert_eq!((asked.on, deletes_ike(&asked.payloads)), (ours, true), "we delete the one that lost");
        s.answer(&asked, &[]);
        assert_eq!(s.ask(0, Exchange::Informational, delete_ike()), []);
        assert_eq!(s.us.count("DeletedByPeer"), 0);
        s.only_ike_sa(theirs);
    });
}

#[test]
fn s2_8_2_the_peer_did_not_notice_our_ike_rekey() {
    for answered in [true, false] {
        both(|mut s| {
            s.rekey_ike();
            let asked = s.next();
            let (rekey, request) = s.ike_request(LOW);
            let answer = s.ask(0, Exchange::CreateChildSa, request);
            let theirs = s.take_ike_answer(&rekey, &answer);
            if answered {
                s.answer(&asked, &notice(notify::TEMPORARY_FAILURE));
            }
            assert_eq!(s.ask(0, Exchange::Informational, delete_ike()), []);
            assert_eq!((s.us.count("Rekeyed"), s.us.count("DeletedByPeer")), (1, 0));
            s.only_ike_sa(theirs);
        });
    }
}

#[test]
fn s2_8_2_an_ike_rekey_whose_answer_never_comes_leaves_what_the_peer_made() {
    both(|mut s| {
        s.rekey_ike();
        s.next();
        let (rekey, request) = s.ike_request(HIGH);
        let answer = s.ask(0, Exchange::CreateChildSa, request);
        let theirs = s.take_ike_answer(&rekey, &answer);
        s.pass(Duration::from_secs(40));
        assert_eq!((s.us.count("Rekeyed"), s.us.count("Dead")), (1, 0));
        s.only_ike_sa(theirs);
    });
}

#[test]
fn s2_8_2_a_rekey_of_an_ike_sa_that_we_have_rekeyed() {
    both(|mut s| {
        s.rekey_ike();
        let asked = s.next();
        let (ours, answer) = s.ike_answer(&asked, HIGH);
        s.answer(&asked, &answer);
        let asked = s.next();
        assert!(deletes_ike(&asked.payloads));
        let (_, request) = s.ike_request(HIGH);
        assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, request)), Some(notify::TEMPORARY_FAILURE));
        let (_, theirs) = s.first_child();
        let request = s.child_request(theirs, THEIRS, HIGH);
        assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, request)), Some(notify::TEMPORARY_FAILURE));
        s.answer(&asked, &[]);
        s.only_ike_sa(ours);
    });
}

#[test]
fn s2_25_2_a_rekey_of_an_ike_sa_while_we_are_at_something_else() {
    for what in 0..4 {
        both(|mut s| {
            let (ours, _) = s.first_child();
            let us = &mut s.us;
            match what {
                0 => us.ike.delete(s.now, &mut us.random),
                1 => us.ike.rekey_child(s.now, ours, &mut us.random),
                2 => us.ike.delete_child(s.now, ours, &mut us.random),
                _ => {
                    // It waits behind a liveness check.
                    us.ike.check_liveness(s.now, &mut us.random);
                    us.ike.delete_child(s.now, ours, &mut us.random);
                }
            }
            s.next();
            let (_, request) = s.ike_request(HIGH);
            let answer = s.ask(0, Exchange::CreateChildSa, request);
            assert_eq!(error(&answer), Some(notify::TEMPORARY_FAILURE), "case {what}");
            assert_eq!(s.us.count("Rekeyed"), 0);
        });
    }
}

#[test]
fn s2_25_2_a_delete_of_an_ike_sa_that_we_rekey() {
    both(|mut s| {
        s.rekey_ike();
        let asked = s.next();
        assert_eq!(s.ask(0, Exchange::Informational, delete_ike()), []);
        assert_eq!(s.us.count("DeletedByPeer"), 1);
        let (_, answer) = s.ike_answer(&asked, HIGH);
        s.answer(&asked, &answer);
        assert_eq!(s.us.count("Rekeyed"), 0, "our rekey is forgotten");
        assert!(s.us.ike.is_closed());
    });
}

#[test]
fn s2_25_2_a_delete_of_an_ike_sa_that_we_delete() {
    both(|mut s| {
        s.us.ike.delete(s.now, &mut s.us.random);
        let asked = s.next();
        assert_eq!(s.ask(0, Exchange::Informational, delete_ike()), []);
        s.answer(&asked, &[]);
        assert_eq!((s.us.count("DeletedByPeer"), s.us.count("Deleted")), (1, 0), "one end");
    });
}

#[test]
fn s2_25_2_child_exchanges_while_we_rekey_or_close_the_ike_sa() {
    for closing in [true, false] {
        both(|mut s| {
            let (ours, theirs) = s.first_child();
            let us = &mut s.us;
            match closing {
                true => us.ike.delete(s.now, &mut us.random),
                false => us.ike.rekey_ike(s.now, &mut us.random),
            }
            s.next();
            let request = s.child_request(theirs, THEIRS, HIGH);
            assert_eq!(error(&s.ask(0, Exchange::CreateChildSa, request)), Some(notify::TEMPORARY_FAILURE));
            let additional = s.child_request(theirs, THEIRS, HIGH).split_off(1);
            let answer = s.ask(0, Exchange::CreateChildSa, additional);
            assert_eq!(error(&answer), Some(notify::TEMPORARY_FAILURE));
            assert_eq!(deleted(&s.ask(0, Exchange::Informational, delete_esp(theirs))), [ours]);
            assert_eq!(s.children(), Vec::<u32>::new());
        });
    }
}

#[test]
fn an_end_that_is_wanted_during_an_ike_rekey_ends_both_ike_sas() {
    both(|mut s| {
        s.rekey_ike();
        let asked = s.next();
        s.us.ike.delete(s.now, &mut s.us.random);
        let (ours, answer) = s.ike_answer(&asked, HIGH);
        s.answer(&asked, &answer);
        let mut ended: Vec<usize> = Vec::new();
        for _ in 0..2 {
            let asked = s.next();
            assert!(deletes_ike(&asked.payloads));
            ended.push(asked.on);
            s.answer(&asked, &[]);
        }
        ended.sort_unstable();
        assert_eq!(ended, [0, ours]);
        assert!(s.is_quiet());
        assert_eq!(s.us.count("Deleted"), 1);
        assert!(s.us.ike.is_closed());
    });
}

#[test]
fn s1_5_invalid_spi_inside_the_ike_sa_names_the_child() {
    both(|mut s| {
        let (_, theirs) = s.first_child();
        let about = |spi: u32| vec![Payload::Notify(Notify::status(notify::INVALID_SPI, spi.to_be_bytes()))];
        assert_eq!(s.ask(0, Exchange::Informational, about(4711)), []);
        assert_eq!(s.us.count("UnknownToPeer"), 0, "that is none of ours");
        assert_eq!(s.ask(0, Exchange::Informational, about(theirs)), []);
        assert_eq!(s.us.count("UnknownToPeer"), 1);
    });
}

#[test]
fn rfc_7296_2_21_2_a_peer_that_does_not_believe_us_has_dropped_the_sa() {
    both(|mut s| {
        let refusal = || vec![Payload::Notify(Notify::status(notify::AUTHENTICATION_FAILED, Vec::new()))];
        assert_eq!(s.ask(0, Exchange::Informational, refusal()), []);
        assert_eq!(s.us.count("Disbelieved"), 1);
        assert_eq!(s.ask(0, Exchange::Informational, refusal()), []);
        assert_eq!(s.us.count("Disbelieved"), 1, "once");
    });
}

#[test]
fn rfc_4478_a_lifetime_that_is_told_later() {
    let mut s = Script::new(true);
    let lifetime = crate::ike::message::AuthLifetime(Duration::from_secs(600));
    assert_eq!(s.ask(0, Exchange::Informational, vec![lifetime.payload()]), []);
    assert_eq!(s.us.count("AuthLifetime(600s)"), 1);
}
