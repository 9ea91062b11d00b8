"""The words of a finding, and what the facts of devices say."""

from __future__ import annotations

from hetslurm.health.columns import Columns
from hetslurm.health.memory import Memory
from hetslurm.health.rows import Rows
from hetslurm.health.rule import Rule

BITSTREAM_ID, BITSTREAM_NAME = "xclbin_uuid", "xclbin"


def tell_row(rows: Rows, rule: Rule, slot: int) -> str:
    """What a rule saw on one device, with the device's name before it."""
    table = rows.table
    if rule.say is not None:
        said = rule.say(rows, slot)
    else:
        said = rule.text.format_map({name: table.values[at, slot] for at, name in enumerate(table.metrics)})
    if table.probe == "host":
        return said
    named = table.facts_of(slot).get("id", "") if table.probe in {"link", "mount"} else ""
    return f"{table.probe} {named or int(table.index[slot])}: {said}"


def bitstreams_of(board: Columns, memory: Memory) -> dict[str, tuple[tuple[str, str], ...]]:
    """(UUID, name) of what every card has loaded, by node."""
    table = board.probes["fpga"]
    if memory.bitstreams_version != table.facts_version:
        memory.bitstreams_version = table.facts_version
        memory.bitstreams = {
            board.names[node]: tuple((row.get(BITSTREAM_ID, ""), row.get(BITSTREAM_NAME, "")) for row in rows)
            for node, rows in table.facts.items()
            if rows
        }
    return memory.bitstreams
