//! A RADIUS server as the embedded gateway's AAA: asked once at a login, never at a reconnect.

mod digest;
pub mod packet;

use crate::agent::clock::OsRandom;
use crate::crypto::{Random as _, Secret};
use crate::gateway::aaa::{Answer, Doubt, Question};
use packet::{MAX_PACKET, Request};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

/// RFC 2865 3.
pub const PORT: u16 = 1812;
/// The same request is sent so often, ..
const TRIES: u32 = 3;
/// .. and so long apart, divided by the addresses that are asked. Half-open logins wait for 30 s.
const INTERVAL: Duration = Duration::from_secs(3);
/// Answers that do not count are told of so often in the log for each question: anybody can send them.
const LOUD: u32 = 8;
/// Addresses of a server that are asked, one after the other.
const ADDRESSES: usize = 3;

/// A server, and the secret that it shares with this gateway.
#[derive(Clone, Debug)]
pub struct Radius {
    /// In the order to ask them; one at least.
    servers: Vec<SocketAddr>,
    secret: Secret,
    nas: IpAddr,
}

impl Radius {
    /// `server`: HOST or HOST:PORT. `nas`: this gateway's address as the server is told it.
    ///
    /// # Errors
    /// The name has no address.
    pub async fn find(server: &str, secret: Secret, nas: IpAddr) -> io::Result<Self> {
        let bare = server.trim_start_matches('[').trim_end_matches(']');
        let servers: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, PORT)],
            Err(_) if server.contains(':') => lookup_host(server).await?.take(ADDRESSES).collect(),
            Err(_) => lookup_host((server, PORT)).await?.take(ADDRESSES).collect(),
        };
        if servers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
        }
        Ok(Self { servers, secret, nas })
    }

    /// Asks each address of the server at most three times, one after the other, 9 s in all. Every question has a socket of its own:
    /// its port is not known to who did not see it.
    pub async fn ask(&self, question: &Question) -> Answer {
        let mut heard = Heard::default();
        for server in &self.servers {
            match self.try_to_ask(*server, question, &mut heard).await {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, %server, "the RADIUS server cannot be asked"),
            }
        }
        heard.doubt.map_or(Answer::Silent, Answer::Unbelieved)
    }

    async fn try_to_ask(
        &self,
        server: SocketAddr,
        question: &Question,
        heard: &mut Heard,
    ) -> io::Result<Option<Answer>> {
        let mut random = OsRandom::new();
        let mut authenticator = [0; 16];
        random.fill(&mut authenticator);
        let id = random.below(256) as u8;
        let Some(request) = Request::new(question, self.nas, &self.secret, (id, authenticator)) else {
            return Ok(Some(Answer::Reject { message: String::new() }));
        };
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        let interval = INTERVAL / u32::try_from(self.servers.len()).unwrap_or(1);
        for _ in 0..TRIES {
            // A refusal of the one before (ICMP) is told here, too.
            if let Err(error) = socket.send(&request.octets).await
                && error.kind() != io::ErrorKind::ConnectionRefused
            {
                return Err(error);
            }
            if let Ok(answer) = timeout(interval, self.answer(server, &socket, &request, heard)).await {
                return answer.map(Some);
            }
        }
        Ok(None)
    }

    /// The first answer that counts.
    async fn answer(
        &self,
        server: SocketAddr,
        socket: &UdpSocket,
        request: &Request,
        heard: &mut Heard,
    ) -> io::Result<Answer> {
        let mut buffer = vec![0; MAX_PACKET];
        loop {
            let length = match socket.recv(&mut buffer).await {
                Ok(length) => length,
                // Nobody listens there just now: the request is repeated in its time.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::future::pending().await
                }
                Err(error) => return Err(error),
            };
            match request.read(buffer.get(..length).unwrap_or_default(), &self.secret) {
                Ok((answer, unused)) => {
                    for what in unused {
                        tracing::warn!(%server, "the RADIUS server grants what is not used: {what}");
                    }
                    return Ok(answer);
                }
                Err(bad) => {
                    heard.doubt = Some(bad.doubt());
                    heard.bad = heard.bad.saturating_add(1);
                    if heard.bad <= LOUD {
                        tracing::warn!(%server, "an answer of the RADIUS server does not count: {bad}");
                    }
                }
            }
        }
    }
}

/// What came as answers to one question and does not count.
#[derive(Default)]
struct Heard {
    bad: u32,
    /// Of the last one.
    doubt: Option<Doubt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(user: &str) -> Question {
        Question {
            id: 1,
            user: user.into(),
            password: Secret::from(&b"word"[..]),
            peer: Ipv4Addr::LOCALHOST.into(),
            state: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_is_asked_until_one_answers() {
        let bind = async || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (silent, other) = (bind().await, bind().await);
        let servers = vec![silent.local_addr().unwrap(), other.local_addr().unwrap()];
        let radius =
            Radius { servers, secret: Secret::from(&b"secret"[..]), nas: Ipv4Addr::UNSPECIFIED.into() };
        let asking = tokio::spawn(async move { radius.ask(&question("anna")).await });
        let mut buffer = [0; MAX_PACKET];
        for socket in [&silent, &other] {
            for _ in 0..TRIES {
                let length = socket.recv(&mut buffer).await.unwrap();
                assert!(length > 20 && buffer[0] == 1, "an Access-Request");
            }
        }
        assert_eq!(asking.await.unwrap(), Answer::Silent);
    }
}
