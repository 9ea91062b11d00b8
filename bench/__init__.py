"""Benchmarks: one module a figure, each a ratio against a baseline of the same run."""
