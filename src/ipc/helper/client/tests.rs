use super::super::channel::{listen, watched};
use super::*;
use std::os::fd::AsFd as _;
use tempfile::TempDir;

/// A stand-in for the helper: a listener, and what its first client is answered.
struct Stand {
    folder: TempDir,
}

impl Stand {
    fn path(&self) -> PathBuf {
        self.folder.path().join("netd.sock")
    }

    /// Takes one client and lets `work` answer it.
    fn serve<F: Future<Output = ()> + Send>(work: impl FnOnce(Channel) -> F + Send + 'static) -> Self {
        let stand = Self { folder: tempfile::tempdir().unwrap() };
        let listener = watched(listen(&stand.path()).unwrap()).unwrap();
        tokio::spawn(async move {
            let _ready = listener.readable().await.unwrap();
            let socket = rustix::net::accept(listener.get_ref()).unwrap();
            work(Channel::new(socket).unwrap()).await;
        });
        stand
    }
}

async fn hear(channel: &Channel, expected: &Ask) {
    assert_eq!(&channel.receive::<Ask>().await.unwrap().0, expected);
}

async fn welcome(channel: &Channel) {
    let hello = Ask::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
    hear(channel, &hello).await;
    let welcome = Answer::Welcome { protocol: PROTOCOL, version: "9".to_owned() };
    channel.send(&welcome, None).await.unwrap();
}

fn device() -> Tun {
    Tun { name: "ikeep0".to_owned(), index: 7, kept: true, offload: true }
}

#[tokio::test]
async fn each_request_gets_its_answer() {
    let stand = Stand::serve(async |channel: Channel| {
        welcome(&channel).await;
        let (file, _) = std::io::pipe().unwrap();
        hear(&channel, &Ask::Tun {}).await;
        channel.send(&Answer::Tun(device()), Some(file.as_fd())).await.unwrap();
        hear(&channel, &Ask::Udp { ipv6: true }).await;
        channel.send(&Answer::Udp {}, Some(file.as_fd())).await.unwrap();
        hear(&channel, &Ask::Apply { network: Network::default() }).await;
        channel.send(&Answer::Applied(Applied::default()), None).await.unwrap();
        hear(&channel, &Ask::Gap { seconds: 300 }).await;
        channel.send(&Answer::Applied(Applied::default()), None).await.unwrap();
        hear(&channel, &Ask::Revert {}).await;
        channel.send(&Answer::Reverted { problems: vec!["no".to_owned()] }, None).await.unwrap();
    });
    let mut helper = Helper::connect(&stand.path()).await.unwrap();
    assert_eq!(helper.version(), "9");
    assert_eq!(helper.tun(None).await.unwrap().0, device());
    helper.udp(true).await.unwrap();
    assert_eq!(helper.apply(&Network::default()).await.unwrap(), Applied::default());
    assert_eq!(helper.gap(300).await.unwrap(), Applied::default());
    assert_eq!(helper.revert().await.unwrap(), ["no"]);
    helper.closed().await;
    assert!(matches!(helper.revert().await, Err(HelperError::Gone)));
}

#[tokio::test]
async fn a_refusal_is_told_although_the_helper_has_gone_since() {
    let refusal = Refusal { kind: RefusalKind::NotAllowed, message: "join the group".to_owned() };
    let told = refusal.clone();
    let stand = Stand::serve(async move |channel: Channel| {
        channel.send(&Answer::Refused(told), None).await.unwrap();
    });
    let error = Helper::connect(&stand.path()).await.unwrap_err();
    assert_eq!(error.refusal(), Some(RefusalKind::NotAllowed));
    assert!(error.to_string().contains("join the group"));
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_cancelled_is_not_taken_for_the_next_one() {
    let (go, gone) = tokio::sync::oneshot::channel();
    let stand = Stand::serve(async move |channel: Channel| {
        welcome(&channel).await;
        hear(&channel, &Ask::Revert {}).await;
        gone.await.unwrap();
        channel.send(&Answer::Reverted { problems: Vec::new() }, None).await.unwrap();
        hear(&channel, &Ask::Apply { network: Network::default() }).await;
        channel.send(&Answer::Applied(Applied::default()), None).await.unwrap();
    });
    let mut helper = Helper::connect(&stand.path()).await.unwrap();
    tokio::select! {
        biased;
        _ = helper.revert() => panic!("not answered yet"),
        () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
    }
    go.send(()).unwrap();
    assert_eq!(helper.apply(&Network::default()).await.unwrap(), Applied::default());
}

#[tokio::test]
async fn what_makes_no_sense_is_said() {
    let stand = Stand::serve(async |channel: Channel| {
        welcome(&channel).await;
        let _: (Ask, _) = channel.receive().await.unwrap();
        channel.send(&Answer::Tun(device()), None).await.unwrap();
        let _: (Ask, _) = channel.receive().await.unwrap();
        channel.send(&"what", None).await.unwrap();
    });
    let mut helper = Helper::connect(&stand.path()).await.unwrap();
    assert!(matches!(helper.tun(None).await, Err(HelperError::Garbage { .. })), "no descriptor");
    assert!(matches!(helper.udp(false).await, Err(HelperError::Garbage { .. })));
    let old = Stand::serve(async |channel: Channel| {
        let _: (Ask, _) = channel.receive().await.unwrap();
        let welcome = Answer::Welcome { protocol: PROTOCOL + 1, version: "9".to_owned() };
        channel.send(&welcome, None).await.unwrap();
    });
    let error = Helper::connect(&old.path()).await.unwrap_err();
    assert!(error.to_string().contains("same version"), "{error}");
}

#[tokio::test]
async fn without_a_helper_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Helper::connect(&folder.path().join("none.sock")).await.unwrap_err();
    assert!(matches!(error, HelperError::Absent { .. }));
    assert!(error.to_string().contains("--tunnel proxy"));
}
