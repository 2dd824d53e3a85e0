use super::*;
use crate::ipc::helper::{Answer, Ask, Channel, PROTOCOL, Refusal, RefusalKind, Tun};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, socket_with,
};
use std::net::UdpSocket as StdUdpSocket;
use tempfile::TempDir;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);

/// A place where helpers listen, one after the other.
struct Place {
    folder: TempDir,
    listener: Arc<OwnedFd>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(folder.path().join("netd.sock")).unwrap()).unwrap();
        listen(&listener, 8).unwrap();
        Self { folder, listener: Arc::new(listener) }
    }

    fn helpers(&self) -> Helpers {
        Helpers::new(Some(self.folder.path().join("netd.sock")), self.folder.path())
    }

    /// The next helper that the agent reaches.
    async fn helper(&self) -> Stand {
        let listener = Arc::clone(&self.listener);
        let accepted = tokio::task::spawn_blocking(move || accept(&listener)).await.unwrap().unwrap();
        let stand = Stand { channel: Channel::new(accepted).unwrap() };
        assert!(matches!(stand.channel.receive::<Ask>().await.unwrap().0, Ask::Hello { .. }));
        let version = env!("CARGO_PKG_VERSION").to_owned();
        stand.channel.send(&Answer::Welcome { protocol: PROTOCOL, version }, None).await.unwrap();
        stand
    }
}

/// A stand-in for the helper.
struct Stand {
    channel: Channel,
}

impl Stand {
    /// Makes every socket that is asked for, until something else is.
    async fn next(&self) -> (Ask, Option<OwnedFd>) {
        loop {
            match timeout(LIMIT, self.channel.receive::<Ask>()).await.expect("a request").unwrap() {
                (Ask::Udp { .. }, _) => {
                    let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
                    self.channel.send(&Answer::Udp {}, Some(socket.as_fd())).await.unwrap();
                }
                other => return other,
            }
        }
    }

    async fn give_device(&self, index: u32) {
        let (end, _other) = std::io::pipe().unwrap();
        let tun = Tun { name: format!("ikeep{index}"), index, kept: false, offload: true };
        self.channel.send(&Answer::Tun(tun), Some(end.as_fd())).await.unwrap();
    }

    async fn applied(&self) {
        self.channel.send(&Answer::Applied(Applied::default()), None).await.unwrap();
    }
}

/// Ground at this place, and the helper that it talks to.
async fn ground(place: &Place) -> (Ground, Sockets, Stand) {
    let helpers = place.helpers();
    let begin = async { Ground::new(helpers.reach().await.unwrap(), helpers.clone()).await.unwrap() };
    let stand = async {
        let stand = place.helper().await;
        for _ in 0..2 {
            let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
            assert!(matches!(stand.channel.receive::<Ask>().await.unwrap().0, Ask::Udp { .. }));
            stand.channel.send(&Answer::Udp {}, Some(socket.as_fd())).await.unwrap();
        }
        stand
    };
    let ((ground, sockets), stand) = tokio::join!(begin, stand);
    (ground, sockets, stand)
}

async fn report(ground: &mut Ground) -> Report {
    timeout(LIMIT, ground.reports.recv()).await.expect("a report in time").expect("the task runs")
}

fn network(mtu: u16) -> Network {
    Network { mtu, ..Network::default() }
}

#[tokio::test]
async fn a_helper_that_dies_before_it_has_made_the_device_leaves_its_wish_to_the_next() {
    let place = Place::new();
    let (mut ground, _sockets, first) = ground(&place).await;
    let number = ground.apply(network(1400), None);
    assert!(matches!(first.next().await.0, Ask::Tun {}));
    drop(first);
    let second = place.helper().await;
    assert!(matches!(report(&mut ground).await, Report::Gone(_)));
    assert!(matches!(report(&mut ground).await, Report::Back));
    assert!(matches!(second.next().await, (Ask::Tun {}, None)), "there was no device yet");
    second.give_device(7).await;
    assert!(matches!(report(&mut ground).await, Report::Device(device) if device.index() == 7));
    assert!(matches!(second.next().await.0, Ask::Apply { network } if network.mtu == 1400));
    second.applied().await;
    assert!(matches!(report(&mut ground).await, Report::Applied(done, _) if done == number));
}

#[tokio::test]
async fn the_next_helper_gets_the_device_and_the_plan_and_may_have_another_device() {
    let place = Place::new();
    let (mut ground, _sockets, first) = ground(&place).await;
    let number = ground.apply(network(1400), None);
    first.next().await;
    first.give_device(7).await;
    first.next().await;
    first.applied().await;
    assert!(matches!(report(&mut ground).await, Report::Device(_)));
    assert!(matches!(report(&mut ground).await, Report::Applied(..)));
    drop(first);
    let second = place.helper().await;
    assert!(matches!(second.next().await, (Ask::Tun {}, Some(_))), "our device goes along");
    second.give_device(8).await;
    assert!(matches!(report(&mut ground).await, Report::Gone(_)));
    assert!(matches!(report(&mut ground).await, Report::Device(device) if device.index() == 8));
    assert!(matches!(report(&mut ground).await, Report::Back));
    assert!(matches!(second.next().await.0, Ask::Apply { network } if network.mtu == 1400));
    second.applied().await;
    assert!(matches!(report(&mut ground).await, Report::Applied(done, _) if done == number));
}

#[tokio::test]
async fn a_refused_plan_is_told_with_its_number_and_the_conversation_goes_on() {
    let place = Place::new();
    let (mut ground, _sockets, helper) = ground(&place).await;
    let refused = ground.apply(network(1400), None);
    helper.next().await;
    helper.give_device(7).await;
    helper.next().await;
    let refusal = Refusal { kind: RefusalKind::Machine, message: "no".to_owned() };
    helper.channel.send(&Answer::Refused(refusal), None).await.unwrap();
    assert!(matches!(report(&mut ground).await, Report::Device(_)));
    assert!(matches!(report(&mut ground).await, Report::Failed(number, _) if number == refused));
    let again = ground.apply(network(1400), None);
    assert!(again > refused);
    assert!(matches!(helper.next().await.0, Ask::Apply { .. }), "the same plan is asked for anew");
    helper.applied().await;
    assert!(matches!(report(&mut ground).await, Report::Applied(number, _) if number == again));
}

#[tokio::test]
async fn a_release_waits_for_its_own_answer() {
    let place = Place::new();
    let (mut ground, _sockets, helper) = ground(&place).await;
    ground.apply(network(1400), None);
    helper.next().await;
    helper.give_device(7).await;
    helper.next().await;
    helper.applied().await;
    let put_back = async {
        assert!(matches!(helper.next().await.0, Ask::Revert {}));
        helper.channel.send(&Answer::Reverted { problems: vec!["a route".to_owned()] }, None).await.unwrap();
    };
    let (problems, ()) = tokio::join!(ground.release(), put_back);
    assert_eq!(problems, ["a route"]);
    // A device is made anew after it.
    ground.apply(network(1300), None);
    assert!(matches!(helper.next().await, (Ask::Tun {}, None)));
}

#[tokio::test]
async fn sockets_are_ready_before_they_are_needed() {
    let place = Place::new();
    let (ground, mut sockets, helper) = ground(&place).await;
    let Sockets::Made { ipv4, ipv6 } = &mut sockets else { panic!("{sockets:?}") };
    assert!(ipv4.try_recv().is_ok() && ipv6.try_recv().is_ok(), "the first path waits for nobody");
    let bypass = ground.bypass();
    let asked = tokio::spawn(async move { bypass.open(false).await });
    let serve = async {
        let _ = timeout(LIMIT, helper.next()).await;
    };
    tokio::select! {
        socket = asked => drop(socket.unwrap().unwrap()),
        () = serve => panic!("nothing but sockets is asked for"),
    }
}

/// The helper is asked for this, and does it.
async fn does(helper: &Stand, wanted: Ask) {
    assert_eq!(helper.next().await.0, wanted);
    helper.applied().await;
}

#[tokio::test]
async fn a_gap_is_opened_once_and_closed_before_anything_else() {
    let place = Place::new();
    let (mut ground, _sockets, helper) = ground(&place).await;
    let apply = |mtu| Ask::Apply { network: network(mtu) };
    ground.apply(network(1400), None);
    helper.next().await;
    helper.give_device(7).await;
    does(&helper, apply(1400)).await;
    let gap = Some(Gap { number: 1, seconds: 60 });
    ground.apply(network(1400), gap);
    does(&helper, apply(1400)).await;
    does(&helper, Ask::Gap { seconds: 60 }).await;
    // Another plan does not begin its time anew.
    ground.apply(network(1300), gap);
    does(&helper, apply(1300)).await;
    ground.apply(network(1200), None);
    does(&helper, Ask::Gap { seconds: 0 }).await;
    does(&helper, apply(1200)).await;
    // Nothing is left to close.
    let last = ground.apply(network(1200), None);
    does(&helper, apply(1200)).await;
    while !matches!(report(&mut ground).await, Report::Applied(number, _) if number == last) {}
}

#[tokio::test]
async fn a_gap_ends_with_its_helper() {
    let place = Place::new();
    let (ground, _sockets, first) = ground(&place).await;
    ground.apply(network(1400), Some(Gap { number: 1, seconds: 60 }));
    first.next().await;
    first.give_device(7).await;
    does(&first, Ask::Apply { network: network(1400) }).await;
    does(&first, Ask::Gap { seconds: 60 }).await;
    drop(first);
    let second = place.helper().await;
    assert!(matches!(second.next().await, (Ask::Tun {}, Some(_))));
    second.give_device(7).await;
    does(&second, Ask::Apply { network: network(1400) }).await;
    // The next thing is the next wish, not the gap.
    ground.apply(network(1300), None);
    does(&second, Ask::Apply { network: network(1300) }).await;
}

const EVERYTHING: Guard = Guard { mode: crate::ipc::helper::GuardMode::All, lan: false, always: false };

/// The next request, which has to be about the kill switch, and its answer.
async fn answers(helper: &Stand, wanted: Guard, answer: Answer) {
    let asked = helper.next().await.0;
    assert!(matches!(asked, Ask::Guard { guard } if guard == wanted), "{asked:?}");
    helper.channel.send(&answer, None).await.unwrap();
}

fn no() -> Answer {
    Answer::Refused(Refusal { kind: RefusalKind::Machine, message: "no nftables now".to_owned() })
}

#[tokio::test]
async fn a_kill_switch_that_was_refused_is_asked_for_again_until_it_is_up() {
    let place = Place::new();
    let (mut ground, _sockets, helper) = ground(&place).await;
    ground.raise(EVERYTHING);
    answers(&helper, EVERYTHING, no()).await;
    assert!(matches!(report(&mut ground).await, Report::Unguarded(_)));
    answers(&helper, EVERYTHING, Answer::Guarded {}).await;
    assert!(matches!(report(&mut ground).await, Report::Guarded(Some(EVERYTHING))));
}

#[tokio::test]
async fn a_wish_whose_helper_died_is_said_to_the_next_one() {
    for wanted in [EVERYTHING, Guard::default()] {
        let place = Place::new();
        let (mut ground, _sockets, first) = ground(&place).await;
        if wanted == Guard::default() {
            ground.raise(EVERYTHING);
            answers(&first, EVERYTHING, Answer::Guarded {}).await;
            assert!(matches!(report(&mut ground).await, Report::Guarded(Some(_))));
            ground.forget_guard();
        } else {
            ground.raise(wanted);
        }
        // It hears the wish, and dies over it.
        assert!(matches!(first.next().await.0, Ask::Guard { guard } if guard == wanted));
        drop(first);
        let second = place.helper().await;
        answers(&second, wanted, Answer::Guarded {}).await;
        assert!(matches!(report(&mut ground).await, Report::Gone(_)));
        assert!(matches!(report(&mut ground).await, Report::Back));
        let told = report(&mut ground).await;
        let expected = Some(wanted).filter(|wanted| *wanted != Guard::default());
        assert!(matches!(told, Report::Guarded(guard) if guard == expected), "{told:?}");
    }
}

#[tokio::test]
async fn a_release_swallows_no_word_about_the_kill_switch() {
    let place = Place::new();
    let (mut ground, _sockets, helper) = ground(&place).await;
    ground.raise(EVERYTHING);
    let both = async {
        answers(&helper, EVERYTHING, Answer::Guarded {}).await;
        assert!(matches!(helper.next().await.0, Ask::Revert {}));
        helper.channel.send(&Answer::Reverted { problems: Vec::new() }, None).await.unwrap();
    };
    let (problems, ()) = tokio::join!(ground.release(), both);
    assert!(problems.is_empty());
    assert!(matches!(timeout(LIMIT, ground.next()).await.unwrap(), Some(Report::Guarded(Some(_)))));
}
