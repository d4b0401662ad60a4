"""A real Slurm of two nodes on this machine: its own ports, its own folder, gone afterwards.

Needs root and Debian's slurmctld, slurmd, slurm-client and munge; the weekly job installs them.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")

_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
# A requeued job waits for as long as its credential holds: two minutes, unless told otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
# A node that was down takes jobs again as soon as it answers.
ReturnToService=2
SlurmdTimeout=6
KillWait=10
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

_LEASH = """
exec 3<&0
"$@" </dev/null 3<&- &
cat <&3 >/dev/null
kill $!
wait
"""
"""A daemon that ends with whoever started it, however that ends: its end of a pipe is closed."""


def why_not() -> str | None:
    """Why no cluster can be started here; None if one can."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        packages = "slurmctld slurmd slurm-client munge"
        return f"Slurm is not installed ({', '.join(absent)}): apt-get install {packages}"
    return None if os.geteuid() == 0 else "a Slurm of one's own can be started by root alone"


class Cluster:
    """Two nodes of one processor each; `SLURM_CONF` names it to Slurm's commands.

    Args:
        folder: where everything of it lies.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen] = {}
        self._ports = _free_ports(3)

    def start(self) -> None:
        for name in ("state", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munge refuses a socket in a folder that others cannot enter
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        host = socket.gethostname().split(".")[0]
        self.conf.write_text(_CONF.format(host=host, ports=self._ports, folder=self.folder))
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")
        self._launch(
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(f"--{name}-file={self.folder}/munge.{name}" for name in ("pid", "log", "seed")),
            f"--socket={self.folder}/munge.socket",
        )
        wait_until((self.folder / "munge.socket").exists, 20)
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes()

    def start_controller(self) -> None:
        self._launch("slurmctld", "-D")

    def stop_controller(self) -> None:
        self._end("slurmctld")

    def restart(self) -> None:
        """Bring the controller back.

        A new controller makes the nodes read their configuration again, after which a slurmd that
        is one of several on a machine no longer finds its jobs; so they begin anew as well.
        """
        self.start_controller()
        for node in NODES:
            self._end(f"slurmd {node}")
            self.start_node(node)

    def start_node(self, node: str) -> None:
        self._launch("slurmd", "-D", "-N", node)

    def break_node(self, node: str) -> None:
        """As if its power went: the daemon and all that runs there are gone at once."""
        _kill(self._daemons.pop(f"slurmd {node}"))
        for process in self._processes():
            with suppress(psutil.Error):
                if process.environ().get("SLURMD_NODENAME") == node:
                    for other in (*process.parents(), process):
                        if other is process or other.name() == "slurmstepd":
                            other.kill()

    def wait_for_nodes(self) -> None:
        def all_idle() -> bool:
            states = self.ask("sinfo", "--noheader", "--Node", "--format=%t").split()
            return len(states) == len(NODES) and set(states) <= {"idle", "alloc", "mix"}

        wait_until(all_idle, 60)

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment(), timeout=120
        )
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def state(self, job: int) -> str:
        """Of a job; empty once Slurm has forgotten it."""
        found = self.ask("scontrol", "show", "--oneliner", "job", str(job))
        words = dict(word.split("=", 1) for word in found.split() if "=" in word)
        return words.get("JobState", "")

    def stop(self) -> None:
        """End every daemon and every process of a job."""
        for name in ("slurmctld", *(f"slurmd {node}" for node in NODES), "munged"):
            self._end(name)
        left = list(self._processes())
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=20)

    def _launch(self, program: str, *options: str) -> None:
        name = f"{program} {options[-1]}" if program == "slurmd" else program
        path = os.pathsep.join(["/usr/sbin", os.environ["PATH"]])
        with (self.folder / "daemons.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["bash", "-c", _LEASH, "leash", program, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**self.environment(), "PATH": path},
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is None or daemon.stdin is None:
            return
        daemon.stdin.close()
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            _kill(daemon)

    def _processes(self) -> Iterator[psutil.Process]:
        """All processes that know of this cluster, ours left out."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("SLURM_CONF") == str(self.conf)
                if ours and process.pid != os.getpid():
                    yield process


def _kill(daemon: subprocess.Popen) -> None:
    """A daemon with its leash, at once."""
    with suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait()


def wait_until(moment: Callable[[], object], seconds: float) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it did not.
    """
    deadline = time.monotonic() + seconds
    while not moment():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} seconds")
        time.sleep(0.2)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that is stopped whatever happens in the block."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
