use super::*;
use crate::agent::clock::OsRandom;
use crate::agent::device::device;
use crate::client::Settings;
use crate::profile::Profile;
use crate::reconnect::State;
use std::net::UdpSocket as StdUdpSocket;
use tokio::net::UdpSocket;

const PROFILE: &[u8] = include_bytes!("../../../profiles/flexvpn-c8kv.xml");
const PATIENCE: Duration = Duration::from_secs(10);

/// A client whose gateway is `gateway`, and the owner's ends; the driver runs.
fn started(gateway: SocketAddr) -> (Ends, tokio::task::JoinHandle<(Client, Losses)>) {
    let (profile, _) = Profile::parse(PROFILE).unwrap();
    let mut settings = Settings::from_profile(&profile, &profile.hosts[0], device("00")).unwrap();
    settings.addresses = vec![gateway.ip()];
    (settings.port, settings.nat_port) = (gateway.port(), gateway.port());
    let clock = Clock::system();
    let client = Client::new(clock.now(), settings, Box::new(OsRandom::new()));
    let (driver, ends) = Driver::new(client, clock, Sockets::Own);
    (ends, tokio::spawn(driver.run()))
}

fn gateway() -> (UdpSocket, SocketAddr) {
    let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    (UdpSocket::from_std(socket).unwrap(), address)
}

async fn first_datagram(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 1 << 16];
    let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, from) = received.expect("a datagram comes").unwrap();
    buffer.truncate(length);
    (buffer, from)
}

fn at(local: &str) -> Local {
    local.parse::<SocketAddr>().unwrap().into()
}

async fn status(ends: &Ends) -> Status {
    let (answer, answered) = oneshot::channel();
    ends.commands.send(Command::Status(answer)).await.unwrap();
    answered.await.unwrap().status
}

#[tokio::test(flavor = "current_thread")]
async fn a_new_path_is_used_at_once_with_the_same_octets() {
    let (socket, address) = gateway();
    let (ends, _task) = started(address);
    ends.commands.send(Command::Paths(vec![at("127.0.0.1:0")])).await.unwrap();
    ends.commands.send(Command::Order(Order::Connect)).await.unwrap();
    let (request, from) = first_datagram(&socket).await;
    assert_eq!(from.ip().to_string(), "127.0.0.1");
    ends.commands.send(Command::Paths(vec![at("127.0.0.3:0")])).await.unwrap();
    let (again, from) = loop {
        let (again, from) = first_datagram(&socket).await;
        if from.ip().to_string() != "127.0.0.1" {
            break (again, from);
        }
    };
    assert_eq!(from.ip().to_string(), "127.0.0.3");
    assert!(again == request, "a path change re-sends the same octets (law 3)");
}

#[tokio::test(flavor = "current_thread")]
async fn an_address_that_is_not_ours_is_told_and_leaves_no_path() {
    let (socket, address) = gateway();
    let (mut ends, _task) = started(address);
    let not_ours: SocketAddr = "192.0.2.1:0".parse().unwrap();
    ends.commands.send(Command::Paths(vec![not_ours.into()])).await.unwrap();
    ends.commands.send(Command::Order(Order::Connect)).await.unwrap();
    let told = loop {
        if let Output::NoSocket { local, .. } = ends.outputs.recv().await.unwrap() {
            break local;
        }
    };
    assert_eq!(told, not_ours);
    assert!(matches!(status(&ends).await.state, State::Connecting));
    let mut buffer = [0; 1];
    assert!(socket.try_recv_from(&mut buffer).is_err(), "nothing leaves without a path");
}

#[tokio::test(flavor = "current_thread")]
async fn packets_without_a_tunnel_are_counted_and_the_end_comes_with_the_owner() {
    let (_socket, address) = gateway();
    let (ends, task) = started(address);
    ends.outward.send(vec![0; 4]).await.unwrap();
    ends.outward.send(vec![0x45; esp::HEADROOM + 40]).await.unwrap();
    while ends.outward.capacity() < ends.outward.max_capacity() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(status(&ends).await.state, State::Disconnected { .. }));
    drop(ends);
    let (client, losses) = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(losses, Losses { outward: 2, ..Losses::default() });
    assert!(client.session().is_none());
}
