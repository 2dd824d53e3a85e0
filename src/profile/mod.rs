//! The `profile` room.
