//! Addresses, routes and rules of a tunnel, by netlink.
