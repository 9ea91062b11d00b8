"""Drains, once a cycle: what the rules say, done in Slurm within a budget, audited, and told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster, Node
from hetslurm.controller.audit import Audit
from hetslurm.controller.drain_acts import DrainActs, Outcome
from hetslurm.controller.drain_ledger import DrainLedger
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.health.drain_breaker import Breaker
from hetslurm.health.drain_entry import State, is_drained
from hetslurm.health.drain_rules import holds, plan_breaker, plan_drains
from hetslurm.health.drain_scene import (
    Action,
    Drain,
    Reassert,
    Scene,
    Settle,
    Undrain,
    Withhold,
    follow_quiet,
    hard_findings,
    heard_nodes,
    unpardoned,
)
from hetslurm.health.judgement import Judgement
from hetslurm.pool import Pool
from hetslurm.site import HealthSite
from hetslurm.slurm.protocol import SlurmAdapter

MAX_ACTS = 8  # a cycle, of seven commands each, eleven at the most
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0
TRIM_EVERY_S = 86400.0
MAX_LINES = 20  # of the log, in a cycle, about what is not done
_VERBS: dict[type[Action], str] = {Drain: "drain", Undrain: "undrain", Reassert: "drain again"}


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a cycle did and did not do.

    `held`: nodes that hetslurm keeps out. `withheld`, `would`: node and why, or what dry-run would do.
    `counts`: gauges, and totals since the controller's start (`…_total`). `error`: what Slurm refused last.
    """

    mode: str
    breaker: Breaker = Breaker()
    held: tuple[str, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()
    would: tuple[tuple[str, str], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def breaker_open(self) -> bool:
        """Whether so many nodes fail at once that none is drained."""
        return self.breaker.is_open


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What Slurm said about a node, how often, and when to try again (monotonic seconds)."""

    times: int
    again_at: float


class Drains:
    """Keeps what the rules need from one cycle to the next, and carries out what they say."""

    def __init__(
        self, adapter: SlurmAdapter, ledger: DrainLedger, audit: Audit, log: Log, clock: Clock
    ) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._audit = audit
        self._log = log
        self._clock = clock
        self._acts = DrainActs(adapter, ledger, clock)
        self._quiet: dict[str, float] = {}
        self._calm: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._set_under: dict[str, float] = {}
        self._trouble: dict[str, _Trouble] = {}
        self._told: dict[str, str] = {}
        self._totals = dict.fromkeys(("drain", "undrain", "drain again", "settle", "failure"), 0)
        self._reported: dict[str, object] = {}
        self._trimmed_at = float("-inf")

    def apply(
        self,
        cluster: Cluster,
        pools: Sequence[Pool],
        judgement: Judgement,
        site: HealthSite,
        until: float,
    ) -> DrainReport:
        """One cycle, until `until` (monotonic seconds) at the latest, the rest in the next.

        Slurm's refusals and absences are survived and tried again; HetslurmError: the ledger cannot be kept.
        """
        mode = site.drain.mode
        if mode == "off":
            # Findings and silences that pass unseen must not count as quiet when drains are switched on.
            self._quiet, self._calm, self._seen = {}, {}, {}
            return self._finish(DrainReport(mode=mode), {})
        scene = self._look(cluster, pools, judgement, site)
        scene = replace(scene, breaker=self._follow_breaker(scene))
        actions = plan_drains(scene)
        for action in actions:
            if isinstance(action, Settle):
                self._settle(action)
        wanted = [action for action in actions if isinstance(action, Drain | Undrain | Reassert)]
        withheld = [(action.node, action.why) for action in actions if isinstance(action, Withhold)]
        error = ""
        if mode == "on":
            late, error = self._act(wanted, until)
            withheld += late
        would = [] if mode == "on" else [(_node(action), _saying(action)) for action in wanted]
        self._tell(withheld, would)
        report = DrainReport(
            mode=mode,
            breaker=scene.breaker,
            withheld=tuple(sorted(withheld)),
            would=tuple(sorted(would)),
            error=error,
        )
        return self._finish(report, scene.nodes)

    def _look(self, cluster: Cluster, pools: Sequence[Pool], judgement: Judgement, site: HealthSite) -> Scene:
        nodes = {node.name: node for node in cluster.nodes}
        entries, heard, now = self._ledger.entries(), heard_nodes(judgement), self._clock.now()
        self._quiet = follow_quiet(self._quiet, heard, unpardoned(judgement, entries), now)
        self._calm = follow_quiet(self._calm, heard, hard_findings(judgement), now)
        asks_updates = asks_start = False
        drained = {entry.node for entry in entries if entry.state is State.DRAINED}
        self._seen = {node: at for node, at in self._seen.items() if node in drained}
        self._set_under = {node: at for node, at in self._set_under.items() if node in drained}
        for entry in entries:
            node = nodes.get(entry.node)
            if node is None:
                continue
            if entry.state is State.INTENT:
                asks_updates |= is_drained(node) and node.reason == entry.reason
            elif entry.state is State.DRAINED and entry.owns(node):
                self._seen[entry.node] = cluster.read_at
            elif entry.state is State.DRAINED and not is_drained(node) and entry.node in self._seen:
                asks_start = True
        return Scene(
            nodes=nodes,
            judgement=judgement,
            entries=entries,
            pools=pools,
            site=site.drain,
            now=now,
            quiet_since=self._quiet,
            calm_since=self._calm,
            seen_at=self._seen,
            set_under=self._set_under,
            updates=self._ask_updates() if asks_updates else None,
            started_at=self._ask_start() if asks_start else None,
        )

    def _ask_updates(self) -> int | None:
        try:
            return self._adapter.count_node_updates()
        except SlurmError:
            return None

    def _ask_start(self) -> float | None:
        try:
            return self._adapter.controller_started_at()
        except SlurmError:
            return None

    def _follow_breaker(self, scene: Scene) -> Breaker:
        before = self._ledger.breaker()
        breaker = plan_breaker(before, scene)
        if breaker == before:
            return breaker
        self._ledger.note_breaker(breaker)
        if breaker.is_open != before.is_open:
            action = "open breaker" if breaker.is_open else "close breaker"
            nodes = sorted(breaker.nodes or before.nodes)
            why = (
                f"{len(nodes)} of {len(scene.nodes)} nodes fail together" if breaker.is_open else "recovered"
            )
            if not breaker.is_open and before.looked_at >= (before.open_since or 0.0):
                why = "an admin has looked"
            self._audit.note(action, why=why, result="done", nodes=nodes)
            self._log.warning(f"drains: {action}", why=why, nodes=len(nodes))
        return breaker

    def _settle(self, action: Settle) -> None:
        entry = self._ledger.record(
            action.entry,
            action.state,
            action.why,
            self._clock.now(),
            pardoned=action.pardoned,
            pardon_until=action.pardon_until,
        )
        self._totals["settle"] += 1
        self._audit.note(
            "note drain", node=entry.node, why=entry.why, result=entry.state, reason=entry.reason
        )
        self._log.info("drain noted", node=entry.node, state=entry.state, why=entry.why)

    def _act(self, wanted: Sequence[Action], until: float) -> tuple[list[tuple[str, str]], str]:
        """Carry out what there is time for; what was not, and the last thing that Slurm said against it."""
        self._trouble = {n: t for n, t in self._trouble.items() if n in {_node(a) for a in wanted}}
        late, error, acts = [], "", 0
        for action in wanted:
            node = _node(action)
            trouble, now = self._trouble.get(node), self._clock.monotonic()
            if trouble and now < trouble.again_at:
                late.append((node, "refused by Slurm; tried again later"))
            elif acts >= MAX_ACTS or now > until or error:
                late.append((node, "not in this cycle"))
            else:
                acts += 1
                error = self._try(action)
        return late, error

    def _try(self, action: Action) -> str:
        """Do it. What is returned ends the cycle's acts: slurmctld does not answer."""
        node = _node(action)
        try:
            if not isinstance(action, Undrain):
                self._set_under[node] = self._adapter.controller_started_at()
            outcome = self._do(action)
        except SlurmError as failed:
            times = self._trouble[node].times + 1 if node in self._trouble else 1
            pause = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** (times - 1))
            self._trouble[node] = _Trouble(times, self._clock.monotonic() + pause)
            self._totals["failure"] += 1
            self._audit.note(_VERBS[type(action)], node=node, why=_saying(action), result=f"failed: {failed}")
            self._log.warning("drain failed", node=node, why=failed, again_in_s=pause)
            return str(failed) if isinstance(failed, SlurmUnavailable) else ""
        self._trouble.pop(node, None)
        entry = outcome.entry
        self._totals[_VERBS[type(action)]] += outcome.done
        result = "verified" if outcome.done else f"{entry.state}: {entry.why}"
        self._audit.note(
            _VERBS[type(action)], node=node, why=_saying(action), result=result, reason=entry.reason
        )
        (self._log.info if outcome.done else self._log.warning)(
            _VERBS[type(action)], node=node, state=entry.state, why=entry.why, reason=entry.reason
        )
        if entry.state is State.DRAINED:
            self._seen[node] = self._clock.now()
        return ""

    def _do(self, action: Action) -> Outcome:
        match action:
            case Drain():
                return self._acts.drain(action)
            case Undrain(entry, why):
                return self._acts.undrain(entry, why)
            case Reassert(entry, why):
                return self._acts.reassert(entry, why)
        raise TypeError(f"no act in Slurm: {action}")

    def _tell(self, withheld: Sequence[tuple[str, str]], would: Sequence[tuple[str, str]]) -> None:
        """Once, not every cycle, and a burst in few lines."""
        told = {node: f"withheld: {why}" for node, why in withheld}
        told |= {node: f"dry run, would {what}" for node, what in would}
        news = [node for node, text in told.items() if self._told.get(node) != text]
        for node in news[:MAX_LINES]:
            self._log.info("no drain", node=node, why=told[node])
        if len(news) > MAX_LINES:
            self._log.info("no drain", more_nodes=len(news) - MAX_LINES, why="see `hetslurm drains`")
        self._told = told

    def _finish(self, report: DrainReport, nodes: Mapping[str, Node]) -> DrainReport:
        """Count, keep the report for `hetslurm drains` where it changed, and forget what is old."""
        entries = self._ledger.entries()
        held = tuple(sorted(e.node for e in entries if holds(e, nodes.get(e.node))))
        states = [entry.state for entry in entries]
        counts = {
            "drained": states.count(State.DRAINED),
            "wiped": states.count(State.WIPED),
            "handed_over": states.count(State.HANDED_OVER),
            "pardoned": states.count(State.RESUMED),
            "withheld": len(report.withheld),
            "would_act": len(report.would),
        }
        counts |= {f"{name.replace(' ', '_')}_total": n for name, n in self._totals.items()}
        report = replace(report, held=held, counts=counts)
        kept = {
            key: value
            for key, value in asdict(report).items()
            if key in ("mode", "withheld", "would", "error")
        }
        if kept != self._reported:
            self._ledger.note("report", {**kept, "at": self._clock.now()})
            self._reported = kept
        if self._clock.monotonic() - self._trimmed_at >= TRIM_EVERY_S:
            self._trimmed_at = self._clock.monotonic()
            self._ledger.trim(self._clock.now())
        return report


def _node(action: Action) -> str:
    return action.node if isinstance(action, Drain | Withhold) else action.entry.node


def _saying(action: Action) -> str:
    if isinstance(action, Drain):
        return action.text
    return f"{_VERBS[type(action)]}: {action.why}" if type(action) in _VERBS else action.why
