//! The seed's own output, reproduced from its values.

use super::*;
use crate::crypto::{Group, Prf};

fn spi(text: &str) -> Spi {
    u64::from_str_radix(text, 16).unwrap().to_be_bytes()
}

/// The session after the login, as the seed shows it.
fn login() -> SessionView {
    SessionView {
        interface: 1,
        profile: "AnyConnect-EAP".into(),
        uptime: Duration::from_secs(15),
        local: "10.106.45.225:4500".parse().unwrap(),
        peer: "10.106.69.69:63516".parse().unwrap(),
        local_id: identity_text(1, &[10, 106, 45, 225]),
        remote_id: identity_text(201, b"*$AnyConnectClient$*"),
        eap_user: Some("user1".into()),
        number: 16,
        ce_id: 1016,
        connid: 1,
        nat: true,
        fragmentation: Fragmentation::Off,
        ike: IkeSuite {
            encr: Encr::AesCbc256,
            integ: Some(Integ::HmacSha512_256),
            prf: Prf::HmacSha512,
            group: Group::Ecp256,
            additional: None,
        },
        spis: (spi("67C3394ED1EAADE7"), spi("EBFE2587F20EA7C2")),
        lifetime: Duration::from_secs(86_400),
        message_ids: (0, 26),
        dpd: (Duration::from_secs(45), Duration::from_secs(2)),
        address: "192.168.20.5".parse().unwrap(),
        child: Some(ChildView {
            local: vec![TrafficSelector::any_v4()],
            remote: vec![TrafficSelector::host("192.168.20.5".parse().unwrap())],
            spis: (0x2E14_CBAF, 0x0D55_90D3),
            esp: EspSuite {
                encr: Encr::AesCbc256,
                integ: Some(Integ::HmacSha384_192),
                group: None,
                esn: false,
            },
            stats: SaStats { packets_in: 15, packets_out: 15, ..SaStats::default() },
            octets: (2048, 1000),
            volume_kb: 4_608_000,
            left: Duration::from_secs(3585),
        }),
    }
}

#[test]
fn session_detail_is_the_seeds() {
    let seed = "\
Crypto session current status
Code: C - IKE Configuration mode, D - Dead Peer Detection
K - Keepalives, N - NAT-traversal, T - cTCP encapsulation
X - IKE Extended Authentication, F - IKE Fragmentation
R - IKE Auto Reconnect
Interface: Virtual-Access1
Profile: AnyConnect-EAP
Uptime: 00:00:15
Session status: UP-ACTIVE
Peer: 10.106.69.69 port 63516 fvrf: (none) ivrf: (none)
Phase1_id: *$AnyConnectClient$*
Desc: (none)
Session ID: 16
IKEv2 SA: local 10.106.45.225/4500 remote 10.106.69.69/63516 Active
Capabilities:DN connid:1 lifetime:23:59:45
IPSEC FLOW: permit ip 0.0.0.0/0.0.0.0 host 192.168.20.5
Active SAs: 2, origin: crypto map
Inbound: #pkts dec'ed 15 drop 0 life (KB/Sec) 4607998/3585
Outbound: #pkts enc'ed 15 drop 0 life (KB/Sec) 4608000/3585
";
    assert_eq!(session_detail(&[login()]), seed);
}

#[test]
fn ikev2_session_detailed_is_the_seeds() {
    let mut view = login();
    view.uptime = Duration::from_secs(620);
    let seed = "\
IPv4 Crypto IKEv2 Session
Session-id:16, Status:UP-ACTIVE, IKE count:1, CHILD count:1
Tunnel-id Local Remote fvrf/ivrf Status
1 10.106.45.225/4500 10.106.69.69/63516 none/none READY
Encr: AES-CBC, keysize: 256, PRF: SHA512, Hash: SHA512, DH Grp:19, Auth sign: RSA, Auth verify: AnyConnect-EAP
Life/Active Time: 86400/620 sec
CE id: 1016, Session-id: 16
Status Description: Negotiation done
Local spi: 67C3394ED1EAADE7 Remote spi: EBFE2587F20EA7C2
Local id: 10.106.45.225
Remote id: *$AnyConnectClient$*
Remote EAP id: user1
Local req msg id: 0 Remote req msg id: 26
Local next msg id: 0 Remote next msg id: 26
Local req queued: 0 Remote req queued: 26
Local window: 5 Remote window: 1
DPD configured for 45 seconds, retry 2
Fragmentation not configured.
Extended Authentication not configured.
NAT-T is detected outside
Cisco Trust Security SGT is disabled
Assigned host addr: 192.168.20.5
Initiator of SA : No
PEER TYPE: AnyConnect
Child sa: local selector 0.0.0.0/0 - 255.255.255.255/65535
remote selector 192.168.20.5/0 - 192.168.20.5/65535
ESP spi in/out: 0x2E14CBAF/0xD5590D3
AH spi in/out: 0x0/0x0
CPI in/out: 0x0/0x0
Encr: AES-CBC, keysize: 256, esp_hmac: SHA384
ah_hmac: None, comp: IPCOMP_NONE, mode tunnel
";
    assert_eq!(ikev2_session_detailed(&[view]), seed);
}

#[test]
fn after_a_reconnect_the_id_is_hex_and_the_letter_r_is_there() {
    let mut view = login();
    view.eap_user = None;
    view.remote_id = identity_text(11, b"rIUHKccDRiUtFTATwq");
    let detail = session_detail(&[view.clone()]);
    assert!(detail.contains("\nPhase1_id: 724955484B63634452695574465441547771\n"), "{detail}");
    assert!(detail.contains("\nCapabilities:DNR connid:1 "), "{detail}");
    let detailed = ikev2_session_detailed(&[view]);
    assert!(detailed.contains(", Auth sign: RSA, Auth verify: PSK\n"), "{detailed}");
    assert!(detailed.contains("\nRemote id: 724955484B63634452695574465441547771\n"), "{detailed}");
    assert!(!detailed.contains("Remote EAP id"), "{detailed}");
    assert!(!detailed.contains("PEER TYPE"), "{detailed}");
}

#[test]
fn what_the_seed_does_not_show() {
    let mut view = login();
    view.nat = false;
    view.fragmentation = Fragmentation::Standard(1272);
    view.ike.encr = Encr::AesGcm256;
    view.ike.integ = None;
    view.peer = "[2001:db8::2]:4500".parse().unwrap();
    if let Some(child) = &mut view.child {
        child.local.push(TrafficSelector::any_v6());
        child.remote.push(TrafficSelector::host("fd00::5".parse().unwrap()));
    }
    let detail = session_detail(&[view.clone()]);
    assert!(detail.contains("Capabilities:DF connid"), "{detail}");
    assert!(detail.contains("IPSEC FLOW: permit ipv6 ::/0 host fd00::5\n"), "{detail}");
    assert_eq!(detail.matches("IPSEC FLOW").count(), 2, "{detail}");
    let detailed = ikev2_session_detailed(&[view]);
    assert!(detailed.starts_with("IPv6 Crypto IKEv2 Session\n"), "{detailed}");
    assert!(
        detailed.contains("Encr: AES-GCM, keysize: 256, PRF: SHA512, Hash: None, DH Grp:19"),
        "{detailed}"
    );
    assert!(detailed.contains("NAT-T is not detected\n"), "{detailed}");
}

#[test]
fn reconnect_counters_are_the_seeds() {
    let counters = Counters { reconnects: 1, reconnects_ok: 1, active: 1, ..Counters::default() };
    let seed = "\
Total incoming reconnect connection: 1
Success reconnect connection: 1
Failed reconnect connection: 0
Reconnect capable active session count: 1
Reconnect capable inactive session count: 0
";
    assert_eq!(stats_reconnect(&counters), seed);
}
