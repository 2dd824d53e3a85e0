//! Clients that mean harm, or are broken. Each is refused, the log says who it was, and the helper goes on.

use super::world::{Place, Raw, World, channel_to, enabled, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::ipc::helper::{Answer, Ask, HelperError, MAX_MESSAGE, MAX_NETS, RefusalKind};
use ikeep::plan::{Net, Network};
use rustix::net::sockopt;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;

/// A refusal of this kind, whose reason the log tells with who it was.
fn sent_away(world: &mut World, raw: &Raw, reason: &str) -> Result<()> {
    let refusal = raw.dropped()?;
    ensure!(refusal.kind == RefusalKind::Request, "{refusal:?}");
    ensure!(refusal.message.contains(reason), "{refusal:?}");
    let pid = format!("pid={}", std::process::id());
    world.log.wait(&["refused", "uid=0", &pid, reason])?;
    Ok(())
}

#[test]
fn what_is_no_request_is_refused() -> Result<()> {
    if !enabled("netd: what_is_no_request_is_refused") {
        return Ok(());
    }
    let mut world = World::new("words", &[])?;
    let cases: [(&[u8], &str); 9] = [
        (br#"{"ask":"udp","ipv"#, "could not be read"),
        (br#"{"ask":"tun","table":254}"#, "unknown field"),
        (br#"{"ask":"apply","network":{"table":254}}"#, "unknown field"),
        (br#"{"ask":"run","command":"id"}"#, "unknown variant"),
        (br#"{"ask":"udp","ipv6":true,"mark":1}"#, "unknown field"),
        (b"\0\x01\x02", "could not be read"),
        (b"", "empty"),
        (br#"{"ask":"hello","protocol":1,"version":"again"}"#, "second hello"),
        (b"{\"ask\":\"\\n<0>root was here\"}", "unknown variant"),
    ];
    for (octets, reason) in cases {
        let raw = world.raw()?;
        raw.hello()?;
        raw.say(octets)?;
        sent_away(&mut world, &raw, reason)?;
    }
    ensure!(world.log.count(&["<0>root was here"]) == 1, "in one line");
    // Before anything else comes a hello.
    let raw = world.raw()?;
    raw.say(br#"{"ask":"tun"}"#)?;
    sent_away(&mut world, &raw, "hello")?;
    let raw = world.raw()?;
    raw.say(br#"{"ask":"hello","protocol":99,"version":"9"}"#)?;
    ensure!(raw.dropped()?.kind == RefusalKind::Version);
    ensure!(!world.place.has_device()?);
    Ok(())
}

#[test]
fn too_long_and_too_many_descriptors_are_refused() -> Result<()> {
    if !enabled("netd: too_long_and_too_many_descriptors_are_refused") {
        return Ok(());
    }
    let mut world = World::new("long", &[])?;
    // 10^5 routes make a message that no honest client could send.
    let net = |n: u32| Net::host(Ipv4Addr::from(0x0a00_0000 + n).into());
    let network = Network { include: (0..100_000).map(net).collect(), ..plan() };
    let octets = serde_json::to_vec(&Ask::Apply { network })?;
    ensure!(octets.len() > MAX_MESSAGE);
    let raw = world.raw()?;
    sockopt::set_socket_send_buffer_size_force(&raw.0, 64 << 20)?;
    raw.hello()?;
    raw.say(&octets)?;
    sent_away(&mut world, &raw, "longer than")?;
    // Descriptors.
    let raw = world.raw()?;
    raw.hello()?;
    let null = std::fs::File::open("/dev/null")?;
    let many = [null.as_fd(); 100];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    control.push(rustix::net::SendAncillaryMessage::ScmRights(&many));
    let message = [std::io::IoSlice::new(br#"{"ask":"tun"}"#)];
    rustix::net::sendmsg(&raw.0, &message, &mut control, rustix::net::SendFlags::empty())?;
    sent_away(&mut world, &raw, "more than one descriptor")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // One that is no device, and one where none belongs.
        let mut helper = world.client().await?;
        let refused = helper.tun(Some(null.as_fd())).await.err().context("taken")?;
        ensure!(refused.refusal() == Some(RefusalKind::Machine), "{refused}");
        let channel = channel_to(&world).await?;
        channel.send(&Ask::Hello { protocol: 1, version: String::new() }, None).await?;
        let _: (Answer, _) = channel.receive().await?;
        channel.send(&Ask::Revert {}, Some(null.as_fd())).await?;
        let (answer, _): (Answer, _) = channel.receive().await?;
        ensure!(matches!(answer, Answer::Refused(_)), "{answer:?}");
        anyhow::Ok(())
    })?;
    // All of them were closed.
    let fds = std::fs::read_dir(format!("/proc/{}/fd", world.process.0.id()))?;
    let null = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    ensure!(null.filter(|path| path.ends_with("null")).count() <= 2, "its own stdin and stdout");
    Ok(())
}

#[test]
fn plans_out_of_bounds_are_refused_and_the_client_may_go_on() -> Result<()> {
    if !enabled("netd: plans_out_of_bounds_are_refused_and_the_client_may_go_on") {
        return Ok(());
    }
    let mut world = World::new("plans", &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut helper = world.client().await?;
        let early = helper.apply(&plan()).await.err().context("without a device")?;
        ensure!(early.refusal() == Some(RefusalKind::Request), "{early}");
        helper.tun(None).await?;
        let before = world.place.picture()?;
        let net = |n: u32| Net::host(Ipv4Addr::from(0x0a00_0000 + n).into());
        let gateway: std::net::IpAddr = "203.0.113.1".parse()?;
        let many = Network { include: (0..2049).map(net).collect(), ..plan() };
        ensure!(many.include.len() == MAX_NETS + 1);
        let wrong = [
            (many, "more than 2048"),
            (
                Network { include: vec![Net { address: "127.0.0.0".parse()?, prefix: 8 }], ..plan() },
                "127.0.0.0/8",
            ),
            (
                Network { include: vec![Net { address: "10.0.0.1".parse()?, prefix: 8 }], ..plan() },
                "no network",
            ),
            (
                Network { include: vec![Net { address: "10.0.0.0".parse()?, prefix: 99 }], ..plan() },
                "no network",
            ),
            (Network { include: vec![Net::host(gateway)], ..plan() }, "203.0.113.1"),
            (Network { addresses: vec!["127.0.0.1".parse()?], ..plan() }, "127.0.0.1"),
            (Network { addresses: Vec::new(), ..plan() }, "no address"),
            (Network { mtu: 9001, ..plan() }, "9001"),
            (Network { mtu: 0, ..plan() }, "MTU"),
        ];
        for (network, reason) in wrong {
            let error = helper.apply(&network).await.err().context("applied")?;
            ensure!(error.refusal() == Some(RefusalKind::Request), "{error}");
            ensure!(error.to_string().contains(reason), "{error}");
            world.log.wait(&["refused", "uid=0", reason])?;
        }
        let mut network = plan();
        network.dns.search = vec!["a\nnameserver 6.6.6.6".to_owned()];
        let error = helper.apply(&network).await.err().context("applied")?;
        ensure!(error.to_string().contains("not a name"), "{error}");
        ensure!(world.place.picture()? == before, "nothing has changed");
        helper.apply(&plan()).await?;
        Ok(())
    })
}

#[test]
fn floods_end_and_others_are_served() -> Result<()> {
    if !enabled("netd: floods_end_and_others_are_served") {
        return Ok(());
    }
    let mut world = World::new("flood", &[])?;
    // Requests.
    let raw = world.raw()?;
    raw.hello()?;
    let mut answers = 0;
    let refusal = loop {
        // Once it is sent away nothing more can be said.
        let _ = raw.say(br#"{"ask":"udp","ipv6":false}"#);
        match raw.hear()?.context("ended without a word")? {
            Answer::Udp {} => answers += 1,
            Answer::Refused(refusal) => break refusal,
            other => anyhow::bail!("{other:?}"),
        }
        ensure!(answers < 100_000, "never refused");
    };
    ensure!(refusal.message.contains("too many requests"), "{refusal:?}");
    ensure!(answers >= 100, "a burst is allowed, {answers} were answered");
    drop(raw);
    // Connections that stay: two of one user.
    let (one, two) = (world.raw()?, world.raw()?);
    one.hello()?;
    two.hello()?;
    let three = world.raw()?;
    ensure!(three.dropped()?.message.contains("too many connections"));
    drop((one, two));
    // Connections one after the other.
    let mut refused = 0;
    for _ in 0..300 {
        let raw = world.raw()?;
        if let Ok(Some(Answer::Refused(_))) = raw.say(b"{").and_then(|()| raw.hear()) {
            refused += 1;
        }
    }
    ensure!(refused > 200, "{refused} of 300");
    let complaints = world.log.count(&["refused", "uid=0"]);
    ensure!(complaints < 60, "{complaints} lines of the log");
    // Another user is served all the while.
    let served = super::world::as_user(1, &[], || async {
        let connected = ikeep::ipc::helper::Helper::connect(&world.place.socket()).await;
        matches!(connected, Err(HelperError::Refused(_)))
    })?;
    ensure!(served, "the other user was not answered");
    Ok(())
}

#[test]
fn who_says_nothing_is_dropped() -> Result<()> {
    if !enabled("netd: who_says_nothing_is_dropped") {
        return Ok(());
    }
    let mut world = World::new("silent", &[])?;
    let silent = world.raw()?;
    ensure!(silent.hear()?.is_none(), "it was told something");
    world.log.wait(&["refused", "no hello came"])?;
    Ok(())
}

#[test]
fn a_second_helper_does_not_begin_and_nothing_is_put_back_under_the_first() -> Result<()> {
    if !enabled("netd: a_second_helper_does_not_begin_and_nothing_is_put_back_under_the_first") {
        return Ok(());
    }
    let world = World::new("second", &[])?;
    let place: &Place = &world.place;
    for (argument, code, word) in
        [("--verbose", 1, "another ikeep-netd"), ("--restore", 0, "nothing to put back")]
    {
        let mut command = place.netns.command(env!("CARGO_BIN_EXE_ikeep-netd"));
        let mut arguments = place.arguments(&[]);
        arguments.retain(|other| other != argument);
        let output = command.arg(argument).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code) && said.contains(word), "{:?} {said}", output.status);
    }
    Ok(())
}
