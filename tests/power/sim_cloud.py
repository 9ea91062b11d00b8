"""A cloud of files: instances that are there at once and start nothing; and the three programs on it.

sim_cloud.py FOLDER resume|suspend|resume-fail --config CONFIG -- NODES
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hetslurm.burst.power import Power
from hetslurm.burst.resume import resume
from hetslurm.burst.resume_fail import resume_fail
from hetslurm.burst.resume_file import read_resume_file
from hetslurm.burst.suspend import suspend
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.protocol import Launched, Order, ProviderError, Quote, Seen, SeenState
from hetslurm.config import load_site
from hetslurm.daemon.log import Log
from hetslurm.slurm import choose_adapter
from hetslurm.slurm.hostlist import expand_hostlist

PRICE = 400_000


class FileCloud:
    """A Provider whose instances are entries of a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "instances.json"

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        return (Quote(pool.instance_type, Purchase.SPOT, "a", PRICE, 2 * PRICE, time.time()),)

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        with self._state() as known:
            known["calls"] = known.get("calls", 0) + 1
            for order in orders:
                known.setdefault("made", {}).setdefault(
                    order.token, [order.node, order.generation, time.time(), None]
                )
        seen = {one.token: one for one in self.seen()}
        return {order.token: seen[order.token] for order in orders}

    def seen(self) -> tuple[Seen, ...]:
        with self._state() as known:
            return tuple(
                Seen(
                    instance_id=f"i-{token}",
                    state=SeenState.RUNNING if ended_at is None else SeenState.ENDED,
                    node=node,
                    generation=generation,
                    token=token,
                    zone="a",
                    purchase=Purchase.SPOT,
                    price_micro=PRICE,
                    launched_at=launched_at,
                    ended_at=ended_at,
                )
                for token, (node, generation, launched_at, ended_at) in known.get("made", {}).items()
            )

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        with self._state() as known:
            for instance_id in instance_ids:
                made = known["made"][instance_id.removeprefix("i-")]
                made[3] = made[3] or time.time()
        return {}

    def extend(self, instance_id: str, deadline_at: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass

    @contextmanager
    def _state(self) -> Iterator[dict]:
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = json.loads(file.read() or "{}")
            yield known
            file.seek(0)
            file.truncate()
            json.dump(known, file)


def main() -> None:
    folder, command, config, nodes = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[4]), sys.argv[6]
    begun = time.monotonic()
    site = load_site(config)
    clock = SystemClock()
    policy = load_policy(Path(site.burst.policy))
    state_dir = Path(site.state_dir)
    names = expand_hostlist(nodes)
    with Book(Book.path_in(state_dir), clock) as book:
        providers = {policy.providers[0].name: FileCloud(folder)}
        power = Power(state_dir, policy, book, providers, choose_adapter("commands"), clock, Log())
        if command == "resume":
            resume(power, names, read_resume_file())
        else:
            {"suspend": suspend, "resume-fail": resume_fail}[command](power, names)
    with (folder / "runs").open("a") as runs:
        runs.write(f"{command} {len(names)} {time.monotonic() - begun:.3f}\n")


if __name__ == "__main__":
    main()
