"""`scontrol show node -d -o` as Node values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from hetslurm.cluster import Node
from hetslurm.slurm.gres import parse_gres
from hetslurm.slurm.version import SlurmVersion

_NAME = re.compile(r"NodeName=(\S+)")
_KEYS: tuple[str, ...] = (
    "CPUAlloc",
    "CPUEfctv",
    "CPUTot",
    "ActiveFeatures",
    "Gres",
    "GresUsed",
    "RealMemory",
    "AllocMem",
)
_KEYS += ("MemSpecLimit", "State", "Weight")
_FIELD = re.compile(rf" ({'|'.join(_KEYS)})=(\S*)")
# Who set it and when come last; within the text, brackets are the writer's own.
_REASON = re.compile(
    r" Reason=(.*?)(?: \[(?P<by>[^\s\]]+)@(?P<at>[^\]]*)\])?"
    r"(?: (?:Comment|Extra|InstanceId|ReservationName)=.*)?$"
)
# Releases that take the reason of a drain away with it, as measured.
OLDEST_CLEAN, NEXT_CLEAN = (22, 5), (26, 5)
# States that a reason explains: out of use, or powered up and down, which keeps it for the node's return.
_REASON_COUNTS = frozenset(
    {
        "DRAIN",
        "DRAINED",
        "DRAINING",
        "DOWN",
        "ERROR",
        "FAIL",
        "FAILED",
        "FAILING",
        "MAINT",
        "MAINTENANCE",
        "UNKNOWN",
    }
    | {"POWERED_DOWN", "POWERING_UP", "POWER_UP", "POWERING_DOWN", "POWER_DOWN", "POWER_DRAIN"}
)
_MARKS = {
    "*": "NOT_RESPONDING",
    "~": "POWERED_DOWN",
    "#": "POWERING_UP",
    "%": "POWERING_DOWN",
    "!": "POWER_DOWN",
    "$": "MAINTENANCE",
    "@": "REBOOT_REQUESTED",
    "^": "REBOOT_ISSUED",
    "-": "PLANNED",
}


def parse_state(text: str) -> frozenset[str]:
    """`IDLE+CLOUD+POWERED_DOWN`, `DOWN*` or `IDLE~` as Slurm's words for base state and flags."""
    words: set[str] = set()
    for part in text.upper().split("+"):
        word = part.rstrip("".join(_MARKS))
        words.update(_MARKS[c] for c in part[len(word) :])
        if word:
            words.add(word)
    return frozenset(words)


def parse_nodes(text: str) -> Iterator[Node]:
    """Nodes in Slurm's order. Cpus and memory are those that jobs can have: without what slurmd keeps for
    the system.

    Nodes that only exist as a template (FUTURE) are left out.
    """
    for line in text.splitlines():
        name = _NAME.match(line)
        if not name:
            continue
        # The first of each key is Slurm's own: what people write (Reason, Comment, Extra) comes last.
        fields: dict[str, str] = {}
        for key, value in _FIELD.findall(line):
            fields.setdefault(key, value)
        state = parse_state(fields["State"])
        if "FUTURE" in state:
            continue
        reason = _REASON.search(line) if " Reason=" in line else None
        features = fields.get("ActiveFeatures", "(null)")
        yield Node(
            name=name[1],
            cpus=int(fields.get("CPUEfctv") or fields["CPUTot"]),
            mem_mb=max(0, int(fields["RealMemory"]) - int(fields.get("MemSpecLimit", 0))),
            state=state,
            gres=parse_gres(fields.get("Gres", "")),
            gres_used=tuple(g for g in parse_gres(fields.get("GresUsed", "")) if g.count),
            cpus_allocated=int(fields["CPUAlloc"]),
            mem_mb_allocated=int(fields["AllocMem"]),
            features=frozenset() if features in {"", "(null)"} else frozenset(features.split(",")),
            reason=reason[1] if reason else "",
            reason_by=(reason["by"] or "") if reason else "",
            reason_at=_unix_s(reason["at"]) if reason else None,
            weight=int(fields.get("Weight", 1)),
        )


def without_old_words(node: Node, version: SlurmVersion) -> Node:
    """The node without a reason that is over.

    When a drain is taken back, 22.05 and 26.05 take its reason away; 24.11 leaves it for good, whatever
    `Reason=` says. Between those releases, the words on a node that is not out of use are nobody's.
    """
    if not node.reason or not OLDEST_CLEAN < version[:2] < NEXT_CLEAN or node.state & _REASON_COUNTS:
        return node
    return replace(node, reason="", reason_by="", reason_at=None)


def parse_node(text: str, name: str) -> Node | None:
    """The one node of `scontrol show node NAME`; None when what was shown is not just that node."""
    nodes = list(parse_nodes(text))
    return nodes[0] if [node.name for node in nodes] == [name] else None


def _unix_s(text: str | None) -> float | None:
    """A time of SLURM_TIME_FORMAT=%s."""
    return float(text) if text and text.isdigit() else None
