use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn id() -> impl Strategy<Value = GatewayId> {
    let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
    let v6 = any::<[u8; 16]>().prop_map(IpAddr::from);
    let address = prop_oneof![v4, v6]
        .prop_filter("an address of a host", |ip| !ip.is_unspecified() && !ip.is_multicast());
    let name = "[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,12}){0,4}";
    prop_oneof![address.prop_map(GatewayId::Address), name.prop_map(GatewayId::Name)]
}

proptest! {
    #[test]
    fn what_is_written_is_read(to in id(), nonce in vec(any::<u8>(), 0..256)) {
        let redirect = Redirect { to, nonce };
        prop_assert_eq!(Redirect::decode(&redirect.encode()), Some(redirect));
    }

    #[test]
    fn whatever_is_read_is_a_gateway(data in vec(any::<u8>(), 0..300)) {
        if let Some(redirect) = Redirect::decode(&data) {
            if let GatewayId::Name(name) = &redirect.to {
                prop_assert!(!name.is_empty() && name.len() <= NAME && name.is_ascii());
            }
            prop_assert_eq!(Redirect::decode(&redirect.encode()), Some(redirect));
        }
    }
}

#[test]
fn the_form_on_the_wire() {
    let redirect = Redirect { to: GatewayId::Address(IpAddr::from([10, 9, 0, 7])), nonce: vec![1, 2, 3] };
    assert_eq!(redirect.encode(), [1, 4, 10, 9, 0, 7, 1, 2, 3]);
    let named = Redirect { to: GatewayId::Name("gw2.example.com".into()), nonce: Vec::new() };
    assert_eq!(named.encode(), [&[3, 15][..], b"gw2.example.com"].concat());
}

#[test]
fn what_names_no_gateway_is_refused() {
    let name = |text: &str| [&[3, text.len() as u8], text.as_bytes()].concat();
    let long = ["a".repeat(64), "com".into()].join(".");
    for data in [
        vec![],
        vec![1],
        vec![1, 4, 10, 9, 0],
        vec![1, 16, 10, 9, 0, 1],
        vec![2, 4, 10, 9, 0, 1],
        vec![4, 4, 10, 9, 0, 1],
        vec![1, 4, 0, 0, 0, 0],
        vec![1, 4, 224, 0, 0, 1],
        vec![3, 0],
        name("a b"),
        name("gw..example"),
        name("-gw.example"),
        name("gw.example\n"),
        name("gw/../x"),
        name(&long),
        vec![3, 2, 0xff, 0xfe],
    ] {
        assert_eq!(Redirect::decode(&data), None, "{data:?}");
    }
    assert_eq!(
        Redirect::decode(&name("gw2.example.com.")).map(|r| r.to),
        Some(GatewayId::Name("gw2.example.com".into()))
    );
}
