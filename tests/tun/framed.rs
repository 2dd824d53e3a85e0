//! Addresses that AAA names and that are of no pool: this machine's packets find the way to them, as long as a session has them.

use crate::freeradius::{FreeRadius, SECRET, left_out};
use crate::interop::{BEHIND_GATEWAY, PATIENCE};
use crate::person::{Stopwatch, said};
use crate::world::{BEHIND_GATEWAY6, Kind, Options, against};
use anyhow::{Result, ensure};
use std::fs;
use tempfile::TempDir;

const PORT: u16 = 18_120;
const FRAMED: [&str; 2] = ["10.77.0.7", "fd77::7"];
const USERS: &str = "\
test Cleartext-Password := \"cisco\"
\tFramed-IP-Address = 10.77.0.7,
\tFramed-IPv6-Address = fd77::7
";

#[test]
fn an_address_of_no_pool_has_a_way_back() -> Result<()> {
    let test = "an_address_of_no_pool_has_a_way_back";
    if left_out(test) {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-radius-")?;
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n"))?;
    let (server, file) = (format!("127.0.0.1:{PORT}"), file.display().to_string());
    let mut serve = vec!["--include", "192.168.10.0/24", "--include", "fd10::/64", "--pool6"];
    serve.extend(["fd20::5-fd20::10", "--radius", &server, "--secret-file", &file]);
    let options = Options { serve: &serve, ..Options::default() };
    against(&[Kind::Embedded], test, options, |world| {
        let gateway = &world.net.gateway;
        let prefix = ["ip", "netns", "exec", gateway.name()].map(str::to_owned);
        let _radius = FreeRadius::within(&prefix, PORT, USERS)?;
        let routes = || -> Result<String> {
            let mut all = String::new();
            for family in ["-4", "-6"] {
                let output =
                    gateway.command("ip").args([family, "route", "show", "table", "all"]).output()?;
                ensure!(output.status.success(), "{}", said(&output));
                all += &String::from_utf8_lossy(&output.stdout);
            }
            // Written by us.
            let ours: Vec<_> = all.lines().filter(|line| line.contains("proto 107")).collect();
            Ok(ours.join("\n"))
        };
        let before = routes()?;
        ensure!(!FRAMED.iter().any(|address| before.contains(address)), "{before}");
        let status = world.connect()?;
        ensure!(
            status["address4"] == FRAMED[0] && status["address6"] == format!("{}/128", FRAMED[1]),
            "{status}"
        );
        for host in [BEHIND_GATEWAY, BEHIND_GATEWAY6] {
            world.ping(host, 56)?;
        }
        let during = routes()?;
        ensure!(FRAMED.iter().all(|address| during.contains(address)), "{during}");
        world.disconnect()?;
        let since = Stopwatch::start();
        while routes()? != before {
            ensure!(since.elapsed() < PATIENCE, "before:\n{before}\nnow:\n{}", routes()?);
        }
        Ok(())
    })
}
