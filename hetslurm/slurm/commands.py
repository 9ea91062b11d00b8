"""The adapter over Slurm's own commands, as text. Works with every release from 22.05 on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from hetslurm.clock import Clock, SystemClock
from hetslurm.cluster import Association, Cluster, Node, Partition, PriorityRules, QueuedJob
from hetslurm.errors import SlurmError, SlurmRefused
from hetslurm.slurm.accounting_text import ASSOCIATION_FORMAT, parse_associations
from hetslurm.slurm.controller_text import parse_node_updates, parse_site_factors, parse_started_at
from hetslurm.slurm.directory import members_of_groups, uids_of_users
from hetslurm.slurm.ended import ENDED_STATES, EndedJob
from hetslurm.slurm.ended_text import (
    ENDED_COLUMNS,
    SACCT_FORMAT,
    SEPARATOR,
    ended_of_row,
    parse_ended,
    utc_time,
)
from hetslurm.slurm.job_text import DETAIL_COLUMNS, QUEUE_COLUMNS, Columns, detail_of_row, job_of_row
from hetslurm.slurm.node_text import parse_node, parse_nodes, without_old_words
from hetslurm.slurm.partition_text import Settings, parse_partitions, parse_settings
from hetslurm.slurm.protocol import JobDetail, JobUpdate, PowerDown
from hetslurm.slurm.reservation_text import parse_reservations
from hetslurm.slurm.run import run_slurm
from hetslurm.slurm.update import render_update
from hetslurm.slurm.version import SlurmVersion, parse_version

# slurmctld reads a stale errno when a job without an association changes its partition: a refusal with these
# words is random, more often than not. Where our plugin is loaded there is none: see its job_modify().
_STALE_ERRNO = "Resource temporarily unavailable"
_TRIES = 12
# What scancel says of a job that is over; of one that it never knew too, and then only in some forms.
_OVER = ("Invalid job id specified", "already completing or completed")
_JOBS_A_CALL = 1000
_NODES_A_CALL = 1000  # an argument holds 128 KiB
# A slurmdbd that is away must not hold the cycle up: slurmctld goes on with what it knows, and so do we.
_DATABASE_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Slow:
    """What changes rarely, and when it was read (monotonic seconds)."""

    read_at: float
    settings: Settings
    associations: tuple[Association, ...]
    uids: dict[str, int]


@dataclass(slots=True)
class CommandAdapter:
    """`scontrol`, `squeue` and `sacctmgr`.

    `slurm_conf` is passed as SLURM_CONF; `deadline_s` bounds each command; settings, associations, users
    and groups are read again every `assoc_refresh_s` seconds.
    """

    slurm_conf: str | None = None
    deadline_s: float = 30.0
    assoc_refresh_s: float = 60.0
    clock: Clock = field(default_factory=SystemClock)
    _slow: _Slow | None = None
    _version: SlurmVersion | None = None
    _groups: dict[str, frozenset[int]] = field(default_factory=dict)
    _groups_at: float = float("-inf")

    def read_cluster(self) -> Cluster:
        """See SlurmAdapter. Four commands in a row: partitions, reservations, nodes, jobs."""
        cluster = self.read_rest()
        nodes = tuple(self.read_all_nodes())
        return replace(cluster, nodes=nodes, jobs=tuple(self.read_queue()))

    def read_all_nodes(self) -> Iterable[Node]:
        """Every node that is no template."""
        return self._as_they_are(parse_nodes(self._text("scontrol", "-a", "-d", "-o", "show", "node")))

    def _as_they_are(self, nodes: Iterable[Node]) -> list[Node]:
        if self._version is None:
            self._version = self.installed_version()
        return [without_old_words(node, self._version) for node in nodes]

    def read_rest(self) -> Cluster:
        """The cluster without its nodes and jobs."""
        read_at = self.clock.now()
        slow = self._read_slow()
        text = self._text("scontrol", "-a", "-o", "show", "partition")
        partitions = tuple(parse_partitions(text, slow.settings))
        reservations = tuple(parse_reservations(self._text("scontrol", "-a", "-o", "show", "reservation")))
        return Cluster(
            name=slow.settings.cluster,
            version=slow.settings.version,
            read_at=read_at,
            nodes=(),
            partitions=partitions,
            jobs=(),
            associations=slow.associations,
            enforces_associations=slow.settings.enforces_associations,
            uids=slow.uids,
            groups=self._read_groups(partitions),
            reservations=reservations,
            has_database=slow.settings.has_database,
        )

    def installed_version(self) -> SlurmVersion:
        """The release of the commands themselves; needs no daemon."""
        return parse_version(self._text("scontrol", "--version"))

    def read_job(self, job_id: int) -> JobDetail:
        """See SlurmAdapter."""
        return self._read_detail(str(job_id), "JobID", str(job_id))

    def read_task(self, array_job_id: int, task: int) -> JobDetail:
        """See SlurmAdapter."""
        return self._read_detail(f"{array_job_id}_{task}", "ArrayTaskID", str(task))

    def _read_detail(self, asked: str, key: str, value: str) -> JobDetail:
        """The record, of those that squeue shows for `asked`, that has this value under this key."""
        columns: Columns | None = Columns(DETAIL_COLUMNS)
        while columns:
            rows = list(columns.rows(self._squeue(columns, "-t", "all", "-j", asked)))
            found = [(fields, cut) for fields, cut in rows if fields[key] == value]
            if not found:
                raise SlurmRefused(f"squeue: Invalid job id specified: {asked}")
            wider = columns.wider()
            if not found[0][1] or wider is None:
                return detail_of_row(found[0][0])
            columns = wider
        raise SlurmError("squeue cannot be read")  # pragma: no cover

    def ended_between(self, since: float, until: float) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        text = self._text(
            *("sacct", "--local", "--allusers", "--allocations", "--duplicates", "-nP"),
            *(f"--delimiter={SEPARATOR}", "-S", utc_time(since), "-E", utc_time(until)),
            *(f"--state={ENDED_STATES},RQ", "-o", SACCT_FORMAT),
        )
        return tuple(parse_ended(text))

    def ended_lately(self) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        rows = self._read_rows(ENDED_COLUMNS, "-t", ENDED_STATES)
        return tuple(job for fields in rows if (job := ended_of_row(fields)) is not None)

    def batch_script(self, job_id: int) -> bytes:
        """See SlurmAdapter. Only root, SlurmUser and the owner may read it."""
        return self._run("scontrol", "write", "batch_script", str(job_id), "-", must_write=True)

    def update_job(
        self, job_id: int, update: JobUpdate, *, leads_het_job: bool = False, task: int | None = None
    ) -> None:
        """See SlurmAdapter."""
        words = render_update(update, leads_het_job=leads_het_job)
        if words:
            self._change("scontrol", "update", f"JobId={_name(job_id, leads_het_job, task)}", *words)

    def hold(self, job_id: int, *, by_author: bool = False) -> None:
        """See SlurmAdapter."""
        self._change("scontrol", "uhold" if by_author else "hold", str(job_id))

    def release(self, job_id: int, *, leads_het_job: bool = False, task: int | None = None) -> None:
        """See SlurmAdapter."""
        self._change("scontrol", "release", _name(job_id, leads_het_job, task))

    def read_node(self, name: str) -> Node:
        """See SlurmAdapter."""
        try:
            text = self._text("scontrol", "-a", "-d", "-o", "show", "node", name)
        except SlurmRefused as refused:  # it says so on standard output
            raise SlurmRefused(f"Invalid node name specified: {name} ({refused})") from refused
        node = parse_node(text, name)
        if node is None:
            raise SlurmRefused(f"Invalid node name specified: {name}")
        return self._as_they_are([node])[0]

    def read_nodes(self, names: Sequence[str]) -> tuple[Node, ...]:
        """See SlurmAdapter."""
        try:
            text = self._text("scontrol", "-a", "-d", "-o", "show", "node", ",".join(names))
        except SlurmRefused as refused:  # it says which on standard output
            raise SlurmRefused(f"Invalid node name specified among {len(names)} ({refused})") from refused
        nodes = {node.name: node for node in self._as_they_are(parse_nodes(text))}
        if missing := sorted(set(names) - nodes.keys()):
            raise SlurmRefused(f"Invalid node name specified: {missing[0]}")
        return tuple(nodes[name] for name in names)

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter."""
        self._run("scontrol", "update", f"NodeName={name}", "State=DRAIN", f"Reason={reason}")

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter. Not State=RESUME, which also brings a node up that an admin set down."""
        self._run("scontrol", "update", f"NodeName={name}", "State=UNDRAIN")

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """See SlurmAdapter."""
        self._run("scontrol", "update", f"NodeName={','.join(names)}", f"Weight={weight}")

    def count_node_updates(self) -> int:
        """See SlurmAdapter."""
        return parse_node_updates(self._text("sdiag"))

    def controller_started_at(self) -> float:
        """See SlurmAdapter."""
        return parse_started_at(self._text("scontrol", "show", "config"))

    def read_priority(self) -> PriorityRules:
        """See SlurmAdapter."""
        return self._read_slow().settings.priority

    def read_site_factors(self) -> dict[int, int]:
        """See SlurmAdapter."""
        if not self.read_priority().has_factors:
            raise SlurmRefused("sprio: You are not running a supported priority plugin")
        return parse_site_factors(self._text("sprio", "-h", "-o", "%i %S"))

    def node_down(self, names: Sequence[str], reason: str) -> None:
        """See SlurmAdapter."""
        self._update_nodes(names, "State=DOWN", f"Reason={reason}")

    def power_down(self, names: Sequence[str], how: PowerDown = PowerDown.FORCE) -> None:
        """See SlurmAdapter."""
        self._update_nodes(names, f"State=POWER_DOWN_{how.value.upper()}")

    def power_up(self, names: Sequence[str]) -> None:
        """See SlurmAdapter."""
        self._update_nodes(names, "State=POWER_UP")

    def set_node_address(self, name: str, address: str, hostname: str) -> None:
        """See SlurmAdapter."""
        self._run("scontrol", "update", f"NodeName={name}", f"NodeAddr={address}", f"NodeHostname={hostname}")

    def requeue(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self._run("scontrol", "requeue", str(job_id))

    def cancel(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self._kill(str(job_id))

    def signal(self, job_id: int, signal: str, *, batch: bool = False) -> None:
        """See SlurmAdapter. Without the state, scancel tries for minutes to signal a job that waits."""
        how = ["--full"] if batch else []
        self._kill("--state=RUNNING", f"--signal={signal}", *how, str(job_id))

    def notify(self, job_id: int, text: str) -> None:
        """See SlurmAdapter."""
        self._run("scontrol", "notify", str(job_id), text)

    def _kill(self, *arguments: str) -> None:
        try:
            self._run("scancel", *arguments)
        except SlurmRefused as refused:
            if not any(words in str(refused) for words in _OVER):
                raise

    def _update_nodes(self, names: Sequence[str], *settings: str) -> None:
        for first in range(0, len(names), _NODES_A_CALL):
            asked = ",".join(names[first : first + _NODES_A_CALL])
            self._run("scontrol", "update", f"NodeName={asked}", *settings)

    def _change(self, *arguments: str) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._run(*arguments)
            except SlurmRefused as refused:
                if not left or _STALE_ERRNO not in str(refused):
                    raise
            else:
                return

    def read_queue(self) -> list[QueuedJob]:
        return [job_of_row(fields) for fields in self._read_rows(QUEUE_COLUMNS)]

    def _read_rows(self, widths: dict[str, int], *selected: str) -> list[dict[str, str]]:
        """Jobs as squeue has them; those with a value that was cut are read again, in wider columns."""
        columns = Columns(widths)
        rows = list(columns.rows(self._squeue(columns, *selected)))
        at = {fields["JobID"]: n for n, (fields, _) in enumerate(rows)}
        cut = [fields["JobID"] for fields, is_cut in rows if is_cut]
        while cut and (wider := columns.wider()):
            columns = wider
            still: list[str] = []
            for first in range(0, len(cut), _JOBS_A_CALL):
                asked = ",".join(cut[first : first + _JOBS_A_CALL])
                try:
                    output = self._squeue(columns, *selected, "-j", asked)
                except SlurmRefused:
                    continue  # all of them have gone
                for fields, is_cut in columns.rows(output):
                    if fields["JobID"] in at:
                        rows[at[fields["JobID"]]] = (fields, False)
                        still.extend([fields["JobID"]] if is_cut else [])
            cut = still
        gone = set(cut)
        # What is still cut, or vanished in between, cannot be trusted to be whole.
        return [fields for fields, is_cut in rows if not is_cut and fields["JobID"] not in gone]

    def _squeue(self, columns: Columns, *arguments: str) -> bytes:
        return self._run("squeue", "-a", "-h", "--local", "--noconvert", *arguments, "-O", columns.format)

    def _read_slow(self) -> _Slow:
        now = self.clock.monotonic()
        if self._slow and now - self._slow.read_at < self.assoc_refresh_s:
            return self._slow
        settings = parse_settings(self._text("scontrol", "show", "config"))
        associations: tuple[Association, ...] = ()
        if settings.has_database:
            associations = tuple(self._read_associations(settings))
        uids = uids_of_users({a.user for a in associations})
        self._slow = _Slow(now, settings, associations, uids)
        return self._slow

    def _read_associations(self, settings: Settings) -> tuple[Association, ...]:
        try:
            text = self._text(
                *("sacctmgr", "-nP", "show", "user", "withassoc", "where", f"cluster={settings.cluster}"),
                f"format={ASSOCIATION_FORMAT}",
                deadline_s=min(self.deadline_s, _DATABASE_DEADLINE_S),
            )
        except SlurmError:
            if self._slow is None and settings.enforces_associations:
                raise
            return self._slow.associations if self._slow else ()
        return tuple(parse_associations(text))

    def _read_groups(self, partitions: tuple[Partition, ...]) -> dict[str, frozenset[int]]:
        wanted = {group for p in partitions for group in p.allow_groups or ()}
        now = self.clock.monotonic()
        if wanted != self._groups.keys() or now - self._groups_at >= self.assoc_refresh_s:
            self._groups, self._groups_at = members_of_groups(wanted), now
        return self._groups

    def _text(self, *arguments: str, deadline_s: float | None = None) -> str:
        return self._run(*arguments, deadline_s=deadline_s).decode("utf-8", "replace")

    def _run(self, *arguments: str, deadline_s: float | None = None, must_write: bool = False) -> bytes:
        return run_slurm(
            arguments,
            deadline_s=self.deadline_s if deadline_s is None else deadline_s,
            slurm_conf=self.slurm_conf,
            must_write=must_write,
        )


def _name(job_id: int, leads_het_job: bool, task: int | None = None) -> str:
    """What scontrol takes for this job, or task, alone."""
    if task is not None:
        return f"{job_id}_{task}"
    return f"{job_id}+0" if leads_het_job else str(job_id)
