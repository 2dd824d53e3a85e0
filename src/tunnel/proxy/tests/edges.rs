//! Requests that are longer than a buffer, ends that come in an odd order, and who does not stop talking.

use super::*;

/// With many others beside it a connection's send buffer holds a part of such a request only.
#[tokio::test]
async fn a_long_request_arrives_whole_beside_many_others() {
    let stand = stand(Some(plan()), Far::Echo).await;
    let mut others = Vec::new();
    for beside in [0, 20, 80] {
        while others.len() < beside {
            others.push(connected(&stand).await);
        }
        let mut client = TcpStream::connect(stand.proxy).await.unwrap();
        let cookie: String = (0..12_000).map(|n| char::from(b'a' + (n / 7 % 26) as u8)).collect();
        let body = octets(5, 1000);
        let head =
            format!("POST http://192.168.10.1/ HTTP/1.1\r\nContent-Length: 1000\r\nCookie: {cookie}\r\n\r\n");
        client.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut got)).await.expect("an end").unwrap();
        let text = String::from_utf8_lossy(&got);
        assert!(text.contains(&format!("Cookie: {cookie}\r\n")), "beside {beside}: {} octets", got.len());
        assert!(got.ends_with(&body), "beside {beside}: the body follows");
    }
}

#[tokio::test]
async fn a_reset_after_the_peers_end_ends_the_connection() {
    let stand = stand_of(Some(plan()), Far::Rude(10), |proxy| Proxy { most: 1, ..proxy }).await;
    let mut client = connected(&stand).await;
    let mut got = [0; 10];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(client.read(&mut got).await.unwrap(), 0, "the peer's end");
    client.write_all(b"late").await.unwrap();
    // It is told, and its place is free for the next.
    let told = async {
        while client.write_all(b"more").await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, told).await.expect("the client is told");
    let again = async { while ask(&stand, &by_address(SERVER, 80)).await.1 != 0 {} };
    timeout(PATIENCE, again).await.expect("its place is free");
}

#[tokio::test]
async fn who_is_refused_and_goes_on_talking_is_cut_off() {
    let login = Access::parse(b"anna:secret").unwrap();
    let admission = Admission { access: Some(login), everything: false };
    let stand = stand_for(Some(plan()), Far::Echo, admission).await;
    let mut client = TcpStream::connect(stand.proxy).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let flood = vec![b'x'; 1 << 20];
    let mut taken = 0;
    let talks = async {
        while client.write_all(&flood).await.is_ok() {
            taken += flood.len();
        }
    };
    timeout(PATIENCE, talks).await.expect("it is cut off");
    // The kernel's own buffers, and little more.
    assert!(taken < 32 << 20, "{taken} octets were read of it");
}

#[tokio::test]
async fn who_is_given_up_half_closed_sees_no_regular_end() {
    let stand = stand(Some(plan()), Far::Deaf).await;
    let mut client = connected(&stand).await;
    client.shutdown().await.unwrap();
    // Its end has reached the peer before this one's octets.
    drop(connected(&stand).await);
    let mut octet = [0];
    let (read, _) = tokio::join!(timeout(PATIENCE, client.read(&mut octet)), async {
        stand.clock.leap(Duration::from_secs(3700));
        drop(connected(&stand).await);
    });
    let error = read.expect("it is told").expect_err("no regular end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn silent_clients_do_not_keep_the_others_out() {
    let stand = stand_of(Some(plan()), Far::Echo, |proxy| Proxy { most: 4, ..proxy }).await;
    let mut silent = Vec::new();
    for _ in 0..3 * VISITORS {
        silent.push(TcpStream::connect(stand.proxy).await.unwrap());
    }
    let mut client = timeout(Duration::from_secs(10), connected(&stand)).await.expect("a place");
    client.write_all(b"here").await.unwrap();
    let mut got = [0; 4];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"here");
}

/// A client whose octets a deaf peer does not take, until they fill every buffer on the way.
async fn blocked(stand: &Stand) -> TcpStream {
    let mut client = connected(stand).await;
    let flood = vec![b'x'; 1 << 20];
    let quiet = Duration::from_millis(500);
    while let Ok(written) = timeout(quiet, client.write(&flood)).await {
        written.unwrap();
    }
    client
}

/// Its only place is free again.
async fn has_a_place(stand: &Stand) {
    let again = async { while ask(stand, &by_address(SERVER, 80)).await.1 != 0 {} };
    timeout(PATIENCE, again).await.expect("its place is free");
}

#[tokio::test]
async fn a_client_that_dies_while_nobody_takes_its_octets_leaves_its_place() {
    let stand = stand_of(Some(plan()), Far::Deaf, |proxy| Proxy { most: 1, ..proxy }).await;
    let client = blocked(&stand).await;
    assert_ne!(ask(&stand, &by_address(SERVER, 80)).await.1, 0, "there is one place");
    client.set_zero_linger().unwrap();
    drop(client);
    stand.clock.leap(Duration::from_secs(30));
    has_a_place(&stand).await;
}

#[tokio::test]
async fn a_client_that_ends_while_nobody_takes_its_octets_leaves_its_place_in_time() {
    let stand = stand_of(Some(plan()), Far::Deaf, |proxy| Proxy { most: 1, ..proxy }).await;
    let mut client = connected(&stand).await;
    // What both stacks hold, and a little that the kernel holds, with the end behind it.
    let octets = vec![b'x'; BUFFERS.send + BUFFERS.receive + (16 << 10)];
    client.write_all(&octets).await.unwrap();
    drop(client);
    // What it has sent may still be wanted for an hour.
    let mut hours = 0.0;
    let ended = async {
        while ask(&stand, &by_address(SERVER, 80)).await.1 != 0 {
            stand.clock.leap(Duration::from_secs(36));
            hours += 0.01;
        }
    };
    timeout(PATIENCE, ended).await.expect("its place is free");
    assert!(hours > 0.99, "after {hours} hours");
}
