//! An answer to the probe for portals: pieces do not matter, the end of an answer is a verdict, and so is one that never ends.

use ikeep::sense::portal::{MAX_HEADER, Probe, Verdict, judge};
use std::time::Duration;

/// One input.
pub(crate) fn check(input: &[u8]) {
    let probe = Probe {
        url: "http://probe.example/nm".parse().unwrap(),
        expect: "NetworkManager is online".into(),
        timeout: Duration::from_secs(1),
    };
    let last = judge(input, true, &probe).expect("the end is a verdict");
    if let Verdict::Captive { location: Some(location) } = &last {
        assert!(location.to_ascii_lowercase().starts_with("http"));
        assert!(location.bytes().all(|octet| octet.is_ascii_graphic()));
    }
    let first = (0..=input.len()).find_map(|length| judge(&input[..length], false, &probe));
    match first {
        // Beyond this the end of the answer is not waited for.
        _ if input.len() > 2 * MAX_HEADER => assert!(first.is_some()),
        _ if input.len() > MAX_HEADER => {}
        Some(first) => assert_eq!(judge(input, false, &probe), Some(first)),
        None => {}
    }
}
