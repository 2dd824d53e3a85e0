//! The `reconnect` room.
