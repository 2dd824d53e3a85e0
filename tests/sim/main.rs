//! The product's own `client` and `gateway` in virtual time: single stories, and random schedules under a model that knows
//! what must hold. Every run is named by its seed and replays exactly; see `runner` for long runs.

mod fault;
mod harness;
mod honours;
mod mobike;
mod redirect;
mod runner;
mod scenarios;
mod schedule;
mod stories;
