"""Steering, once a cycle: nodes that are not well get a higher weight in Slurm, and their own back later.

Placement picks a pool, Slurm the node in it: of those that fit, the ones of the lowest weight. So a node that
is slow or sick, and not drained, is taken when no other is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster, Node
from hetslurm.controller.audit import Audit
from hetslurm.controller.steering_ledger import SteeringLedger
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.health.judgement import Judgement
from hetslurm.health.steer_rules import GONE_S, Band, Steered, Verdict, follow, judge_bands
from hetslurm.site import HealthSite
from hetslurm.slurm.protocol import SlurmAdapter

MAX_ACTS = 16  # a cycle, of two commands each
NODES_AN_ACT = 200
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0
_SWITCHED_OFF = Verdict(Band.WELL, "health.steer is off")


@dataclass(frozen=True, slots=True)
class SteerReport:
    """`steered`: nodes that have a higher weight from us. `pending`: those whose weight has yet to be set.

    `counts` are totals since the controller's start. `error`: what Slurm refused last.
    """

    steered: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Act:
    """Nodes that get this weight, and why each."""

    weight: int
    entries: tuple[Steered, ...]
    why: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Trouble:
    """How often Slurm refused a node's weight, and when to try again (monotonic seconds)."""

    times: int
    again_at: float


class Steering:
    """Follows bands with weights, by a ledger that knows which weights are ours."""

    def __init__(
        self, adapter: SlurmAdapter, ledger: SteeringLedger, audit: Audit, log: Log, clock: Clock
    ) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._audit = audit
        self._log = log
        self._clock = clock
        self._trouble: dict[str, _Trouble] = {}
        self._away_until = float("-inf")
        self._totals = dict.fromkeys(("raised", "lowered", "put_back", "failure"), 0)

    def apply(self, cluster: Cluster, judgement: Judgement, site: HealthSite, until: float) -> SteerReport:
        """One cycle, until `until` (monotonic seconds) at the latest, the rest in the next.

        Slurm's refusals and absences are survived and tried again. HetslurmError, OSError: the ledger or the
        audit cannot be kept, and no further weight is set.
        """
        kept = self._ledger.entries()
        if not kept and not site.steer:
            return SteerReport(counts=dict(self._totals))
        nodes = {node.name: node for node in cluster.nodes}
        if site.steer:
            verdicts = judge_bands(nodes, judgement, site.floor, kept)
        else:
            verdicts = dict.fromkeys(kept, _SWITCHED_OFF)
        wanted = self._follow(kept, nodes, verdicts)
        done, error = self._carry_out(wanted, verdicts, until)
        weights = {name: node.weight for name, node in nodes.items()} | done
        steered = [e.node for e in self._ledger.entries().values() if weights.get(e.node, e.base) != e.base]
        pending = {one.node for one in wanted} - done.keys()
        return SteerReport(tuple(sorted(steered)), tuple(sorted(pending)), dict(self._totals), error)

    def _follow(
        self, kept: Mapping[str, Steered], nodes: Mapping[str, Node], verdicts: Mapping[str, Verdict]
    ) -> list[Steered]:
        """Note what is new, durably; the nodes whose weight is another than it should be."""
        now = self._clock.now()
        changed, wanted = [], []
        over = [e.node for e in kept.values() if e.node not in nodes and now - e.since > GONE_S]
        for name, verdict in verdicts.items():
            node, before = nodes.get(name), kept.get(name)
            if node is None:
                continue
            after = follow(before, name, node.weight, verdict.band, now)
            if after is None:
                over += [name] if before else []
                continue
            if after != before:
                changed.append(after)
            if after.wanted != node.weight:
                wanted.append(after)
        if changed or over:
            self._ledger.record(changed, over)
        return wanted

    def _carry_out(
        self, wanted: Sequence[Steered], verdicts: Mapping[str, Verdict], until: float
    ) -> tuple[dict[str, int], str]:
        """Set what there is time for; the weights that were set, and what Slurm said last against it."""
        done: dict[str, int] = {}
        error, names = "", {one.node for one in wanted}
        self._trouble = {name: trouble for name, trouble in self._trouble.items() if name in names}
        for act in islice(self._grouped(wanted, verdicts), MAX_ACTS):
            if self._clock.monotonic() > until:
                break
            try:
                done |= self._set(act)
            except SlurmError as failed:
                error = str(failed)
                self._failed(act, failed)
                if isinstance(failed, SlurmUnavailable):
                    break
        return done, error

    def _grouped(self, wanted: Sequence[Steered], verdicts: Mapping[str, Verdict]) -> Iterator[_Act]:
        """The highest weights first; what Slurm refused before alone, so that it holds no other node up."""
        now = self._clock.monotonic()
        if now < self._away_until:
            return
        groups: dict[tuple[int, str], list[Steered]] = {}
        for one in wanted:
            trouble = self._trouble.get(one.node)
            if trouble is None or now >= trouble.again_at:
                groups.setdefault((-one.wanted, one.node if trouble else ""), []).append(one)
        for (weight, _), entries in sorted(groups.items()):
            for first in range(0, len(entries), NODES_AN_ACT):
                some = tuple(entries[first : first + NODES_AN_ACT])
                yield _Act(-weight, some, {one.node: verdicts[one.node].why for one in some})

    def _set(self, act: _Act) -> dict[str, int]:
        """Set the weight of those that still have one that we know; the weights that were set.

        Slurm compares nothing when it changes a node, so the look comes immediately before.
        """
        seen = {node.name: node.weight for node in self._adapter.read_nodes([e.node for e in act.entries])}
        mine = [one for one in act.entries if one.knows(seen[one.node])]
        if not mine:
            return {}
        names = [one.node for one in mine]
        self._adapter.set_node_weight(names, act.weight)
        for one in mine:
            self._trouble.pop(one.node, None)
            rises = one.wanted > seen[one.node]
            self._totals["raised" if rises else "lowered" if one.is_raised else "put_back"] += 1
        self._note(act, names, {name: seen[name] for name in names}, "done")
        self._log.info(
            "weight set", weight=act.weight, nodes=len(names), first=names[0], why=act.why[names[0]]
        )
        return dict.fromkeys(names, act.weight)

    def _failed(self, act: _Act, failed: SlurmError) -> None:
        if isinstance(failed, SlurmUnavailable):
            pause = FIRST_RETRY_S
            self._away_until = self._clock.monotonic() + pause
        else:  # a group is all new, or one node alone
            before = self._trouble.get(act.entries[0].node)
            times = before.times + 1 if before else 1
            pause = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** (times - 1))
            trouble = _Trouble(times, self._clock.monotonic() + pause)
            self._trouble |= {one.node: trouble for one in act.entries}
        self._totals["failure"] += 1
        names = [one.node for one in act.entries]
        self._note(act, names, {}, f"failed: {failed}")
        self._log.warning("weight not set", first=names[0], nodes=len(names), why=failed, again_in_s=pause)

    def _note(self, act: _Act, names: Sequence[str], before: Mapping[str, int], result: str) -> None:
        nodes = {name: act.why[name] for name in names}
        why = "; ".join(sorted(set(nodes.values())))
        self._audit.note("set weight", why=why, result=result, weight=act.weight, nodes=nodes, before=before)
