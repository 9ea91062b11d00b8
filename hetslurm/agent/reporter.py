"""Makes the reports of one life of an agent: one a beat, facts when they are new and now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hetslurm.agent.observed import Observed
from hetslurm.bus.wire import MAX_BYTES, Facts, ProbeReport, Report, cut_facts, encode, pack_probe

# A controller that has just started knows the facts of all after that many beats.
FACTS_EVERY = 12


class Reporter:
    """`agent` is random at the start of a life, so that two lives of one node are told apart."""

    def __init__(self, node: str, agent: int, beat_s: float) -> None:
        self._node = node
        self._agent = agent
        self.beat_s = beat_s
        self._known: Mapping[str, list[Mapping[str, str]]] = {}
        self._owed: set[str] = set()
        self.seq = 0

    def report(self, observed: Sequence[Observed], *, now: float, mono: float) -> bytes:
        """The next report's bytes, at this Unix and this monotonic time."""
        self.seq += 1
        probes = [
            pack_probe(
                one.probe,
                one.state,
                one.rows,
                one.message,
                one.runs,
                max(0.0, mono - one.sampled_at),
                one.took_s,
            )
            for one in observed
        ]
        report = _bounded(Report(self._node, self._agent, self.seq, now, self.beat_s, probes))
        self._owe({one.probe: [row.facts for row in one.rows] for one in observed if one.rows})
        return self._with_facts(report) if self._owed else encode(report)

    def _owe(self, facts: Mapping[str, list[Mapping[str, str]]]) -> None:
        """Which probes' facts the controller has to be told."""
        if self.seq % FACTS_EVERY == 1:
            self._owed = set(facts)
        else:
            self._owed |= {probe for probe in facts if facts[probe] != self._known.get(probe)}
            self._owed &= set(facts)
        self._known = facts

    def _with_facts(self, report: Report) -> bytes:
        """With as many facts as fit; the rest is in the next report, but nothing is tried for ever."""
        room = MAX_BYTES - len(encode(msgspec.structs.replace(report, facts={})))
        told: Facts = {}
        for probe in sorted(self._owed):
            facts = cut_facts(self._known[probe])
            size = len(msgspec.msgpack.encode({probe: facts}))
            if size <= room:
                told[probe] = facts
                room -= size
        self._owed -= told.keys()
        if not told:
            self._owed.clear()
        return encode(msgspec.structs.replace(report, facts=told))


def _bounded(report: Report) -> Report:
    """A report that the bus takes: without the rows of whoever has far too many."""
    while sum(len(probe.values) for probe in report.probes) > MAX_BYTES // 2:
        largest = max(report.probes, key=lambda probe: len(probe.values))
        probes = [_emptied(probe) if probe is largest else probe for probe in report.probes]
        report = msgspec.structs.replace(report, probes=probes)
    return report


def _emptied(probe: ProbeReport) -> ProbeReport:
    return msgspec.structs.replace(probe, values=b"", message="too many devices for a report")
