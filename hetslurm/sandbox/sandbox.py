"""One sandbox: up, down, and the levers that its users and tests pull."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from hetslurm.errors import SandboxError
from hetslurm.sandbox import accounting, agents, cloud, conf, folder, moving, process, state
from hetslurm.sandbox.client import Client
from hetslurm.sandbox.commands import agent_command
from hetslurm.sandbox.layout import Layout, closed_folder
from hetslurm.sandbox.machine import (
    character_devices,
    find_plugin_dir,
    need,
    slurm_version,
    system_plugin_dir,
    user_name,
)
from hetslurm.sandbox.ports import free_ports
from hetslurm.sandbox.spec import Spec
from hetslurm.sandbox.wait import Waiting

Tell = Callable[[str], None]
START_ATTEMPTS = 3
# Where Debian keeps daemons.
DAEMON_FOLDERS = ["/usr/sbin", "/sbin"]


def _quiet(_: str) -> None:
    pass


class Sandbox(Client):
    """A Slurm in a directory: `open` one, or `create` one; a `with` block takes it down at its end."""

    def __init__(self, root: Path, known: state.State, tell: Tell = _quiet) -> None:
        self.layout = Layout(root)
        self.state = known
        self.tell = tell
        super().__init__(self.exports())
        self.waiting = Waiting(self)

    @classmethod
    def open(cls, root: Path | str) -> Sandbox:
        """The sandbox in `root`. Raises SandboxError when there is none."""
        root = Path(root).resolve()
        known = state.load(Layout(root).state_file)
        if known is None:
            raise SandboxError(
                f"there is no sandbox in {root}; start one with `hetslurm sandbox up --dir {root}`"
            )
        return cls(root, known)

    @classmethod
    def create(
        cls, root: Path | str, spec: Spec, *, plugin_dir: str | Path | None = None, tell: Tell = _quiet
    ) -> Sandbox:
        """Start everything and wait until it is of use; on any failure nothing is left running.

        Raises SandboxError that says which daemon failed, with the end of its log.
        """
        root = Path(root).resolve()
        layout = Layout(root)
        with folder.claimed(layout):
            existing = state.load(layout.state_file)
            if existing is not None and existing.ready and cls(root, existing).is_up():
                tell(f"the sandbox in {root} is up already")
                return cls(root, existing, tell)
            take_down(root, keep_logs=True)
            if os.geteuid() == 0 and (closed := closed_folder(root)) is not None:
                tell(f"{closed} is closed to other users: only root's jobs can run here")
            for attempt in range(1, START_ATTEMPTS + 1):
                try:
                    return cls._create(root, spec, plugin_dir, tell)
                except BaseException as error:
                    words = folder.log_tails(layout) if isinstance(error, SandboxError) else ""
                    take_down(root, keep_logs=True)
                    if isinstance(error, SandboxError):
                        if "Address already in use" in words and attempt < START_ATTEMPTS:
                            tell("a port was taken meanwhile; trying others")
                            continue
                        raise SandboxError(f"{error}\n{words}".rstrip()) from error
                    raise
        raise AssertionError("the last attempt returns or raises")

    @classmethod
    def _create(cls, root: Path, spec: Spec, plugin_dir: str | Path | None, tell: Tell) -> Sandbox:
        layout = Layout(root)
        need(
            "munged",
            "slurmctld",
            "slurmd",
            "scontrol",
            *(["slurmdbd", "mariadbd"] if spec.accounting else []),
        )
        nodes = [name for group in spec.groups for name in group.node_names()]
        clouds = [name for group in spec.cloud for name in group.node_names()]
        plugins = find_plugin_dir(plugin_dir) if spec.plugins else None
        host = conf.Host(
            name=socket.gethostname().split(".")[0],
            user=user_name(),
            version=slurm_version(),
            system_plugin_dir=system_plugin_dir(),
            ports=free_ports(
                ["slurmctld", *(["slurmdbd"] if spec.accounting else []), *_bus_port(spec), *nodes, *clouds]
            ),
            devices=character_devices(),
        )
        folder.fill(layout, *_contents(spec, layout, host), [*nodes, *clouds])
        if spec.cloud:
            cloud.prepare(layout)
        if plugins is not None:
            folder.copy_plugins(layout, plugins)
        if spec.agents:
            agents.prepare(spec, layout, host)
        sandbox = cls(root, state.State(spec=spec, ports=dict(host.ports)), tell)
        sandbox._save()
        sandbox._start_everything(nodes)
        sandbox.state.ready = True
        sandbox._save()
        return sandbox

    def _start_everything(self, nodes: list[str]) -> None:
        spec, layout = self.state.spec, self.layout
        self.tell("starting munged")
        self._start(
            "munged",
            [
                "munged",
                "--foreground",
                "--force",
                f"--socket={layout.munge_socket}",
                f"--key-file={layout.munge_key}",
                f"--log-file={layout.log}/munged.log",
                f"--pid-file={layout.run}/munged.pid",
                f"--seed-file={layout.run}/munged.seed",
                "--num-threads=4",
            ],
        )
        self.waiting.for_path("munged", layout.munge_socket)
        if spec.accounting:
            self.tell("starting MariaDB and slurmdbd")
            accounting.create_database(layout)
            self._start("mariadbd", accounting.mariadb_command(layout))
            self.waiting.for_path("mariadbd", layout.mysql_socket)
            self._start("slurmdbd", ["slurmdbd", "-D"], env={"MYSQL_UNIX_PORT": str(layout.mysql_socket)})
            self.waiting.for_answer("slurmdbd", ["sacctmgr", "-n", "list", "cluster"])
            self.run(["sacctmgr", "-i", "add", "cluster", "sandbox"])
            if (name := user_name()) != "root":  # who has an association from the start
                self.run(["sacctmgr", "-i", "add", "account", "sandbox"])
                self.run(["sacctmgr", "-i", "add", "user", name, "account=sandbox"])
        self.tell(f"starting slurmctld and {len(nodes)} slurmd")
        self.start_slurmctld()
        if spec.start_slurmd:
            for name in nodes:
                self.start_slurmd(name)
            self.waiting.for_nodes_idle(nodes)
        if spec.plugins and spec.controller:
            self.tell("starting the controller")
            self.start_controller()
            self.waiting.for_snapshot()
        if spec.agents:
            self.tell("starting an agent for every node")
            for name in nodes:
                self.start_agent(name)
            self.waiting.for_reports(nodes)

    def _start(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        self.state.processes[name] = process.start(
            name,
            argv,
            root=self.layout.root,
            log=self.layout.log / f"{name}.out",
            env={"SLURM_CONF": str(self.layout.slurm_conf), "PATH": _path(DAEMON_FOLDERS), **(env or {})},
        )
        self._save()

    def _save(self) -> None:
        state.save(self.layout.state_file, self.state)

    def start_slurmctld(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", ["slurmctld", "-D"])
        self.waiting.for_answer("slurmctld", ["scontrol", "ping"], needs="UP")

    def restart_slurmctld(self, sig: int = signal.SIGTERM) -> None:
        """End slurmctld with a signal, and start it again on the same state."""
        process.end(self.state.processes["slurmctld"], sig=sig)
        self.start_slurmctld()

    def start_slurmd(self, name: str) -> None:
        """Start the slurmd of one pretended node."""
        self._start(f"slurmd-{name}", ["slurmd", "-D", "-N", name])

    def start_agent(self, node: str) -> None:
        """Start the agent of one pretended node."""
        self._start(f"agent-{node}", agent_command(self.layout, node))

    def kill_agent(self, node: str, sig: int = signal.SIGKILL) -> None:
        """End a node's agent, by default without asking, and wait for its end."""
        process.end(self.state.processes[f"agent-{node}"], sig=sig)

    def break_device(self, node: str, kind: str, index: int, fault: str) -> None:
        """Let a pretended "gpu" or "fpga" of a node go bad; the faults are those of its fake."""
        self._check_agent(node)
        agents.break_device(self.layout, node, kind, index, fault)

    def heal(self, node: str) -> None:
        """Make a node's pretended devices healthy."""
        self._check_agent(node)
        agents.heal(self.layout, node)

    def _check_agent(self, node: str) -> None:
        if f"agent-{node}" not in self.state.processes:
            known = [
                name.removeprefix("agent-") for name in self.state.processes if name.startswith("agent-")
            ]
            raise SandboxError(f"no agent runs for a node {node!r}; there are: {', '.join(known) or 'none'}")

    def start_controller(self) -> None:
        """Start `hetslurm controller` on this sandbox."""
        self._start(
            "controller",
            [sys.executable, "-P", "-m", "hetslurm", "controller", "--config", str(self.layout.config)],
        )

    def kill_controller(self, sig: int = signal.SIGKILL) -> None:
        """End the controller, by default without asking, and wait for its end."""
        process.end(self.state.processes["controller"], sig=sig)

    @property
    def root(self) -> Path:
        return self.layout.root

    @property
    def slurmctld_pid(self) -> int:
        return self.state.processes["slurmctld"].pid

    @property
    def snapshot_path(self) -> Path:
        return self.layout.snapshot

    @property
    def stats_path(self) -> Path:
        return self.layout.stats

    def exports(self) -> dict[str, str]:
        """What a shell needs so that plain sbatch, squeue and hetslurm speak to this sandbox."""
        return {
            "SLURM_CONF": str(self.layout.slurm_conf),
            "HETSLURM_CONFIG": str(self.layout.config),
            "PATH": _path(DAEMON_FOLDERS, _own_folder()),
        }

    def is_up(self) -> bool:
        """Whether every daemon that was started still runs."""
        return bool(self.state.processes) and all(p.alive() for p in self.state.processes.values())

    def down(self, *, keep_logs: bool = False) -> None:
        """End everything and remove what it wrote."""
        stop(self.root, keep_logs=keep_logs)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def stop(root: Path | str, *, keep_logs: bool = False) -> bool:
    """Take down whatever is left of a sandbox in `root`; False when there was nothing."""
    root = Path(root).resolve()
    layout = Layout(root)
    if not folder.is_claimed(layout) and not process.of_sandbox(root):
        return False
    with folder.locked(layout):
        take_down(root, keep_logs=keep_logs)
    return True


def take_down(root: Path, *, keep_logs: bool) -> None:
    """End every process of the sandbox in `root` and remove its files, whatever state it was left in."""
    layout = Layout(root)
    try:
        known = state.load(layout.state_file)
    except SandboxError:
        known = None
    process.end_all(root, known.processes.values() if known else ())
    folder.clear(layout, keep_logs=keep_logs)


def _contents(spec: Spec, layout: Layout, host: conf.Host) -> tuple[dict[str, str], dict[str, bytes]]:
    """The files that everybody may read, and the secrets."""
    files = {
        ".gitignore": "*\n",
        "slurm.conf": conf.slurm_conf(spec, layout, host),
        "cgroup.conf": conf.cgroup_conf(host),
        "hetslurm.toml": conf.hetslurm_toml(spec, layout, host),
    }
    if spec.cloud:
        files["burst.toml"] = cloud.burst_toml(spec, layout)
    if any(moving.gres_of(spec, group) for group in conf.all_groups(spec)):
        files["gres.conf"] = conf.gres_conf(spec, host)
    if spec.plugins:
        files["plugstack.conf"] = conf.plugstack_conf(layout)
        files["job_submit_hetslurm.conf"] = conf.job_submit_conf(spec, layout)
    secrets = {"munge.key": os.urandom(128)}
    if spec.accounting:
        secrets["slurmdbd.conf"] = conf.slurmdbd_conf(layout, host).encode()
    return files, secrets


def _bus_port(spec: Spec) -> list[str]:
    return ["bus"] if spec.agents else []


def _own_folder() -> list[str]:
    """Where the command `hetslurm` of this very installation is; nothing where it has none."""
    folder = Path(sys.executable).parent
    return [str(folder)] if (folder / "hetslurm").exists() else []


def _path(*more: list[str]) -> str:
    """PATH, and behind it the folders that it lacks."""
    folders = os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*folders, *itertools.chain(*more)]))
