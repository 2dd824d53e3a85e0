//! ESP on the way of every packet: nothing is allocated, counted.

use ikeep::crypto::{Encr, Integ, Random, Secret};
use ikeep::esp::inner::udp;
use ikeep::esp::{HEADROOM, SaPair, SaParams, TAILROOM, TrafficSelector};

/// Not random: nobody hides anything here.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|octet| {
            self.0 = self.0.wrapping_add(1);
            *octet = self.0;
        });
    }
}

fn ends(encr: Encr, integ: Option<Integ>) -> (SaPair, SaPair) {
    let key = |octet, len| Secret::new(vec![octet; len]);
    let (encr_len, integ_len) = (encr.key_len(), integ.map_or(0, Integ::key_len));
    let any = vec![TrafficSelector::any_v4()];
    let ours = SaParams {
        spi_in: 1,
        spi_out: 2,
        encr,
        integ,
        esn: true,
        encr_in: key(1, encr_len),
        integ_in: key(2, integ_len),
        encr_out: key(3, encr_len),
        integ_out: key(4, integ_len),
        local: any.clone(),
        remote: any,
    };
    let theirs = SaParams {
        spi_in: 2,
        spi_out: 1,
        encr_in: ours.encr_out.clone(),
        integ_in: ours.integ_out.clone(),
        encr_out: ours.encr_in.clone(),
        integ_out: ours.integ_in.clone(),
        ..ours.clone()
    };
    (SaPair::new(ours), SaPair::new(theirs))
}

#[test]
fn no_packet_costs_an_allocation() {
    let integ = [Integ::HmacSha256_128, Integ::HmacSha384_192, Integ::HmacSha512_256].map(Some);
    let cbc =
        [Encr::AesCbc128, Encr::AesCbc256].into_iter().flat_map(|encr| integ.map(|integ| (encr, integ)));
    let aead = [Encr::AesGcm128, Encr::AesGcm256, Encr::ChaCha20Poly1305].map(|encr| (encr, None));
    for (encr, integ) in cbc.chain(aead) {
        let (mut sender, mut receiver) = ends(encr, integ);
        let [from, to] = ["192.168.20.5", "192.168.10.1"].map(|ip| ip.parse().expect("an address"));
        for octets in [1, 100, 1_372] {
            let packet = udp(from, 40_000, to, 7, &vec![0x5a; octets]);
            let mut frame = Vec::with_capacity(HEADROOM + packet.len() + TAILROOM);
            let mut random = Counting(0);
            let spent = allocation_counter::measure(|| {
                for _ in 0..500 {
                    frame.clear();
                    frame.resize(HEADROOM, 0);
                    frame.extend_from_slice(&packet);
                    let range = sender.seal(&mut frame, &mut random).expect("sealed");
                    let sealed = &mut frame[range];
                    let inner = receiver.open(sealed).expect("opened");
                    assert_eq!(sealed[inner], packet);
                    // Refused ones neither.
                    assert!(receiver.open(sealed).is_err());
                }
            });
            assert_eq!(spent.count_total, 0, "{encr:?} {integ:?}, {octets} octets: {spent:?}");
        }
    }
}
