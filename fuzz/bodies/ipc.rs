//! A line on the agent's socket: whatever is taken from it says the same again.

use ikeep::ipc::{Hello, Reply, Request, decode, encode};

/// `T` is one of the messages.
macro_rules! same_again {
    ($T:ty, $line:expr) => {
        if let Ok(message) = decode::<$T>($line) {
            // A line that is longer when written again (an escape for a raw character) may be too long.
            if let Ok(again) = encode(&message) {
                assert_eq!(again.iter().filter(|octet| **octet == b'\n').count(), 1, "one line");
                let third = encode(&decode::<$T>(&again).expect("own lines are read")).expect("and written");
                // A fraction in a status is read quickly, not exactly: its last digit may move.
                assert!(again == third || again.starts_with(br#"{"reply":"status""#));
            }
        }
    };
}

/// One input.
pub(crate) fn check(line: &[u8]) {
    same_again!(Hello, line);
    same_again!(Request, line);
    same_again!(Reply, line);
}
