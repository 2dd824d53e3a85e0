//! What clients may say beside SOCKS5's CONNECT.

use super::*;
use crate::tunnel::access::Access;
use tokio::net::UdpSocket;

async fn http(stand: &Stand, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// Everything until the empty line.
async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, client.read_u8()).await.expect("an answer").unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn of(text: &str) -> Option<Access> {
    Some(Access::parse(text.as_bytes()).unwrap())
}

#[tokio::test]
async fn http_connect_is_a_tunnel_and_octets_that_came_early_are_not_lost() {
    let stand = stand(Some(plan()), Far::Echo).await;
    for to in ["192.168.10.1:80", &format!("{NAME}:80")] {
        let mut client = http(&stand, &format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\nearly ")).await;
        assert_eq!(head(&mut client).await, "HTTP/1.1 200 Connection established\r\n\r\n");
        client.write_all(b"and late").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut client).await.unwrap(), b"early and late");
    }
}

#[tokio::test]
async fn a_request_for_a_url_reaches_its_server_in_its_form() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let mut client =
        http(&stand, &format!("GET http://{NAME}/a HTTP/1.1\r\nHost: elsewhere\r\nA: b\r\n\r\n")).await;
    let got = format!("GET /a HTTP/1.1\r\nHost: {NAME}\r\nA: b\r\nConnection: close\r\n\r\n");
    let mut echoed = vec![0; got.len()];
    timeout(PATIENCE, client.read_exact(&mut echoed)).await.expect("the request").unwrap();
    assert_eq!(String::from_utf8(echoed).unwrap(), got);
}

#[tokio::test]
async fn failures_have_a_status_that_says_why() {
    let stand = stand(Some(plan()), Far::Echo).await;
    for (request, status) in [
        ("CONNECT 192.168.10.1:82 HTTP/1.1", "502"),
        ("CONNECT 192.168.11.1:80 HTTP/1.1", "403"),
        ("CONNECT nobody.example:80 HTTP/1.1", "504"),
        ("GET http://192.168.11.1/ HTTP/1.1", "403"),
        ("GET http://127.0.0.1:1080/ HTTP/1.1", "403"),
        ("CONNECT localhost:80 HTTP/1.1", "504"),
        ("GET / HTTP/1.1\r\nHost: rebound.example", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 9\r\nHost: 127.0.0.1", "400"),
    ] {
        let mut client = http(&stand, &format!("{request}\r\n\r\n")).await;
        let answer = String::from_utf8(read_to_end(&mut client).await.unwrap()).unwrap();
        assert_eq!(answer.get(9..12), Some(status), "{request}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control-"), "{answer}");
    }
    stand.plan.send_replace(None);
    assert!(
        head(&mut http(&stand, "CONNECT 192.168.10.1:80 HTTP/1.1\r\n\r\n").await).await.contains(" 503 ")
    );
}

#[tokio::test]
async fn who_has_no_password_goes_nowhere() {
    let admission = Admission { access: of("anna:secret"), everything: false };
    let stand = stand_for(Some(plan()), Far::Echo, admission).await;
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(&[5, 1, 0]).await.unwrap();
    assert_eq!(read_to_end(&mut client).await.unwrap(), [5, 0xff]);
    for (password, answer) in [("secret", &[5, 2, 1, 0][..]), ("Secret", &[5, 2, 1, 1])] {
        let mut client = TcpStream::connect(stand.proxy).await.unwrap();
        let login = [b"\x01\x04anna\x06", password.as_bytes()].concat();
        client.write_all(&[&[5, 2, 0, 2], &login[..]].concat()).await.unwrap();
        let mut got = [0; 4];
        timeout(PATIENCE, client.read_exact(&mut got)).await.expect("an answer").unwrap();
        assert_eq!(got, answer);
        if got[3] == 0 {
            client.write_all(&by_address(SERVER, 80)).await.unwrap();
            let mut reply = [0; 10];
            timeout(PATIENCE, client.read_exact(&mut reply)).await.expect("a reply").unwrap();
            assert_eq!(reply[..2], [5, 0]);
        } else {
            assert!(read_to_end(&mut client).await.unwrap().is_empty());
        }
    }
    for (login, status) in [("YW5uYTpzZWNyZXQ=", " 200 "), ("YW5uYTpTZWNyZXQ=", " 407 "), ("", " 407 ")] {
        let request =
            format!("CONNECT 192.168.10.1:80 HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n");
        let answer = head(&mut http(&stand, &request).await).await;
        assert!(answer.contains(status), "{login}: {answer}");
    }
}

#[tokio::test]
async fn what_the_gateway_does_not_name_goes_into_the_tunnel_where_that_is_asked_for() {
    let admission = Admission { access: None, everything: true };
    let stand = stand_for(Some(plan()), Far::Echo, admission).await;
    for (address, reply) in
        [([203, 0, 113, 1], 0), ([192, 168, 10, 99], 0), ([127, 0, 0, 1], 2), ([169, 254, 9, 9], 2)]
    {
        assert_eq!(ask(&stand, &by_address(address, 80)).await.1, reply, "{address:?}");
    }
}

/// The control connection, and where datagrams go.
async fn associate(stand: &Stand) -> (TcpStream, SocketAddr) {
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(answer[..10], [5, 0, 5, 0, 0, 1, 127, 0, 0, 1]);
    let port = u16::from_be_bytes([answer[10], answer[11]]);
    (client, SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("a datagram").unwrap();
    buffer.truncate(length);
    buffer
}

#[tokio::test]
async fn datagrams_go_both_ways_to_addresses_and_names() {
    let both = Plan {
        address6: Some((ip("2001:db8::5").to_string().parse().unwrap(), 128)),
        include: vec![Net::new(ip("192.168.10.0"), 24).unwrap(), Net::new(ip("2001:db8::"), 32).unwrap()],
        ..plan()
    };
    let stand = stand(Some(both), Far::Echo).await;
    let (mut control, relay) = associate(&stand).await;
    let own = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    own.connect(relay).await.unwrap();
    let server = [&[0, 0, 0, 1], &SERVER[..], &[0, 7]].concat();
    let six = [&[0, 0, 0, 4, 0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[9, 0, 7]].concat();
    let name = [&[0, 0, 0, 3, NAME.len() as u8], NAME.as_bytes(), &[0, 7]].concat();
    // Where the tunnel does not lead, a fragment and what is none of SOCKS come to nothing, and harm nothing.
    for lost in
        [&[0, 0, 0, 1, 192, 168, 11, 1, 0, 7, 9][..], &[0, 0, 1, 1, 192, 168, 10, 1, 0, 7, 9], b"?", b""]
    {
        own.send(lost).await.unwrap();
    }
    for (to, from) in [(&server, &server), (&six, &six), (&name, &server)] {
        let payload = octets(7, 1200);
        own.send(&[&to[..], &payload].concat()).await.unwrap();
        assert_eq!(heard(&own).await, [&from[..], &payload].concat(), "the stranger's is not among them");
    }
    // Somebody else on this machine.
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(&[&server[..], b"not mine"].concat(), relay).await.unwrap();
    own.send(&[&server[..], b"mine"].concat()).await.unwrap();
    assert_eq!(heard(&own).await, [&server[..], b"mine"].concat());
    // As long as the connection is there, and no longer.
    control.shutdown().await.unwrap();
    assert!(read_to_end(&mut control).await.unwrap().is_empty());
    let gone = timeout(PATIENCE, async {
        while own.send(&server).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    gone.await.expect("the socket is closed");
}

#[tokio::test]
async fn two_clients_with_the_same_peer_hear_their_own() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let server = [&[0, 0, 0, 1], &SERVER[..], &[0, 7]].concat();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let (control, relay) = associate(&stand).await;
        let own = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        own.connect(relay).await.unwrap();
        clients.push((control, own));
    }
    for (number, (_, own)) in clients.iter().enumerate() {
        own.send(&[&server[..], number.to_string().as_bytes()].concat()).await.unwrap();
    }
    for (number, (_, own)) in clients.iter().enumerate() {
        assert_eq!(heard(own).await, [&server[..], number.to_string().as_bytes()].concat());
    }
}
