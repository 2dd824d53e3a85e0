//! The proxy on real sockets, with a stack of ours as the network behind the tunnel.

use super::*;
use crate::esp::HEADROOM;
use crate::esp::inner::{Udp, parse_udp, udp};
use crate::plan::Net;
use crate::tunnel::stack::{Handle, Inward, Stage};
use crate::tunnel::testing::{Seeded, ip, octets};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "www.inside.example.com";
const SERVER: [u8; 4] = [192, 168, 10, 1];
const DNS: &str = "192.168.10.53";

/// A clock that a test can put forward.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Duration>>);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
    fn now(&self) -> Instant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let boot = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap());
        Instant::from_boot(boot + *self.0.lock().unwrap())
    }

    fn leap(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

/// What the far side does with connections to port 80; other ports refuse, port 81 is silent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Far {
    /// Sends back what comes, and closes after the client.
    Echo,
    /// Sends so many octets and closes.
    Send(u64),
    /// Reads nothing.
    Deaf,
    /// Resets with the first octets.
    Reset,
    /// Says so much, and the end; resets what comes then.
    Rude(usize),
}

struct Stand {
    proxy: SocketAddr,
    plan: watch::Sender<Option<Plan>>,
    clock: Clock,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn plan() -> Plan {
    Plan {
        address4: Some(Ipv4Addr::new(192, 168, 20, 5)),
        dns: vec![ip(DNS)],
        include: vec![Net::new(ip("192.168.10.0"), 24).unwrap()],
        exclude: vec![Net::host(ip("192.168.10.99"))],
        ..Plan::default()
    }
}

async fn stand(plan: Option<Plan>, far: Far) -> Stand {
    stand_for(plan, far, Admission::default()).await
}

async fn stand_for(plan: Option<Plan>, far: Far, admission: Admission) -> Stand {
    stand_of(plan, far, |proxy| proxy.with(admission)).await
}

async fn stand_of(plan: Option<Plan>, far: Far, change: impl FnOnce(Proxy) -> Proxy) -> Stand {
    let clock = Clock::default();
    let proxy = change(Proxy::bind("127.0.0.1:0".parse().unwrap()).await.unwrap());
    let address = proxy.local_addr();
    let (outward, from_proxy) = mpsc::channel(512);
    let (to_proxy, inward) = mpsc::channel(512);
    let (plan_in, plan) = watch::channel(plan);
    let own = clock.clone();
    let run = proxy.run(Ports { outward, inward, plan }, move || own.now(), Seeded::new(1));
    let other = clock.clone();
    let tasks = vec![tokio::spawn(run), tokio::spawn(behind(from_proxy, to_proxy, far, other))];
    Stand { proxy: address, plan: plan_in, clock, tasks }
}

/// The network behind the tunnel.
async fn behind(mut from: mpsc::Receiver<Vec<u8>>, to: mpsc::Sender<Vec<u8>>, far: Far, clock: Clock) {
    let mut stack = Stack::new(Seeded::boxed(2), BUFFERS);
    stack.own_everything();
    stack.listen(80, 5000);
    let mut connections: BTreeMap<u64, (Handle, u64)> = BTreeMap::new();
    loop {
        let now = clock.now();
        let left = stack.poll_timeout(now).map_or(PATIENCE, |at| at.since(now));
        tokio::select! {
            frame = from.recv() => match frame {
                Some(frame) => {
                    let packet = frame[HEADROOM..].to_vec();
                    if let Some(answer) = dns(&packet) {
                        to.send(answer).await.unwrap();
                    } else if let Some(asked) = parse_udp(&packet) {
                        for answer in echoes(&asked) {
                            to.send(answer).await.unwrap();
                        }
                    } else if packet[22..24] != [0, 81] {
                        stack.receive(clock.now(), packet);
                    }
                }
                None => return,
            },
            () = tokio::time::sleep(left) => {}
        }
        let new: Vec<_> =
            std::iter::from_fn(|| stack.accept()).map(|handle| (handle.id(), (handle, 0))).collect();
        let mut due: Vec<u64> = new.iter().map(|(id, _)| *id).collect();
        connections.extend(new);
        due.extend(std::iter::from_fn(|| stack.next_touched()));
        for id in due {
            if let Some((handle, sent)) = connections.get_mut(&id) {
                serve(&mut stack, handle, sent, far);
            }
        }
        loop {
            stack.poll(clock.now());
            let Some(frame) = stack.poll_transmit() else { break };
            if to.send(frame[HEADROOM..].to_vec()).await.is_err() {
                return;
            }
        }
    }
}

/// What comes back for a datagram: first one of a host that nobody has asked, then the same octets.
fn echoes(asked: &Udp<'_>) -> [Vec<u8>; 2] {
    let from = |source: IpAddr, payload: &[u8]| {
        udp(source, asked.destination_port, asked.source, asked.source_port, payload)
    };
    let stranger = if asked.source.is_ipv4() { ip("192.168.10.77") } else { ip("2001:db8::77") };
    [from(stranger, b"from a stranger"), from(asked.destination, asked.payload)]
}

fn serve(stack: &mut Stack, handle: &Handle, sent: &mut u64, far: Far) {
    match far {
        Far::Echo => {
            while stack.unread(handle) > 0 && stack.can_send(handle) {
                let mut copy = Vec::new();
                stack.send_with(handle, |room| {
                    copy.resize(room.len(), 0);
                    0
                });
                let length = stack.receive_with(handle, |octets| {
                    let length = octets.len().min(copy.len());
                    copy[..length].copy_from_slice(&octets[..length]);
                    length
                });
                stack.send_with(handle, |room| {
                    room[..length].copy_from_slice(&copy[..length]);
                    length
                });
            }
            if stack.stage(handle) == Stage::Open && stack.inward(handle) == Inward::Finished {
                stack.close(handle);
            }
        }
        Far::Send(total) => {
            while *sent < total && stack.can_send(handle) {
                *sent += stack.send_with(handle, |room| {
                    let length = room.len().min((total - *sent) as usize);
                    room[..length].copy_from_slice(&octets(*sent, length));
                    length
                }) as u64;
            }
            if *sent == total {
                stack.close(handle);
            }
        }
        Far::Deaf => {}
        Far::Reset if stack.unread(handle) > 0 => stack.abort(handle),
        Far::Reset => {}
        Far::Rude(_) if stack.unread(handle) > 0 => stack.abort(handle),
        Far::Rude(length) if *sent == 0 => {
            *sent = stack.send_with(handle, |room| {
                room[..length].fill(7);
                length
            }) as u64;
            stack.close(handle);
        }
        Far::Rude(_) => {}
    }
}

/// Answers A for [`NAME`]; other names do not exist.
fn dns(packet: &[u8]) -> Option<Vec<u8>> {
    let query = parse_udp(packet).filter(|query| query.destination_port == 53)?;
    assert_eq!(query.destination, ip(DNS));
    let question = &query.payload[12..];
    let labels: Vec<u8> = NAME.split('.').fold(Vec::new(), |mut labels, label| {
        labels.push(label.len() as u8);
        labels.extend(label.as_bytes());
        labels
    });
    let known = question.strip_prefix(labels.as_slice()) == Some(&[0, 0, 1, 0, 1]);
    let mut answer = query.payload[..2].to_vec();
    answer.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(known), 0, 0, 0, 0]);
    answer.extend(question);
    if known {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(SERVER);
    }
    Some(udp(query.destination, 53, query.source, query.source_port, &answer))
}

async fn ask(stand: &Stand, request: &[u8]) -> (TcpStream, u8) {
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(&[&[5, 1, 0], request].concat()).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(answer[..3], [5, 0, 5]);
    assert_eq!(answer[4..6], [0, 1]);
    (client, answer[3])
}

fn by_address(address: [u8; 4], port: u8) -> Vec<u8> {
    [&[5, 1, 0, 1], &address[..], &[0, port]].concat()
}

fn by_name(name: &str) -> Vec<u8> {
    [&[5, 1, 0, 3, name.len() as u8], name.as_bytes(), &[0, 80]].concat()
}

async fn connected(stand: &Stand) -> TcpStream {
    let (client, reply) = ask(stand, &by_address(SERVER, 80)).await;
    assert_eq!(reply, 0);
    client
}

async fn read_to_end(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut got)).await.expect("an end")?;
    Ok(got)
}

#[tokio::test]
async fn octets_go_both_ways_and_each_side_closes_for_itself() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let client = connected(&stand).await;
    let (mut read, mut write) = client.into_split();
    let sent = octets(0, 3_000_000);
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    timeout(PATIENCE, read.read_to_end(&mut got)).await.expect("an end").unwrap();
    writer.await.unwrap();
    assert!(got == expected, "{} octets came back", got.len());
}

#[tokio::test]
async fn what_the_far_side_sends_before_it_closes_arrives_whole() {
    let stand = stand(Some(plan()), Far::Send(2_000_000)).await;
    let mut client = connected(&stand).await;
    let got = read_to_end(&mut client).await.unwrap();
    assert!(got == octets(0, 2_000_000));
    client.write_all(b"more").await.unwrap();
}

#[tokio::test]
async fn a_name_is_looked_up_in_the_tunnel() {
    let stand = stand(Some(plan()), Far::Send(10)).await;
    for name in [NAME, "WWW.Inside.Example.COM", "www.inside.example.com."] {
        let (mut client, reply) = ask(&stand, &by_name(name)).await;
        assert_eq!(reply, 0, "{name}");
        assert_eq!(read_to_end(&mut client).await.unwrap(), octets(0, 10));
    }
    // With an address of each family both are asked for; this name has one.
    stand.plan.send_replace(Some(Plan { address6: Some((Ipv6Addr::LOCALHOST, 128)), ..plan() }));
    assert_eq!(ask(&stand, &by_name(NAME)).await.1, 0);
    for name in ["localhost", "nobody.example.com", "a..b", &"x".repeat(64)] {
        assert_eq!(ask(&stand, &by_name(name)).await.1, 4, "{name}");
    }
}

#[tokio::test]
async fn every_failure_has_its_code() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let cases = [
        (by_address(SERVER, 82), 5, "refused by the peer"),
        (by_address([192, 168, 10, 99], 80), 2, "excluded"),
        (by_address([192, 168, 11, 1], 80), 2, "not included"),
        (by_address([127, 0, 0, 1], 80), 2, "this machine"),
        (by_address([169, 254, 1, 1], 80), 2, "this link"),
        (by_address([192, 168, 20, 5], 80), 2, "this end of the tunnel"),
        (vec![5, 2, 0, 1, 192, 168, 10, 1, 0, 80], 7, "BIND"),
    ];
    for (request, code, what) in cases {
        let (mut client, reply) = ask(&stand, &request).await;
        assert_eq!(reply, code, "{what}");
        assert!(read_to_end(&mut client).await.unwrap().is_empty(), "{what}: then the end");
    }
    stand.plan.send_replace(Some(Plan { include: Vec::new(), exclude: Vec::new(), ..plan() }));
    let six = [&[5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[1, 0, 80]].concat();
    assert_eq!(ask(&stand, &six).await.1, 3, "no address of this family");
    let everything = ask(&stand, &by_address([203, 0, 113, 1], 80)).await;
    assert_eq!(everything.1, 0, "an empty list means everything");
    stand.plan.send_replace(None);
    assert_eq!(ask(&stand, &by_address(SERVER, 80)).await.1, 3, "no plan");
}

#[tokio::test]
async fn silence_is_given_up_by_the_suspend_aware_clock() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(&[&[5, 1, 0], &by_address(SERVER, 81)[..]].concat()).await.unwrap();
    let mut answer = [0; 2];
    client.read_exact(&mut answer).await.unwrap();
    stand.clock.leap(Duration::from_secs(31));
    // The plan, sent again, wakes the proxy as after a resume; the request may not have been read yet.
    let asked = timeout(PATIENCE, async {
        let mut rest = [0; 10];
        let mut leaps = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                read = client.read_exact(&mut rest) => return read.map(|_| rest),
                _ = leaps.tick() => {
                    stand.clock.leap(Duration::from_secs(31));
                    stand.plan.send_replace(Some(plan()));
                }
            }
        }
    });
    assert_eq!(asked.await.unwrap().unwrap()[..2], [5, 4]);
}

#[tokio::test]
async fn a_reset_of_either_side_is_a_reset_of_the_other() {
    let resetting = stand(Some(plan()), Far::Reset).await;
    let mut client = connected(&resetting).await;
    client.write_all(b"x").await.unwrap();
    let error = read_to_end(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let other = stand(Some(plan()), Far::Echo).await;
    let mut client = connected(&other).await;
    other.plan.send_replace(Some(Plan { address4: Some(Ipv4Addr::new(192, 168, 20, 6)), ..plan() }));
    let error = read_to_end(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "its address is gone");
    connected(&other).await;
}

#[tokio::test]
async fn the_end_of_the_tunnel_is_no_regular_end_of_a_transfer() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let mut client = connected(&stand).await;
    stand.tasks.iter().for_each(JoinHandle::abort);
    let error = read_to_end(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_far_side_that_does_not_read_stops_the_client() {
    let stand = stand(Some(plan()), Far::Deaf).await;
    let mut client = connected(&stand).await;
    let flood = vec![7; 1 << 20];
    let mut taken = 0;
    // Socket buffers, the stack's send buffer and the peer's receive buffer take some; then it stops.
    while let Ok(written) = timeout(Duration::from_millis(500), client.write(&flood)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "it never stops");
    }
    assert!(taken > BUFFERS.receive);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_far_side_and_loses_nothing() {
    let stand = stand(Some(plan()), Far::Send(20_000_000)).await;
    let mut client = connected(&stand).await;
    let mut got = vec![0; 1000];
    client.read_exact(&mut got).await.unwrap();
    // Others are served meanwhile.
    assert_eq!(ask(&stand, &by_name(NAME)).await.1, 0);
    got.extend(read_to_end(&mut client).await.unwrap());
    assert!(got == octets(0, 20_000_000));
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_one_ends() {
    let few = |proxy| Proxy { most: 20, ..proxy };
    let stand = stand_of(Some(plan()), Far::Echo, few).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(connected(&stand).await);
    }
    assert_eq!(ask(&stand, &by_address(SERVER, 80)).await.1, 1);
    let mut first = clients.swap_remove(0);
    first.shutdown().await.unwrap();
    assert!(read_to_end(&mut first).await.unwrap().is_empty());
    connected(&stand).await;
}

#[tokio::test]
async fn listening_is_for_loopback_and_says_who_is_in_the_way() {
    let bind = |address: &str| Proxy::bind(address.parse().unwrap());
    let open = bind("0.0.0.0:1080").await.unwrap_err().to_string();
    assert_eq!(
        open,
        "the proxy listens on loopback addresses only, and 0.0.0.0:1080 is none: use --proxy 127.0.0.1:1080"
    );
    let first = bind("127.0.0.1:0").await.unwrap();
    let taken = bind(&first.local_addr().to_string()).await.unwrap_err();
    assert!(matches!(taken, ProxyError::Taken(_)));
    assert!(taken.to_string().contains("--proxy ADDR:PORT"), "{taken}");
}

#[tokio::test]
async fn without_a_tunnel_packets_are_taken_and_the_end_is_seen() {
    let (outward, _out) = mpsc::channel(1);
    let (to_tunnel, inward) = mpsc::channel(1);
    let (_plan, plan) = watch::channel(None);
    let none = tokio::spawn(crate::tunnel::none(Ports { outward, inward, plan }));
    for _ in 0..10 {
        timeout(PATIENCE, to_tunnel.send(vec![0x45; 40])).await.expect("taken").unwrap();
    }
    drop(to_tunnel);
    timeout(PATIENCE, none).await.expect("the end").unwrap();
}

mod crowd;
mod edges;
mod languages;
