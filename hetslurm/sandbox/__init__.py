"""A real Slurm on one machine: munged, slurmctld, a slurmd for every pretended node, plugins and controller.

Everything listens on loopback and lives in one directory; any number can run side by side.
"""

from hetslurm.sandbox.sandbox import Sandbox
from hetslurm.sandbox.spec import CloudGroup, NodeGroup, Spec, parse_cloud, parse_nodes

__all__ = ["CloudGroup", "NodeGroup", "Sandbox", "Spec", "parse_cloud", "parse_nodes"]
