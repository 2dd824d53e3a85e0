//! A world in virtual time: laptops and gateways that run the product's own `client` and `gateway`, the places, NATs and
//! portals between them, a bystander, and a model that says at every step what must hold.

mod bystander;
mod calendar;
mod coverage;
mod herd;
mod lab;
mod laptop;
mod model;
mod nat;
mod network;
mod random;
mod record;
mod setup;
mod signals;
mod site;
mod table;
mod wire;
mod world;

pub(crate) use bystander::{Bystander, Forgery};
pub(crate) use coverage::Coverage;
pub(crate) use herd::Herd;
pub(crate) use lab::{Certificate, LAB};
pub(crate) use laptop::Laptop;
pub(crate) use nat::{Nat, Place};
pub(crate) use network::{Bad, Link, Parcel};
pub(crate) use random::Seeded;
pub(crate) use setup::{Setup, Tickets};
pub(crate) use world::World;
