use super::*;

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
    let mut senses = machine(Duration::default);
    let none: &[Missing] = &[];
    assert_eq!(*senses.missing.borrow(), none);
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

#[test]
fn what_has_no_route_has_no_way() {
    // Class E is not routable on any kernel that has no route for it.
    assert_eq!(way_to(at("255.255.255.255:500")).unwrap(), None);
    let way = way_to(at("127.0.0.1:500")).unwrap().unwrap();
    assert_eq!(way.from, "127.0.0.1".parse::<IpAddr>().unwrap());
}
