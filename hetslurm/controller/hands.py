"""What the controller's cycles work with, opened once and closed in the opposite order."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hetslurm.clock import Clock
from hetslurm.controller.audit import Audit
from hetslurm.controller.baselines import BaselineStore
from hetslurm.controller.burst import Burst
from hetslurm.controller.cycle import Known
from hetslurm.controller.decisions import DecisionLog
from hetslurm.controller.drain_ledger import DrainLedger
from hetslurm.controller.drains import Drains
from hetslurm.controller.events import EventLog
from hetslurm.controller.habits import Habits
from hetslurm.controller.learning import Learning
from hetslurm.controller.life import Lives
from hetslurm.controller.node_watch import NodeWatch
from hetslurm.controller.notes import Notes
from hetslurm.controller.order import Ordering
from hetslurm.controller.outlook import Outlook
from hetslurm.controller.placer import Placer
from hetslurm.controller.rebind import Rebinder
from hetslurm.controller.rebind_ledger import RebindLedger
from hetslurm.controller.shadow import ShadowPricer
from hetslurm.controller.steering import Steering
from hetslurm.controller.steering_ledger import SteeringLedger
from hetslurm.controller.tracing import Tracing
from hetslurm.controller.wait_store import WaitStore
from hetslurm.controller.waits import Waits
from hetslurm.daemon.log import Log
from hetslurm.site import Site
from hetslurm.slurm.protocol import SlurmAdapter


@dataclass(frozen=True, slots=True)
class Hands:
    """What a cycle works with, for as long as the controller runs."""

    placer: Placer
    notes: Notes
    watch: NodeWatch
    drains: Drains
    steering: Steering
    burst: Burst
    shadow: ShadowPricer
    learning: Learning
    habits: Habits
    waits: Waits
    order: Ordering
    outlook: Outlook
    rebinder: Rebinder
    events: EventLog
    lives: Lives
    tracing: Tracing

    def known(self, site: Site) -> Known:
        """What was learned so far."""
        return Known(
            estimates=self.learning.known(site),
            shadow=self.shadow.prices(site),
            wait_factor=self.waits.factors,
            usage=self.habits.usage,
            runs=self.outlook.run_s,
        )


def take_hands(stack: ExitStack, adapter: SlurmAdapter, state_dir: Path, log: Log, clock: Clock) -> Hands:
    """Open the stores and start the threads; `stack` closes them."""
    decisions = DecisionLog(state_dir)
    stack.callback(decisions.close)
    events = EventLog(state_dir, log=log, clock=clock)
    stack.callback(events.close)
    tracing = Tracing(events.of, log=log)
    stack.callback(tracing.close)
    events.listeners.append(tracing.take)
    baselines = BaselineStore(state_dir)
    stack.callback(baselines.close)
    if baselines.set_aside:
        log.warning("baselines could not be read; begun anew", old=baselines.set_aside)
    watch = NodeWatch(baselines, log=log, clock=clock)
    stack.callback(watch.close)
    ledger = DrainLedger(state_dir)
    stack.callback(ledger.close)
    audit = Audit(state_dir, clock)
    placer = Placer(adapter, decisions, audit, events=events, log=log, clock=clock)
    drains = Drains(adapter, ledger, audit, log, clock)
    weights = SteeringLedger(state_dir)
    stack.callback(weights.close)
    steering = Steering(adapter, weights, audit, log, clock)
    notes = Notes(decisions, log=log, clock=clock)
    burst = Burst(adapter, audit, state_dir, log=log, clock=clock)
    stack.callback(burst.close)
    shadow = ShadowPricer(state_dir, log=log, clock=clock)
    stack.callback(shadow.close)
    learning = Learning(adapter, state_dir, log=log, clock=clock)
    stack.callback(learning.close)
    lives = Lives(adapter, events, log=log, clock=clock)
    learning.listeners.append(lives.take_runs)
    habits = Habits(state_dir, log=log, clock=clock)
    stack.callback(habits.save)
    wait_store = WaitStore(state_dir)
    stack.callback(wait_store.close)
    if wait_store.set_aside:
        log.warning("waits could not be read; begun anew", old=wait_store.set_aside)
    waits = Waits(wait_store, log=log)
    order = Ordering(adapter, audit, state_dir, log=log, clock=clock)
    moves = RebindLedger(state_dir)
    stack.callback(moves.close)
    rebinder = Rebinder(adapter, moves, audit, events=events, log=log, clock=clock)
    return Hands(
        placer=placer,
        notes=notes,
        watch=watch,
        drains=drains,
        steering=steering,
        burst=burst,
        shadow=shadow,
        learning=learning,
        habits=habits,
        waits=waits,
        order=order,
        outlook=Outlook(),
        rebinder=rebinder,
        events=events,
        lives=lives,
        tracing=tracing,
    )
