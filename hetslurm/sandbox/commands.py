"""What starts hetslurm's own daemons of a sandbox."""

from __future__ import annotations

import sys

from hetslurm.sandbox.layout import Layout


def agent_command(layout: Layout, node: str) -> list[str]:
    """What starts a node's agent."""
    config = layout.node(node) / "hetslurm.toml"
    return [sys.executable, "-P", "-m", "hetslurm", "agent", "--config", str(config), "--node", node]
