"""A program of the agent's own user that wants what is in its memory: `outsider.py UID PROGRAM FOLDER`, started as root.

It becomes that user, starts the agent and beside it a program that does not mind, and tries the same with both: to trace it, to
read its memory and its environment, and to have it leave a core file. What comes of it is a line of JSON.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys

ATTACH, DETACH = 16, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def trace(process):
    """How attaching ends."""
    if libc.ptrace(ATTACH, process, None, None) != 0:
        return errno.errorcode[ctypes.get_errno()]
    os.waitpid(process, 0)
    libc.ptrace(DETACH, process, None, None)
    # Being attached to stops it, and it may stay so.
    os.kill(process, signal.SIGCONT)
    return "traced"


def read(process, name):
    """How reading a file of the process ends."""
    try:
        with open(f"/proc/{process}/{name}", "rb") as file:
            # Nothing is mapped at 0: opening is what is refused.
            return "read" if name == "mem" or file.read(1) else "empty"
    except OSError as error:
        return errno.errorcode[error.errno]


def crash(process, number):
    """Whether it leaves a core file. Rust's runtime takes the first SIGSEGV for itself, so the signal is repeated."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    ended = 0
    while not ended:
        os.kill(process, number)
        os.kill(process, signal.SIGCONT)
        ended, status = os.waitpid(process, os.WNOHANG)
        if not ended:
            signal.sigtimedwait({signal.SIGCHLD}, 1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    if not os.WIFSIGNALED(status):
        return "ended by itself"
    return "core" if os.WCOREDUMP(status) else "no core"


def tried(process, number):
    told = {"trace": trace(process)}
    told.update((name, read(process, name)) for name in ("mem", "maps", "environ"))
    told["core"] = crash(process, number)
    return told


def main():
    user, program, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # Core files are written where a program is.
    os.chdir(folder)
    told = {}
    for number in (signal.SIGSEGV, signal.SIGABRT):
        willing = subprocess.Popen(["sleep", "100"])
        told[f"other, {number.name}"] = tried(willing.pid, number)
        agent = subprocess.Popen([program, "agent", "--background"], stdout=subprocess.PIPE, cwd=folder)
        # It says when it listens.
        assert agent.stdout.read(1), "the agent does not start"
        told[f"agent, {number.name}"] = tried(agent.pid, number)
    told["files"] = [name for name in os.listdir(folder) if name.startswith("core")]
    print(json.dumps(told))


main()
