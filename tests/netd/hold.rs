//! A tunnel from beginning to end, and an agent that dies.

use super::world::{World, enabled, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::ipc::helper::Helper;
use ikeep::plan::{MARK, Network};
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn everything_is_as_before_after_a_revert() -> Result<()> {
    if !enabled("netd: everything_is_as_before_after_a_revert") {
        return Ok(());
    }
    let world = World::new("revert", &[])?;
    let before = world.place.picture()?;
    runtime()?.block_on(async {
        let mut helper = world.client().await?;
        let (tun, device) = helper.tun(None).await?;
        ensure!(tun.name == "ikeep0" && !tun.kept && tun.offload, "{tun:?}");
        let applied = helper.apply(&plan()).await?;
        ensure!(applied.resolver.is_some(), "{applied:?}");
        let during = world.place.picture()?;
        ensure!(during.contains("192.168.20.5") && during.contains("10.1.1.1"), "{during}");
        // Again, and another one.
        helper.apply(&plan()).await?;
        ensure!(world.place.picture()? == during);
        helper.apply(&Network { mtu: 1300, ..plan() }).await?;
        ensure!(world.place.netns.ip(&["link", "show", "ikeep0"])?.contains("mtu 1300"));
        let problems = helper.revert().await?;
        ensure!(problems.is_empty(), "{problems:?}");
        drop(device);
        ensure!(world.place.picture()? == before, "before:\n{before}\nafter:\n{}", world.place.picture()?);
        ensure!(!world.place.has_device()?);
        // And once more from the beginning.
        let (tun, _device) = helper.tun(None).await?;
        ensure!(tun.name == "ikeep0" && !tun.kept, "{tun:?}");
        Ok(())
    })
}

#[test]
fn sockets_are_marked_and_large() -> Result<()> {
    if !enabled("netd: sockets_are_marked_and_large") {
        return Ok(());
    }
    let world = World::new("sockets", &[])?;
    runtime()?.block_on(async {
        let mut helper = world.client().await?;
        for ipv6 in [false, true] {
            let socket = std::net::UdpSocket::from(helper.udp(ipv6).await?);
            let address = if ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
            let reference = socket2::SockRef::from(&socket);
            ensure!(reference.mark()? == MARK);
            ensure!(reference.recv_buffer_size()? >= 4 << 20 && reference.send_buffer_size()? >= 4 << 20);
            let address: std::net::SocketAddr = address.parse()?;
            reference.bind(&address.into())?;
            ensure!(socket.local_addr()?.port() != 0);
        }
        Ok(())
    })
}

/// A process of its own that holds the tunnel as an agent does, to be killed.
struct Agent {
    _process: super::world::Process,
}

impl Agent {
    fn new(world: &World) -> Result<Self> {
        const SCRIPT: &str = "
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
for message in [{'ask': 'hello', 'protocol': 1, 'version': 'test'}, {'ask': 'tun'}, json.loads(sys.argv[2])]:
    s.send(json.dumps(message).encode())
    answer, fds, _, _ = socket.recv_fds(s, 1 << 17, 4)
    assert b'refused' not in answer, answer
print('holds', flush=True)
sys.stdin.read()
";
        let ask = serde_json::to_string(&ikeep::ipc::helper::Ask::Apply { network: plan() })?;
        let mut command = super::world::python();
        let command: &mut Command = command.args(["-c", SCRIPT]).arg(world.place.socket()).arg(ask);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let agent = Self { _process: super::world::Process(child) };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "holds\n", "{line:?}");
        Ok(agent)
    }
}

#[test]
fn the_tunnel_of_a_killed_agent_is_kept_and_then_put_back() -> Result<()> {
    if !enabled("netd: the_tunnel_of_a_killed_agent_is_kept_and_then_put_back") {
        return Ok(());
    }
    let mut world = World::new("kept", &["--hold=3"])?;
    let before = world.place.picture()?;
    let agent = Agent::new(&world)?;
    let during = world.place.picture()?;
    ensure!(during != before);
    drop(agent);
    world.log.wait(&["the agent has gone"])?;
    ensure!(world.place.picture()? == during, "everything is kept");
    // The next one of this user gets the same device.
    let runtime = runtime()?;
    let (helper, device) = runtime.block_on(async {
        let mut helper = world.client().await?;
        let (tun, device) = helper.tun(None).await?;
        ensure!(tun.kept && tun.name == "ikeep0", "{tun:?}");
        anyhow::Ok((helper, device))
    })?;
    ensure!(world.place.picture()? == during);
    // It works: what is routed into the tunnel comes out of the descriptor.
    let sent = world.place.netns.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(b"through the tunnel", "10.20.30.40:9")
    })?;
    sent?;
    let mut packet = [0; 2000];
    let mut found = false;
    // The kernel says something of its own on a new link, too.
    while let Ok(length) = rustix::io::read(&device, &mut packet) {
        found |= packet[..length].windows(18).any(|part| part == b"through the tunnel");
    }
    ensure!(found, "the packet did not come out");
    drop((helper, device));
    world.log.wait(&["the tunnel has ended"])?;
    ensure!(world.place.picture()? == before, "after the hold:\n{}", world.place.picture()?);
    ensure!(!world.place.has_device()?);
    Ok(())
}

#[test]
fn a_signal_puts_everything_back() -> Result<()> {
    if !enabled("netd: a_signal_puts_everything_back") {
        return Ok(());
    }
    let mut world = World::new("signal", &[])?;
    let before = world.place.picture()?;
    let runtime = runtime()?;
    let helper: Helper = runtime.block_on(async {
        let mut helper = world.client().await?;
        helper.tun(None).await?;
        helper.apply(&plan()).await?;
        anyhow::Ok(helper)
    })?;
    ensure!(world.place.picture()? != before);
    world.signal(Signal::TERM)?;
    ensure!(world.process.0.wait()?.code() == Some(0));
    runtime.block_on(helper.closed());
    ensure!(world.place.picture()? == before, "{}", world.place.picture()?);
    ensure!(!world.place.socket().exists(), "the socket is gone");
    Ok(())
}

#[test]
fn it_ends_when_nobody_needs_it() -> Result<()> {
    if !enabled("netd: it_ends_when_nobody_needs_it") {
        return Ok(());
    }
    let mut world = World::new("idle", &["--exit-idle=0.2", "--hold=0.2"])?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut helper = world.client().await?;
        helper.tun(None).await?;
        anyhow::Ok(())
    })?;
    ensure!(world.process.0.wait()?.code() == Some(0));
    world.log.wait(&["the tunnel has ended"])?;
    Ok(())
}
