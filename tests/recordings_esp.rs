//! The ESP packets of the recordings: opened with the recorded keys, and sealed to the same octets.

mod common;

use common::recording::{Child, Recording};
use ikeep::crypto::{Encr, Integ, PacketProtection, Random, Secret};
use ikeep::esp::inner::parse_echo_request;
use ikeep::esp::{HEADROOM, OpenError, SaPair, SaParams, TrafficSelector};
use std::ops::Range;

/// SPI and sequence number.
const HEADER: usize = 8;
/// The inner packet of every recording: a ping.
const INNER: Range<usize> = 0..84;

/// Gives out the IV of a recording, and nothing of use after it (IVs are fetched many at a time); fails the test that asks
/// again.
struct Recorded(Vec<u8>);

impl Random for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        let iv = std::mem::take(&mut self.0);
        assert!(!iv.is_empty(), "one packet needs one IV");
        let (first, rest) = out.split_at_mut(iv.len());
        first.copy_from_slice(&iv);
        rest.fill(0);
    }
}

fn suite(child: &Child) -> (Encr, Option<Integ>) {
    let encr = Encr::from_id(child.encr, Some(256)).expect("a known cipher");
    (encr, Integ::from_id(child.integ))
}

/// The client's end, or the gateway's.
fn pair(child: &Child, client: bool) -> SaPair {
    let (encr, integ) = suite(child);
    let any = vec![TrafficSelector::any_v4()];
    let secret = |octets: &Vec<u8>| Secret::from(&octets[..]);
    let client_end = SaParams {
        spi_in: child.spi_client,
        spi_out: child.spi_gateway,
        encr,
        integ,
        esn: false,
        encr_in: secret(&child.gateway_to_client_encr),
        integ_in: secret(&child.gateway_to_client_integ),
        encr_out: secret(&child.client_to_gateway_encr),
        integ_out: secret(&child.client_to_gateway_integ),
        local: any.clone(),
        remote: any,
    };
    SaPair::new(if client {
        client_end
    } else {
        SaParams {
            spi_in: client_end.spi_out,
            spi_out: client_end.spi_in,
            encr_in: client_end.encr_out,
            integ_in: client_end.integ_out,
            encr_out: client_end.encr_in,
            integ_out: client_end.integ_in,
            ..client_end
        }
    })
}

#[test]
fn recorded_packets_are_opened() {
    for recording in Recording::all() {
        let mut gateway = pair(&recording.child, false);
        let mut packet = recording.esp.packet.clone();
        let range = gateway.open(&mut packet).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
        assert_eq!(packet[range.clone()], recording.esp.plain[INNER], "{}", recording.name);
        assert!(parse_echo_request(&packet[range]).is_some(), "{}", recording.name);

        let replayed = gateway.open(&mut recording.esp.packet.clone());
        assert_eq!(replayed, Err(OpenError::Replayed), "{}", recording.name);
        // The keys of the other direction do not open it.
        let mut other_way = recording.esp.packet.clone();
        other_way[..4].copy_from_slice(&recording.child.spi_client.to_be_bytes());
        assert_eq!(pair(&recording.child, true).open(&mut other_way), Err(OpenError::Forged));
    }
}

#[test]
fn recorded_packets_are_sealed_to_the_same_octets() {
    let mut sealed_by_pair = 0;
    for recording in Recording::all() {
        let (encr, integ) = suite(&recording.child);
        let (wire, plain) = (&recording.esp.packet, &recording.esp.plain);
        let iv = wire[HEADER..HEADER + encr.iv_len()].to_vec();

        // What stands in the packet, with the recorded IV.
        let keys = PacketProtection::new(
            encr,
            integ,
            &recording.child.client_to_gateway_encr,
            &recording.child.client_to_gateway_integ,
        );
        let mut packet = wire.clone();
        let from = HEADER + iv.len();
        packet[HEADER..].fill(0);
        packet[from..from + plain.len()].copy_from_slice(plain);
        keys.seal(&mut packet, HEADER, &iv, None);
        assert_eq!(&packet, wire, "{}", recording.name);

        // The whole of it, padding included, from the inner packet alone. The IV of AES-GCM is a counter of the sender's own
        // making, so there only the plaintext can be the same.
        let mut frame = vec![0; HEADROOM];
        frame.extend(&plain[INNER]);
        let mut client = pair(&recording.child, true);
        let range = client.seal(&mut frame, &mut Recorded(iv)).expect("sealed");
        let ours = &mut frame[range];
        if encr.is_aead() {
            assert_eq!(ours.len(), wire.len());
            assert_eq!(ours[..HEADER], wire[..HEADER]);
            let opened = keys.open(ours, HEADER, None).expect("opened");
            assert_eq!(&ours[opened], plain, "{}", recording.name);
        } else {
            assert_eq!(ours, wire, "{}", recording.name);
            sealed_by_pair += 1;
        }
    }
    assert_eq!(sealed_by_pair, 3, "three recordings are AES-CBC");
}
