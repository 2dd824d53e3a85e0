//! What all worlds share: keys and certificates, read and issued once, and the seed's profile.

use ikeep::crypto::Signer;
use ikeep::gateway::{Gateway, GatewayConfig};
use ikeep::ike::cert::Root;
use ikeep::ike::eap::Device;
use ikeep::lab::pki::{Identity, IssuedBy, Leaf, Pki, TestKey};
use ikeep::profile::Profile;
use ikeep::time::UnixTime;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(crate) const PASSWORD: &str = "cisco";
/// Answers to ping, behind every gateway.
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
/// Civil time at the beginning.
pub(crate) const START: UnixTime = UnixTime::from_secs(1_800_000_000);
const HOST: &str = "flexvpn-c8kv.example.com";

/// What a gateway shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Certificate {
    /// RSA-2048: what the seed's router has.
    Rsa,
    /// P-256: a tenth of the cost to sign with.
    P256,
    /// The same name and root, another key and another time: renewed.
    Renewed,
    /// The right name, issued by a root that nobody trusts.
    Stranger,
    /// The right root, another machine's name.
    Neighbour,
}

pub(crate) struct Lab {
    rsa: Identity,
    p256: Identity,
    renewed: Identity,
    stranger: Identity,
    neighbour: Identity,
    pub(crate) roots: Vec<Root>,
    pub(crate) profile: Profile,
}

pub(crate) static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let pki = Pki::new(START).expect("the lab's keys");
    let issue = |leaf: Leaf| pki.issue(&leaf).expect("a certificate");
    let p256 = || Leaf { key: TestKey::GatewayP256, ..pki.leaf(HOST) };
    let (profile, _) =
        Profile::parse(include_bytes!("../../../profiles/flexvpn-c8kv.xml")).expect("the seed's profile");
    Lab {
        rsa: issue(pki.leaf(HOST)),
        p256: issue(p256()),
        renewed: issue(Leaf {
            key: TestKey::User,
            not_after: START + Duration::from_secs(100 * 86_400),
            ..pki.leaf(HOST)
        }),
        stranger: issue(Leaf { issuer: IssuedBy::OtherCa, ..p256() }),
        neighbour: issue(Leaf { key: TestKey::GatewayP256, ..pki.leaf("neighbour.example.com") }),
        roots: vec![Root { der: pki.ca().to_vec(), configured: true }],
        profile,
    }
});

impl Certificate {
    /// A gateway shows this one from now on.
    pub(crate) fn equip(self, gateway: &mut Gateway) {
        let identity = LAB.identity(self);
        gateway.set_certificate(identity.chain.clone(), Arc::clone(&identity.signer));
    }
}

impl Lab {
    fn identity(&self, which: Certificate) -> &Identity {
        match which {
            Certificate::Rsa => &self.rsa,
            Certificate::P256 => &self.p256,
            Certificate::Renewed => &self.renewed,
            Certificate::Stranger => &self.stranger,
            Certificate::Neighbour => &self.neighbour,
        }
    }

    pub(crate) fn signer(&self, which: Certificate) -> Arc<dyn Signer> {
        Arc::clone(&self.identity(which).signer)
    }

    /// Puts a certificate and its key into a configuration.
    pub(crate) fn equip(&self, config: &mut GatewayConfig, which: Certificate) {
        config.chain = self.identity(which).chain.clone();
        config.signer = self.signer(which);
    }
}

/// What a login says about the machine.
pub(crate) fn device() -> Device {
    Device {
        version: "ikeep 0".into(),
        computer_name: "laptop".into(),
        device_type: "linux".into(),
        platform_version: "6".into(),
        unique_id: "00".into(),
        unique_id_global: "00".into(),
    }
}
