"""What must be so when the burst is over: nothing runs, nothing is held, the ledger is sound, all is paid.

Gathered by `look_back`, judged apart by the functions of CHECKS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hetslurm.burst.providers import open_providers
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Reservation, Usage
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.protocol import ProviderError, SeenState
from hetslurm.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Closing:
    """All that could be left over. `seen` None: the provider did not answer. Money in micro-units."""

    node_states: Mapping[str, str]
    live: tuple[str, ...]
    seen: tuple[str, ...] | None
    pids: tuple[int, ...]
    reservations: tuple[Reservation, ...]
    costs_micro: Mapping[int, int]
    usage: tuple[Usage, ...]
    problems: tuple[str, ...]


def look_back(sandbox: Sandbox) -> Closing:
    """As it is now. Raises LedgerError where there is no ledger."""
    nodes = [name for group in sandbox.state.spec.cloud for name in group.node_names()]
    with Book.reader(Book.path_in(sandbox.layout.controller_state)) as book:
        reservations = book.reservations()
        return Closing(
            node_states={name: sandbox.node(name)["State"] for name in nodes},
            live=tuple(f"{one.node} ({one.state})" for one in book.instances()),
            seen=_seen(sandbox),
            pids=_pids(sandbox),
            reservations=reservations,
            costs_micro={
                one.res_id: sum(instance.cost_micro for instance in book.instances_of(one.res_id))
                for one in reservations
            },
            usage=book.usage(),
            problems=book.verify(),
        )


def nothing_runs(found: Closing) -> str | None:
    """No instance in the ledger, none at the provider, no process, every node powered down."""
    up = [name for name, state in found.node_states.items() if "POWERED_DOWN" not in state.split("+")]
    if up:
        return f"{', '.join(up)} not powered down"
    if found.live:
        return f"the ledger has {', '.join(found.live)}"
    if found.seen is None:
        return "the provider does not answer"
    if found.seen:
        return f"the provider has {', '.join(found.seen)}"
    return f"processes {', '.join(map(str, found.pids))} are left" if found.pids else None


def all_paid(found: Closing) -> str | None:
    """Every reservation is over, and what it spent is what its instances cost."""
    held = [str(one.res_id) for one in found.reservations if one.state.is_open]
    if held:
        return f"reservations {', '.join(held)} still hold money"
    if not found.reservations:
        return "nothing was ever reserved"
    wrong = [str(r.res_id) for r in found.reservations if r.spent_micro != found.costs_micro[r.res_id]]
    if wrong:
        return f"reservations {', '.join(wrong)} did not pay what their instances cost"
    poor = [str(r.res_id) for r in found.reservations if r.spent_micro > r.amount_micro]
    return f"reservations {', '.join(poor)} spent more than they had" if poor else None


def within_caps(found: Closing) -> str | None:
    """The ledger is sound, and no cap was broken."""
    if found.problems:
        return found.problems[0]
    over = [one for one in found.usage if one.used_micro > one.cap.limit_micro]
    return f"the cap of {over[0].cap.level} is broken" if over else None


CHECKS: tuple[tuple[str, Callable[[Closing], str | None]], ...] = (
    ("nothing runs any more: nodes, ledger, provider, processes", nothing_runs),
    ("every job paid what its instances cost; the rest came back", all_paid),
    ("the ledger is sound; reserved and spent stayed below the caps", within_caps),
)


def money_of(found: Closing, job_id: int | None) -> dict[str, int] | None:
    """What a job's reservations took, paid and gave back; None: it never had one."""
    own = [one for one in found.reservations if one.wanted.job_id == job_id]
    if not own:
        return None
    reserved, spent = sum(one.amount_micro for one in own), sum(one.spent_micro for one in own)
    held = sum(one.held_micro for one in own)
    return {"reserved_micro": reserved, "spent_micro": spent, "released_micro": reserved - spent - held}


def _seen(sandbox: Sandbox) -> tuple[str, ...] | None:
    providers = open_providers(load_policy(sandbox.layout.burst_policy), SystemClock())
    try:
        return tuple(
            f"{one.node} ({one.state})"
            for provider in providers.values()
            for one in provider.seen()
            if one.state is not SeenState.ENDED
        )
    except ProviderError:
        return None
    finally:
        for provider in providers.values():
            provider.close()


def _pids(sandbox: Sandbox) -> tuple[int, ...]:
    folders = sandbox.layout.cloud / "instances"
    return tuple(sorted(pid for one in folders.glob("local-*") for pid, _ in family.marked(one)))
