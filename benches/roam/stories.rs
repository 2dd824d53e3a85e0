//! What happens to a client, measured once.

use crate::bed::Bed;
use crate::client::Client;
use crate::interop::Netns;
use crate::track::{now, pause};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// After a change so much time is looked at, so that a second gap is seen too.
const SETTLED: Duration = Duration::from_millis(600);
const SECOND: Duration = Duration::from_secs(1);

/// Several commands of `ip` in one process: a change as quick as a program makes it.
fn batch(host: &Netns, folder: &TempDir, commands: &str) -> Result<()> {
    let file = folder.path().join("batch");
    fs::write(&file, commands)?;
    host.ip(&["-batch", &file.to_string_lossy()]).map(drop)
}

/// The laptop's address is taken away and another is given. The longest gap between two answers.
pub(crate) fn address_change(bed: &Bed, client: &Client, round: usize, folder: &TempDir) -> Result<Duration> {
    let (old, new) = if round.is_multiple_of(2) { (2, 3) } else { (3, 2) };
    let begun = now();
    batch(
        &bed.laptop,
        folder,
        &format!("addr del 10.9.0.{old}/24 dev eth0\naddr add 10.9.0.{new}/24 dev eth0\n"),
    )?;
    gap(client, begun)
}

/// The link goes down for a second and comes up. What the gap in the tunnel is longer than the gap of pings past it: the kernel
/// lets a link that has come up wait for up to a second, and that is nobody's fault.
pub(crate) fn link(bed: &Bed, client: &Client) -> Result<Duration> {
    let plain = bed.plain.as_ref().context("a plain link")?;
    let begun = now();
    bed.laptop.ip(&["link", "set", "eth0", "down"])?;
    pause(SECOND);
    bed.laptop.ip(&["link", "set", "eth0", "up"])?;
    let up = now();
    let gap = gap(client, begun)?;
    let own = plain.longest_gap(begun, plain.alive_after(up, PATIENCE)?);
    Ok(gap.saturating_sub(own))
}

fn gap(client: &Client, begun: u64) -> Result<Duration> {
    let back = client.track.alive_after(now(), PATIENCE).with_context(|| client.told(begun))?;
    pause(SETTLED);
    let settled = client.track.alive_after(now(), PATIENCE).with_context(|| client.told(begun))?;
    ensure!(settled >= back, "time goes on");
    Ok(client.track.longest_gap(begun, settled))
}

/// The laptop sleeps so long that the gateway has given its SA up, and wakes. From there to the first ping that is answered,
/// of those sent since.
pub(crate) fn resume(bed: &Bed, client: &mut Client) -> Result<Duration> {
    // No ping of before is under way any more when it wakes.
    if client.kind.is_ours() {
        let asked = now();
        client.order("suspend")?;
        client.track.told_after(asked, "suspended", PATIENCE).with_context(|| client.told(asked))?;
    }
    bed.cut(true);
    client.freeze()?;
    bed.gateway.forget("reconnect")?;
    // Longer than the tuned one's DPD interval, so that what is due then is due when it wakes.
    pause(SECOND + SECOND / 5);
    bed.cut(false);
    client.order("resume")?;
    let woken = now();
    client.go_on()?;
    let back = client.track.alive_after(woken, PATIENCE).with_context(|| client.told(woken))?;
    // What is left of it is over before the next time.
    pause(SETTLED);
    Ok(Duration::from_nanos(back - woken))
}

/// The path is silent for 12 s and the gateway loses its SA meanwhile. When that was declared (where the client says so), and
/// how long after the path's return a ping is answered.
pub(crate) fn outage(bed: &Bed, client: &Client) -> Result<(Option<Duration>, Duration)> {
    let begun = now();
    bed.cut(true);
    bed.gateway.forget("reconnect")?;
    let declared = if client.kind.is_ours() {
        let at = client.track.told_after(begun, "Outage", PATIENCE).with_context(|| client.told(begun))?;
        Some(Duration::from_nanos(at - begun))
    } else {
        None
    };
    crate::track::sleep_until(begun + 12_000_000_000);
    bed.cut(false);
    let returned = now();
    let back = client.track.alive_after(returned, PATIENCE).with_context(|| client.told(begun))?;
    pause(SETTLED);
    Ok((declared, Duration::from_nanos(back - returned)))
}
