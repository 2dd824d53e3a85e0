use super::super::message::{Answer, Ask, Refusal, RefusalKind};
use super::*;
use proptest::prelude::*;
use rustix::net::socketpair;
use std::fs::File;
use std::io::{Read as _, Write as _};

fn pair() -> (Channel, OwnedFd) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    (Channel::new(ours).unwrap(), theirs)
}

fn raw(socket: &OwnedFd, octets: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    sendmsg(socket, &[IoSlice::new(octets)], &mut control, SendFlags::empty()).unwrap();
}

#[tokio::test]
async fn a_message_and_its_descriptor_arrive() {
    let (one, other) = pair();
    let other = Channel::new(other).unwrap();
    let (read, mut write) = std::io::pipe().unwrap();
    one.send(&Ask::Tun {}, Some(read.as_fd())).await.unwrap();
    one.send(&Ask::Udp { ipv6: true }, None).await.unwrap();
    drop(read);
    let (ask, beside) = other.receive::<Ask>().await.unwrap();
    assert_eq!(ask, Ask::Tun {});
    write.write_all(b"yes").unwrap();
    drop(write);
    let mut text = String::new();
    File::from(beside.unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "yes");
    let (ask, beside) = other.receive::<Ask>().await.unwrap();
    assert_eq!((ask, beside.is_none()), (Ask::Udp { ipv6: true }, true));
    drop(one);
    assert!(matches!(other.receive::<Ask>().await, Err(ChannelError::Closed)));
    other.closed().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_the_next_one_read() {
    let (one, other) = pair();
    raw(&other, br#"{"ask":"udp","ip"#, &[]);
    assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::Malformed(_))));
    raw(&other, &vec![b' '; MAX_MESSAGE + 1], &[]);
    assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::TooLong)));
    raw(&other, b"", &[]);
    assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::Empty)));
    raw(&other, br#"{"ask":"tun"}{"ask":"tun"}"#, &[]);
    assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::Malformed(_))));
    raw(&other, br#"{"ask":"tun"}"#, &[]);
    assert_eq!(one.receive::<Ask>().await.unwrap().0, Ask::Tun {});
}

#[tokio::test]
async fn more_descriptors_than_one_are_closed() {
    for count in [2, 3, 8] {
        let (one, other) = pair();
        let (mut read, write) = std::io::pipe().unwrap();
        raw(&other, br#"{"ask":"tun"}"#, &vec![write.as_fd(); count]);
        drop(write);
        assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::Descriptors)), "{count}");
        // The last one closed is the end of the pipe.
        assert_eq!(read.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[tokio::test]
async fn the_longest_message_goes_through() {
    let (one, other) = pair();
    let other = Channel::new(other).unwrap();
    let frame = encode(&refusal(0)).unwrap().len();
    let longest = refusal(MAX_MESSAGE - frame);
    one.send(&longest, None).await.unwrap();
    assert_eq!(other.receive::<Answer>().await.unwrap().0, longest);
    let longer = refusal(MAX_MESSAGE - frame + 1);
    assert!(matches!(one.send(&longer, None).await, Err(ChannelError::TooLong)));
}

fn refusal(length: usize) -> Answer {
    Answer::Refused(Refusal { kind: RefusalKind::Request, message: "x".repeat(length) })
}

#[tokio::test]
async fn the_end_is_heard_although_a_message_lies_there_and_the_message_is_read_all_the_same() {
    let (one, other) = pair();
    raw(&other, br#"{"ask":"tun"}"#, &[]);
    // Nothing ends yet, and waiting for it takes nothing away.
    tokio::select! {
        biased;
        () = one.closed() => panic!("it is not closed"),
        () = tokio::task::yield_now() => {}
    }
    drop(other);
    one.closed().await;
    assert_eq!(one.receive::<Ask>().await.unwrap().0, Ask::Tun {});
    assert!(matches!(one.receive::<Ask>().await, Err(ChannelError::Closed)));
}

#[tokio::test]
async fn a_sender_waits_for_room() {
    let (one, other) = pair();
    let other = Channel::new(other).unwrap();
    let message = refusal(100_000);
    let sending = async {
        for _ in 0..20 {
            one.send(&message, None).await.unwrap();
        }
    };
    let receiving = async {
        for _ in 0..20 {
            assert_eq!(other.receive::<Answer>().await.unwrap().0, message);
        }
    };
    tokio::join!(sending, receiving);
}

#[test]
fn unknown_fields_are_errors_in_every_message() {
    for ask in [
        r#"{"ask":"tun","table":254}"#,
        r#"{"ask":"revert","table":254}"#,
        r#"{"ask":"udp","ipv6":true,"mark":1}"#,
        r#"{"ask":"hello","protocol":1,"version":"1","uid":0}"#,
        r#"{"ask":"apply","network":{},"table":254}"#,
        r#"{"ask":"run","command":"id"}"#,
        r#"{"ask":"tun","ask":"revert"}"#,
        "null",
        "[]",
    ] {
        assert!(decode::<Ask>(ask.as_bytes()).is_err(), "{ask}");
    }
    for answer in [r#"{"answer":"udp","x":1}"#, r#"{"answer":"welcome"}"#] {
        assert!(decode::<Answer>(answer.as_bytes()).is_err(), "{answer}");
    }
    let deep = format!(r#"{{"ask":"apply","network":{}"#, "[".repeat(100_000));
    assert!(decode::<Ask>(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_octets_are_a_message_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(ask) = decode::<Ask>(&octets) {
            let again = encode(&ask).unwrap();
            prop_assert_eq!(decode::<Ask>(&again).unwrap(), ask);
        }
    }
}
