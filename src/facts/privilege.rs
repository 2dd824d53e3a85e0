//! Whether this process may change the machine's network itself, and who does it for it.

use std::path::PathBuf;

/// The helper's program, beside this one or where packages put it.
const PROGRAM: &str = "ikeep-netd";
const PACKAGED: &str = "/usr/lib/ikeep/ikeep-netd";
/// Bit of CAP_NET_ADMIN (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// True where this process has CAP_NET_ADMIN.
pub fn may_change_network() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_capability(&status, CAP_NET_ADMIN))
}

fn has_capability(status: &str, bit: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}

/// True where the kernel makes TUN devices (in many containers it does not).
pub fn has_tun() -> bool {
    std::path::Path::new("/dev/net/tun").exists()
}

/// The program of the helper, where it is installed.
pub fn helper_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let beside = own.parent()?.join(PROGRAM);
    [beside, PathBuf::from(PACKAGED)].into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_a_bit_of_the_effective_mask() {
        let status = "Name:\tikeep\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000001000\n";
        assert!(has_capability(status, CAP_NET_ADMIN));
        assert!(!has_capability(status, 13));
        assert!(!has_capability("CapEff:\tnonsense\n", CAP_NET_ADMIN));
        assert!(!has_capability("", CAP_NET_ADMIN));
    }
}
