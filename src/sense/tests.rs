use super::*;
use tempfile::TempDir;

/// A machine with a resolver of its own and no bus.
fn listen() -> (TempDir, Senses) {
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = folder.path().join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 10.0.0.53\nsearch corp.example\n").unwrap();
    let bus = Some(format!("unix:path={}", folder.path().join("no-bus").display()));
    let resolver = Files { resolv_conf, behind_the_stub: folder.path().join("none") };
    (folder, Sources { bus, resolver }.listen(Duration::default))
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

async fn ways(senses: &mut Senses) -> Vec<(SocketAddr, IpAddr)> {
    match senses.signals.recv().await {
        Some(Signal::Ways(ways)) => ways.iter().map(|way| (way.to, way.from)).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_ways_are_told_for_each_gateway_and_only_when_they_are_others() {
    let (_folder, mut senses) = listen();
    let networks = senses.signals.recv().await;
    assert!(
        matches!(&networks, Some(Signal::Networks(networks)) if networks.domains == ["corp.example"]),
        "{networks:?}"
    );
    let home = "127.0.0.1".parse().unwrap();
    senses.gateway.send_replace(vec![at("127.0.0.1:500")]);
    assert_eq!(ways(&mut senses).await, [(at("127.0.0.1:500"), home)]);
    // The same way to another port is told again: another gateway was asked for. One without a way is left out.
    let both = vec![at("255.255.255.255:500"), at("127.0.0.2:4500"), at("127.0.0.1:500")];
    senses.gateway.send_replace(both);
    assert_eq!(ways(&mut senses).await, [(at("127.0.0.2:4500"), home), (at("127.0.0.1:500"), home)]);
    let Senses { mut signals, gateway, .. } = senses;
    drop(gateway);
    assert!(signals.recv().await.is_none(), "the task ends with its owner");
}

#[tokio::test]
async fn what_cannot_start_says_so_and_nothing_else_ends() {
    let (_folder, mut senses) = listen();
    let missing = senses.missing.wait_for(|missing| !missing.is_empty()).await.unwrap().clone();
    let [missing] = missing.as_slice() else { panic!("{missing:?}") };
    assert_eq!(missing.source, "sleep before it begins");
    assert!(missing.to_string().contains("the system bus: "), "{missing}");
    let networks = senses.signals.recv().await;
    assert!(matches!(networks, Some(Signal::Networks(_))), "{networks:?}");
}

#[test]
fn the_list_of_what_is_missing_changes_when_something_does() {
    let lacks = Lacks(watch::Sender::default());
    let mut missing = lacks.0.subscribe();
    let mut changed = || {
        let changed = missing.has_changed().unwrap();
        missing.borrow_and_update();
        changed
    };
    lacks.say("a", None);
    assert!(!changed());
    lacks.say("a", Some("why".into()));
    assert!(changed());
    lacks.say("a", Some("why".into()));
    assert!(!changed());
    lacks.say("b", Some("why".into()));
    lacks.say("a", Some("another reason".into()));
    assert!(changed());
    let list: Vec<_> = lacks.0.borrow().iter().map(ToString::to_string).collect();
    assert_eq!(list, ["b: why", "a: another reason"]);
    lacks.say("b", None);
    assert!(changed());
    assert_eq!(lacks.0.borrow().len(), 1);
}
