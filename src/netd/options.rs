//! The command line of `ikeep-netd`.

use crate::ipc::helper::SOCKET;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

const AFTER: &str = "\
Exit codes: 0 ended as told (or nothing to do), 2 wrong command line, 1 anything else, with the reason on stderr.

SIGTERM and SIGINT put everything back and end it. SIGUSR1 ends it and changes nothing: the device stays in the supervisor's
store of descriptors, and the next ikeep-netd goes on with it. The unit sends that one for `systemctl restart`.

A kill switch (the nftables table `inet ikeep`) goes down when its agent asks for that, when the agent is gone for so long as --hold
says (one of an always-on profile: --hold-always), with SIGTERM and SIGINT, and with --restore where no helper runs. Whoever has none of
these: `nft delete table inet ikeep`.

A system call that this program has no business with kills it (seccomp); the kernel's log then says `type=1326` and its number,
and the supervisor starts it anew. --no-sandbox is for finding out why.";

/// Makes the network of one VPN tunnel, for an agent without privilege: a TUN device, addresses, routes, rules and resolver
/// settings; and puts everything back.
#[derive(Clone, Debug, Parser)]
#[command(name = "ikeep-netd", version, after_help = AFTER)]
pub struct Options {
    /// Listen here, unless a supervisor hands over a socket [default: /run/ikeep/netd.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Put back what a helper has left that is dead, its kill switch too, and end
    #[arg(long)]
    pub restore: bool,
    /// The group whose members may use the helper
    #[arg(long, value_name = "NAME", default_value = "ikeep")]
    pub group: String,
    /// Keep the tunnel, and the kill switch, of an agent that is gone for so long
    #[arg(long, value_name = "SECONDS", default_value = "55", value_parser = seconds)]
    pub hold: Duration,
    /// The same for the kill switch of an always-on profile
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub hold_always: Duration,
    /// End when nobody was connected and nothing held for so long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub exit_idle: Option<Duration>,
    /// What is there to be put back after a crash is written here
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ikeep-netd")]
    pub state: PathBuf,
    /// Whose tunnel it is, is written here
    #[arg(long, value_name = "DIR", default_value = "/run/ikeep")]
    pub runtime: PathBuf,
    /// D-Bus address of the bus with logind and the resolver [default: the system bus]
    #[arg(long, value_name = "ADDRESS")]
    pub bus: Option<String>,
    /// The files of the machine's resolver are below this folder (for tests)
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
    /// Without a filter of system calls
    #[arg(long)]
    pub no_sandbox: bool,
    /// Tell more in the log
    #[arg(short, long)]
    pub verbose: bool,
}

impl Options {
    /// Where it listens when nobody hands over a socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| PathBuf::from(SOCKET))
    }
}

/// A number of seconds, with a fraction or without, up to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("between 0 and 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
        let options = Options::try_parse_from(["ikeep-netd", "--hold", "0.5"]).unwrap();
        assert_eq!(options.hold, Duration::from_millis(500));
        assert_eq!(options.socket(), PathBuf::from(SOCKET));
        for wrong in ["-1", "NaN", "1e9", "x"] {
            assert!(Options::try_parse_from(["ikeep-netd", &format!("--hold={wrong}")]).is_err(), "{wrong}");
        }
    }
}
