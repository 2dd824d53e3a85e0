//! The process locks itself in, whoever started it: the unit does the same from outside, but an agent with CAP_NET_ADMIN may
//! start a helper too.
//!
//! First the privilege goes that is not needed. Then, once sockets are open, a filter of system calls: what is not on its
//! list kills the process. That is meant: a call outside of it is an attack or a mistake of ours, and a helper that dies
//! loses nothing, since its supervisor keeps the device and the next helper goes on with it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// All that is needed of root.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN;

/// Keeps CAP_NET_ADMIN at most, and takes the ways back: no privilege by exec, no core files, no debugger of the same user.
/// To be called while there is one thread.
pub(super) fn shed_privilege() {
    let said = |what: &str, result: rustix::io::Result<()>| {
        if let Err(error) = result {
            tracing::warn!(%error, what, "part of the sandbox is missing");
        }
    };
    said("no new privileges", rustix::thread::set_no_new_privs(true));
    // Where the unit has done it already, the unit's filter of system calls does not know the call.
    if getrlimit(Resource::Core).maximum != Some(0) {
        said("no core files", setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }));
    }
    said("no debugger", rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable));
    said("no ambient capabilities", rustix::thread::clear_ambient_capability_set());
    // Needs CAP_SETPCAP, which the unit does not give: there the bounding set is small already.
    for capability in CapabilitySet::all().difference(NEEDED).iter() {
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let kept = rustix::thread::capabilities(None).and_then(|now| {
        let permitted = now.permitted & NEEDED;
        let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets).map(|()| permitted)
    });
    match kept {
        Ok(kept) if kept.is_empty() => {
            tracing::warn!("no CAP_NET_ADMIN: start it as root, or from its unit; every request will fail");
        }
        Ok(_) => {}
        Err(error) => said("capabilities", Err(error)),
    }
}

/// Closes the filter, for every thread there is and will be.
///
/// # Errors
/// The kernel has no seccomp, or this machine is of another kind than the filter was written for.
pub(super) fn close() -> Result<(), String> {
    let program: BpfProgram = filter()?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())
}

fn filter() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().chain(CALLS_OF_X86).map(|call| (*call, Vec::new())).collect();
    let limited = [
        (libc::SYS_socket, 0, equal(&FAMILIES)),
        (libc::SYS_socketpair, 0, equal(&[libc::AF_UNIX])),
        (libc::SYS_ioctl, 1, equal_to(REQUESTS)),
        // Nothing that was written is ever run.
        (libc::SYS_mmap, 2, vec![(SeccompCmpOp::MaskedEq(EXECUTABLE), 0)]),
        (libc::SYS_mprotect, 2, vec![(SeccompCmpOp::MaskedEq(EXECUTABLE), 0)]),
    ];
    for (call, argument, values) in limited {
        let rule = |(operator, value)| {
            let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
            SeccompRule::new(vec![condition])
        };
        let allowed: Result<Vec<SeccompRule>, _> = values.into_iter().map(rule).collect();
        rules.insert(call, allowed.map_err(|error| error.to_string())?);
    }
    let machine = std::env::consts::ARCH.try_into();
    let machine = machine.map_err(|_| format!("no filter for {}", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, machine)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

fn equal(values: &[libc::c_int]) -> Vec<(SeccompCmpOp, u64)> {
    values.iter().map(|value| (SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))).collect()
}

fn equal_to(values: &[u32]) -> Vec<(SeccompCmpOp, u64)> {
    values.iter().map(|value| (SeccompCmpOp::Eq, u64::from(*value))).collect()
}

const EXECUTABLE: u64 = libc::PROT_EXEC as u64;

const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// FIONBIO, SIOCGIFNAME, SIOCGIFINDEX, and of TUN devices: SETIFF, SETPERSIST, SETOFFLOAD, GETIFF, GETVNETHDRSZ, SETVNETHDRSZ.
const REQUESTS: &[u32] =
    &[0x5421, 0x8910, 0x8933, 0x4004_54ca, 0x4004_54cb, 0x4004_54d0, 0x8004_54d2, 0x8004_54d7, 0x4004_54d8];

/// What the helper, its runtime and the C library call, found by trial (strace over tests/netd) and by reading.
const CALLS: &[i64] = &[
    // Descriptors and files.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_fstatfs,
    // Copying a file: the kernel does it where it can.
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_pipe2,
    // Sockets.
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads and signals of this process.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_prctl,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older names of the same, which the C library still uses there.
#[cfg(target_arch = "x86_64")]
const CALLS_OF_X86: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_symlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
];
#[cfg(not(target_arch = "x86_64"))]
const CALLS_OF_X86: &[i64] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_can_be_made() {
        assert!(filter().is_ok_and(|program| program.len() > CALLS.len()));
    }

    #[test]
    fn nothing_on_the_list_runs_a_program_or_changes_who_we_are() {
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_setuid,
            libc::SYS_mount,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_bpf,
            libc::SYS_init_module,
            libc::SYS_kill,
        ] {
            assert!(!CALLS.contains(&call) && !CALLS_OF_X86.contains(&call), "{call}");
        }
    }
}
