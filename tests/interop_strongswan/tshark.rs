//! tshark as the judge of what our client and our gateway put on the wire: with the opt-in key log it decodes and decrypts a
//! login, a reconnect and the traffic, and finds nothing malformed.

use crate::interop::agent::Running;
use crate::interop::{self, Pair};
use crate::person::{PASSWORD, Person, said};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Octets of each download.
const DOWNLOAD: usize = 200_000;

#[test]
fn tshark_decrypts_a_login_and_a_reconnect() -> Result<()> {
    if !interop::enabled("tshark_decrypts_a_login_and_a_reconnect") {
        return Ok(());
    }
    record(&[], "", judge)
}

/// Wireshark has read these fragments for IKEv1 for twenty years, and puts them together whatever the version.
#[test]
fn tshark_puts_pre_standard_fragments_together() -> Result<()> {
    if !interop::enabled("tshark_puts_pre_standard_fragments_together") {
        return Ok(());
    }
    let banner = "Welcome. ".repeat(200);
    let gateway = ["--legacy-fragmentation", "--banner", &banner];
    let client = "[gateway.\"flexvpn-c8kv.example.com\".dialect]\nlegacy_fragmentation = true\n";
    record(&gateway, client, |keys, capture| {
        judge(keys, capture)?;
        let judge = Judge { keys, capture };
        // Of both sides; the banner in the login's last answer and in that of the reconnect, which is whole, and dark to nobody.
        judge.shows(&[
            ("isakmp.vid_string contains \"Cisco Fragmentation\"", 4),
            ("isakmp.frag.seq == 1 && isakmp.frag.last == 0", 2),
            ("isakmp.frag.last == 1 && isakmp.cfg.attr.type == 28672", 2),
        ])?;
        let wrong = judge.field("isakmp.fragment.error || isakmp.fragment.overlap", "frame.number")?;
        ensure!(wrong.is_empty(), "frames {wrong:?}");
        ensure!(judge.field("ip.flags.mf == 1", "frame.number")?.is_empty(), "IP fragments");
        Ok(())
    })
}

/// A login, a reconnect and traffic with these arguments of the gateway and this end of the config, judged by the key log and the
/// capture.
fn record(gateway: &[&str], config: &str, judge: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
    let arguments = gateway;
    let folder = TempDir::with_prefix("ikeep-tshark-")?;
    let net = Pair::new()?;
    let ca = folder.path().join("ca.pem");
    let mut gateway = Running(
        net.gateway
            .command(crate::person::IKEEP)
            .args(["gateway", "serve", "--listen", "10.9.0.1", "--write-ca"])
            .arg(&ca)
            .args(arguments)
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
    let mut file = fs::OpenOptions::new().append(true).open(person.path("config/ikeep/config.toml"))?;
    file.write_all(config.as_bytes())?;
    let sniffer = Sniffer::start(&net, folder.path())?;
    act(&net, &person, &ca)?;
    let capture = sniffer.stop(&net)?;
    // Our two halves agree on 64-bit sequence numbers, whose ICV Wireshark 4.0 cannot check; strongSwan checks our ICVs in
    // its own tests. What is decrypted has to make sense down to the HTTP inside.
    fs::write(
        keys.join("preferences"),
        "esp.enable_encryption_decode: TRUE\nesp.do_esp_sequence_analysis: TRUE\n",
    )?;
    judge(&keys, &capture)
}

/// Login, a download, a reconnect, a download, the end.
fn act(net: &Pair, person: &Person, ca: &Path) -> Result<()> {
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

/// tshark that writes down what the client's `eth0` carries.
pub(crate) struct Sniffer {
    tshark: Running,
    capture: PathBuf,
}

impl Sniffer {
    /// Captures into a file in `folder` from now on.
    pub(crate) fn start(net: &Pair, folder: &Path) -> Result<Self> {
        let capture = folder.join("capture.pcapng");
        let mut tshark = net.client.command("tshark");
        tshark.args(["-Q", "-l", "-i", "eth0", "-f", "udp", "-w"]).arg(&capture).env("HOME", folder);
        let tshark = Running(tshark.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        // The capture file appears once the sniffer listens.
        let waited = interop::Stopwatch::start();
        while fs::metadata(&capture).map(|file| file.len()).unwrap_or_default() == 0 {
            ensure!(waited.elapsed() < interop::PATIENCE, "tshark does not capture");
            std::thread::yield_now();
        }
        Ok(Self { tshark, capture })
    }

    /// Ends it; the capture. The kernel hands packets to the sniffer in blocks, and what it still holds at the end is lost: a
    /// last datagram shows in the file when everything before it is there.
    pub(crate) fn stop(mut self, net: &Pair) -> Result<PathBuf> {
        const LAST: &[u8] = b"the last datagram of this capture";
        let socket = format!("printf '%s' '{}' >/dev/udp/10.9.0.1/9", String::from_utf8_lossy(LAST));
        let sent = net.client.command("bash").args(["-c", &socket]).status()?;
        ensure!(sent.success(), "the last datagram was not sent: {sent}");
        let waited = interop::Stopwatch::start();
        while !fs::read(&self.capture)?.windows(LAST.len()).any(|octets| octets == LAST) {
            ensure!(waited.elapsed() < interop::PATIENCE, "tshark does not write what it captures");
            std::thread::yield_now();
        }
        let pid = i32::try_from(self.tshark.0.id()).ok().and_then(Pid::from_raw).context("a process")?;
        kill_process(pid, Signal::INT)?;
        self.tshark.0.wait()?;
        Ok(self.capture)
    }
}

/// A capture, and the key log as Wireshark's folder of preferences.
pub(crate) struct Judge<'a> {
    pub(crate) keys: &'a Path,
    pub(crate) capture: &'a Path,
}

impl Judge<'_> {
    fn tshark(&self, args: &[&str]) -> Result<String> {
        let mut tshark = Command::new("tshark");
        tshark.arg("-r").arg(self.capture).args(args).env("WIRESHARK_CONFIG_DIR", self.keys);
        let output = tshark.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        // It goes on without a table that it cannot read, and says so.
        ensure!(output.status.success() && !errors.contains("rror"), "tshark {args:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A field of the frames that `filter` takes, a line each.
    pub(crate) fn field(&self, filter: &str, field: &str) -> Result<Vec<String>> {
        let text = self.tshark(&["-Y", filter, "-T", "fields", "-e", field])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// What it must have seen, decrypted: so many frames at least for each of these.
    pub(crate) fn shows(&self, expected: &[(&str, usize)]) -> Result<()> {
        for (filter, least) in expected {
            let found = self.field(filter, "frame.number")?.len();
            println!("{found:5} frames: {filter}");
            ensure!(found >= *least, "tshark shows {found} frames for {filter}, at least {least} were sent");
        }
        Ok(())
    }

    /// Nothing is malformed, nothing stays dark.
    pub(crate) fn finds_nothing_wrong(&self) -> Result<()> {
        let wrong = [
            "_ws.malformed",
            "isakmp.enc.data && !isakmp.enc.decrypted",
            "_ws.expert.severity >= 0x00800000",
        ];
        for filter in wrong {
            let found = self.field(filter, "frame.number")?.len();
            if found > 0 {
                let details = self.tshark(&["-Y", filter, "-V"])?;
                let details: String = details.chars().take(20_000).collect();
                anyhow::bail!("{found} frame(s) are {filter}:\n{details}");
            }
        }
        Ok(())
    }

    /// The names of all notifies.
    pub(crate) fn notifies(&self) -> Result<BTreeSet<String>> {
        let text = self.tshark(&["-Y", "isakmp.notify.msgtype", "-V"])?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Notify Message Type: "));
        Ok(names.map(str::to_owned).collect())
    }
}

fn judge(keys: &Path, capture: &Path) -> Result<()> {
    let judge = Judge { keys, capture };
    judge.finds_nothing_wrong()?;
    // EAP, the configuration, a PSK login, DELETE, and HTTP inside ESP.
    judge.shows(&[
        ("isakmp.exchangetype == 34", 4),
        ("isakmp.exchangetype == 35 && eap", 6),
        ("isakmp.cfg.attr.type", 4),
        ("isakmp.auth.method == 2", 1),
        ("isakmp.exchangetype == 37", 2),
        ("esp && http.request", 1),
    ])?;
    // Octets and not frames: how the sender cuts them depends on how fast the window opens. Less would mean that the ESP of
    // one SA stays dark.
    let lengths = judge.field("esp && tcp.srcport == 80", "tcp.len")?;
    let octets: usize = lengths.iter().filter_map(|length| length.parse::<usize>().ok()).sum();
    println!("{octets:5} octets of both downloads in {} frames", lengths.len());
    ensure!(octets >= 2 * DOWNLOAD, "tshark shows {octets} octets of two downloads of {DOWNLOAD}");
    Ok(())
}
