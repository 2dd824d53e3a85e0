//! How a gateway proves itself: its certificate and its signature. Both need the lab's CA, which the core must not import.

mod chain;
mod signature;
