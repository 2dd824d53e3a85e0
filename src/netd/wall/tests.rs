use super::message::head;
use super::*;
use crate::plan::Net;

fn wall() -> Wall {
    Wall { device: Some(7), held: Held::All, lan: Vec::new(), open: false }
}

/// The kinds of the messages, in their order; each has to be whole.
fn kinds(mut octets: &[u8]) -> Vec<u16> {
    let mut kinds = Vec::new();
    while let Some((length, kind)) = head(octets) {
        assert_eq!(length % 4, 0, "messages are aligned");
        kinds.push(kind);
        octets = &octets[length..];
    }
    assert!(octets.is_empty(), "{} octets are no message", octets.len());
    kinds
}

#[test]
fn rules_take_the_place_of_others_within_one_transaction() {
    let kinds = kinds(&put(&wall()));
    // Begin; a table, a chain, no rules in it; four times a set and none; rules; end.
    assert_eq!(kinds[..4], [0x10, 0xa00, 0xa03, 0xa08]);
    assert_eq!(kinds[4..12], [[0xa09, 0xa0b]; 4].concat());
    assert_eq!(kinds.iter().filter(|kind| **kind == 0x10 || **kind == 0x11).count(), 2);
    assert_eq!(kinds.last(), Some(&0x11));
    assert!(kinds[12..kinds.len() - 1].iter().all(|kind| *kind == 0xa06), "{kinds:x?}");
}

/// As `nft --debug=netlink,mnl add table inet ikeep` writes it (nftables 1.0.6), but for the sequence number.
#[test]
fn the_first_messages_are_as_nft_writes_them() {
    let octets = put(&wall());
    let begin = [20, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10];
    let table = [
        40, 0, 0, 0, 0, 10, 5, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 10, 0, 1, 0, b'i', b'k', b'e', b'e',
        b'p', 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0,
    ];
    assert_eq!(octets[..20], begin);
    assert_eq!(octets[20..60], table);
}

#[test]
fn a_long_list_of_networks_is_sent_in_pieces() {
    let nets = (0..4000_u32).map(|n| Net::host(std::net::Ipv4Addr::from(0x0a00_0000 + 2 * n).into()));
    let held = super::held(&nets.map(|net| (net, true)).collect());
    assert_eq!(held.len(), 4000);
    let octets = put(&Wall { held: Held::Only(held), ..wall() });
    assert!(octets.len() < SEND, "{}", octets.len());
    assert_eq!(kinds(&octets).iter().filter(|kind| **kind == 0xa0c).count(), 10);
}

#[test]
fn an_answer_is_a_word_or_an_error_and_nonsense_is_neither() {
    let answer = |code: i32| {
        let mut octets = vec![36, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        octets.extend(code.to_ne_bytes());
        octets.extend([0; 16]);
        octets
    };
    let verdict = |datagrams: &[Vec<u8>]| {
        let mut verdict = message::Verdict::default();
        for datagram in datagrams {
            verdict.read(datagram);
        }
        verdict.result().map_err(|error| error.raw_os_error())
    };
    assert_eq!(verdict(&[answer(0)]), Ok(()));
    assert_eq!(verdict(&[answer(0), answer(-1), answer(-2)]), Err(Some(1)), "the first error");
    assert_eq!(verdict(&[[answer(0), answer(-95)].concat()]), Err(Some(95)), "two in one datagram");
    assert_eq!(verdict(&[]), Err(None));
    for nonsense in [vec![0; 3], vec![0xff; 40], answer(0)[..17].to_vec(), answer(0)[..20].to_vec()] {
        assert_eq!(verdict(&[nonsense]), Err(None));
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_read_ends(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let mut verdict = message::Verdict::default();
        verdict.read(&octets);
        let _ = verdict.result();
        message::by_others(&octets, 0, TABLE);
    }
}

/// A notice of somebody's, about a table of this family and name.
fn notice(kind: u16, by: u32, family: u8, name: &[u8]) -> Vec<u8> {
    let attribute = u16::try_from(4 + name.len()).unwrap();
    let mut octets = Vec::new();
    octets.extend([0; 4]);
    octets.extend(kind.to_ne_bytes());
    octets.extend([0; 6]);
    octets.extend(by.to_ne_bytes());
    octets.extend([family, 0, 0, 0]);
    octets.extend(attribute.to_ne_bytes());
    octets.extend(1_u16.to_ne_bytes());
    octets.extend(name);
    let length = u32::try_from(octets.len()).unwrap();
    octets[..4].copy_from_slice(&length.to_ne_bytes());
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

#[test]
fn a_notice_counts_where_somebody_else_has_changed_our_table() {
    const DELETED_RULE: u16 = 0xa08;
    let name = b"ikeep\0";
    let counts = |notices: &[u8]| message::by_others(notices, 7, TABLE);
    let others = notice(DELETED_RULE, 8, 1, name);
    assert!(counts(&others) && counts(&[notice(DELETED_RULE, 7, 1, name), others.clone()].concat()));
    assert!(
        counts(&[notice(DELETED_RULE, 8, 1, b"ikeep2\0"), others.clone()].concat()),
        "behind one that is padded"
    );
    for nothing in [
        notice(DELETED_RULE, 7, 1, name),
        notice(DELETED_RULE, 8, 2, name),
        notice(DELETED_RULE, 8, 1, b"ikeep2\0"),
        notice(DELETED_RULE, 8, 1, b"ikeep"),
        notice(0xa0f, 8, 1, name),
        notice(0x208, 8, 1, name),
        others[..29].to_vec(),
        Vec::new(),
    ] {
        assert!(!counts(&nothing), "{nothing:?}");
    }
}
