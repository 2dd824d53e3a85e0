//! A helper that is killed under a supervisor that keeps its device: packets into the tunnel never go anywhere else.

use super::world::{Lines, Place, Process, enabled, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::ipc::helper::Helper;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};

const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netd/supervisor.py");

struct Supervisor {
    stdin: Option<ChildStdin>,
    process: Process,
    /// What the supervisor says.
    said: Lines,
    /// What the helpers say.
    log: Lines,
    place: Place,
    helper: u32,
}

impl Supervisor {
    fn new(label: &str, more: &[&str]) -> Result<Self> {
        let place = Place::new(label)?;
        let mut command = place.netns.command("/usr/bin/python3");
        command.arg(SUPERVISOR).arg(place.socket()).arg(place.folder.path());
        command.arg(env!("CARGO_BIN_EXE_ikeep-netd")).args(place.arguments(more));
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting the supervisor")?;
        let stdin = child.stdin.take();
        let said = Lines::of(child.stdout.take().context("no stdout")?);
        let log = Lines::of(child.stderr.take().context("no stderr")?);
        let mut supervisor = Self { stdin, process: Process(child), said, log, place, helper: 0 };
        supervisor.started()?;
        Ok(supervisor)
    }

    /// Waits for a helper that listens.
    fn started(&mut self) -> Result<()> {
        let line = self.said.wait(&["started"])?;
        self.helper = line.trim_start_matches("started ").parse()?;
        self.log.wait(&["listens"])?;
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let pid = i32::try_from(self.helper)?;
        kill_process(Pid::from_raw(pid).context("no helper")?, Signal::KILL)?;
        self.said.wait(&["ended -9"])?;
        Ok(())
    }

    fn order(&mut self, order: &str) -> Result<()> {
        // In one piece: the supervisor takes an empty one for the end.
        Ok(self.stdin.as_mut().context("no stdin")?.write_all(format!("{order}\n").as_bytes())?)
    }

    /// The device, as the kernel counts it: another one would have another index.
    fn index(&self) -> Result<String> {
        let link = self.place.netns.ip(&["-o", "link", "show", "ikeep0"])?;
        Ok(link.split(':').next().unwrap_or_default().to_owned())
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn begin(place: &Place) -> Result<(Helper, File)> {
    let mut helper = Helper::connect(&place.socket()).await?;
    let (_, device) = helper.tun(None).await?;
    helper.apply(&plan()).await?;
    Ok((helper, device.into()))
}

#[test]
fn the_device_outlives_the_helper_and_both() -> Result<()> {
    if !enabled("netd: the_device_outlives_the_helper_and_both") {
        return Ok(());
    }
    let mut supervisor = Supervisor::new("store", &["--hold=4"])?;
    let before = supervisor.place.picture()?;
    let runtime = runtime()?;
    let (helper, device) = runtime.block_on(begin(&supervisor.place))?;
    supervisor.said.wait(&["stored 1"])?;
    let (during, index) = (supervisor.place.picture()?, supervisor.index()?);

    // The helper dies, the agent hears it and comes back.
    supervisor.kill()?;
    ensure!(supervisor.place.picture()? == during, "while the helper is dead");
    runtime.block_on(helper.closed());
    supervisor.started()?;
    ensure!(supervisor.log.count(&["keeps the tunnel of the helper before"]) == 1);
    let (helper, again) = runtime.block_on(async {
        let mut helper = Helper::connect(&supervisor.place.socket()).await?;
        let (tun, again) = helper.tun(None).await?;
        ensure!(tun.kept, "{tun:?}");
        anyhow::Ok((helper, again))
    })?;
    ensure!(supervisor.place.picture()? == during && supervisor.index()? == index);

    // Both die. The device is held by nobody but the supervisor.
    drop((helper, device, again));
    supervisor.kill()?;
    ensure!(supervisor.place.picture()? == during && supervisor.index()? == index, "while both are dead");
    supervisor.started()?;
    ensure!(supervisor.place.picture()? == during && supervisor.index()? == index, "kept for the agent");

    // Nobody comes.
    supervisor.log.wait(&["the tunnel has ended"])?;
    supervisor.said.wait(&["stored 0"])?;
    ensure!(supervisor.place.picture()? == before, "{}", supervisor.place.picture()?);
    ensure!(!supervisor.place.has_device()?);
    Ok(())
}

#[test]
fn a_restart_keeps_the_tunnel_and_a_stop_does_not() -> Result<()> {
    if !enabled("netd: a_restart_keeps_the_tunnel_and_a_stop_does_not") {
        return Ok(());
    }
    let mut supervisor = Supervisor::new("restart", &[])?;
    let before = supervisor.place.picture()?;
    let runtime = runtime()?;
    let (_helper, device) = runtime.block_on(begin(&supervisor.place))?;
    let (during, index) = (supervisor.place.picture()?, supervisor.index()?);
    drop(device);
    supervisor.order("restart")?;
    supervisor.said.wait(&["ended 0"])?;
    supervisor.started()?;
    ensure!(supervisor.place.picture()? == during && supervisor.index()? == index);
    supervisor.order("stop")?;
    supervisor.said.wait(&["ended 0"])?;
    ensure!(supervisor.process.0.wait()?.success());
    ensure!(supervisor.place.picture()? == before, "{}", supervisor.place.picture()?);
    ensure!(!supervisor.place.has_device()?);
    Ok(())
}

#[test]
fn without_a_store_the_next_helper_puts_everything_back() -> Result<()> {
    if !enabled("netd: without_a_store_the_next_helper_puts_everything_back") {
        return Ok(());
    }
    let mut world = super::world::World::new("restore", &[])?;
    let before = world.place.picture()?;
    let runtime = runtime()?;
    let (helper, device) = runtime.block_on(begin(&world.place))?;
    world.signal(Signal::KILL)?;
    world.process.0.wait()?;
    // The agent has the device still: routes and rules stand, and the resolver's file is changed.
    ensure!(world.place.resolv_conf()?.contains("10.1.1.1"));
    let mut command = world.place.netns.command(env!("CARGO_BIN_EXE_ikeep-netd"));
    let output = command.arg("--restore").args(world.place.arguments(&[])).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(!world.place.resolv_conf()?.contains("10.1.1.1"));
    // The device itself is the agent's: the next helper takes it over.
    let mut world = super::world::World::at(world.place, &[])?;
    drop(helper);
    runtime.block_on(async {
        use std::os::fd::AsFd as _;
        let mut helper = world.client().await?;
        let (tun, _) = helper.tun(Some(device.as_fd())).await?;
        ensure!(tun.name == "ikeep0" && !tun.kept, "{tun:?}");
        helper.apply(&plan()).await?;
        helper.revert().await?;
        anyhow::Ok(())
    })?;
    drop(device);
    world.log.wait(&["the tunnel has ended"])?;
    ensure!(world.place.picture()? == before, "{}", world.place.picture()?);
    Ok(())
}
