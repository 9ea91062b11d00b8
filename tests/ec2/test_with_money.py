"""From reserved money to an instance and back, through the launch loop, the ledger and AWS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from hetslurm.burst.interrupt import Interruptions
from hetslurm.burst.launch import Launch
from hetslurm.burst.launch_work import NotStarted, Started
from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Instance, InstanceState, Payer, Wanted
from hetslurm.cloudburst.policy import Cap, CloudPool, Level, Period, Policy, Purchase
from hetslurm.cloudburst.provider.protocol import Provider, SeenState
from hetslurm.cloudburst.reconcile_values import Sight
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.cluster import Cluster
from hetslurm.daemon.log import Log
from hetslurm.health.notices import Notice
from hetslurm.slurm.fake import FakeSlurm

from .conftest import KIND, REGION, Cloud, site

NODES = ("c1", "c2", "c3")


class Rig:
    """A policy with one pool on EC2, a ledger, and what opens both again, as another process would."""

    def __init__(self, folder: Path, cloud: Cloud, at: str, *purchases: Purchase) -> None:
        pool = CloudPool("cloud", "aws", KIND, purchases, max_price_micro=100_000)
        self.cloud = cloud
        self.policy = Policy(
            providers=(site(at, cloud.image, cloud.subnets, {"cluster": cloud.cluster}),),
            pools=(pool,),
            caps=(Cap(Level.SITE, "", Period.TOTAL, 10_000_000),),
        )
        self.clock = SystemClock()
        self.out = StringIO()
        self.book = Book(folder / "burst.sqlite3", self.clock, self.policy.caps, cluster=cloud.cluster)
        self.providers: dict[str, Provider] = {}
        self.open()
        worst = worst_case(pool, self.policy.retry, nodes=len(NODES), limit_s=600)
        self.book.reserve(
            Wanted(
                job_id=17,
                submit_at=1,
                payer=Payer("lab", "ada"),
                partition="cloud",
                node_names=NODES,
                price_cap_micro=pool.max_price_micro,
                attempts=worst.attempts,
                attempt_s=worst.attempt_s,
                attempt_micro=worst.attempt_micro,
                amount_micro=worst.total_micro,
                limit_s=600,
                expires_at=self.clock.now() + 3600,
            )
        )

    def open(self) -> None:
        self.close()
        self.providers = open_providers(self.policy, self.clock)

    def close(self) -> None:
        for provider in self.providers.values():
            provider.close()

    def intend(self) -> list[Instance]:
        return [self.book.intend(node, provider="aws", billed_least_s=60) for node in NODES]

    def launch(self, intents: list[Instance]) -> dict[str, object]:
        launch = Launch(self.book, self.policy, self.providers, self.clock, Log(out=self.out))
        return dict(launch.run(intents, patience_s=0))


@pytest.fixture
def rig(tmp_path: Path, cloud: Cloud, moto_endpoint: str) -> Iterator[Rig]:
    rig = Rig(tmp_path, cloud, moto_endpoint, Purchase.SPOT, Purchase.ON_DEMAND)
    yield rig
    rig.close()
    rig.book.close()


def test_reserved_money_becomes_instances_that_say_whose_they_are(rig: Rig) -> None:
    outcomes = rig.launch(rig.intend())
    assert all(isinstance(outcome, Started) for outcome in outcomes.values()), outcomes
    rows = {row.node: row for row in rig.book.instances()}
    seen = {one.node: one for one in rig.providers["aws"].seen()}
    assert set(rows) == set(seen) == set(NODES)
    for node in NODES:
        assert rows[node].state is InstanceState.LAUNCHED
        assert (rows[node].instance_id, rows[node].token) == (seen[node].instance_id, seen[node].token)
        assert rows[node].purchase is Purchase.SPOT
        assert rows[node].zone.startswith(REGION)
    tags = {tag["Key"]: tag["Value"] for tag in rig.cloud.instances()[0]["Tags"]}
    assert {tags[f"hetslurm:{key}"] for key in ("job", "account", "user")} == {"17", "lab", "ada"}
    assert int(tags["hetslurm:deadline"]) <= rows[tags["Name"]].deadline_at


def test_a_process_that_died_before_it_wrote_down_its_launches_launches_none_twice(rig: Rig) -> None:
    intents = rig.intend()
    orders = []

    class Dies:
        """It launches, and nobody hears of it."""

        def __init__(self, provider: Provider) -> None:
            self.quotes = provider.quotes
            self._provider = provider

        def launch(self, given: list[object]) -> dict[str, object]:
            orders.extend(given)
            self._provider.launch(given)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    launch = Launch(
        rig.book,
        rig.policy,
        {"aws": Dies(rig.providers["aws"])},  # type: ignore[dict-item]
        rig.clock,
        Log(out=rig.out),
    )
    with pytest.raises(KeyboardInterrupt):
        launch.run(intents, patience_s=0)
    assert len(rig.cloud.instances()) == len(orders) == 3
    rig.open()
    outcomes = rig.launch(rig.intend())
    assert all(isinstance(outcome, Started) for outcome in outcomes.values()), outcomes
    assert len(rig.cloud.instances()) == 3
    assert {row.instance_id for row in rig.book.instances()} == {
        one["InstanceId"] for one in rig.cloud.instances()
    }


def test_what_ended_is_paid_by_the_second_and_no_more_than_reserved(rig: Rig) -> None:
    rig.launch(rig.intend())
    provider = rig.providers["aws"]
    assert provider.terminate([row.instance_id for row in rig.book.instances()]) == {}
    for one in provider.seen():
        assert one.state is SeenState.ENDED
        assert one.ended_at is not None
        rig.book.ended(one.node, one.generation, one.ended_at, "done")
    (usage,) = rig.book.usage()
    # Three times the least minute at moto's spot price of 9 micro-units an hour: one micro-unit each.
    assert usage.spent_micro == 3
    assert usage.used_micro <= 10_000_000
    assert rig.book.verify() == ()
    assert list(rig.book.instances()) == []


def test_without_any_price_the_node_is_told_and_nothing_starts(
    tmp_path: Path, cloud: Cloud, moto_endpoint: str
) -> None:
    rig = Rig(tmp_path, cloud, moto_endpoint, Purchase.ON_DEMAND)
    try:
        rig.policy.providers[0].settings["prices"] = {}
        rig.open()
        outcomes = rig.launch(rig.intend())
        assert {type(outcome) for outcome in outcomes.values()} == {NotStarted}
        assert {outcome.trouble for outcome in outcomes.values()} == {"price"}  # type: ignore[attr-defined]
        assert cloud.instances() == []
        assert {row.state for row in rig.book.instances(live=False)} == {InstanceState.FAILED}
    finally:
        rig.close()
        rig.book.close()


def test_an_aws_that_does_not_answer_keeps_the_intent_and_its_money(rig: Rig) -> None:
    rig.policy.providers[0].settings["endpoint"] = "http://127.0.0.1:1"
    rig.open()
    begun = time.monotonic()
    outcomes = rig.launch(rig.intend())
    assert time.monotonic() - begun < 30
    assert not any(outcome.final for outcome in outcomes.values())  # type: ignore[attr-defined]
    assert {row.state for row in rig.book.instances()} == {InstanceState.INTENT}


class Audit:
    """Nobody reads it here."""

    def note(self, action: str, **words: object) -> None:
        del action, words


@pytest.mark.parametrize(("said_s", "follows"), [(-1.0, 0), (1.0, 1)])
def test_an_agents_notice_is_its_own_instances_and_not_the_next_ones(
    rig: Rig, said_s: float, follows: int
) -> None:
    rig.launch(rig.intend())
    rows = rig.book.instances()
    (row,) = [one for one in rows if one.node == "c1"]
    assert row.launched_at is not None
    said_at = row.launched_at + said_s
    slurm = FakeSlurm(Cluster("hpc", (22, 5, 8), rig.clock.now(), (), (), ()))
    interruptions = Interruptions(rig.book, slurm, Audit(), log=Log(out=rig.out), clock=rig.clock)
    sight = Sight(rig.clock.now(), rig.policy, None, {}, tuple(rows), rig.book.open_reservations())
    under_way = interruptions.look(sight, rig.providers, {"c1": Notice(said_at + 120, said_at)})
    assert [(one.node, one.at) for one in under_way] == [("c1", said_at + 120)] * follows
    assert interruptions.total == follows
