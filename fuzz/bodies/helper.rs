//! A message on the helper's socket: whatever is taken from it says the same again.

use ikeep::ipc::helper::{Answer, Ask, decode, encode};
use ikeep::netd::wall::held;

/// `T` is one of the messages.
macro_rules! same_again {
    ($T:ty, $octets:expr) => {
        if let Ok(message) = decode::<$T>($octets) {
            // One that is longer when written again (an escape for a raw character) may be too long.
            if let Ok(again) = encode(&message) {
                assert_eq!(decode::<$T>(&again).expect("own messages are read"), message);
            }
        }
    };
}

/// One input.
pub(crate) fn check(octets: &[u8]) {
    same_again!(Ask, octets);
    same_again!(Answer, octets);
    if let Ok(Ask::Apply { network }) = decode::<Ask>(octets)
        && ikeep::netd::check(&network).is_ok()
    {
        assert!(network.include.iter().all(|net| net.prefix <= 128));
        assert!((576..=9000).contains(&network.mtu));
        // As the kill switch has them: sorted, and none in another.
        let ranges = held(&network.include.iter().map(|net| (*net, true)).collect());
        assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let is_held = |ip| ranges.iter().any(|(first, last)| (*first..=*last).contains(ip));
        assert!(network.include.iter().all(|net| is_held(&net.address)));
    }
}
