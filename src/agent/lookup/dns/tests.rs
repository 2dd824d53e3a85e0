use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::Mutex;
use tokio::task::AbortHandle;

const NAME: &str = "VPN.Example.com";

/// Octets of an answer: the question again, and records (owner, type, data).
fn answer(query: &[u8], flags: u16, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
    let mut octets = query.to_vec();
    octets[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
    octets[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    for (owner, kind, data) in records {
        octets.extend(if owner.is_empty() { vec![0xc0, 12] } else { Name::of(owner).unwrap().0 });
        octets.extend(kind.to_be_bytes());
        octets.extend([0, 1, 0, 0, 0, 60]);
        octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        octets.extend(data);
    }
    octets
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

fn kind_of(query: &[u8]) -> u16 {
    u16::from_be_bytes([query[query.len() - 4], query[query.len() - 3]])
}

fn name_of(query: &[u8]) -> Vec<u8> {
    query[12..query.len() - 4].to_vec()
}

fn v4(last: u8) -> (IpAddr, Vec<u8>) {
    let ip = Ipv4Addr::new(192, 0, 2, last);
    (ip.into(), ip.octets().to_vec())
}

fn v6(last: u16) -> (IpAddr, Vec<u8>) {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    (ip.into(), ip.octets().to_vec())
}

/// A server that says what it is told to each question; nothing at all where that is empty.
struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn new(say: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = &buffer[..length];
                seen.lock().unwrap().push(query.to_vec());
                for octets in say(query) {
                    socket.send_to(&octets, from).await.unwrap();
                }
            }
        });
        Self { at, asked, task: task.abort_handle() }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn open(ipv6: bool) -> io::Result<UdpSocket> {
    UdpSocket::bind(if ipv6 { "[::]:0" } else { "0.0.0.0:0" }).await
}

async fn look_up(servers: &[&Server]) -> Result<Vec<IpAddr>, LookUpError> {
    let servers: Vec<_> = servers.iter().map(|server| server.at).collect();
    ask(NAME, &servers, open, &mut OsRandom::new()).await
}

fn both(query: &[u8]) -> Vec<Vec<u8>> {
    let record = if kind_of(query) == A { ("", A, v4(1).1) } else { ("", AAAA, v6(1).1) };
    vec![answer(query, 0, &[record])]
}

#[tokio::test]
async fn both_families_are_asked_for_with_numbers_of_their_own() {
    let server = Server::new(both).await;
    assert_eq!(look_up(&[&server]).await.unwrap(), [v6(1).0, v4(1).0]);
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0][..2], asked[1][..2], "the same number by a chance of 1 in 65,536");
    assert!(asked.iter().all(|query| name_of(query) == Name::of("vpn.example.com").unwrap().0));
}

#[tokio::test]
async fn one_family_is_enough_and_the_other_is_not_waited_for_long() {
    for quiet in [A, AAAA] {
        let server =
            Server::new(move |query| if kind_of(query) == quiet { Vec::new() } else { both(query) }).await;
        let wanted = if quiet == A { v6(1).0 } else { v4(1).0 };
        assert_eq!(look_up(&[&server]).await.unwrap(), [wanted]);
    }
    // "None" for one family says nothing of the other.
    let half = Server::new(|query| match kind_of(query) {
        A => Vec::new(),
        _ => vec![answer(query, 0, &[])],
    })
    .await;
    assert!(matches!(look_up(&[&half]).await, Err(LookUpError::NoAnswer { .. })));
}

#[tokio::test]
async fn aliases_are_followed_inside_an_answer_and_beyond() {
    let server = Server::new(|query| {
        let alias = |to: &str| Name::of(to).unwrap().0;
        let first = name_of(query) == Name::of(NAME).unwrap().0;
        vec![match (kind_of(query), first) {
            (A, true) => answer(
                query,
                0,
                &[
                    ("", CNAME, alias("one.example.net")),
                    ("ONE.example.net", CNAME, alias("two.example.net")),
                    // Of somebody else: not what was asked for.
                    ("three.example.net", A, v4(66).1),
                ],
            ),
            (A, false) => answer(query, 0, &[("", A, v4(2).1), ("", A, v4(2).1), ("", A, v4(3).1)]),
            (_, true) => answer(query, 0, &[("", CNAME, alias("one.example.net"))]),
            (..) => answer(query, 0, &[]),
        }]
    })
    .await;
    assert_eq!(look_up(&[&server]).await.unwrap(), [v4(2).0, v4(3).0]);
    let endless = Server::new(|query| {
        let at = query[13];
        let next = Name::of(&format!("{}.example.com", char::from(b'a' + at % 26))).unwrap().0;
        vec![answer(query, 0, &[("", CNAME, next)])]
    })
    .await;
    assert!(matches!(look_up(&[&endless]).await, Err(LookUpError::NoAnswer { .. })));
    assert!(endless.asked() <= 2 * (ALIASES + 1));
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_is_dead_refuses_or_lies() {
    let good = Server::new(both).await;
    let silent = Server::new(|_| Vec::new()).await;
    let refusing = Server::new(|query| vec![answer(query, 5, &[])]).await;
    let cut = Server::new(|query| vec![answer(query, 0x200, &[])]).await;
    let lying = Server::new(|query| {
        let good = both(query).remove(0);
        let change = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] ^= octet;
            octets
        };
        // Another number, no answer, another operation, no question, another name, another type, cut short.
        let mut lies: Vec<_> = [(1, 1), (2, 0x80), (2, 0x08), (5, 1), (14, 1), (query.len() - 3, 2)]
            .map(|(at, x)| change(at, x))
            .into();
        lies.extend([good[..11].to_vec(), good[..query.len() - 1].to_vec(), Vec::new()]);
        lies
    })
    .await;
    for bad in [&silent, &refusing, &cut, &lying] {
        assert_eq!(look_up(&[bad, &good]).await.unwrap(), [v6(1).0, v4(1).0]);
        assert_eq!(bad.asked(), 2);
    }
    let none = look_up(&[&refusing, &cut]).await.unwrap_err().to_string();
    assert!(none.contains("outside the tunnel"), "{none}");
}

#[tokio::test]
async fn what_is_known_not_to_be_is_not_asked_for_again() {
    let unknown = Server::new(|query| vec![answer(query, 3, &[])]).await;
    let empty = Server::new(|query| vec![answer(query, 0, &[])]).await;
    let other = Server::new(both).await;
    assert!(matches!(look_up(&[&unknown, &other]).await, Err(LookUpError::Unknown { .. })));
    assert!(matches!(look_up(&[&empty, &other]).await, Err(LookUpError::NoAddress { .. })));
    assert_eq!(other.asked(), 0);
}

/// Whoever hears the question answers at once, and right, but from elsewhere.
#[tokio::test]
async fn an_answer_of_another_server_is_none() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = server.recv_from(&mut buffer).await {
            let query = &buffer[..length];
            let record = if kind_of(query) == A { ("", A, v4(66).1) } else { ("", AAAA, v6(66).1) };
            stranger.send_to(&answer(query, 0, &[record]), from).await.unwrap();
            server.send_to(&both(query)[0], from).await.unwrap();
        }
    });
    let found = ask(NAME, &[at], open, &mut OsRandom::new()).await;
    task.abort();
    assert_eq!(found.unwrap(), [v6(1).0, v4(1).0]);
}

#[tokio::test]
async fn a_socket_that_cannot_be_had_and_an_unsound_name_are_told() {
    let no_socket = |_| async { Err(io::Error::other("no helper")) };
    let why = ask(NAME, &["127.0.0.1:53".parse().unwrap()], no_socket, &mut OsRandom::new()).await;
    assert!(why.unwrap_err().to_string().contains("no helper"));
    assert!(matches!(outside(NAME, &[], open).await, Err(LookUpError::NoAnswer { .. })));
    let long = "a".repeat(64);
    for name in ["", ".", "a..b", "vpn.\u{e4}.com", &long, &vec!["abc"; 64].join(".")] {
        assert!(matches!(outside(name, &[], open).await, Err(LookUpError::NoName { .. })), "{name:?}");
    }
}

proptest! {
    /// Whatever arrives is read or not, and gives nothing that was not asked for.
    #[test]
    fn any_datagram_is_read_or_refused(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        honest: bool,
        records in 0_u16..200,
    ) {
        let question = Question { id: 7, name: Name::of(NAME).unwrap(), kind: DnsQueryType::A };
        let mut datagram = octets;
        if honest {
            let mut head = answer(&question.encode(), 0, &[]);
            head[6..8].copy_from_slice(&records.to_be_bytes());
            head.append(&mut datagram);
            datagram = head;
        }
        if let Some(answer) = question.answered_by(&datagram) {
            prop_assert!(answer.addresses.len() <= RECORDS);
            prop_assert!(answer.addresses.iter().all(IpAddr::is_ipv4));
            prop_assert!(answer.alias.is_none_or(|alias| alias.0.len() <= MAX_NAME));
        }
    }

    /// Names point to names, to themselves and into the middle of things: reading ends.
    #[test]
    fn pointers_have_an_end(targets in proptest::collection::vec(0_u8..80, 1..40)) {
        let question = Question { id: 7, name: Name::of(NAME).unwrap(), kind: DnsQueryType::A };
        let mut datagram = answer(&question.encode(), 0, &[]);
        datagram[6..8].copy_from_slice(&40_u16.to_be_bytes());
        for target in targets {
            datagram.extend([1, b'x', 0xc0, target, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, target]);
        }
        let _ = question.answered_by(&datagram);
    }
}
