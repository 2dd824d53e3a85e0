//! The product's own `client` and `gateway` in virtual time: single stories, and random schedules under a model that knows
//! what must hold. Every run is named by its seed and replays exactly; see `runner` for long runs.

mod city;
mod crashes;
mod doubt;
mod fault;
mod harness;
mod herd;
mod honours;
mod hostile;
mod legacy;
mod logins;
mod ml_kem;
mod mobike;
mod ppk;
mod race;
mod redirect;
mod resume;
mod runner;
mod scenarios;
mod schedule;
mod soak;
mod stories;
