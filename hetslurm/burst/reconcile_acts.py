"""Carries out what the reconciler decided: each act may be done twice, and fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from hetslurm.burst.addresses import forget_addresses
from hetslurm.burst.hands import Auditor, Homeward
from hetslurm.burst.job_note import tell_why
from hetslurm.burst.power import MOST_REASON, Power
from hetslurm.burst.reconcile_words import describe
from hetslurm.burst.resume import boot
from hetslurm.cloudburst.ledger.values import Instance, InstanceState
from hetslurm.cloudburst.provider.protocol import Seen
from hetslurm.cloudburst.reconcile_jobs import ON_NODES
from hetslurm.cloudburst.reconcile_values import (
    Action,
    Adopt,
    Cool,
    Evict,
    Expire,
    Fail,
    Launch,
    NodeDown,
    PowerDown,
    Release,
    SendHome,
    Settle,
    Sight,
    Start,
    Terminate,
    Undrain,
)
from hetslurm.errors import HetslurmError, SlurmError
from hetslurm.slurm.protocol import JobUpdate


class _Moot(Exception):
    """Looked at again, there is nothing to do."""


class Acts:
    """The reconciler's hands. `power` may be replaced, by one with another policy."""

    def __init__(self, power: Power, *, homeward: Homeward, audit: Auditor) -> None:
        self.power = power
        self._homeward = homeward
        self._audit = audit

    def carry_out(self, actions: Sequence[Action], sight: Sight) -> tuple[int, int]:
        """All of them, one by one; how many were done, and how many failed."""
        launches = [action for action in actions if isinstance(action, Launch)]
        done = failed = 0
        for action in actions:
            if isinstance(action, Launch):
                continue
            ok = self._try(action, sight)
            done, failed = done + ok, failed + (not ok)
        if launches:
            ok = self._try(launches, sight)
            done, failed = done + ok * len(launches), failed + (not ok) * len(launches)
        return done, failed

    def _try(self, action: Action | Sequence[Launch], sight: Sight) -> bool:
        try:
            self._do(action, sight)
        except _Moot:
            return True
        except Exception as error:  # a bug in one act must not keep the others from being done
            known = isinstance(error, HetslurmError | OSError)
            self._say(action, f"failed: {error}" if known else f"failed: {error!r}")
            return False
        self._say(action, "done")
        return True

    def _do(self, action: Action | Sequence[Launch], sight: Sight) -> None:  # noqa: PLR0912  one case a kind
        book, slurm = self.power.book, self.power.slurm
        match action:
            case Terminate():
                self._terminate(action)
            case Adopt(row, seen, why):
                self._adopt(row, seen, why)
            case Settle(row, ended_at, why, seen):
                if seen is not None and row.launched_at is None:
                    self._note_launch(row, seen)
                self._forget(row)
                price_micro = seen.price_micro if seen is not None else None
                book.ended(row.node, row.generation, ended_at, why, price_micro=price_micro)
            case Fail(row, why):
                book.failed(row.node, row.generation, why)
            case Cool(partition, zone, purchase, trouble, why):
                until = self.power.clock.now() + self.power.policy.retry.cooldown_s.get(trouble, 0.0)
                book.cool(partition, zone, purchase, trouble, until, why)
            case NodeDown(node, why):
                slurm.node_down([node], why[:MOST_REASON])
                slurm.power_down([node])
            case PowerDown(node, _):
                slurm.power_down([node])
            case Undrain(node, _):
                slurm.resume_node(node)
            case Release(reservation, why):
                book.release(reservation.res_id, why)
            case SendHome(reservation, _, why):
                self._homeward.return_home(reservation, why)
            case Expire(reservation, why):
                self._homeward.return_home(reservation, why)
                book.expire()
            case Start(job, _, surely):
                if not surely and not slurm.read_job(job.job_id).restarts:
                    raise _Moot
                slurm.update_job(job.job_id, JobUpdate(start_now=True))
            case Evict():
                self._evict(action, sight)
            case Launch(node):
                boot(self.power, [node])
            case _:
                boot(self.power, [launch.node for launch in action])

    def _forget(self, row: Instance) -> None:
        """An address that outlives its instance is somebody else's. Without Slurm, the next boot does it."""
        with suppress(SlurmError):
            forget_addresses(self.power.book, self.power.slurm, [row.node])

    def _terminate(self, action: Terminate) -> None:
        row = action.row if action.row is not None else self._late_one(action)
        if row is not None:
            self.power.book.terminating(row.node, row.generation, action.why)
        provider = self.power.providers.get(action.provider)
        if provider is None:
            raise HetslurmError(f"burst.toml has no provider {action.provider} any more; bring it back")
        refused = provider.terminate([action.instance_id])
        if action.instance_id in refused:
            raise refused[action.instance_id]

    def _late_one(self, action: Terminate) -> Instance | None:
        """An instance that the book gave up before it showed: it is paid like any other."""
        seen = next((s for s in self._seen_of(action.provider) if s.instance_id == action.instance_id), None)
        if seen is None:
            return None
        for row in self.power.book.instances(live=False):
            if row.token == seen.token and row.state is InstanceState.FAILED:
                return self._note_launch(row, seen)
        return None

    def _seen_of(self, provider: str) -> Sequence[Seen]:
        known = self.power.providers.get(provider)
        return known.seen() if known is not None else ()

    def _adopt(self, row: Instance, seen: Seen, why: str) -> None:
        adopted = self._note_launch(row, seen)
        if seen.price_micro > row.price_cap_micro:
            self._terminate(
                Terminate(row.provider, seen.instance_id, adopted, f"{why}; it costs more than is allowed")
            )

    def _note_launch(self, row: Instance, seen: Seen) -> Instance:
        pool = self.power.policy.pool_of(row.partition)
        return self.power.book.launched(
            row.node,
            row.generation,
            instance_id=seen.instance_id,
            zone=seen.zone,
            purchase=seen.purchase,
            instance_type=row.instance_type or (pool.instance_type if pool is not None else ""),
            price_micro=seen.price_micro,
            on_demand_micro=max(row.on_demand_micro, seen.price_micro),
            launched_at=seen.launched_at,
        )

    def _evict(self, action: Evict, sight: Sight) -> None:
        """Looked at again first: it may have moved since. Held, it stays where it is, with the reason."""
        now = self.power.slurm.read_job(action.job.job_id).job
        held = {r.wanted.job_id for r in self.power.book.open_reservations()}
        on_cloud = not sight.policy.partitions.isdisjoint(now.partition.split(","))
        is_held = now.state == "PENDING" and now.priority == 0
        if not on_cloud or is_held or (now.job_id in held and now.state == "PENDING"):
            raise _Moot
        if now.state in ON_NODES:
            self.power.slurm.requeue(now.job_id)
            now = replace(now, state="PENDING")
        if now.state == "PENDING":
            self.power.slurm.hold(now.job_id)
            tell_why(self.power.slurm, now, action.why)

    def _say(self, action: Action | Sequence[Launch], result: str) -> None:
        for one in action if isinstance(action, Sequence) else (action,):
            name, about = describe(one)
            (self.power.log.info if result == "done" else self.power.log.error)(
                "burst reconcile", act=name, why=one.why, result=result, **about
            )
            try:
                self._audit.note(f"burst-{name}", why=one.why, result=result, **about)  # type: ignore[arg-type]
            except OSError as error:
                self.power.log.warning("audit not written", act=name, error=error)
