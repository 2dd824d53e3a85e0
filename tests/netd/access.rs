//! Who is let in.

use super::world::{STRANGER, World, as_user, enabled};
use crate::bus::{Bus, LOGIND, PATH, Skill};
use anyhow::{Context as _, Result, ensure};
use ikeep::ipc::helper::{Helper, HelperError, RefusalKind};
use std::collections::BTreeMap;
use std::path::Path;
use zbus::connection;
use zbus::zvariant::Value;

async fn connect(socket: &Path) -> Result<Helper, HelperError> {
    Helper::connect(socket).await
}

#[test]
fn a_stranger_is_refused_and_the_log_says_who() -> Result<()> {
    if !enabled("netd: a_stranger_is_refused_and_the_log_says_who") {
        return Ok(());
    }
    let mut world = World::new("stranger", &[])?;
    let socket = world.place.socket();
    let refused = as_user(STRANGER, &[], || connect(&socket))?.err().context("let in")?;
    ensure!(refused.refusal() == Some(RefusalKind::NotAllowed), "{refused}");
    ensure!(refused.to_string().contains("usermod -aG ikeep"), "{refused}");
    let pid = format!("pid={}", std::process::id());
    world.log.wait(&["refused", "uid=65534", &pid, "group ikeep"])?;
    Ok(())
}

#[test]
fn members_of_the_group_are_let_in_and_told_who_has_the_tunnel() -> Result<()> {
    if !enabled("netd: members_of_the_group_are_let_in_and_told_who_has_the_tunnel") {
        return Ok(());
    }
    // A group that every Debian has.
    let world = World::new("members", &["--group=daemon"])?;
    let socket = world.place.socket();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut owner = runtime.block_on(async {
        let mut helper = world.client().await?;
        helper.tun(None).await?;
        anyhow::Ok(helper)
    })?;
    let refused = as_user(STRANGER, &[7, 1], || async {
        let mut helper = connect(&socket).await?;
        helper.udp(false).await?;
        helper.tun(None).await
    })?;
    let refused = refused.err().context("a second tunnel")?;
    ensure!(refused.refusal() == Some(RefusalKind::Taken), "{refused}");
    ensure!(refused.to_string().contains("root (0)"), "{refused}");
    let other = as_user(STRANGER, &[7], || connect(&socket))?;
    ensure!(other.is_err(), "another group");
    runtime.block_on(owner.revert())?;
    Ok(())
}

#[test]
fn whoever_sits_at_the_machine_is_let_in() -> Result<()> {
    let test = "netd: whoever_sits_at_the_machine_is_let_in";
    if !enabled(test) || !crate::bus::enabled(test) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bus = runtime.block_on(async {
        let mut bus = Bus::new()?;
        bus.start_logind(Skill::Everything).await?;
        anyhow::Ok(bus)
    })?;
    let world = World::new("sits", &[&format!("--bus={}", bus.address())])?;
    let socket = world.place.socket();
    let may = |uid: u32| anyhow::Ok(as_user(uid, &[], || connect(&socket))?.is_ok());
    ensure!(!may(4001)?, "no session");
    for (session, uid, active, remote) in
        [("c1", 4001, true, false), ("c2", 4002, false, false), ("c3", 4003, true, true)]
    {
        runtime.block_on(add_session(&bus, session, uid, active, remote))?;
    }
    ensure!(may(4001)?, "an active one");
    ensure!(!may(4002)?, "an inactive one");
    ensure!(!may(4003)?, "a remote one");
    ensure!(!may(4004)?, "somebody else's");
    bus.end_logind();
    ensure!(!may(4001)?, "nobody says that there is a session");
    Ok(())
}

/// Lets logind have one more session.
async fn add_session(bus: &Bus, session: &str, uid: u32, active: bool, remote: bool) -> Result<()> {
    const MOCK: &str = "org.freedesktop.DBus.Mock";
    let connection = connection::Builder::address(bus.address().as_str())?.build().await?;
    let what = (session, "seat0", uid, "somebody", active);
    let added = connection.call_method(Some(LOGIND), PATH, Some(MOCK), "AddSession", &what).await?;
    let path: String = added.body().deserialize()?;
    let remote = BTreeMap::from([("Remote", Value::from(remote))]);
    let what = ("org.freedesktop.login1.Session", remote);
    connection.call_method(Some(LOGIND), path.as_str(), Some(MOCK), "UpdateProperties", &what).await?;
    Ok(())
}
