"""`sacctmgr -nP show user withassoc` as Association values. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.cluster import Association

ASSOCIATION_FORMAT = "User,DefaultAccount,Account,Partition,DefaultQOS"


def parse_associations(text: str) -> Iterator[Association]:
    """Users' associations; the accounts' own are left out: no job runs by them."""
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) < 5 or not fields[0] or not fields[2]:
            continue
        user, default, account, partition, qos = fields[:5]
        yield Association(user, account, partition, qos, is_default=account == default)
