"""ResumeProgram: for every node that Slurm wants, the money first, then the intent, then the launch.

Slurm may run it twice for a node, and at once; it ignores how it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hetslurm.burst.addresses import tell_addresses
from hetslurm.burst.busy import busy
from hetslurm.burst.ending import end_instances
from hetslurm.burst.launch import Launch
from hetslurm.burst.launch_work import NotStarted, Started
from hetslurm.burst.power import Power, give_up, reason_of
from hetslurm.burst.resume_file import ResumeFile
from hetslurm.cloudburst.ledger.values import Instance, InstanceState
from hetslurm.cloudburst.provider.protocol import Seen
from hetslurm.errors import BudgetError, SlurmError

# How long an instance that should be gone already is waited for, seconds.
_PREVIOUS_S = 20.0


@dataclass(slots=True)
class Resumed:
    """`started` nodes have an instance; `refused` ones were set DOWN with that reason and powered down again.

    `open`: a launch that may have happened; the reconciler finds out.
    """

    started: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)


def resume(power: Power, nodes: Sequence[str], file: ResumeFile | None) -> Resumed:
    """Start instances for those nodes that have money; refuse the others. `file` None: Slurm gave none."""
    nodes = list(dict.fromkeys(nodes))
    with busy(power.state_dir, nodes):
        result = _resume(power, nodes, file)
    power.log.info(
        "burst resume",
        nodes=len(nodes),
        started=len(result.started),
        refused=len(result.refused),
        open=len(result.open),
    )
    return result


def boot(power: Power, nodes: Sequence[str]) -> Resumed:
    """The same for the reconciler, which lives and must not wait: what is not had at once is left open."""
    return _resume(power, list(dict.fromkeys(nodes)), None, at_once=True)


def _resume(power: Power, nodes: list[str], file: ResumeFile | None, *, at_once: bool = False) -> Resumed:
    result = Resumed()
    if not at_once and power.is_stale():
        age = power.heartbeat_age_s()
        said = f"last said so {age:.0f} s ago" if power.book.heartbeat() else "never said so"
        why = f"the hetslurm controller does not live ({said}), and nobody else would end what is started"
        result.refused = dict.fromkeys(nodes, reason_of("refused", why))
    else:
        _let_go_of_previous(power, nodes, 0.0 if at_once else _PREVIOUS_S)
        intents = _intend(power, nodes, file, result)
        _launch(power, intents, result, at_once=at_once)
    give_up(power.slurm, power.log, result.refused)
    return result


def _intend(power: Power, nodes: list[str], file: ResumeFile | None, result: Resumed) -> list[Instance]:
    """Commit the money node by node; what is refused says why."""
    held = {
        node: reservation
        for reservation in power.book.open_reservations()
        for node in reservation.wanted.node_names
    }
    intents = []
    for node in nodes:
        reservation = held.get(node)
        why = _refusal(power, node, reservation.wanted.job_id if reservation else None, file)
        pool = power.policy.pool_of(reservation.wanted.partition) if reservation else None
        if reservation is not None and not why and pool is None:
            why = f"burst.toml has no pool {reservation.wanted.partition} any more"
        if not why and pool is not None:
            try:
                intents.append(
                    power.book.intend(node, provider=pool.provider, billed_least_s=pool.billed_least_s)
                )
            except BudgetError as error:
                why = str(error).removeprefix(f"{node}: ")  # alike reasons are one request to Slurm
        if why:
            result.refused[node] = reason_of("refused", why)
    return intents


def _refusal(power: Power, node: str, job_id: int | None, file: ResumeFile | None) -> str:
    """Why this node gets nothing; "": it has money, and is started for whom the money is."""
    if job_id is None:
        return "no money is set aside for it"
    strangers = file.jobs.get(node, frozenset()) - {job_id} if file is not None else frozenset()
    if strangers:
        return f"its money is for job {job_id}, not for job {min(strangers)}"
    return ""


def _let_go_of_previous(power: Power, nodes: list[str], patience_s: float) -> None:
    """A node may come again only when its last instance is gone."""
    wanted = set(nodes)
    previous = [
        instance
        for instance in power.book.instances()
        if instance.node in wanted and instance.state is InstanceState.TERMINATING
    ]
    if previous:
        end_instances(power, previous, "its node comes again", patience_s=patience_s)


def _launch(power: Power, intents: list[Instance], result: Resumed, *, at_once: bool) -> None:
    to_launch = []
    for instance in intents:
        if instance.state is InstanceState.INTENT:
            to_launch.append(instance)
        elif instance.state is InstanceState.LAUNCHED:
            result.started.append(instance.node)
        else:
            why = f"its last instance {instance.instance_id or instance.token} has not ended yet"
            result.refused[instance.node] = reason_of("unavailable", why)
    if not to_launch:
        return
    outcomes = Launch(
        power.book, power.policy, power.providers, power.clock, power.log, pause=power.pause
    ).run(to_launch, patience_s=0.0 if at_once else _patience_s(power, to_launch))
    _tell(power, [outcome.seen for outcome in outcomes.values() if isinstance(outcome, Started)])
    for node, outcome in outcomes.items():
        if isinstance(outcome, Started):
            result.started.append(node)
        elif isinstance(outcome, NotStarted) and outcome.final:
            result.refused[node] = reason_of(outcome.trouble, outcome.why)
        else:
            result.open[node] = outcome.why


def _patience_s(power: Power, instances: Sequence[Instance]) -> float:
    """Throttled calls are repeated for a third of the time that Slurm gives a boot."""
    pools: Mapping[str, float] = {pool.partition: pool.boot_timeout_s for pool in power.policy.pools}
    return min(pools.get(instance.partition, 0.0) for instance in instances) / 3


def _tell(power: Power, seen: Sequence[Seen]) -> None:
    try:
        tell_addresses(power.book, power.slurm, seen)
    except SlurmError as error:
        power.log.warning("burst address", why=str(error))
