//! The resolver's settings of a tunnel.
