"""ResumeFailProgram: nodes that did not join the cluster within ResumeTimeout."""

from __future__ import annotations

from collections.abc import Sequence

from hetslurm.burst.ending import end_instances
from hetslurm.burst.power import Power, give_up, reason_of
from hetslurm.cloudburst.ledger.values import Instance
from hetslurm.cloudburst.provider.protocol import Trouble

PATIENCE_S = 60.0


def resume_fail(power: Power, nodes: Sequence[str], *, patience_s: float = PATIENCE_S) -> frozenset[str]:
    """Rest the offerings, end the instances and pay them, and make the nodes POWERED_DOWN with a reason.

    The names of the nodes whose instances are paid. Whether the job runs again is a matter of what its
    reservation still holds.
    """
    wanted = set(nodes)
    live = {instance.node: instance for instance in power.book.instances() if instance.node in wanted}
    for instance in live.values():
        if instance.instance_id:
            _rest(power, instance)
    reasons = {node: _reason(power, live.get(node)) for node in nodes}
    give_up(power.slurm, power.log, reasons)
    paid = end_instances(power, list(live.values()), "it did not join the cluster", patience_s=patience_s)
    power.log.warning("burst resume failed", nodes=" ".join(nodes), ended=len(paid))
    return paid


def _reason(power: Power, instance: Instance | None) -> str:
    if instance is None:
        return reason_of("boot", "nothing was started for this node")
    pool = power.policy.pool_of(instance.partition)
    within = f" within {pool.boot_timeout_s:g} s" if pool else ""
    if not instance.instance_id:
        return reason_of("unavailable", f"{instance.provider} did not say that it was launched{within}")
    return reason_of("boot", f"{instance.instance_id} did not join the cluster{within}")


def _rest(power: Power, instance: Instance) -> None:
    """A wrong image or key most often: only an admin helps, so the pause is that of a wrong setting."""
    trouble = Trouble.CONFIGURATION
    until = power.clock.now() + power.policy.retry.cooldown_s.get(trouble, 0.0)
    if instance.purchase:
        power.book.cool(
            instance.partition,
            instance.zone,
            instance.purchase,
            trouble,
            until,
            f"{instance.instance_id} did not join the cluster",
        )
