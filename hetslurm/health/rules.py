"""All rules, and their names."""

from __future__ import annotations

from hetslurm.health.device_rules import FPGA_RULES, GPU_RULES
from hetslurm.health.host_rules import HOST_RULES, INSTANCE_RULES, LINK_RULES, MOUNT_RULES
from hetslurm.health.rule import NodeRule, Rule
from hetslurm.telemetry import PROBES

RULES: tuple[Rule, ...] = (*HOST_RULES, *LINK_RULES, *MOUNT_RULES, *GPU_RULES, *FPGA_RULES, *INSTANCE_RULES)


# What a probe that cannot look leaves of the health of what it looks at: unknown is not healthy.
_UNSEEN = {"host": 0.7, "link": 0.8, "mount": 0.7, "gpu": 0.5, "fpga": 0.5, "instance": 0.9}
FAILED = {probe: NodeRule(f"{probe}_probe_failed", probe, _UNSEEN[probe], 3) for probe in PROBES}
STALE = {probe: NodeRule(f"{probe}_probe_stale", probe, _UNSEEN[probe]) for probe in PROBES}
VANISHED = {probe: NodeRule(f"{probe}_vanished", probe, 0.0, 1, 4) for probe in ("gpu", "fpga")}
SILENT = NodeRule("silent", "", 0.0)
CLOCK_SKEW = NodeRule("clock_skew", "", 0.2, 3)

# Every name that `ignore` and `store_only` can have.
RULE_NAMES = frozenset(
    {rule.name for rule in RULES}
    | {rule.name for of in (FAILED, STALE, VANISHED) for rule in of.values()}
    | {SILENT.name, CLOCK_SKEW.name}
)
