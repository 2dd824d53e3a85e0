"""A Debian machine with a real systemd, made of this one's files: packages are installed there, and this machine stays as it is.

It has namespaces of its own for everything; what is written goes to memory. It ends with its object, whatever happens.
"""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

BOOT = Path(__file__).with_name("boot")
CGROUPS = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
PATIENCE = 30.0


class Failed(Exception):
    """A command that should have worked, or something that did not come."""


class Machine:
    """Runs inside `with`."""

    def __init__(self) -> None:
        name = f"ikeep-machine-{os.getpid()}"
        self.groups = [root / name for root in CGROUPS if (root / "cgroup.procs").exists()]
        self.folder = tempfile.TemporaryDirectory(prefix="ikeep-machine-")
        self.first: int | None = None
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> None:
        for group in self.groups:
            group.mkdir()
        # The shell joins the groups before its namespace of groups is made: what it sees is below them.
        join = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in self.groups)
        # Whatever ends this process ends the machine.
        enter = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup"
        self.child = subprocess.Popen(
            ["bash", "-c", f'{join}; exec {enter} "$@"', "boot", str(BOOT), self.folder.name],
            stdin=subprocess.DEVNULL,
        )
        self.first = self._wait_for(self._first_process, "the first process")
        self._wait_for(lambda: self.run("systemctl is-active basic.target", check=False) == "active\n", "systemd")
        self.run("ip link set lo up")

    def _first_process(self) -> int | None:
        assert self.child is not None
        if self.child.poll() is not None:
            raise Failed(f"the machine does not start: {self.child.returncode}")
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        # Until it is systemd the file system is not there yet.
        if children and Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
            return int(children[0])
        return None

    def _end(self) -> None:
        try:
            if self.first is not None:
                # Its kernel ends everything else in there.
                try:
                    os.kill(self.first, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if self.child is not None:
                self.child.kill()
                self.child.wait()
            for group in self.groups:
                for folder, _, _ in os.walk(group, topdown=False):
                    self._wait_for(lambda folder=folder: self._remove(folder), f"the end of {folder}")
        finally:
            self.folder.cleanup()

    @staticmethod
    def _remove(folder: str) -> bool:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    @staticmethod
    def _wait_for(look, what: str):
        return wait_for(look, what)

    def _enter(self, user: str | None) -> list[str]:
        words = ["nsenter", f"--target={self.first}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root"]
        if user is not None:
            run = "XDG_RUNTIME_DIR=/run/user/$(id -u)"
            environment += ["setpriv", f"--reuid={user}", "--regid=" + user, "--init-groups", "bash", "-c"]
            environment.append(f'export HOME=/home/{user} {run}; cd; exec bash -euo pipefail -c "$1"')
            environment.append("bash")
            return words + environment
        return words + environment + ["bash", "-euo", "pipefail", "-c"]

    def run(self, command: str, user: str | None = None, text: str = "", check: bool = True) -> str:
        """What a command line says on stdout (with check=False: on both), run as root or another user."""
        done = subprocess.run(
            self._enter(user) + [command], input=text, capture_output=True, text=True, timeout=120, check=False
        )
        if check and done.returncode != 0:
            raise Failed(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def start(self, command: str) -> subprocess.Popen[str]:
        """A command that goes on. It ends with the machine."""
        return subprocess.Popen(
            self._enter(None) + [command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def bring(self, file: Path, to: str) -> None:
        """Copies a file of this machine's."""
        with file.open("rb") as source:
            subprocess.run(self._enter(None) + [f"cat >{to}"], stdin=source, check=True)

    def wait(self, command: str, wanted, what: str, user: str | None = None) -> str:
        """Waits until what a command says is as wanted."""
        last = ""

        def look() -> str | None:
            nonlocal last
            last = self.run(command, user=user, check=False)
            return last if wanted(last) else None

        try:
            return wait_for(look, what)
        except Failed as failed:
            raise Failed(f"{failed}; {command} says last:\n{last}") from None


def wait_for(look, what: str):
    """Asks until there is an answer."""
    until = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise Failed(f"{what} did not come within {PATIENCE:.0f} s")
        time.sleep(0.05)
