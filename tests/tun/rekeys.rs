//! New keys while there is traffic: both SAs, asked for by the gateway and by us.

use crate::interop::BEHIND_GATEWAY;
use crate::person::Stopwatch;
use crate::supervised::Supervised;
use crate::traffic::Download;
use crate::world::{BEHIND_GATEWAY6, Kind, Options, Peer, against};
use anyhow::{Result, bail, ensure};
use ikeep::agent::clock::Clock;
use ikeep::agent::connection::Surroundings;
use ikeep::agent::service::{Service, Setup};
use ikeep::config::Places;
use ikeep::ipc::Listener;
use ikeep::sense;
use ikeep::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Of each SA so many by each side, at least.
const TIMES: usize = 2;
/// Of our Child SAs and IKE SAs: an hour and a day, shortened.
const CHILD: Duration = Duration::from_millis(2900);
const IKE: Duration = Duration::from_millis(2000);
/// Where both sides begin at the same moment, one waits for up to 15 s before it tries again.
const PATIENCE: Duration = Duration::from_secs(90);
/// In the environment of [`agent`], which belongs to the laptop: this program again.
const CALLED: &str = "IKEEP_SHORT_LIFETIMES";
/// In our event log, once for each.
const RENEWED: &str = "The keys of the tunnel were renewed.";

#[test]
fn rekeys_from_both_sides_lose_no_connection() -> Result<()> {
    if std::env::var_os(CALLED).is_some() {
        return agent();
    }
    let test = "rekeys_from_both_sides_lose_no_connection";
    let behind = Some("192.168.10.0/24, 192.168.11.0/24, fd10::/64");
    let options = Options { behind, supervised: true, ..Options::default() };
    against(&[Kind::StrongSwan], test, options, |world| {
        let program = std::env::current_exe()?;
        let arguments = ["--exact", "rekeys::rekeys_from_both_sides_lose_no_connection", "--nocapture"];
        let mut agent = world.person.program(&program.to_string_lossy(), &arguments);
        agent.env(CALLED, "1");
        let _both = Supervised::with(&world.person, &world.net.laptop, 8, agent)?;
        world.net.gateway.add_address("lo", "192.168.11.1/24")?;
        world.connect()?;
        for to in [BEHIND_GATEWAY, "192.168.11.1", BEHIND_GATEWAY6] {
            world.ping(to, 56)?;
        }
        let before = world.person.status()?["reconnects"].clone();
        println!("two networks and narrowing:\n{}", world.tunnel()?);
        let mut downloads = world.downloads()?;
        let mut go_on = || downloads.iter_mut().try_for_each(Download::goes_on);
        let Peer::StrongSwan(charon) = &world.peer else { bail!("another gateway") };
        let since = Stopwatch::start();
        let done = loop {
            let done = Rekeys::of(&charon.log());
            let least = |[child, ike]: [usize; 2]| child.min(ike);
            if least(done.theirs) < TIMES {
                charon.rekey_child("net")?;
                go_on()?;
                charon.rekey_ike("reconnect")?;
            } else if least(done.ours) >= TIMES {
                break done;
            }
            go_on()?;
            ensure!(since.elapsed() < PATIENCE, "rekeys so far: {done:?}");
        };
        go_on()?;
        let status = world.until("the connection", |status| status["state"] == "connected")?;
        ensure!(status["reconnects"] == before, "{status:#}");
        // Ours are told when they are answered, which the gateway's log may be ahead of.
        let told = world.person.events().matches(RENEWED).count();
        let all = done.ours.iter().chain(&done.theirs).sum::<usize>();
        ensure!(told + 1 >= all, "{told} are in our event log: {done:?}");
        println!(
            "rekeys of Child SA and IKE SA under two downloads: by us {:?}, by strongSwan {:?}; {told} in our event log",
            done.ours, done.theirs
        );
        Ok(())
    })
}

/// Those that came to their end, as a strongSwan log tells them: of Child SAs, of IKE SAs.
#[derive(Debug)]
struct Rekeys {
    ours: [usize; 2],
    theirs: [usize; 2],
}

impl Rekeys {
    fn of(log: &str) -> Self {
        let answers = |how: &str| {
            let start = format!("{how} CREATE_CHILD_SA response ");
            let done = |line: &&str| line.contains(&start) && line.contains("[ SA No ");
            let (child, ike): (Vec<&str>, _) =
                log.lines().filter(done).partition(|line| line.contains(" TSi "));
            [child.len(), ike.len()]
        };
        // Whoever answers has not begun it.
        Self { ours: answers("generating"), theirs: answers("parsed") }
    }
}

/// The product's agent, but that its SAs live so short.
fn agent() -> Result<()> {
    let places = Places::of_user()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = Listener::bind(&places)?;
        let (clock, store) = (Clock::system(), Store::new(&places));
        let slept = clock.clone();
        let senses = sense::machine(move || slept.slept());
        let adjust = Arc::new(|settings: &mut ikeep::client::Settings| {
            (settings.child_lifetime, settings.ike_lifetime) = (CHILD, IKE);
        });
        let around = Surroundings { adjust, ..Surroundings::default() };
        let service = Service::new(Setup { places, clock, store, senses, around }).await;
        let (calls, called) = mpsc::channel(16);
        let serving = tokio::spawn(listener.serve(calls));
        service.run(called).await;
        Ok(serving.await?)
    })
}
