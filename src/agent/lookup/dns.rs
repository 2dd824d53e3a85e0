//! Questions to the DNS servers outside the tunnel, over sockets that bypass it.
//!
//! A small stub resolver: A and AAAA, CNAMEs followed. What arrives is believed only if it comes from the server that was
//! asked, to the port and with the number that were drawn for this question, and repeats the question; nothing else ends the
//! wait.

use super::{LookUpError, distinct};
use crate::agent::clock::OsRandom;
use crate::crypto::Random;
use smoltcp::wire::{
    DnsFlags, DnsOpcode, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData, DnsRepr,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Where DNS servers listen.
const PORT: u16 = 53;
/// Servers that are asked.
const SERVERS: usize = 3;
/// Times that each is asked.
const ROUNDS: usize = 2;
/// One server has so long to answer both questions.
const PATIENCE: Duration = Duration::from_millis(800);
/// Everything takes so long at most.
const LIMIT: Duration = Duration::from_secs(5);
/// CNAMEs that are followed.
const ALIASES: usize = 8;
/// Datagrams that a wait for two answers looks at.
const DATAGRAMS: usize = 64;
/// The longest answer that is read; no longer one was asked for (512), but some send it.
const ANSWER: usize = 4096;
/// RFC 1035 section 2.3.4, octets: a name on the wire, a label.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
/// What is asked for.
const FAMILIES: [DnsQueryType; 2] = [DnsQueryType::Aaaa, DnsQueryType::A];
/// Records of an answer that are looked at.
const RECORDS: usize = 64;

/// The addresses of `name` as the servers outside know them. `open` gives an unbound UDP socket of a family (true: IPv6) that
/// bypasses the tunnel; each server gets one of its own, with a port that the kernel draws. Takes 5 s at most.
///
/// # Errors
/// See [`LookUpError`].
pub async fn outside<O, F>(name: &str, servers: &[IpAddr], open: O) -> Result<Vec<IpAddr>, LookUpError>
where
    O: Fn(bool) -> F,
    F: Future<Output = io::Result<UdpSocket>>,
{
    let servers: Vec<_> = servers.iter().map(|ip| SocketAddr::new(*ip, PORT)).collect();
    match timeout(LIMIT, ask(name, &servers, open, &mut OsRandom::new())).await {
        Ok(answer) => answer,
        Err(_) => {
            let why = format!("nobody has answered for {} s", LIMIT.as_secs());
            Err(LookUpError::NoAnswer { name: name.to_owned(), why })
        }
    }
}

async fn ask<O, F>(
    name: &str,
    servers: &[SocketAddr],
    open: O,
    random: &mut dyn Random,
) -> Result<Vec<IpAddr>, LookUpError>
where
    O: Fn(bool) -> F,
    F: Future<Output = io::Result<UdpSocket>>,
{
    let mut wanted = Name::of(name).ok_or_else(|| LookUpError::NoName { name: name.to_owned() })?;
    let mut why = "no server is known there".to_owned();
    let mut aliases = 0;
    let turns = || (0..ROUNDS).flat_map(|_| servers.iter().take(SERVERS));
    let mut left = turns();
    while let Some(server) = left.next() {
        let answered = match open(server.is_ipv6()).await {
            Ok(socket) => ask_one(&socket, *server, &wanted, random).await,
            Err(error) => Err(error),
        };
        let answers = match answered {
            Ok(answers) => answers,
            Err(error) => {
                why = format!("{}: {error}", server.ip());
                continue;
            }
        };
        let addresses = distinct(answers.iter().flat_map(|answer| &answer.addresses).copied());
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        if answers.iter().any(|answer| answer.rcode == DnsRcode::NXDomain) {
            return Err(LookUpError::Unknown { name: name.to_owned() });
        }
        if let Some(alias) = answers.iter().find_map(|answer| answer.alias.clone()) {
            aliases += 1;
            if aliases > ALIASES {
                why = "its aliases have no end".to_owned();
                break;
            }
            wanted = alias;
            left = turns();
            continue;
        }
        match answers.iter().find(|answer| answer.rcode != DnsRcode::NoError) {
            Some(refusal) => why = format!("{} answers {:?}", server.ip(), refusal.rcode),
            None if answers.iter().any(|answer| answer.cut) => {
                why = format!("{} has more to say than fits a datagram", server.ip());
            }
            // Of one family alone this says nothing.
            None if answers.len() < FAMILIES.len() => why = format!("{} answers half", server.ip()),
            None => return Err(LookUpError::NoAddress { name: name.to_owned() }),
        }
    }
    Err(LookUpError::NoAnswer { name: name.to_owned(), why })
}

/// Asks one server for addresses of both families; what it says of one will do where the other stays unanswered.
async fn ask_one(
    socket: &UdpSocket,
    server: SocketAddr,
    name: &Name,
    random: &mut dyn Random,
) -> io::Result<Vec<Answer>> {
    socket.connect(server).await?;
    let mut open: Vec<Question> = FAMILIES.map(|kind| Question::new(name, kind, random)).into();
    for question in &open {
        socket.send(&question.encode()).await?;
    }
    let mut answers = Vec::new();
    let mut buffer = vec![0; ANSWER];
    let listen = async {
        for _ in 0..DATAGRAMS {
            let length = socket.recv(&mut buffer).await?;
            let octets = buffer.get(..length).unwrap_or_default();
            let found = open.iter().enumerate().find_map(|(at, q)| Some((at, q.answered_by(octets)?)));
            let Some((at, answer)) = found else { continue };
            open.remove(at);
            answers.push(answer);
            if open.is_empty() {
                break;
            }
        }
        Ok(())
    };
    match timeout(PATIENCE, listen).await {
        _ if !answers.is_empty() => Ok(answers),
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) => Err(io::Error::other("it sends what was not asked for")),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A name as on the wire, in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Name(Vec<u8>);

impl Name {
    /// `None` where it is too long, has an empty label, or is not ASCII.
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let sound = |label: &str| !label.is_empty() && label.is_ascii();
        text.split('.').all(sound).then(|| Self::join(text.split('.').map(|label| Some(label.as_bytes()))))?
    }

    /// `None` where it is damaged.
    fn read(packet: &DnsPacket<&[u8]>, octets: &[u8]) -> Option<Self> {
        Self::join(packet.parse_name(octets).map(Result::ok))
    }

    fn join<'a>(labels: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Self> {
        let mut name = Vec::new();
        for label in labels {
            let label = label.filter(|label| label.len() <= MAX_LABEL)?;
            name.push(u8::try_from(label.len()).ok()?);
            name.extend(label.iter().map(u8::to_ascii_lowercase));
            if name.len() >= MAX_NAME {
                return None;
            }
        }
        name.push(0);
        Some(Self(name))
    }
}

/// A question that was asked.
struct Question {
    id: u16,
    name: Name,
    kind: DnsQueryType,
}

/// What a server says to a question.
#[derive(Debug)]
struct Answer {
    rcode: DnsRcode,
    addresses: Vec<IpAddr>,
    /// The name that stands for the one asked for, where nothing is said of its addresses.
    alias: Option<Name>,
    /// There was more.
    cut: bool,
}

impl Question {
    fn new(name: &Name, kind: DnsQueryType, random: &mut dyn Random) -> Self {
        let mut id = [0; 2];
        random.fill(&mut id);
        Self { id: u16::from_be_bytes(id), name: name.clone(), kind }
    }

    fn encode(&self) -> Vec<u8> {
        let question = DnsRepr {
            transaction_id: self.id,
            opcode: DnsOpcode::Query,
            flags: DnsFlags::RECURSION_DESIRED,
            question: DnsQuestion { name: &self.name.0, type_: self.kind },
        };
        let mut octets = vec![0; question.buffer_len()];
        question.emit(&mut DnsPacket::new_unchecked(&mut octets));
        octets
    }

    /// The answer in a datagram; `None` where it is none to this question. A damaged one is none.
    fn answered_by(&self, datagram: &[u8]) -> Option<Answer> {
        let packet = DnsPacket::new_checked(datagram).ok()?;
        let ours = packet.transaction_id() == self.id
            && packet.flags().contains(DnsFlags::RESPONSE)
            && packet.opcode() == DnsOpcode::Query
            && packet.question_count() == 1;
        if !ours {
            return None;
        }
        let (mut rest, question) = DnsQuestion::parse(packet.payload()).ok()?;
        if question.type_ != self.kind || Name::read(&packet, question.name)? != self.name {
            return None;
        }
        let mut owner = self.name.clone();
        let mut addresses = Vec::new();
        // Aliases come before what they stand for.
        for _ in 0..usize::from(packet.answer_record_count()).min(RECORDS) {
            let Ok((next, record)) = DnsRecord::parse(rest) else { break };
            rest = next;
            if Name::read(&packet, record.name).is_none_or(|name| name != owner) {
                continue;
            }
            match record.data {
                DnsRecordData::A(ip) if self.kind == DnsQueryType::A => addresses.push(ip.into()),
                DnsRecordData::Aaaa(ip) if self.kind == DnsQueryType::Aaaa => addresses.push(ip.into()),
                DnsRecordData::Cname(alias) if addresses.is_empty() => {
                    owner = Name::read(&packet, alias)?;
                }
                _ => {}
            }
        }
        let alias = Some(owner).filter(|owner| addresses.is_empty() && *owner != self.name);
        Some(Answer {
            rcode: packet.rcode(),
            addresses,
            alias,
            cut: packet.flags().contains(DnsFlags::TRUNCATED),
        })
    }
}

#[cfg(test)]
mod tests;
