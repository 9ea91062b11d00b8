"""The snapshot: what the controller knows, in the layout that slurmctld's plugin scores against.

Pools, partitions … ──build_slot──▶ slot ──SnapshotWriter──▶ file ──native/snapshot_reader.c──▶ plugin
                                                              └──read_view──▶ tools
"""

from hetslurm.estimate import RunEstimate
from hetslurm.slot import header_of, unpack
from hetslurm.snapshot.content import build_slot
from hetslurm.snapshot.writer import SnapshotWriter, read_view, slot_array

__all__ = ["RunEstimate", "SnapshotWriter", "build_slot", "header_of", "read_view", "slot_array", "unpack"]
