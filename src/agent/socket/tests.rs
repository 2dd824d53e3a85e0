use super::*;
use std::time::Duration;

async fn received(udp: &Udp, count: usize) -> Vec<Vec<u8>> {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    let receive = async {
        while all.len() < count {
            std::future::poll_fn(|context| udp.poll_readable(context)).await;
            if udp.receive(&mut inbox).unwrap() {
                let datagrams =
                    inbox.datagrams.iter().map(|(_, place, _)| inbox.buffer[place.clone()].to_vec());
                all.extend(datagrams);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), receive).await.unwrap();
    all
}

#[tokio::test]
async fn a_batch_arrives_as_the_datagrams_it_was() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let any: SocketAddr = any.parse().unwrap();
        let (mut from, to) = (Udp::open(any, None).unwrap(), Udp::open(any, None).unwrap());
        let contents: Vec<u8> = (0..10_500_u16).map(|n| (n / 1000) as u8).collect();
        let (sent, result) = from.send_batch(&contents, 1000, to.local_addr().unwrap(), Ecn::NotEct);
        result.unwrap();
        assert_eq!(sent, contents.len());
        let all = received(&to, 11).await;
        assert_eq!(all.concat(), contents);
        assert_eq!(all.iter().map(Vec::len).max(), Some(1000));
        let batch = from.batch();
        from.try_batches_again();
        assert_eq!(from.batch(), batch);
        from.send(b"alone", to.local_addr().unwrap()).unwrap();
        assert_eq!(received(&to, 1).await, [b"alone".to_vec()]);
    }
}

#[tokio::test]
async fn an_error_about_an_earlier_datagram_loses_no_later_one() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let (from, to) = (Udp::open(any, None).unwrap(), Udp::open(any, None).unwrap());
    let nobody = StdUdpSocket::bind(any).unwrap().local_addr().unwrap();
    from.send(b"is anybody there?", nobody).unwrap();
    // The ICMP message is there already: the loopback answers while it is asked.
    from.send(b"hello", to.local_addr().unwrap()).unwrap();
    assert_eq!(received(&to, 1).await, [b"hello".to_vec()]);
    assert_eq!(from.told_mtu(), None);
}

#[tokio::test]
async fn a_large_message_of_ipv6_leaves_in_fragments() {
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    let (from, to) = (Udp::open(any, None).unwrap(), Udp::open(any, None).unwrap());
    let message = vec![7; 65_000];
    from.send(&message, to.local_addr().unwrap()).unwrap();
    assert_eq!(received(&to, 1).await, [message]);
}

#[tokio::test]
async fn marks_arrive_with_a_batch_and_with_one_alone() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let any: SocketAddr = any.parse().unwrap();
        let (from, to) = (Udp::open(any, None).unwrap(), Udp::open(any, None).unwrap());
        for (mark, length) in [(Ecn::Ect0, 2500), (Ecn::NotEct, 2500), (Ecn::Ce, 900), (Ecn::Ect1, 900)] {
            from.send_batch(&vec![7; length], 1000, to.local_addr().unwrap(), mark).1.unwrap();
            let mut inbox = Inbox::default();
            std::future::poll_fn(|context| to.poll_readable(context)).await;
            while !to.receive(&mut inbox).unwrap() {
                std::future::poll_fn(|context| to.poll_readable(context)).await;
            }
            assert!(!inbox.datagrams.is_empty());
            assert!(
                inbox.datagrams.iter().all(|(.., seen)| *seen == mark),
                "{mark:?}: {:?}",
                inbox.datagrams
            );
            while to.receive(&mut inbox).unwrap() {}
        }
    }
}
