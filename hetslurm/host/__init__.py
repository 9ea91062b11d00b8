"""Probes of the node itself: memory, disks, links, mounts, the kernel log, its speed."""
