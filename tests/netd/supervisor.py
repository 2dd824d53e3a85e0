"""Stands in for systemd: a listening socket, a store of descriptors, and a helper that is started again when it dies.

Arguments: the socket's path, the folder for the notify socket, then the helper's command line. Says `started PID`, `stored N`
and `ended CODE` on stdout. Ends, with the helper, when its stdin ends; `stop` on stdin sends SIGTERM and starts nothing more,
`restart` sends SIGUSR1 and starts the next one.
"""
import array
import ctypes
import os
import select
import signal
import socket
import sys

path, folder, command = sys.argv[1], sys.argv[2], sys.argv[3:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(16)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(folder + "/notify")
notify.setblocking(False)
store = []  # descriptors, all named "tun"
stopping = False


def say(what):
    print(what, flush=True)


def start():
    fds = [listener.fileno()] + store
    names = ["ikeep-netd.socket"] + ["tun"] * len(store)
    pid = os.fork()
    if pid:
        say(f"started {pid}")
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # dies with this process
    spare = [os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]
    for n, fd in enumerate(spare):
        os.dup2(fd, 3 + n)
    os.closerange(3 + len(fds), 200)
    environment = dict(
        os.environ,
        LISTEN_PID=str(os.getpid()),
        LISTEN_FDS=str(len(fds)),
        LISTEN_FDNAMES=":".join(names),
        NOTIFY_SOCKET=folder + "/notify",
    )
    os.execve(command[0], command, environment)


def hear():
    """Everything that the helper has said so far; what it said before it died counts."""
    while True:
        try:
            words, ancillary, _, _ = notify.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
        except BlockingIOError:
            return
        lines = words.decode().split("\n")
        received = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
        if "FDSTOREREMOVE=1" in lines and "FDNAME=tun" in lines:
            while store:
                os.close(store.pop())
            say("stored 0")
        if "FDSTORE=1" in lines and "FDNAME=tun" in lines:
            # FileDescriptorStoreMax=1
            for fd in received:
                if store:
                    os.close(fd)
                else:
                    store.append(fd)
            say(f"stored {len(store)}")
        else:
            for fd in received:
                os.close(fd)


pid = start()
gone = os.pidfd_open(pid)
while True:
    readable, _, _ = select.select([0, notify, gone], [], [])
    if notify in readable:
        hear()
    if 0 in readable:
        order = os.read(0, 100).decode().strip()
        if not order:
            os.kill(pid, signal.SIGKILL)
            sys.exit(0)
        stopping = order == "stop"
        os.kill(pid, signal.SIGTERM if stopping else signal.SIGUSR1)
    if gone in readable:
        _, status = os.waitpid(pid, 0)
        os.close(gone)
        hear()
        say(f"ended {os.waitstatus_to_exitcode(status)}")
        if stopping:
            sys.exit(0)
        pid = start()
        gone = os.pidfd_open(pid)
