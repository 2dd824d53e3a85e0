//! Many ways to start an agent, and what a person is told where it does not work: two users, two agents, two connects, a full
//! disk, no home. (Agents of other versions are in `cli_agent`, damage at the socket is in `ipc_socket`.)

mod person;

use anyhow::{Context, Result, ensure};
use ikeep::config::Places;
use ikeep::ipc::{Client, Request};
use person::{Company, IKEEP, Person, said};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use tempfile::TempDir;

/// It ended with this code, and its outputs hold these parts.
fn told(output: &Output, code: i32, parts: &[&str]) -> Result<()> {
    let text = said(output);
    ensure!(output.status.code() == Some(code), "not {code}: {text}");
    for part in parts {
        ensure!(text.contains(part), "{part:?} is missing in {text}");
    }
    Ok(())
}

/// A process that ends with the test.
struct Running(Option<Child>);

impl Running {
    /// Its outputs are kept for the end.
    fn start(mut command: Command) -> Result<Self> {
        Ok(Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)))
    }

    /// Its standard output, line by line.
    fn lines(&mut self) -> Result<BufReader<ChildStdout>> {
        let child = self.0.as_mut().context("it runs")?;
        Ok(BufReader::new(child.stdout.take().context("its output")?))
    }

    /// Waits for its end.
    fn ended(mut self) -> Result<Output> {
        Ok(self.0.take().context("it runs")?.wait_with_output()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An agent that was started in the background where [`Person`] does not look.
struct Background(PathBuf);

impl Background {
    async fn stop(places: &Places) -> Result<()> {
        let mut client = Client::connect(places).await?;
        client.send(&Request::Stop).await?;
        while client.recv().await.is_ok() {}
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let places = Places { runtime: self.0.clone(), ..Places::inside(&self.0) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            // Mostly there is none: it was not to start.
            let _ = runtime.block_on(Self::stop(&places));
        }
    }
}

/// The arguments of [`Person::log_in`], for a command of the test's own.
fn login(ca: &Path) -> Vec<String> {
    let profile = Person::profile().display().to_string();
    let ca = ca.display().to_string();
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", "test", "--password-stdin"];
    args.map(ToOwned::to_owned).to_vec()
}

/// Runs it to its end with the password on its standard input.
fn with_password(mut command: Command) -> Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // One that ended before it read anything is told by its exit code.
    let _ = child.stdin.take().context("its input")?.write_all(person::PASSWORD.as_bytes());
    Ok(child.wait_with_output()?)
}

/// Waits until a watcher tells this state.
fn see(watcher: &mut BufReader<ChildStdout>, state: &str) -> Result<()> {
    let mut line = String::new();
    while watcher.read_line(&mut line)? > 0 {
        if line.split_whitespace().nth(1) == Some(state) {
            return Ok(());
        }
        line.clear();
    }
    anyhow::bail!("the watcher has ended before {state}")
}

/// A foreground agent; listens when this returns.
fn foreground(person: &Person) -> Result<Running> {
    let mut agent = person.command(&["agent"]);
    let mut agent = agent.stderr(Stdio::piped()).spawn()?;
    let mut log = BufReader::new(agent.stderr.take().context("its log")?);
    let mut line = String::new();
    while !line.contains("the agent runs") {
        ensure!(log.read_line(&mut line)? > 0, "the agent has ended: {line}");
    }
    // Whatever it says later has somewhere to go.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Ok(Running(Some(agent)))
}

#[test]
fn two_homes_side_by_side() -> Result<()> {
    let company = Company::open(&[])?;
    let (one, two) = (Person::new(company.ports)?, Person::new(company.ports)?);
    for person in [&one, &two] {
        told(&person.log_in(&company.ca())?, 0, &["Connected to IKEv2_Gateway"])?;
    }
    ensure!(one.agent() != two.agent() && one.agent().is_some());
    let address = one.status()?["address4"].clone();
    ensure!(address != two.status()?["address4"], "both have {address}");
    told(&two.run(&["disconnect"])?, 0, &["Disconnected"])?;
    ensure!(one.status()?["state"] == "connected" && one.status()?["address4"] == address);
    ensure!(two.status()?["state"] == "disconnected");
    Ok(())
}

#[test]
fn a_second_agent_is_refused() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    told(&person.log_in(&company.ca())?, 0, &[])?;
    let pid = person.agent().context("an agent")?.as_raw_nonzero();
    let second = person.run(&["agent"])?;
    told(&second, 1, &["an agent of yours already runs", &format!("process {pid}"), &format!("kill {pid}")])?;
    ensure!(person.status()?["state"] == "connected", "the first one was disturbed");
    Ok(())
}

#[test]
fn connect_twice() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    told(&person.log_in(&company.ca())?, 0, &["Connected to"])?;
    told(&person.run(&["connect"])?, 0, &["Already connected to IKEv2_Gateway"])?;
    Ok(())
}

#[test]
fn two_connects_at_once_start_one_agent() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    told(&person.log_in(&company.ca())?, 0, &[])?;
    for _ in 0..3 {
        person.kill_agent()?;
        let starts = (0..4)
            .map(|_| Running::start(person.command(&["connect", "--wait", "20"])))
            .collect::<Result<Vec<_>>>()?;
        for start in starts {
            told(&start.ended()?, 0, &["onnected"])?;
        }
    }
    Ok(())
}

#[test]
fn a_connect_while_the_agent_ends_starts_the_next_one() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    told(&person.log_in(&company.ca())?, 0, &[])?;
    for _ in 0..5 {
        kill_process(person.agent().context("an agent")?, Signal::TERM)?;
        told(&person.run(&["connect"])?, 0, &["onnected"])?;
    }
    // And a disconnect holds, whether the agent that ends heard of it or not.
    kill_process(person.agent().context("an agent")?, Signal::TERM)?;
    told(&person.run(&["disconnect"])?, 0, &[])?;
    told(&person.run(&["connect"])?, 3, &["asks for Password"])
}

#[test]
fn disconnect_while_connecting() -> Result<()> {
    let mut company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let _agent = foreground(&person)?;
    company.ask("fault silent on", "silent")?;
    let mut watch = Running::start(person.command(&["watch"]))?;
    let mut watcher = watch.lines()?;
    see(&mut watcher, "disconnected")?;
    let mut connect = person.command(&[]);
    connect.args(login(&company.ca()));
    let connect = Running::start(connect)?;
    see(&mut watcher, "connecting")?;
    told(&person.run(&["disconnect"])?, 0, &["Disconnected"])?;
    see(&mut watcher, "disconnected")?;
    told(&connect.ended()?, 1, &["ended by `ikeep disconnect`"])?;
    company.ask("fault silent off", "no longer")?;
    told(&person.log_in(&company.ca())?, 0, &["Connected to"])?;
    Ok(())
}

#[test]
fn whoever_leaves_while_connecting_ends_the_login() -> Result<()> {
    let mut company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let _agent = foreground(&person)?;
    company.ask("fault silent on", "silent")?;
    let mut watch = Running::start(person.command(&["watch"]))?;
    let mut watcher = watch.lines()?;
    see(&mut watcher, "disconnected")?;
    let mut connect = person.command(&[]);
    connect.args(login(&company.ca()));
    let connect = Running::start(connect)?;
    see(&mut watcher, "connecting")?;
    let pid = Pid::from_child(connect.0.as_ref().context("it runs")?);
    kill_process(pid, Signal::INT)?;
    told(&connect.ended()?, 130, &[])?;
    see(&mut watcher, "disconnected")
}

#[test]
fn a_stale_socket_and_a_killed_agent() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let folder = person.path("runtime/ikeep");
    fs::create_dir_all(&folder)?;
    drop(UnixListener::bind(folder.join("agent.sock"))?);
    told(&person.run(&["status"])?, 6, &["no agent of yours runs", "ikeep connect"])?;
    told(&person.log_in(&company.ca())?, 0, &["Connected to"])?;
    person.kill_agent()?;
    told(&person.run(&["connect"])?, 0, &["onnected"])?;
    Ok(())
}

#[test]
fn without_a_runtime_folder() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let socket = person.path("state/ikeep/run/agent.sock");
    let _agent = Background(person.path("state/ikeep/run"));
    let without = |args: &[&str]| {
        let mut command = person.command(args);
        command.env_remove("XDG_RUNTIME_DIR");
        command
    };
    let args = login(&company.ca());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    told(&with_password(without(&args))?, 0, &["Connected to"])?;
    ensure!(socket.exists());
    let mode = fs::metadata(person.path("state/ikeep/run"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o700, "{mode:o}");
    told(&without(&["status"]).output()?, 0, &["State", "connected"])?;
    told(&without(&["disconnect"]).output()?, 0, &["Disconnected"])
}

#[test]
fn a_runtime_folder_with_a_path_that_is_too_long() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let mut connect = person.command(&["connect"]);
    connect.env("XDG_RUNTIME_DIR", person.path(&"x".repeat(100)));
    told(&connect.output()?, 1, &["longer than 107 octets", "XDG_RUNTIME_DIR"])
}

/// A small file system of its own that goes with the test; `None` where this may not be made.
struct Disk(TempDir);

impl Disk {
    fn new() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            println!("left out: a file system can only be mounted by root");
            return Ok(None);
        }
        let disk = Self(TempDir::with_prefix("ikeep-disk-")?);
        let mount = ["-t", "tmpfs", "-o", "size=256k,nr_inodes=16,mode=0755", "tmpfs"];
        let mount = Command::new("mount").args(mount).arg(disk.0.path()).output()?;
        if !mount.status.success() {
            println!("left out: {}", said(&mount));
            return Ok(None);
        }
        Ok(Some(disk))
    }

    /// Neither a block nor an inode is left.
    fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.0.path().join("full"))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        let mut names = (0..).map(|number| self.0.path().join(format!("full-{number}")));
        while names.next().is_some_and(|name| fs::File::create(name).is_ok()) {}
        Ok(())
    }

    fn read_only(&self) -> Result<()> {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).output()?;
        ensure!(remount.status.success(), "{}", said(&remount));
        Ok(())
    }

    /// `ikeep ARGS..` with its state, and with `runtime` its socket too, on this disk.
    fn command(&self, person: &Person, args: &[&str], runtime: bool) -> Command {
        let mut command = person.command(args);
        command.env("XDG_STATE_HOME", self.0.path()).env("XDG_DATA_HOME", self.0.path().join("data"));
        if runtime {
            command.env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        }
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", "--quiet"]).arg(self.0.path()).status();
    }
}

/// Neither a full nor a read-only disk is in the way of a connection; only what needs the disk is missed, and that is told.
#[test]
fn a_disk_that_takes_nothing() -> Result<()> {
    let company = Company::open(&[])?;
    for (how, why) in [("full", "No space left"), ("read-only", "Read-only file system")] {
        let Some(disk) = Disk::new()? else { return Ok(()) };
        if how == "full" {
            disk.fill()?
        } else {
            disk.read_only()?
        }
        let person = Person::new(company.ports)?;
        let args = login(&company.ca());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _unless_refused = Background(disk.0.path().join("run/ikeep"));
        let output = with_password(disk.command(&person, &args, true))?;
        told(&output, 1, &["the agent did not start", "cannot make the folder", why, "XDG_RUNTIME_DIR"])?;
        let output = with_password(disk.command(&person, &args, false))?;
        told(&output, 0, &["Connected to", why, "ikeep: warning: "]).context(how)?;
        told(&disk.command(&person, &["disconnect"], false).output()?, 0, &["Disconnected"])?;
    }
    Ok(())
}

/// Runs programs as a user that this machine does not know; `None` where this cannot be.
fn stranger(number: u32) -> Result<Option<Vec<String>>> {
    if !geteuid().is_root() {
        println!("left out: only root can be another user");
        return Ok(None);
    }
    let user =
        ["setpriv", &format!("--reuid={number}"), &format!("--regid={number}"), "--clear-groups", "--"];
    let prefix = user.map(ToOwned::to_owned).to_vec();
    let runs = Command::new(&prefix[0]).args(&prefix[1..]).args([IKEEP, "--version"]).output()?;
    if !runs.status.success() {
        println!("left out: another user cannot run {IKEEP}: {}", said(&runs));
        return Ok(None);
    }
    Ok(Some(prefix))
}

/// Everything below `folder`, and it, belongs to this user.
fn give(folder: &Path, number: u32) -> Result<()> {
    chown(folder, Some(number), Some(number))?;
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            give(&entry?.path(), number)?;
        }
    }
    Ok(())
}

#[test]
fn two_users_of_the_machine() -> Result<()> {
    let company = Company::open(&[])?;
    let mut people = Vec::new();
    for number in [54_321, 54_322] {
        let Some(prefix) = stranger(number)? else { return Ok(()) };
        let person = Person::within(prefix, company.ports)?;
        let ca = person.path("ca.pem");
        fs::copy(company.ca(), &ca)?;
        give(&person.path(""), number)?;
        told(&person.log_in(&ca)?, 0, &["Connected to"])?;
        people.push(person);
    }
    let [one, two] = &people[..] else { unreachable!() };
    ensure!(one.status()?["address4"] != two.status()?["address4"]);
    // A look into another user's folder, closed as it is, then open.
    let runtime = one.path("runtime");
    let pry = |command: &mut Command| command.env("XDG_RUNTIME_DIR", &runtime).output();
    told(&pry(&mut two.command(&["status"]))?, 1, &["cannot talk to the agent", "Permission denied"])?;
    for folder in ["", "runtime", "runtime/ikeep"] {
        fs::set_permissions(one.path(folder), Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(one.path("runtime/ikeep/agent.sock"), Permissions::from_mode(0o666))?;
    told(
        &pry(&mut two.command(&["status"]))?,
        1,
        &["belongs to the user with the number 54321", "as that user"],
    )?;
    told(&pry(&mut two.command(&["agent"]))?, 1, &["belongs to the user with the number 54321"])?;
    // Root too is another user.
    let root = Person::new(company.ports)?;
    told(&pry(&mut root.command(&["disconnect"]))?, 1, &["belongs to the user with the number 54321"])?;
    ensure!(one.status()?["state"] == "connected" && two.status()?["state"] == "connected");
    Ok(())
}

#[test]
fn a_user_without_a_home() -> Result<()> {
    let Some(prefix) = stranger(54_323)? else { return Ok(()) };
    for args in ["connect", "status", "disconnect", "agent"] {
        let output = Command::new(&prefix[0]).args(&prefix[1..]).args([IKEEP, args]).env_clear().output()?;
        told(&output, 1, &["no home folder", "set HOME"])?;
    }
    Ok(())
}
