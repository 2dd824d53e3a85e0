use super::*;

#[tokio::test]
async fn the_way_is_told_for_each_gateway_and_only_when_it_is_another() {
    let Senses { mut signals, gateway, missing } = machine(Duration::default);
    assert_eq!(missing, [] as [String; 0]);
    gateway.send_replace(Some("127.0.0.1:500".parse().unwrap()));
    assert_eq!(signals.recv().await, Some(Signal::Path(Some("127.0.0.1".parse().unwrap()))));
    // The same way to another port is told again: another gateway was asked for.
    gateway.send_replace(Some("127.0.0.2:4500".parse().unwrap()));
    assert_eq!(signals.recv().await, Some(Signal::Path(Some("127.0.0.1".parse().unwrap()))));
    drop(gateway);
    assert_eq!(signals.recv().await, None, "the task ends with its owner");
}

#[test]
fn what_has_no_route_has_no_way() {
    // Class E is not routable on any kernel that has no route for it; ::/96 neither.
    assert_eq!(source_for("255.255.255.255:500".parse().unwrap()).unwrap(), None);
    assert_eq!(source_for("127.0.0.1:500".parse().unwrap()).unwrap(), Some("127.0.0.1".parse().unwrap()));
}
