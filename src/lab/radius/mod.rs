//! A RADIUS server as the embedded gateway's AAA: asked once at a login, never at a reconnect.

mod digest;
pub mod packet;

use crate::agent::clock::OsRandom;
use crate::crypto::{Random as _, Secret};
use crate::gateway::aaa::{Answer, Question};
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
/// .. and so long apart. Half-open logins wait for 30 s.
const INTERVAL: Duration = Duration::from_secs(3);

/// A server, and the secret that it shares with this gateway.
#[derive(Clone, Debug)]
pub struct Radius {
    server: SocketAddr,
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
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => Some(SocketAddr::new(address, PORT)),
            Err(_) if server.contains(':') => lookup_host(server).await?.next(),
            Err(_) => lookup_host((server, PORT)).await?.next(),
        };
        let server = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))?;
        Ok(Self { server, secret, nas })
    }

    /// Asks; at most three times, 9 s in all. Every question has a socket of its own: its port is not known to who did not see
    /// it.
    pub async fn ask(&self, question: &Question) -> Answer {
        match self.try_to_ask(question).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, server = %self.server, "the RADIUS server cannot be asked");
                Answer::Silent
            }
        }
    }

    async fn try_to_ask(&self, question: &Question) -> io::Result<Answer> {
        let mut random = OsRandom::new();
        let mut authenticator = [0; 16];
        random.fill(&mut authenticator);
        let id = random.below(256) as u8;
        let Some(request) = Request::new(question, self.nas, &self.secret, (id, authenticator)) else {
            return Ok(Answer::Reject { message: String::new() });
        };
        let any: IpAddr =
            if self.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.server).await?;
        for _ in 0..TRIES {
            // A refusal of the one before (ICMP) is told here, too.
            if let Err(error) = socket.send(&request.octets).await
                && error.kind() != io::ErrorKind::ConnectionRefused
            {
                return Err(error);
            }
            if let Ok(answer) = timeout(INTERVAL, self.answer(&socket, &request)).await {
                return answer;
            }
        }
        Ok(Answer::Silent)
    }

    /// The first answer that counts.
    async fn answer(&self, socket: &UdpSocket, request: &Request) -> io::Result<Answer> {
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
                Ok(answer) => return Ok(answer),
                Err(bad) => {
                    tracing::warn!(server = %self.server, "an answer of the RADIUS server does not count: {bad}");
                }
            }
        }
    }
}
