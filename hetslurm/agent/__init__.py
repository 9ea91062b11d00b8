"""The daemon on every node: runs probes, sends reports."""
