//! The kill switch, with the real agent and the real helper: nothing leaves beside the tunnel, whatever ends or breaks, and
//! nobody is locked out.

use crate::interop::agent::Running;
use crate::interop::{BEHIND_GATEWAY, Netns};
use crate::killed::begin_to_connect;
use crate::name_server::NameServer;
use crate::net::GATEWAY;
use crate::person::{PASSWORD, Person, Stopwatch, said};
use crate::portal::{self, Hotspot, LOGIN, browse, until_captive};
use crate::supervised::{Supervised, until};
use crate::watch::{Sender, Watch};
use crate::world::{Kind, Options, Peer, World, against, pause};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

/// So long everybody sends.
const WHILE: Duration = Duration::from_secs(1);
/// The helper keeps what nobody comes back for, seconds.
const HOLD: u32 = 8;

/// Writes it into the config file.
fn want(world: &World, mode: &str) -> Result<()> {
    let config = world.person.path("config/ikeep/config.toml");
    let text = fs::read_to_string(&config)?;
    Ok(fs::write(config, format!("[tunnel]\nkill_switch = \"{mode}\"\n{text}"))?)
}

/// The table, as `nft` knows it; empty: there is none.
fn table(laptop: &Netns) -> Result<String> {
    let output = laptop.command("nft").args(["list", "table", "inet", "ikeep"]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

fn until_up(world: &World) -> Result<()> {
    world.until("the kill switch", |status| status["kill_switch"]["up"] == true).map(drop)
}

/// Everybody sends for a while, and nothing of it is seen outside.
fn ensure_tight(world: &World, sender: &Sender, what: &str) -> Result<()> {
    let watch = Watch::start(&world.net)?;
    let rounds = sender.rounds();
    pause(WHILE);
    ensure!(sender.rounds() > rounds + 10, "nothing was sent");
    watch.ensure_tight().with_context(|| what.to_owned())?;
    println!("{what}: {} rounds of packets to everywhere, none left", sender.rounds() - rounds);
    Ok(())
}

/// What is sent leaves: nobody is locked out.
fn ensure_open(world: &World, what: &str) -> Result<()> {
    ensure!(table(&world.net.laptop)?.is_empty(), "{what}: {}", table(&world.net.laptop)?);
    let watch = Watch::start(&world.net)?;
    until(|| Ok(watch.leaked()?.0 > 10)).with_context(|| what.to_owned())
}

#[test]
fn with_a_kill_switch_nothing_leaves_beside_a_split_tunnel_whatever_ends() -> Result<()> {
    let test = "with_a_kill_switch_nothing_leaves_beside_a_split_tunnel_whatever_ends";
    let options = Options { supervised: true, ..Options::default() };
    against(&[Kind::Embedded], test, options, |world| {
        let world: &World = world;
        let supervised = Supervised::start(&world.person, &world.net.laptop, HOLD)?;
        let told = |error: anyhow::Error| error.context(supervised.log());
        want(world, "all")?;
        let sender = Sender::start(&world.net)?;
        ensure_open(world, "before")?;
        world.connect()?;
        until_up(world)?;
        println!("{}", table(&world.net.laptop)?);
        world.ping(BEHIND_GATEWAY, 56)?;
        ensure_tight(world, &sender, "connected")?;

        let watch = Watch::start(&world.net)?;
        let silence = world.net.spoil("drop")?;
        world.until("the outage", |status| status["state"] == "reconnecting")?;
        pause(WHILE);
        drop(silence);
        world.until("the connection", |status| {
            status["state"] == "connected" && status["confirmed"] == true
        })?;
        world.ping(BEHIND_GATEWAY, 56)?;
        watch.ensure_tight().context("in an outage")?;
        println!("an outage, and the gateway was reached again: none left");

        for (agent, helper, what) in [
            (true, false, "the agent killed"),
            (false, true, "the helper killed"),
            (true, true, "both killed"),
        ] {
            let before = supervised.pids();
            supervised.kill(agent, helper)?;
            until(|| {
                let now = supervised.pids();
                Ok((!agent || now[0] != before[0]) && (!helper || now[1] != before[1]))
            })?;
            until(|| Ok(world.person.status().is_ok()))?;
            world
                .until("the connection", |status| {
                    status["state"] == "connected" && status["kill_switch"]["up"] == true
                })
                .map_err(told)?;
            world.ping(BEHIND_GATEWAY, 56)?;
            watch.ensure_tight().context(what)?;
            println!("{what}: none left");
        }
        drop(watch);

        world.disconnect()?;
        ensure_open(world, "disconnected")?;
        let events = world.person.events();
        for text in ["The kill switch is up: what", "The kill switch is down."] {
            ensure!(events.contains(text), "no {text:?} in\n{events}");
        }

        // An agent that never made the connection, and a gateway that does not answer: the person's word counts nevertheless.
        world.connect()?;
        until_up(world)?;
        let silence = world.net.spoil("drop")?;
        let before = supervised.pids();
        supervised.kill(true, false)?;
        until(|| Ok(supervised.pids()[0] != before[0] && world.person.status().is_ok()))?;
        ensure_tight(world, &sender, "an agent started anew in an outage")?;
        let watch = Stopwatch::start();
        world.disconnect()?;
        println!("disconnect of an agent started anew: {:?}", watch.elapsed());
        ensure_open(world, "disconnected in an outage")?;
        drop(silence);
        Ok(())
    })
}

#[test]
fn a_kill_switch_whose_agent_and_helper_are_dead_is_taken_down_by_hand() -> Result<()> {
    let test = "a_kill_switch_whose_agent_and_helper_are_dead_is_taken_down_by_hand";
    against(&[Kind::Embedded], test, Options::default(), |world| {
        let world: &World = world;
        want(world, "all")?;
        let sender = Sender::start(&world.net)?;
        world.connect()?;
        until_up(world)?;
        let (helper, words) = helper(&world.net.laptop)?;
        world.person.kill_agent()?;
        ensure_tight(world, &sender, "the agent is gone for good")?;
        kill_process(helper, Signal::KILL)?;
        until(|| Ok(self::helper(&world.net.laptop).is_err()))?;
        ensure_tight(world, &sender, "and the helper")?;
        let place = words.iter().skip_while(|word| *word != "--state").nth(1).context("no folder")?;
        let mut restore = world.net.laptop.command(env!("CARGO_BIN_EXE_ikeep-netd"));
        let output = restore.args(["--restore", "--state", place, "--runtime", place]).output()?;
        ensure!(output.status.success(), "{}", said(&output));
        ensure_open(world, "restored")
    })
}

/// The helper that the agent has started, and its command line.
fn helper(laptop: &Netns) -> Result<(Pid, Vec<String>)> {
    let output = std::process::Command::new("ip").args(["netns", "pids", laptop.name()]).output()?;
    for pid in String::from_utf8(output.stdout)?.split_whitespace() {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<String> = words.split('\0').map(str::to_owned).collect();
        if words.first().is_some_and(|program| program.ends_with("ikeep-netd")) {
            return Ok((Pid::from_raw(pid.parse()?).context("a process")?, words));
        }
    }
    anyhow::bail!("no helper runs")
}

#[test]
fn a_kill_switch_for_the_tunnels_networks_holds_who_is_bound_elsewhere_and_leaves_others_alone() -> Result<()>
{
    let test = "a_kill_switch_for_the_tunnels_networks_holds_who_is_bound_elsewhere_and_leaves_others_alone";
    against(&[Kind::Embedded], test, Options::default(), |world| {
        let world: &World = world;
        // A socket on an interface stays there, whatever routes and rules say.
        let bound = world.net.laptop.run(|| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket2::SockRef::from(&socket).bind_device(Some(b"wifi0"))?;
            Ok(socket)
        })??;
        let leaks = |expected: bool| -> Result<()> {
            let watch = Watch::start(&world.net)?;
            let sent = (0..20).filter(|_| bound.send_to(b"secret", (BEHIND_GATEWAY, 9)).is_ok()).count();
            let (leaked, which) = watch.leaked()?;
            ensure!((leaked > 0) == expected, "{sent} sent, {leaked} left: {which}");
            Ok(())
        };
        let outside =
            |world: &World| world.net.laptop.command("ping").args(["-n", "-c", "2", "10.1.0.1"]).output();
        leaks(true)?;
        world.connect()?;
        leaks(true).context("routes alone do not hold it")?;
        world.disconnect()?;

        want(world, "tunnel-prefixes")?;
        world.connect()?;
        until_up(world)?;
        world.ping(BEHIND_GATEWAY, 56)?;
        leaks(false)?;
        ensure!(outside(world)?.status.success(), "the network outside is not reached");
        // Somebody has to send for an outage to be noticed soon.
        let mut ping = world.net.laptop.command("ping");
        let ping = ping.args(["-n", "-q", "-i", "0.2", BEHIND_GATEWAY]).stdout(Stdio::null());
        let ping = Running(ping.spawn()?);
        let silence = world.net.spoil("drop")?;
        world.until("the outage", |status| status["state"] == "reconnecting")?;
        leaks(false)?;
        drop((silence, ping));
        world.until("the connection", |status| status["state"] == "connected")?;
        world.disconnect()?;
        leaks(true)
    })
}

#[test]
fn with_a_kill_switch_the_local_network_is_reached_where_that_is_wanted() -> Result<()> {
    let test = "with_a_kill_switch_the_local_network_is_reached_where_that_is_wanted";
    against(&[Kind::Embedded], test, Options::default(), |world| {
        let world: &World = world;
        want(world, "all")?;
        let config = world.person.path("config/ikeep/config.toml");
        let lan = |wanted: bool| -> Result<()> {
            let text = fs::read_to_string(&config)?;
            let text = text.split("[preferences]").next().unwrap_or_default().trim_end().to_owned();
            fs::write(&config, format!("{text}\n[preferences]\nlocal_lan_access = {wanted}\n"))?;
            world.connect()?;
            until_up(world)?;
            for (host, expected) in [("10.1.0.1", wanted), ("fd01::1", wanted), ("203.0.113.9", false)] {
                let output =
                    world.net.laptop.command("ping").args(["-n", "-c", "1", "-W", "2", host]).output()?;
                ensure!(output.status.success() == expected, "{host} with {wanted}: {}", said(&output));
            }
            world.disconnect()
        };
        lan(false)?;
        lan(true)
    })
}

#[test]
fn a_person_logs_in_at_a_portal_with_a_kill_switch_and_only_pages_and_names_leave() -> Result<()> {
    let test = "a_person_logs_in_at_a_portal_with_a_kill_switch_and_only_pages_and_names_leave";
    against(&[Kind::Embedded], test, portal::OPTIONS, |world| {
        let world: &World = world;
        let hotspot = Hotspot::start(world)?;
        want(world, "all")?;
        world.connect()?;
        until_up(world)?;
        let sender = Sender::start(&world.net)?;
        let silence = hotspot.close()?;
        until_captive(world)?;
        ensure!(browse(world, LOGIN).is_err(), "the portal is reached without a gap");
        portal::portal(world, &["--for", "5s"])?;
        ensure!(browse(world, LOGIN)?.contains("room number"), "another page");
        // Ports of pages and names, as the sender has them.
        let watch =
            Watch::but_for(&world.net, &["8.8.8.8/32", "172.16.5.5/32", "2001:db8:5::9/128", "10.1.0.1/32"])?;
        pause(WHILE);
        watch.ensure_tight().context("in the gap")?;
        let passed = watch.passed()?;
        drop(watch);
        println!("in the gap {passed:?} packets to pages and names, no other left");
        ensure!(passed[0] > 0, "{passed:?}");
        until(|| Ok(!table(&world.net.laptop)?.contains("dport 443")))?;
        ensure!(browse(world, LOGIN).is_err(), "it does not close");
        drop(silence);
        world.until("the connection", |status| status["state"] == "connected")?;
        ensure_tight(world, &sender, "behind the portal")?;
        world.disconnect()?;
        ensure_open(world, "disconnected")
    })
}

#[test]
fn a_login_behind_a_portal_with_a_kill_switch_has_its_gap_before_there_is_a_tunnel() -> Result<()> {
    let test = "a_login_behind_a_portal_with_a_kill_switch_has_its_gap_before_there_is_a_tunnel";
    against(&[Kind::Embedded], test, portal::OPTIONS, |world| {
        let world: &World = world;
        let hotspot = Hotspot::start(world)?;
        want(world, "all")?;
        let silence = hotspot.close()?;
        let connect = begin_to_connect(world)?;
        until(|| Ok(world.person.status().is_ok()))?;
        let found = world.until("the portal", |status| {
            status["portal"]["command"] == "ikeep portal" && status["kill_switch"]["up"] == true
        })?;
        ensure!(found["state"] == "connecting" && found["address4"].is_null(), "{found:#}");
        ensure!(browse(world, LOGIN).is_err(), "the portal is reached without a gap");
        portal::portal(world, &["--for", "1m"])?;
        ensure!(browse(world, LOGIN)?.contains("room number"), "another page");
        ensure!(browse(world, &format!("{LOGIN}welcome"))?.contains("nice stay"), "no welcome");
        drop(silence);
        world
            .until("the connection", |status| status["state"] == "connected" && status["portal"].is_null())?;
        until(|| Ok(!table(&world.net.laptop)?.contains("dport 443")))?;
        drop(connect);
        let sender = Sender::start(&world.net)?;
        ensure_tight(world, &sender, "behind the portal")?;
        world.disconnect()?;
        ensure_open(world, "disconnected")
    })
}

/// The gateway has no address but its name, and the machine's resolver does not pass: the agent's own question does.
#[test]
fn a_gateway_known_by_name_is_found_past_a_kill_switch_that_a_failed_login_has_left() -> Result<()> {
    let test = "a_gateway_known_by_name_is_found_past_a_kill_switch_that_a_failed_login_has_left";
    against(&[Kind::Embedded], test, Options::default(), |world| {
        let world: &World = world;
        let Peer::Embedded(company) = &world.peer else { anyhow::bail!("another gateway") };
        // It answers with its own address, which is the gateway's.
        let names = NameServer::start(&world.net.gateway, GATEWAY.parse()?)?;
        world.net.laptop.own_resolver(&format!("nameserver {GATEWAY}\n"))?;
        let config = world.person.path("config/ikeep/config.toml");
        let text = fs::read_to_string(&config)?;
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("address = ")).collect();
        fs::write(&config, text.join("\n"))?;
        let (profile, policy) = (world.person.path("always.xml"), "</AutomaticVPNPolicy>");
        let text = fs::read_to_string(Person::profile())?;
        let always =
            text.replace(&format!(">false{policy}"), &format!(">true<AlwaysOn>true</AlwaysOn>{policy}"));
        ensure!(always != text, "no policy in the profile");
        fs::write(&profile, always)?;
        let (profile, ca) = (profile.display().to_string(), company.ca().display().to_string());
        let connect = |password: &str| {
            let words =
                ["connect", "--profile", &profile, "--trust", &ca, "--user", "test", "--password-stdin"];
            world.person.type_in(&words, password)
        };
        let failed = connect("wrong\n")?;
        ensure!(!failed.status.success(), "{}", said(&failed));
        let left =
            world.until("the kill switch that is left", |status| status["kill_switch"]["up"] == true)?;
        ensure!(left["state"] != "connected" && left["kill_switch"]["always"] == true, "{left:#}");
        ensure!(!table(&world.net.laptop)?.is_empty());
        names.asked();
        let ask = || world.net.laptop.command("getent").args(["ahostsv4", "others.example"]).output();
        ensure!(!ask()?.status.success() && names.asked().is_empty(), "other programs' questions pass");
        let output = connect(PASSWORD)?;
        ensure!(output.status.success(), "{}\n{}", said(&output), table(&world.net.laptop)?);
        let asked = names.asked();
        ensure!(asked.iter().any(|name| name == "flexvpn-c8kv.example.com"), "{asked:?}");
        until_up(world)?;
        world.ping(BEHIND_GATEWAY, 56)?;
        println!("after a failed login {asked:?} was asked past the kill switch");
        world.disconnect()?;
        ensure!(table(&world.net.laptop)?.is_empty(), "{}", table(&world.net.laptop)?);
        Ok(())
    })
}
