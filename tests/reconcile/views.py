"""One cloud node `c1` with money, a job and an instance, each by hand, and a look at them."""

from __future__ import annotations

from dataclasses import replace

from hetslurm.cloudburst.ledger.values import (
    Instance,
    InstanceState,
    Payer,
    Reservation,
    ReservationState,
    Wanted,
)
from hetslurm.cloudburst.policy import CloudPool, Policy, Purchase, Retry
from hetslurm.cloudburst.provider.protocol import Seen, SeenState
from hetslurm.cloudburst.reconcile import reconcile
from hetslurm.cloudburst.reconcile_values import Action, Memory, Sight, SlurmView
from hetslurm.cluster import Node, QueuedJob

NOW = 1_800_000_000.0
GUARD_S = 60.0
POOL = CloudPool(
    "cloud",
    "p",
    "big",
    (Purchase.SPOT, Purchase.ON_DEMAND),
    1_000_000,
    boot_s=20,
    boot_timeout_s=120,
    idle_s=60,
)
POLICY = Policy(pools=(POOL,), retry=Retry(guard_s=GUARD_S, reservation_s=900))


def node(state: str = "ALLOCATED", reason: str = "", name: str = "c1") -> Node:
    """A CLOUD node; `state` as Slurm writes it."""
    return Node(name, 4, 1000, frozenset({*state.split("+"), "CLOUD"}), reason=reason)


def job(state: str = "RUNNING", **more: object) -> QueuedJob:
    """Job 7 of ann's in the cloud partition."""
    on = ("c1",) if state in {"RUNNING", "CONFIGURING"} else ()
    made = QueuedJob(7, state, "cloud", "ann", 1, 4, 0, 10, 100, NOW - 400, None, None, node_names=on)
    return replace(made, **more)  # type: ignore[arg-type]


def reservation(state: ReservationState = ReservationState.COMMITTED, **more: object) -> Reservation:
    """Two attempts of a million each for job 7 on c1."""
    wanted = Wanted(
        7, int(NOW - 500), Payer("acct", "ann"), "cloud", ("c1",), 1_000_000, 2, 900.0, 1_000_000, 2_000_000,
        600.0, NOW + 400,
    )  # fmt: skip
    made = Reservation(1, wanted, state, 2_000_000, 0, 600.0, 1, NOW - 450, NOW - 400, "")
    return replace(made, **more)  # type: ignore[arg-type]


def row(state: InstanceState = InstanceState.LAUNCHED, **more: object) -> Instance:
    """Generation 1 of c1, five minutes old."""
    known = state is not InstanceState.INTENT
    made = Instance(
        "c1", 1, 1, "cloud", "p", "k-c1-1", state, 1_000_000, 60.0, NOW - 310, NOW + 600,
        instance_id="i-1" if known else "", price_micro=300_000 if known else 0,
        launched_at=NOW - 300 if known else None, purchase=Purchase.SPOT if known else None, zone="z1",
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def seen(state: SeenState = SeenState.RUNNING, **more: object) -> Seen:
    """That instance as its provider has it."""
    made = Seen("i-1", state, "c1", 1, "k-c1-1", "z1", Purchase.SPOT, 300_000, NOW - 300)
    return replace(made, **more)  # type: ignore[arg-type]


def slurm(*jobs: QueuedJob, nodes: tuple[Node, ...] = (), over: frozenset[int] = frozenset()) -> SlurmView:
    """What Slurm shows; c1 runs a job unless said otherwise."""
    return SlurmView({n.name: n for n in nodes or (node(),)}, {j.job_id: j for j in jobs}, over)


def sight(**more: object) -> Sight:
    """All agree: job 7 runs on c1, whose instance runs."""
    made = Sight(NOW, POLICY, slurm(job()), {"p": (seen(),)}, (row(),), (reservation(),))
    return replace(made, **more)  # type: ignore[arg-type]


def look(at: Sight, memory: Memory = Memory()) -> tuple[Action, ...]:  # noqa: B008
    """What one look asks for."""
    return reconcile(at, memory)[0]


def look_until(at: Sight, seconds: float, step_s: float = 10.0) -> tuple[Action, ...]:
    """Look again and again at a world that stays as it is; what the last look asks for."""
    memory, actions, first = Memory(), (), at.now
    while at.now <= first + seconds:
        actions, memory = reconcile(at, memory)
        at = replace(at, now=at.now + step_s)
    return actions


def kinds(actions: tuple[Action, ...]) -> list[str]:
    """The actions' names."""
    return [type(action).__name__ for action in actions]
