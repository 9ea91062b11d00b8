"""Finished runs, kept in SQLite by the controller."""

from hetslurm.history.reader import count_runs, forget, read_runs
from hetslurm.history.select import Order, Which
from hetslurm.history.store import Followed, HistoryStore

__all__ = ["Followed", "HistoryStore", "Order", "Which", "count_runs", "forget", "read_runs"]
