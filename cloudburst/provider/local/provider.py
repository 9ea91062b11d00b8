"""The local provider: launches, lists and ends pretended instances on this machine.

Its memory is the folder of each instance, so any number of processes may use it at once, and none must live.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hetslurm.clock import Clock, SystemClock
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.local.faults import BOOTS, Faults, read_faults, use_up
from hetslurm.cloudburst.provider.local.folder import Folder, LocalOrder, instance_id, locked
from hetslurm.cloudburst.provider.local.settings import LocalSettings
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    ProviderError,
    Quote,
    Seen,
    SeenState,
    Trouble,
)
from hetslurm.errors import ConfigError

# How long an instance that ended stays in the list, and when its folder goes.
LISTED_S, KEPT_S = 3600.0, 86400.0
# What did not begin by then never will.
BEGINS_WITHIN_S = 30.0


class LocalProvider:
    """See Provider. ConfigError where its folder cannot be made."""

    def __init__(
        self,
        settings: LocalSettings,
        clock: Clock | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._pause = pause
        self._instances = settings.dir / "instances"
        try:
            self._instances.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._instances}: cannot be made: {error.strerror or error}") from error

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """See Provider."""
        faults = self._faults()
        _answer(faults)
        now = self._clock.now()
        found = []
        for purchase in pool.purchases:
            for zone in self._settings.zones_of(pool):
                price = self._price(faults, pool.instance_type, purchase, zone)
                if price is not None:
                    usual = self._settings.price_of(pool.instance_type, Purchase.ON_DEMAND, zone)
                    found.append(Quote(pool.instance_type, purchase, zone, price, usual, now))
        return tuple(found)

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """See Provider."""
        faults = self._begin()
        if faults.launch_s:
            self._pause(faults.launch_s)
        with locked(self._settings.dir / "lock"):
            living = [order for _, order, state in self._all() if state is not SeenState.ENDED]
            answers: dict[str, Launched] = {}
            for order in orders:
                try:
                    answers[order.token] = self._launch(order, living)
                except ProviderError as error:
                    answers[order.token] = error
        _answer(faults)
        return answers

    def seen(self) -> tuple[Seen, ...]:
        """See Provider. What died without a word is ended and recorded here."""
        _answer(self._faults())
        now = self._clock.now()
        found = []
        for folder, order, state in self._all():
            ended_at = folder.ended_at()
            if ended_at is not None and now - ended_at > KEPT_S:
                shutil.rmtree(folder.path, ignore_errors=True)
            elif not folder.has("lost") and (ended_at is None or now - ended_at <= LISTED_S):
                found.append(_seen(folder, order, state))
        return tuple(found)

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """See Provider."""
        faults = self._begin()
        if faults.terminate_s:
            self._pause(faults.terminate_s)
        refused = {}
        for name in instance_ids:
            folder = Folder(self._instances / os.path.basename(name))
            if folder.order() is None:
                continue
            if faults.terminate == "refuse":
                words = f"{name}: ending it is refused (an injected fault)"
                refused[name] = ProviderError(words, trouble=Trouble.UNAVAILABLE, code="TerminateRefused")
            else:
                folder.mark("terminate")
                _state(folder)
        _answer(faults)
        return refused

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """See Provider."""
        faults = self._begin()
        folder = Folder(self._instances / os.path.basename(instance_id))
        if folder.order() is None or folder.ended_at() is not None:
            raise ProviderError(
                f"{instance_id}: there is no such instance, or it has ended",
                trouble=Trouble.CONFIGURATION,
                code="NotFound",
            )
        folder.write("deadline.json", {"at": deadline_at})
        _answer(faults)

    def close(self) -> None:
        """See Provider."""

    def folder_of(self, node: str) -> Path | None:
        """The folder of a node's newest instance, for the levers of `faults`; None: it never had one."""
        mine = [(order.generation, folder.path) for folder, order in self._orders() if order.node == node]
        return max(mine)[1] if mine else None

    def _launch(self, order: Order, living: list[LocalOrder]) -> Seen:
        folder = Folder(self._instances / instance_id(order.token))
        folder.path.mkdir(exist_ok=True)
        lock = folder.claim()
        try:
            known = folder.order()
            if known is not None and (lock is None or folder.has("begun.json") or folder.has("ended.json")):
                if lock is not None:
                    os.close(lock)
                    lock = None
                return _seen(folder, known, _state(folder))
            if lock is None:
                raise ProviderError(
                    f"{order.token} is being looked at", trouble=Trouble.UNAVAILABLE, code="Busy"
                )
            new = self._accept(order, living)
            folder.write_order(new)
            self._spawn(folder, lock)
            living.append(new)
            return _seen(folder, new, SeenState.PENDING)
        finally:
            if lock is not None:
                os.close(lock)

    def _accept(self, order: Order, living: Sequence[LocalOrder]) -> LocalOrder:
        """What will be launched. Raises ProviderError where a cloud would."""
        faults = self._faults()
        fault = next((one for one in faults.launch if one.hits(order.node, order.purchase, order.zone)), None)
        if fault is not None:
            use_up(self._settings.faults_file, fault)
            if fault.how not in BOOTS:
                words = f"{order.node}: {fault.how} (an injected fault)"
                raise ProviderError(words, trouble=_trouble(fault.how), code="InjectedFault")
        kind = order.pool.instance_type
        price = self._price(faults, kind, order.purchase, order.zone)
        if price is None or price > order.max_price_micro:
            words = f"{kind} costs {price} micro-units an hour, allowed are {order.max_price_micro}"
            raise ProviderError(words, trouble=Trouble.PRICE, code="PriceTooHigh")
        for offer, capacity in self._settings.limits_on(kind, order.purchase, order.zone):
            there = sum(offer.matches(o.instance_type, Purchase(o.purchase), o.zone) for o in living)
            if there >= capacity:
                words = f"no {order.purchase} {kind} is left {f'in {order.zone}' if order.zone else ''}"
                raise ProviderError(words.rstrip(), trouble=Trouble.CAPACITY, code="InsufficientCapacity")
        folder = self._instances / instance_id(order.token)
        return LocalOrder(
            node=order.node,
            generation=order.generation,
            token=order.token,
            partition=order.pool.partition,
            instance_type=kind,
            purchase=order.purchase,
            zone=order.zone,
            price_micro=price,
            launched_at=self._clock.now(),
            deadline_at=order.deadline_at,
            boot_s=self._settings.boot_s,
            fault=fault.how if fault is not None else "",
            argv=_filled(self._settings.start_command, order.node, folder),
            agent_argv=_filled(self._settings.agent_command, order.node, folder),
            slurm_conf=self._settings.slurm_conf,
            tags=dict(order.tags),
        )

    @staticmethod
    def _spawn(folder: Folder, lock: int) -> None:
        """Start the instance apart from us; it takes the lock over."""
        program = [sys.executable, "-P", "-m", "hetslurm.cloudburst.provider.local.instance"]
        with (folder.path / "log").open("ab") as log:
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *program, str(folder.path), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                check=True,
            )

    def _price(self, faults: Faults, kind: str, purchase: Purchase, zone: str) -> int | None:
        for key in (f"{purchase}/{zone}", str(purchase)):
            if key in faults.prices:
                return faults.prices[key]
        return self._settings.price_of(kind, purchase, zone)

    def _orders(self) -> list[tuple[Folder, LocalOrder]]:
        found = []
        for path in sorted(self._instances.iterdir()):
            order = Folder(path).order()
            if order is not None:
                found.append((Folder(path), order))
        return found

    def _all(self) -> list[tuple[Folder, LocalOrder, SeenState]]:
        return [(folder, order, _state(folder)) for folder, order in self._orders()]

    def _faults(self) -> Faults:
        try:
            return read_faults(self._settings.faults_file)
        except ConfigError as error:
            raise ProviderError(str(error), trouble=Trouble.CONFIGURATION, code="Faults") from error

    def _begin(self) -> Faults:
        """The faults in force. Raises ProviderError when the provider does nothing."""
        faults = self._faults()
        if faults.down == "refuse":
            _answer(faults)
        return faults


def _answer(faults: Faults) -> None:
    if faults.down:
        words = "the provider does not answer (an injected fault)"
        raise ProviderError(words, trouble=Trouble.UNAVAILABLE, code="Down")


def _state(folder: Folder) -> SeenState:
    """What it does now; one that was killed from outside is cleared away first."""
    if folder.has("ended.json"):
        return SeenState.ENDED
    lock = folder.claim()
    if lock is not None:
        try:
            if not _may_begin(folder):
                gone = folder.has("ended.json") or _clear_away(folder)
                return SeenState.ENDED if gone else SeenState.ENDING
        finally:
            os.close(lock)
    if folder.has("terminate"):
        return SeenState.ENDING
    return SeenState.RUNNING if folder.has("family.json") else SeenState.PENDING


def _may_begin(folder: Folder) -> bool:
    """Whoever launched it may be about to start it, or died before; a launch with its token starts it."""
    order = folder.order()
    young = order is not None and time.time() - order.launched_at < BEGINS_WITHIN_S
    return young and not folder.has("begun.json") and not folder.has("ended.json")


def _clear_away(folder: Folder) -> bool:
    """End what an instance left that nobody watches; True: nothing is left, and its end is recorded."""
    order = folder.order()
    members = folder.read("family.json").get("members")
    known = [(int(pid), int(at)) for pid, at in members] if isinstance(members, list) else []
    if not family.kill_all(folder.path, known):
        return False
    if folder.has("begun.json"):
        folder.write("ended.json", {"at": time.time(), "why": "found dead"})
    elif order is not None:
        folder.write("ended.json", {"at": order.launched_at, "why": "never began"})
    return True


def _seen(folder: Folder, order: LocalOrder, state: SeenState) -> Seen:
    return Seen(
        instance_id=folder.name,
        state=state,
        node=order.node,
        generation=order.generation,
        token=order.token,
        zone=order.zone,
        purchase=Purchase(order.purchase),
        price_micro=order.price_micro,
        launched_at=order.launched_at,
        ended_at=folder.ended_at(),
        notice_at=folder.notice_at(),
    )


def _filled(command: Sequence[str], node: str, folder: Path) -> list[str]:
    return [word.replace("{node}", node).replace("{dir}", str(folder)) for word in command]


def _trouble(how: str) -> Trouble:
    with suppress(ValueError):
        return Trouble(how)
    return Trouble.CONFIGURATION
