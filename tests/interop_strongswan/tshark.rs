//! tshark as the judge of what our client and our gateway put on the wire: with the opt-in key log it decodes and decrypts a
//! login, a reconnect and the traffic, and finds nothing malformed.

use crate::interop::agent::Running;
use crate::interop::{self, Pair};
use crate::person::{PASSWORD, Person, said};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Octets of each download.
const DOWNLOAD: usize = 200_000;

#[test]
fn tshark_decrypts_a_login_and_a_reconnect() -> Result<()> {
    if !interop::enabled("tshark_decrypts_a_login_and_a_reconnect") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-tshark-")?;
    let capture = folder.path().join("capture.pcapng");
    let net = Pair::new()?;
    let ca = folder.path().join("ca.pem");
    let mut gateway = Running(
        net.gateway
            .command(crate::person::IKEEP)
            .args(["gateway", "serve", "--listen", "10.9.0.1", "--write-ca"])
            .arg(&ca)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let mut line = String::new();
    let mut listening = BufReader::new(gateway.0.stdout.take().context("its output")?);
    listening.read_line(&mut line)?;
    ensure!(line.starts_with("listening"), "the gateway says {line:?}");

    let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
    let ports = (SocketAddr::from(([10, 9, 0, 1], 500)), SocketAddr::from(([10, 9, 0, 1], 4500)));
    let person = Person::within(prefix, ports)?;
    let keys = folder.path().join("wireshark");
    person.configure(ports, &format!("key_log = \"{}\"", keys.display()))?;
    let mut sniffer = Running(
        net.client
            .command("tshark")
            .args(["-Q", "-l", "-i", "eth0", "-f", "udp", "-w"])
            .arg(&capture)
            .env("HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?,
    );
    act(&net, &person, &ca, &capture)?;
    until_all_is_written(&net, &capture)?;
    let pid = i32::try_from(sniffer.0.id()).ok().and_then(Pid::from_raw).context("a process")?;
    kill_process(pid, Signal::INT)?;
    sniffer.0.wait()?;

    // Our two halves agree on 64-bit sequence numbers, whose ICV Wireshark 4.0 cannot check; strongSwan checks our ICVs in
    // its own tests. What is decrypted has to make sense down to the HTTP inside.
    fs::write(
        keys.join("preferences"),
        "esp.enable_encryption_decode: TRUE\nesp.do_esp_sequence_analysis: TRUE\n",
    )?;
    judge(&keys, &capture)
}

/// Login, a download, a reconnect, a download, the end.
fn act(net: &Pair, person: &Person, ca: &Path, capture: &Path) -> Result<()> {
    // The capture file appears once the sniffer listens.
    let waited = interop::Stopwatch::start();
    while fs::metadata(capture).map(|file| file.len()).unwrap_or_default() == 0 {
        ensure!(waited.elapsed() < interop::PATIENCE, "tshark does not capture");
        std::thread::yield_now();
    }
    let login = person.log_in(ca)?;
    ensure!(login.status.success(), "{}", said(&login));
    ensure!(said(&login).contains("KEY LOG IS ON"), "the key log is loud: {}", said(&login));
    ensure!(!person.events().contains(PASSWORD.trim()), "the password is in the event log");
    let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
    let fetch = || -> Result<()> {
        let url = format!("http://192.168.10.1/bytes/{DOWNLOAD}");
        let output =
            net.client.command("curl").args(["-sS", "--fail", "--socks5-hostname", &proxy, &url]).output()?;
        ensure!(output.status.success() && output.stdout.len() == DOWNLOAD, "curl: {}", output.status);
        Ok(())
    };
    fetch()?;
    let again = person.run(&["reconnect"])?;
    ensure!(again.status.success(), "{}", said(&again));
    fetch()?;
    let bye = person.run(&["disconnect"])?;
    ensure!(bye.status.success(), "{}", said(&bye));
    Ok(())
}

/// The kernel hands packets to the sniffer in blocks, and what it still holds at the end is lost: a last datagram shows in the
/// file when everything before it is there.
fn until_all_is_written(net: &Pair, capture: &Path) -> Result<()> {
    const LAST: &[u8] = b"the last datagram of this capture";
    let socket = format!("printf '%s' '{}' >/dev/udp/10.9.0.1/9", String::from_utf8_lossy(LAST));
    let sent = net.client.command("bash").args(["-c", &socket]).status()?;
    ensure!(sent.success(), "the last datagram was not sent: {sent}");
    let waited = interop::Stopwatch::start();
    while !fs::read(capture)?.windows(LAST.len()).any(|octets| octets == LAST) {
        ensure!(waited.elapsed() < interop::PATIENCE, "tshark does not write what it captures");
        std::thread::yield_now();
    }
    Ok(())
}

fn judge(keys: &Path, capture: &Path) -> Result<()> {
    let field = |filter: &str, field: &str| -> Result<Vec<String>> {
        let output = Command::new("tshark")
            .arg("-r")
            .arg(capture)
            .args(["-Y", filter, "-T", "fields", "-e", field])
            .env("WIRESHARK_CONFIG_DIR", keys)
            .output()?;
        ensure!(output.status.success(), "tshark {filter}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    };
    let count = |filter: &str| Ok::<_, anyhow::Error>(field(filter, "frame.number")?.len());
    let wrong =
        ["_ws.malformed", "isakmp.enc.data && !isakmp.enc.decrypted", "_ws.expert.severity >= 0x00800000"];
    for filter in wrong {
        let found = count(filter)?;
        if found > 0 {
            let details = Command::new("tshark")
                .arg("-r")
                .arg(capture)
                .args(["-Y", filter, "-V"])
                .env("WIRESHARK_CONFIG_DIR", keys)
                .output()?;
            let text = String::from_utf8_lossy(&details.stdout).into_owned();
            anyhow::bail!(
                "{found} frame(s) are {filter}:\n{}",
                text.chars().take(20_000).collect::<String>()
            );
        }
    }
    // What it must have seen, decrypted: EAP, the configuration, a PSK login, DELETE, and HTTP inside ESP.
    for (filter, least) in [
        ("isakmp.exchangetype == 34", 4),
        ("isakmp.exchangetype == 35 && eap", 6),
        ("isakmp.cfg.attr.type", 4),
        ("isakmp.auth.method == 2", 1),
        ("isakmp.exchangetype == 37", 2),
        ("esp && http.request", 1),
    ] {
        let found = count(filter)?;
        println!("{found:5} frames: {filter}");
        ensure!(found >= least, "tshark shows {found} frames for {filter}, at least {least} were sent");
    }
    // Octets and not frames: how the sender cuts them depends on how fast the window opens. Less would mean that the ESP of
    // one SA stays dark.
    let lengths = field("esp && tcp.srcport == 80", "tcp.len")?;
    let octets: usize = lengths.iter().filter_map(|length| length.parse::<usize>().ok()).sum();
    println!("{octets:5} octets of both downloads in {} frames", lengths.len());
    ensure!(octets >= 2 * DOWNLOAD, "tshark shows {octets} octets of two downloads of {DOWNLOAD}");
    Ok(())
}
