//! The proxy of the real program: a command that is told of it, HTTP and SOCKS5 from curl, datagrams, and who is not let in.

mod person;

use anyhow::{Context, Result, ensure};
use ikeep::lab::inside::pattern;
use person::{Company, Person, Stopwatch, said};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const URL: &str = "http://www.inside.example.com/bytes/300000";
const PASSWORD: &str = "correct horse\n";
const PATIENCE: Duration = Duration::from_secs(20);
/// Read in one go.
const CHUNK: usize = 64 << 10;
/// What takes the connection away in the middle: maintenance tells the clients, a crash tells nobody.
const BREAKS: [(&str, &str); 5] = [
    ("clear session", "every IKE SA is deleted"),
    ("clear session", "every IKE SA is deleted"),
    ("restart", "restarted, with the sessions"),
    ("clear session", "every IKE SA is deleted"),
    ("clear session", "every IKE SA is deleted"),
];

fn has(program: &str, test: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        let _ = writeln!(std::io::stderr(), "left out: {test} (needs {program})");
    }
    there
}

/// `ikeep connect .. -- WORDS`.
fn connect(person: &Person, company: &Company, more: &[&str], words: &[&str]) -> Result<Output> {
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", "test", "--password-stdin"];
    person.type_in(&[&args[..], more, &["--"], words].concat(), PASSWORD)
}

fn company() -> Result<(Company, tempfile::TempDir)> {
    let folder = tempfile::TempDir::with_prefix("ikeep-proxy-")?;
    let file = folder.path().join("passwords");
    fs::write(&file, PASSWORD)?;
    Ok((Company::open(&["--user", "test", "--passwords-file", &file.display().to_string()])?, folder))
}

#[test]
fn a_command_finds_the_tunnel_in_its_environment_and_is_itself() -> Result<()> {
    if !has("curl", "a_command_finds_the_tunnel_in_its_environment_and_is_itself") {
        return Ok(());
    }
    let (company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    // Whatever the person's environment said before.
    let fetch = ["env", "curl", "-sS", "--fail", "--max-time", "20", URL];
    let by_http = connect(&person, &company, &[], &fetch)?;
    ensure!(by_http.status.success(), "{}", said(&by_http));
    ensure!(by_http.stdout.len() == 300_000 && pattern::first_wrong(0, &by_http.stdout).is_none());
    ensure!(String::from_utf8_lossy(&by_http.stderr).contains("Connected"), "{}", said(&by_http));
    for way in [
        "curl -sS --fail --proxytunnel",
        "curl -sS --fail --proxy $all_proxy",
        "env -u http_proxy curl -sS --fail",
    ] {
        let fetched = connect(&person, &company, &[], &["sh", "-c", &format!("{way} {URL}")])?;
        ensure!(fetched.status.success() && fetched.stdout.len() == 300_000, "{way}: {}", said(&fetched));
    }
    // The gateway's routes do not lead there: the proxy refuses, and nothing else is tried.
    let outside = connect(&person, &company, &[], &["curl", "-sS", "--fail", "http://203.0.113.1/"])?;
    ensure!(outside.status.code() == Some(22) && said(&outside).contains("403"), "{}", said(&outside));
    let code = connect(&person, &company, &[], &["sh", "-c", "exit 41"])?;
    ensure!(code.status.code() == Some(41), "the command's exit code: {}", said(&code));
    let absent = connect(&person, &company, &[], &["/no/such/program"])?;
    ensure!(absent.status.code() == Some(1) && said(&absent).contains("cannot run"), "{}", said(&absent));
    let nowhere = connect(&person, &company, &["--tunnel", "none"], &["true"])?;
    ensure!(
        nowhere.status.code() == Some(2) && said(&nowhere).contains("--tunnel proxy"),
        "{}",
        said(&nowhere)
    );
    ensure!(person.status()?["state"] == "connected", "it stays");
    Ok(())
}

/// SHA-256 of the first so many octets that the server behind the gateway has.
fn expected(length: u64) -> String {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    let mut chunk = Vec::with_capacity(CHUNK);
    for from in (0..length).step_by(CHUNK) {
        chunk.resize(CHUNK.min(usize::try_from(length - from).unwrap_or(CHUNK)), 0);
        pattern::fill(from, &mut chunk);
        sum.update(&chunk);
    }
    hex(sum.finish().as_ref())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// 24 MB; `IKEEP_PROXY_OCTETS=1000000000` for the gigabyte.
#[test]
fn a_download_by_curl_is_whole_though_the_connection_is_replaced_five_times() -> Result<()> {
    if !has("curl", "a_download_by_curl_is_whole_though_the_connection_is_replaced_five_times") {
        return Ok(());
    }
    let length: u64 = std::env::var("IKEEP_PROXY_OCTETS").map_or(Ok(24_000_000), |text| text.parse())?;
    let (mut company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    let connected = connect(&person, &company, &[], &["true"])?;
    ensure!(connected.status.success(), "{}", said(&connected));
    let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
    let url = format!("http://www.inside.example.com/bytes/{length}");
    let (all, begun) = (expected(length), Stopwatch::start());
    let mut curl = Command::new("curl")
        .args(["-sS", "--fail", "--no-buffer", "--max-time", "900", "--socks5-hostname", &proxy, &url])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = curl.stdout.take().context("its output")?;
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    let (mut chunk, mut received, mut broken) = (vec![0; CHUNK], 0, 0);
    loop {
        let read = out.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        sum.update(&chunk[..read]);
        received += read as u64;
        // What is under way between two breaks is far more than all buffers hold: each new SA has carried its part.
        if broken < BREAKS.len() && received > length / 6 * (broken as u64 + 1) {
            let (command, answer) = BREAKS[broken];
            company.ask(command, answer)?;
            broken += 1;
        }
    }
    let (status, took) = (curl.wait()?, begun.elapsed());
    let counters = company.ask("show stats reconnect", "Success reconnect connection")?;
    let _ = writeln!(std::io::stderr(), "{received} octets in {took:?}: {}", counters.replace('\n', ", "));
    ensure!(status.success() && received == length, "curl: {status}, {received} octets");
    ensure!(hex(sum.finish().as_ref()) == all, "another SHA-256 than {all}");
    ensure!(broken == BREAKS.len() && counters.contains("Success reconnect connection: 5"), "{counters}");
    ensure!(person.status()?["reconnects"] == 5, "{:#}", person.status()?);
    Ok(())
}

/// Memory of the agent's own: without the program's file, of which 16 MiB are resident (more in a debug build).
#[test]
fn a_thousand_downloads_at_once_are_whole_and_fit_in_40_mebibytes() -> Result<()> {
    const FLOWS: usize = 1000;
    const LENGTH: u64 = 40_000;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let (company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    let connected = connect(&person, &company, &[], &["true"])?;
    ensure!(connected.status.success(), "{}", said(&connected));
    let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let mut flow = TcpStream::connect(&proxy)?;
        flow.set_read_timeout(Some(3 * PATIENCE))?;
        flow.write_all(&[5, 1, 0, 5, 1, 0, 1, 192, 168, 10, 1, 0, 80])?;
        let mut answer = [0; 12];
        flow.read_exact(&mut answer)?;
        ensure!(answer[3] == 0, "{answer:?}");
        flows.push(flow);
    }
    for flow in &mut flows {
        write!(flow, "GET /bytes/{LENGTH} HTTP/1.1\r\nHost: inside\r\n\r\n")?;
    }
    for flow in &mut flows {
        let (mut head, mut octet) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            flow.read_exact(&mut octet)?;
            head.push(octet[0]);
        }
        let mut body = vec![0; usize::try_from(LENGTH)?];
        flow.read_exact(&mut body)?;
        ensure!(head.starts_with(b"HTTP/1.1 200 ") && pattern::first_wrong(0, &body).is_none());
    }
    let agent = person.agent().context("an agent")?;
    let status = fs::read_to_string(format!("/proc/{}/status", agent.as_raw_nonzero()))?;
    let of = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let (own, most): (u64, u64) = (of("RssAnon:").context("RssAnon")?, of("VmHWM:").context("VmHWM")?);
    let _ =
        writeln!(std::io::stderr(), "{FLOWS} downloads: {own} KiB of its own, {most} KiB resident at most");
    ensure!(own < 24 << 10, "{own} KiB");
    Ok(())
}

#[test]
fn datagrams_reach_the_dns_server_behind_the_gateway() -> Result<()> {
    let (company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    let connected = connect(&person, &company, &[], &["true"])?;
    ensure!(connected.status.success(), "{}", said(&connected));
    let status = person.status()?;
    let proxy: SocketAddr = status["proxy"].as_str().context("a proxy")?.parse()?;
    let server: std::net::Ipv4Addr =
        status["dns"][0].as_str().with_context(|| format!("{status:#}"))?.parse()?;
    let mut control = TcpStream::connect(proxy)?;
    control.set_read_timeout(Some(PATIENCE))?;
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let mut answer = [0; 12];
    control.read_exact(&mut answer)?;
    ensure!(answer[..6] == [5, 0, 5, 0, 0, 1], "{answer:?}");
    let own = UdpSocket::bind("127.0.0.1:0")?;
    own.set_read_timeout(Some(PATIENCE))?;
    own.connect(SocketAddr::new(proxy.ip(), u16::from_be_bytes([answer[10], answer[11]])))?;
    let mut query = vec![0, 0, 0, 1];
    query.extend(server.octets());
    query.extend([0, 53]);
    query.extend([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in ["www", "inside", "example", "com"] {
        query.push(u8::try_from(label.len())?);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    own.send(&query)?;
    let mut got = [0; 600];
    let length = own.recv(&mut got)?;
    ensure!(got[..10] == query[..10], "from whom it was asked: {:?}", &got[..length]);
    ensure!(got[10..12] == [0xab, 0xcd] && got[17] == 1, "one answer: {:?}", &got[..length]);
    Ok(())
}

#[test]
fn a_proxy_with_a_login_lets_in_who_knows_it() -> Result<()> {
    if !has("curl", "a_proxy_with_a_login_lets_in_who_knows_it") {
        return Ok(());
    }
    let (company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    person.configure(company.ports, "proxy_login = \"proxy-login\"\n")?;
    let file = person.path("config/ikeep/proxy-login");
    fs::write(&file, "anna:a:b/\u{e9}@\n")?;
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    let open = connect(&person, &company, &[], &["true"])?;
    ensure!(open.status.code() == Some(1) && said(&open).contains("chmod 600"), "{}", said(&open));
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    for script in ["curl -sS --fail", "curl -sS --fail --proxytunnel", "curl -sS --fail --proxy $all_proxy"] {
        let fetched = connect(&person, &company, &[], &["sh", "-c", &format!("{script} {URL}")])?;
        ensure!(fetched.status.success() && fetched.stdout.len() == 300_000, "{script}: {}", said(&fetched));
    }
    let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
    for (scheme, login, code) in
        [("http", "", 22), ("http", "anna:wrong@", 22), ("socks5h", "", 97), ("socks5h", "anna:wrong@", 97)]
    {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--fail",
            "--max-time",
            "20",
            "--proxy",
            &format!("{scheme}://{login}{proxy}"),
            URL,
        ]);
        let refused = curl.output()?;
        ensure!(refused.status.code() == Some(code), "{scheme} {login}: {}", said(&refused));
    }
    ensure!(!person.events().contains("a:b/"), "no password in the log");
    Ok(())
}
