"""What an instance carries, so that the cloud's own bill says whose it was. Pure."""

from __future__ import annotations

from hetslurm.cloudburst.ledger.values import Instance, Reservation


def tags_of(instance: Instance, reservation: Reservation) -> dict[str, str]:
    """Tags of the launch call: node, generation, token, cluster, job, account, user and workload."""
    payer = reservation.wanted.payer
    return {
        "node": instance.node,
        "generation": str(instance.generation),
        "token": instance.token,
        "cluster": instance.token.removesuffix(f"-{instance.node}-{instance.generation}"),
        "job": str(reservation.wanted.job_id),
        "account": payer.account,
        "user": payer.user,
        "workload": payer.workload,
    }
