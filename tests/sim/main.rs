//! One laptop and its gateway in virtual time: the product's own `client` and `gateway`, a network that loses, delays,
//! repeats and partitions, and the laws of DESIGN section 4 as invariants. Every run is named by its seed and replays exactly:
//!
//! `IKEEP_SIM_SEED=17 cargo test --test sim -- schedules --nocapture`, and `IKEEP_SIM_SCHEDULES=2000` for longer runs.

mod honours;
mod laws;
mod mobike;
mod random;
mod redirect;
mod scenarios;
mod schedule;
mod world;
