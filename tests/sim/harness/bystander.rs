//! Somebody on the laptop's link who sees everything and can inject, but cannot block: he may cost time, nothing else.

use super::lab::{Certificate, LAB};
use super::random::Seeded;
use super::wire::{IKE_SESSION_RESUME, Ike, Seen, read};
use ikeep::crypto::Random;
use ikeep::gateway::{Gateway, GatewayConfig, Port};
use ikeep::ike::message::{Exchange, Notify, Outgoing, Payload, encode_message, notify};
use ikeep::time::{Instant, Now};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// What he does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Forgery {
    /// Answers IKE_SA_INIT with an error notify.
    InitError,
    /// Answers IKE_SA_INIT with a cookie, or with another group that is wanted.
    InitDetour,
    /// Plays a whole gateway of his own: a key exchange, then AUTHENTICATION_FAILED or a certificate that nobody trusts.
    Gateway,
    /// Answers IKE_AUTH and everything after with an unprotected AUTHENTICATION_FAILED.
    Plain,
    /// Sends what he saw again.
    Replay,
    /// Sends the laptop ESP and IKE that he made up.
    Noise,
}

/// See the module.
pub(crate) struct Bystander {
    pub(crate) forgery: Forgery,
    pub(crate) until: Instant,
    fake: Option<Box<Gateway>>,
    recorded: VecDeque<(u16, Vec<u8>)>,
}

/// Datagrams to inject towards the laptop: from which port of the gateway, what.
pub(crate) type Injected = Vec<(u16, Vec<u8>)>;

impl Bystander {
    pub(crate) fn new(forgery: Forgery, now: Now, until: Instant, gateway: IpAddr, seed: u64) -> Self {
        let fake = (forgery == Forgery::Gateway).then(|| {
            let mut config = GatewayConfig::seed(gateway, Vec::new(), LAB.signer(Certificate::Stranger));
            LAB.equip(&mut config, Certificate::Stranger);
            Box::new(Gateway::new(config, now, Box::new(Seeded::new(seed))))
        });
        Self { forgery, until, fake, recorded: VecDeque::new() }
    }

    /// The laptop sends something.
    pub(crate) fn see_outward(
        &mut self,
        now: Now,
        from: SocketAddr,
        port: u16,
        payload: &[u8],
        random: &mut Seeded,
    ) -> Injected {
        let Seen::Ike(ike) = read(port, payload) else { return self.noise(payload, random) };
        if ike.response {
            return Vec::new();
        }
        let init = ike.begins();
        match self.forgery {
            Forgery::InitError if ike.exchange == IKE_SESSION_RESUME => {
                vec![(port, plain(port, ike, [0; 8], notify::TICKET_NACK, Vec::new()))]
            }
            Forgery::InitError if init => {
                let kinds =
                    [notify::NO_PROPOSAL_CHOSEN, notify::INVALID_SYNTAX, notify::AUTHENTICATION_FAILED];
                vec![(port, plain(port, ike, [0; 8], kinds[random.below(3) as usize], Vec::new()))]
            }
            Forgery::InitDetour if init && random.chance(500) => {
                vec![(port, plain(port, ike, [0; 8], notify::COOKIE, random.u64().to_be_bytes().to_vec()))]
            }
            Forgery::InitDetour if init => {
                let group = [14u16, 19, 20, 21, 31, 77][random.below(6) as usize];
                let data = group.to_be_bytes().to_vec();
                vec![(port, plain(port, ike, [0; 8], notify::INVALID_KE_PAYLOAD, data))]
            }
            Forgery::Plain if !init => {
                vec![(port, plain(port, ike, ike.spi_r, notify::AUTHENTICATION_FAILED, Vec::new()))]
            }
            Forgery::Gateway => self.play(now, from, port, payload),
            _ => Vec::new(),
        }
    }

    /// The gateway sends something.
    pub(crate) fn see_inward(&mut self, port: u16, payload: &[u8], random: &mut Seeded) -> Injected {
        if self.forgery != Forgery::Replay {
            return Vec::new();
        }
        let old = random.below(self.recorded.len() as u64) as usize;
        let again = self.recorded.get(old).cloned();
        self.recorded.push_back((port, payload.to_vec()));
        if self.recorded.len() > 32 {
            self.recorded.pop_front();
        }
        again.into_iter().chain([(port, payload.to_vec())]).collect()
    }

    fn play(&mut self, now: Now, from: SocketAddr, port: u16, payload: &[u8]) -> Injected {
        let Some(fake) = &mut self.fake else { return Vec::new() };
        let to = if port == 500 { Port::Ike } else { Port::Nat };
        fake.handle_timeout(now);
        fake.handle_datagram(now, from, to, &mut payload.to_vec());
        while fake.poll_event().is_some() {}
        std::iter::from_fn(|| fake.poll_transmit())
            .map(|transmit| (if transmit.from == Port::Ike { 500 } else { 4500 }, transmit.payload))
            .collect()
    }

    fn noise(&mut self, payload: &[u8], random: &mut Seeded) -> Injected {
        if self.forgery != Forgery::Noise {
            return Vec::new();
        }
        let mut esp = payload.to_vec();
        random.fill(&mut esp);
        let mut ike = vec![0; 60];
        random.fill(&mut ike[4..]);
        vec![(4500, esp), (4500, ike), (4500, vec![0xff])]
    }
}

/// An error answer that nothing protects.
fn plain(port: u16, to: Ike, spi_r: [u8; 8], kind: u16, data: Vec<u8>) -> Vec<u8> {
    let exchange = match to.exchange {
        34 => Exchange::IkeSaInit,
        35 => Exchange::IkeAuth,
        36 => Exchange::CreateChildSa,
        38 => Exchange::IkeSessionResume,
        _ => Exchange::Informational,
    };
    let head =
        Outgoing { spi_i: to.spi_i, spi_r, exchange, initiator: false, response: true, message_id: to.id };
    let message = encode_message(&head, &[Payload::Notify(Notify::status(kind, data))]);
    if port == 500 { message } else { [&[0; 4], &message[..]].concat() }
}
