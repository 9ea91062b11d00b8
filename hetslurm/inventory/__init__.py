"""From what Slurm says of itself, and what the admin adds, to pools. Pure."""

from __future__ import annotations

from hetslurm.inventory.pools import derive_pools

__all__ = ["derive_pools"]
