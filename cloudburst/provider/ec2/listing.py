"""Instances as EC2 describes them, as `Seen`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.ec2 import tags as names
from hetslurm.cloudburst.provider.protocol import Seen, SeenState

STATES = {
    "pending": SeenState.PENDING,
    "running": SeenState.RUNNING,
    "shutting-down": SeenState.ENDING,
    # Ours end when they stop. One that does not still costs its disks, and has to be ended.
    "stopping": SeenState.ENDING,
    "stopped": SeenState.ENDING,
    "terminated": SeenState.ENDED,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How an instance was bought: its type, and the most an hour that EC2 may take (0: nobody knows)."""

    kind: str
    most_micro: int


# Two minutes from the mark to the end.
NOTICE_S = 120.0
MARKED = ("marked-for-termination", "marked-for-stop", "marked-for-hibernation")
TAKEN = (
    "instance-terminated-by-price",
    "instance-terminated-no-capacity",
    "instance-terminated-capacity-oversubscribed",
    "instance-terminated-launch-group-constraint",
    "instance-terminated-by-experiment",
    "instance-terminated-by-service",
)
# A status of these says that EC2, and not we, ends the instance.
TELLING = (*MARKED, *TAKEN)
_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def instances_of(pages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All instances of a describe_instances."""
    return [
        instance
        for page in pages
        for reservation in page.get("Reservations") or ()
        for instance in reservation.get("Instances") or ()
    ]


def seen_of(instance: Mapping[str, Any], marks: Mapping[str, Mark] | None = None) -> Seen:
    """One instance. `marks` by the id of its spot request."""
    tags = names.from_aws(instance.get("Tags"))
    state = STATES.get(str(instance.get("State", {}).get("Name", "")), SeenState.RUNNING)
    mark = (marks or {}).get(str(instance.get("SpotInstanceRequestId") or ""))
    launched = instance.get("LaunchTime")
    ended_at = None
    if state is SeenState.ENDED:
        ended_at = ended_at_of(str(instance.get("StateTransitionReason") or ""))
        if ended_at is None and mark is not None:
            ended_at = mark.ended_at
    return Seen(
        instance_id=str(instance.get("InstanceId", "")),
        state=state,
        node=tags.get(names.NODE, ""),
        generation=_whole(tags.get(names.GENERATION, "")),
        token=tags.get(names.TOKEN, ""),
        zone=str(instance.get("Placement", {}).get("AvailabilityZone", "")),
        purchase=_purchase(instance, tags),
        price_micro=_whole(tags.get(names.PRICE, "")),
        launched_at=launched.timestamp() if isinstance(launched, datetime) else 0.0,
        ended_at=ended_at,
        notice_at=mark.notice_at if mark is not None else None,
        address=str(instance.get("PrivateIpAddress") or ""),
    )


def terms_of(instance: Mapping[str, Any]) -> Terms:
    """How it was bought."""
    tags = names.from_aws(instance.get("Tags"))
    return Terms(str(instance.get("InstanceType", "")), _whole(tags.get(names.MOST, "")))


def ended_at_of(reason: str) -> float | None:
    """When it ended, of "User initiated (2026-11-24 22:11:57 GMT)"; None where EC2 does not say."""
    found = _AT.search(reason)
    if found is None:
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Mark:
    """What a spot request's status says of its instance's end, Unix seconds."""

    notice_at: float
    ended_at: float | None = None


def marks_of(requests: Iterable[Mapping[str, Any]]) -> dict[str, Mark]:
    """By the id of the spot request: those whose instances EC2 takes, or took, away."""
    found = {}
    for request in requests:
        status = request.get("Status") or {}
        code, at = str(status.get("Code", "")), status.get("UpdateTime")
        if not isinstance(at, datetime):
            continue
        since = at.timestamp()
        if code in MARKED:
            found[str(request.get("SpotInstanceRequestId", ""))] = Mark(since + NOTICE_S)
        elif code in TAKEN:
            found[str(request.get("SpotInstanceRequestId", ""))] = Mark(since, since)
    return found


def by_token(seen: Iterable[Seen]) -> dict[str, Seen]:
    """One instance a token: one that lives before one that ended, then the one launched first."""
    found: dict[str, Seen] = {}
    for one in sorted(seen, key=lambda one: (one.state is SeenState.ENDED, one.launched_at, one.instance_id)):
        if one.token:
            found.setdefault(one.token, one)
    return found


def _purchase(instance: Mapping[str, Any], tags: Mapping[str, str]) -> Purchase:
    if instance.get("InstanceLifecycle") == "spot":
        return Purchase.SPOT
    return Purchase.RESERVED if tags.get(names.PURCHASE) == Purchase.RESERVED else Purchase.ON_DEMAND


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
