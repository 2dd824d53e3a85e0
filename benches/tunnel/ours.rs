//! Our agent with a device, to our gateway or to strongSwan's.

use crate::bed::{Bed, FRONT, Tunnel};
use crate::interop::agent::{configure_for_strongswan, plant_session};
use crate::interop::{BEHIND_GATEWAY, Pki};
use crate::person::{Company, Person, said};
use crate::suite::Cipher;
use crate::swan;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::process::Output;

/// Where the gateway listens.
fn ports() -> (SocketAddr, SocketAddr) {
    (SocketAddr::from((FRONT, 500)), SocketAddr::from((FRONT, 4500)))
}

/// It says goodbye before its home goes: so the helper has nothing to keep.
struct Visitor(Person);

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.0.run(&["disconnect"]);
    }
}

impl Visitor {
    fn new(bed: &Bed, tunnel: &str) -> Result<Self> {
        let person = Person::within(bed.laptop.prefix(), ports())?;
        person.configure(ports(), &format!("tunnel = \"{tunnel}\"\n"))?;
        Ok(Self(person))
    }

    /// The agent is up and has a tunnel of this kind.
    fn tunnel(
        self,
        kind: &str,
        connect: &Output,
        gateway: Option<rustix::process::Pid>,
        parts: impl std::any::Any,
    ) -> Result<Tunnel> {
        let person = &self.0;
        ensure!(connect.status.success(), "connect: {}\n{}", said(connect), person.events());
        let status = person.status()?;
        ensure!(status["tunnel"] == kind, "no tunnel of this kind: {status:#}\n{}", person.events());
        let agent = person.agent().context("an agent runs")?;
        Ok(Tunnel {
            target: BEHIND_GATEWAY.parse()?,
            agent: Some(agent),
            gateway,
            proxy: status["proxy"].as_str().filter(|_| kind == "proxy").map(str::to_owned),
            // The visitor goes first.
            _parts: Box::new((self, parts)),
        })
    }
}

/// What answers at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gateway {
    Ours,
    StrongSwan,
}

/// To `ikeep gateway serve --tun`, after a login.
pub(crate) fn to_ours(bed: &Bed, cipher: Cipher) -> Result<Tunnel> {
    within_ours(bed, "tun", cipher)
}

/// To strongSwan, with a session that it honours.
pub(crate) fn to_strongswan(bed: &Bed, cipher: Cipher, pki: &Pki) -> Result<Tunnel> {
    within_strongswan(bed, "tun", cipher, pki)
}

/// The same without a device.
pub(crate) fn proxy(
    bed: &Bed,
    gateway: Gateway,
    cipher: Cipher,
    pki: impl FnOnce() -> Result<Pki>,
) -> Result<Tunnel> {
    match gateway {
        Gateway::Ours => within_ours(bed, "proxy", cipher),
        Gateway::StrongSwan => within_strongswan(bed, "proxy", cipher, &pki()?),
    }
}

fn within_ours(bed: &Bed, kind: &str, cipher: Cipher) -> Result<Tunnel> {
    let listen = bed.back.to_string();
    let options = ["--listen", &listen, "--tun", BEHIND_GATEWAY, "--esp", cipher.option()];
    let company = Company::within(&bed.gateway.prefix(), &options)?;
    let visitor = Visitor::new(bed, kind)?;
    let connect = visitor.0.log_in(&company.ca())?;
    let gateway = company.process();
    visitor.tunnel(kind, &connect, gateway, company)
}

fn within_strongswan(bed: &Bed, kind: &str, cipher: Cipher, pki: &Pki) -> Result<Tunnel> {
    let charon = swan::gateway(bed, cipher, pki)?;
    let visitor = Visitor::new(bed, kind)?;
    configure_for_strongswan(&visitor.0)?;
    plant_session(&visitor.0, ports().1, cipher.group())?;
    let (profile, ca) = (Person::profile().display().to_string(), pki.ca.display().to_string());
    let connect = visitor.0.run(&["connect", "--profile", &profile, "--trust", &ca])?;
    let gateway = charon.pid();
    visitor.tunnel(kind, &connect, gateway, charon)
}
