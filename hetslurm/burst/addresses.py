"""Where slurmctld finds an instance: told when it is known, taken back when the instance is gone.

An address that stays after its instance makes Slurm talk to whoever has it next.
"""

from __future__ import annotations

from collections.abc import Iterable

from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.provider.protocol import Seen, SeenState
from hetslurm.errors import SlurmError
from hetslurm.slurm.protocol import SlurmAdapter

_THERE = frozenset({SeenState.PENDING, SeenState.RUNNING})


def tell_addresses(book: Book, slurm: SlurmAdapter, seen: Iterable[Seen]) -> None:
    """Tell Slurm the address of every instance that has one, once. Raises SlurmError."""
    for one in seen:
        if one.address and one.state in _THERE and book.read_note(_key(one.node)) != one.address:
            # Noted first: what Slurm may have been told must be taken back.
            book.note(_key(one.node), one.address)
            try:
                slurm.set_node_address(one.node, one.address, one.node)
            except SlurmError:
                book.note(_key(one.node), f"? {one.address}")
                raise


def forget_addresses(book: Book, slurm: SlurmAdapter, nodes: Iterable[str]) -> None:
    """Give nodes their own names back, where they were told otherwise. Raises SlurmError."""
    for node in nodes:
        if book.read_note(_key(node)):
            slurm.set_node_address(node, node, node)
            book.note(_key(node), "")


def _key(node: str) -> str:
    return f"address {node}"
