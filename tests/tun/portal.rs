//! A captive portal in front of a full tunnel: nothing leaves until a person opens a gap, the portal's page is reached through it,
//! and it is closed again whatever happens.

use crate::name_server::NameServer;
use crate::net::Spoiled;
use crate::person::{Stopwatch, said};
use crate::watch::{Sender, Watch};
use crate::world::{BEHIND_GATEWAY6, Kind, Options, World, against, pause};
use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The router of the network at home is its portal and its name server, too.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(crate) const LOGIN: &str = "http://login.hotspot.test/";
pub(crate) const OPTIONS: Options<'_> = Options {
    serve: &["--tunnel-all", "--pool6", "fd20::5-fd20::10"],
    agent: "",
    behind: None,
    supervised: false,
};

/// Whoever asks for a page is sent to [`LOGIN`] until somebody has logged in there; nothing is passed on until then.
pub(crate) struct Hotspot<'w> {
    world: &'w World,
    /// How the connection to the network outside stands.
    open: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    _names: NameServer,
}

impl<'w> Hotspot<'w> {
    /// Open, as it is for whoever has been here before.
    pub(crate) fn start(world: &'w World) -> Result<Self> {
        let home = &world.net.home;
        let listener = home.run(|| TcpListener::bind((ROUTER, 80)))??;
        let (open, over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (is_open, ends) = (Arc::clone(&open), Arc::clone(&over));
        let server = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                // Who goes away has his answer.
                let _ = answer(client, &is_open);
            }
        });
        let config = world.person.path("config/ikeep/config.toml");
        let text = std::fs::read_to_string(&config)?;
        let probe = "probe = \"http://probe.test/check\"\nexpect = \"online\"";
        ensure!(text.contains("probe = \"off\""), "{text}");
        std::fs::write(config, text.replace("probe = \"off\"", probe))?;
        let names = NameServer::start(home, ROUTER)?;
        Ok(Self { world, open, over, server: Some(server), _names: names })
    }

    /// From here on it wants a log-in.
    pub(crate) fn close(&self) -> Result<Spoiled<'w>> {
        self.open.store(false, Ordering::Relaxed);
        self.world.net.spoil("drop")
    }
}

impl Drop for Hotspot<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It waits for clients: this is the last.
        let _ = self.world.net.home.run(|| TcpStream::connect((ROUTER, 80)).map(drop));
        let _ = self.server.take().map(JoinHandle::join);
    }
}

fn answer(mut client: TcpStream, open: &AtomicBool) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0; 2048];
    let length = client.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..length]);
    let page = |text: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
    };
    let answer = if request.starts_with("GET /welcome ") {
        open.store(true, Ordering::Relaxed);
        page("have a nice stay")
    } else if open.load(Ordering::Relaxed) {
        page("online")
    } else if request.contains("Host: login.hotspot.test\r\n") {
        page("room number, please")
    } else {
        format!("HTTP/1.1 302 Found\r\nLocation: {LOGIN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    client.write_all(answer.as_bytes())
}

/// A browser's look at a page.
pub(crate) fn browse(world: &World, url: &str) -> Result<String> {
    let output = world.net.laptop.command("curl").args(["-sS", "-m", "4", "--noproxy", "*", url]).output()?;
    ensure!(output.status.success(), "{url}: {}", said(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// What leaves, but for the question whether a portal is there: it names nobody.
fn watch(world: &World) -> Result<Watch<'_>> {
    let watch = Watch::start(&world.net)?;
    for question in ["udp dport 53", "tcp dport 80"] {
        world.net.home.nft(&format!("insert rule inet watch path ip daddr {ROUTER} {question} return"))?;
    }
    Ok(watch)
}

/// Waits until the portal was found, with a device in whose way it is.
pub(crate) fn until_captive(world: &World) -> Result<Value> {
    let status = world.until("the portal", |status| {
        status["state"] == "captive-portal" && status["portal"]["command"] == "ikeep portal"
    })?;
    ensure!(status["portal"]["location"] == LOGIN, "{status:#}");
    Ok(status)
}

pub(crate) fn portal(world: &World, more: &[&str]) -> Result<String> {
    let output = world.person.run(&[&["portal"], more].concat())?;
    ensure!(output.status.success(), "{}", said(&output));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_person_logs_in_at_a_portal_through_a_gap_and_nothing_else_opens_one() -> Result<()> {
    let test = "a_person_logs_in_at_a_portal_through_a_gap_and_nothing_else_opens_one";
    against(&[Kind::Embedded], test, OPTIONS, |world| {
        let world: &World = world;
        let hotspot = Hotspot::start(world)?;
        let before = world.picture()?;
        world.connect()?;
        let during = world.picture()?;
        let inner = world.net.laptop.run(|| UdpSocket::bind("192.168.20.5:0"))??;
        let output = world.person.run(&["portal"])?;
        ensure!(
            !output.status.success() && said(&output).contains("no captive portal is known"),
            "{}",
            said(&output)
        );
        let sender = Sender::start(&world.net)?;
        let watch = watch(world)?;
        let silence = hotspot.close()?;
        until_captive(world)?;
        for url in [LOGIN, "http://10.1.0.1/"] {
            ensure!(browse(world, url).is_err(), "{url} is reached without a gap");
        }
        watch.ensure_tight()?;
        drop(watch);

        let told = portal(world, &["--for", "2m"])?;
        ensure!(told.contains("2 min") && told.contains(LOGIN), "{told}");
        let status = world.person.status()?;
        ensure!(
            status["portal"]["gap_s"].as_u64().is_some_and(|left| (90..=120).contains(&left)),
            "{status:#}"
        );
        ensure!(status["state"] == "captive-portal", "{status:#}");
        let open = world.picture()?;
        println!("IN THE GAP\n{open}");
        ensure!(browse(world, LOGIN)?.contains("room number"), "another page");
        // What was made through the tunnel stays in it.
        world.net.home.nft(
            "add table inet inner; add chain inet inner path { type filter hook prerouting priority -200; }; \
             add rule inet inner path iifname \"lan\" ip saddr 192.168.20.0/24 counter; \
             add rule inet inner path iifname \"lan\" ip6 saddr fd20::/64 counter",
        )?;
        for _ in 0..5 {
            inner.send_to(b"secret", "8.8.8.8:53")?;
            inner.send_to(b"secret", (ROUTER, 9))?;
        }
        for line in ["8.8.8.8 from 192.168.20.5", "10.1.0.1 from 192.168.20.5"] {
            let way = world
                .net
                .laptop
                .ip(&["route", "get"].into_iter().chain(line.split(' ')).collect::<Vec<_>>())?;
            ensure!(way.contains("dev ikeep0"), "{way}");
        }
        let way = world.net.laptop.ip(&["route", "get", "8.8.8.8"])?;
        ensure!(way.contains("dev wifi0"), "{way}");
        let output = world.net.home.command("nft").args(["list", "table", "inet", "inner"]).output()?;
        let counted = String::from_utf8(output.stdout)?;
        ensure!(counted.matches("counter packets 0 ").count() == 2, "{counted}");

        ensure!(browse(world, &format!("{LOGIN}welcome"))?.contains("nice stay"), "no welcome");
        drop(silence);
        world
            .until("the connection", |status| status["state"] == "connected" && status["portal"].is_null())?;
        let took = world.until_as(&during)?;
        println!("the gap was closed {took:?} after the tunnel was back");
        let watch = self::watch(world)?;
        let rounds = sender.rounds();
        pause(Duration::from_secs(1));
        world.ping(BEHIND_GATEWAY6, 56)?;
        ensure!(sender.rounds() > rounds, "nothing was sent");
        watch.ensure_tight()?;
        let events = world.person.events();
        for text in [
            "a captive portal wants a log-in first",
            "A way past the tunnel is open",
            "The way past the tunnel is closed.",
        ] {
            ensure!(events.contains(text), "no {text:?} in\n{events}");
        }
        drop((watch, sender));
        world.disconnect()?;
        world.until_as(&before).map(drop)
    })
}

#[test]
fn a_gap_is_closed_when_its_time_is_over_and_when_its_agent_hangs_or_dies() -> Result<()> {
    let test = "a_gap_is_closed_when_its_time_is_over_and_when_its_agent_hangs_or_dies";
    against(&[Kind::Embedded], test, OPTIONS, |world| {
        let world: &World = world;
        let hotspot = Hotspot::start(world)?;
        world.connect()?;
        let sender = Sender::start(&world.net)?;
        let _silence = hotspot.close()?;
        until_captive(world)?;
        let closed = world.picture()?;
        let opens = |time: &str| -> Result<()> {
            portal(world, &["--for", time])?;
            ensure!(browse(world, LOGIN)?.contains("room number"), "another page");
            Ok(())
        };
        let tight = |case: &str| -> Result<Duration> {
            let took = world.until_as(&closed).with_context(|| case.to_owned())?;
            let watch = watch(world)?;
            let rounds = sender.rounds();
            pause(Duration::from_millis(500));
            ensure!(sender.rounds() > rounds, "nothing was sent");
            watch.ensure_tight().with_context(|| case.to_owned())?;
            println!("{case}: closed after {took:?}");
            Ok(took)
        };

        opens("5s")?;
        let open = Stopwatch::start();
        tight("its time is over")?;
        ensure!(open.elapsed() < Duration::from_secs(10), "{:?}", open.elapsed());
        let status = world.person.status()?;
        ensure!(status["portal"]["gap_s"].is_null() && status["portal"]["location"] == LOGIN, "{status:#}");

        opens("10m")?;
        portal(world, &["--close"])?;
        ensure!(tight("closed by hand")? < Duration::from_secs(5), "too late");

        opens("5s")?;
        let agent = world.person.agent().context("no agent")?;
        kill_process(agent, Signal::STOP)?;
        let hung = tight("the agent hangs");
        kill_process(agent, Signal::CONT)?;
        ensure!(hung? < Duration::from_secs(10), "too late");
        until_captive(world)?;

        opens("10m")?;
        world.person.kill_agent()?;
        ensure!(tight("the agent is killed")? < Duration::from_secs(5), "too late");
        Ok(())
    })
}
