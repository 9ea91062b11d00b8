"""What a spot instance that ended has cost an hour: its price may have risen since it was launched."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.ec2.listing import Terms
from hetslurm.cloudburst.provider.ec2.prices import PRODUCT, dearest_usd, micro_of_usd
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.protocol import Seen, SeenState

# EC2 forgets instances after about an hour; so do we, by number.
_MOST = 20_000


class Bills:
    """Asks for the prices of a type and zone once for all that ended there, and once for each of them."""

    def __init__(self, settings: Ec2Settings, ec2: Any) -> None:
        self._settings = settings
        self._ec2 = ec2
        self._lock = threading.Lock()
        self._paid: dict[str, int] = {}

    def of(self, seen: Iterable[Seen], terms: Mapping[str, Terms], now: float) -> dict[str, int]:
        """By id: the dearest price an hour in each ended spot instance's life, never below that at launch.

        `terms` by id. Whose prices cannot be read now is not in it: ask again.
        """
        ended = [one for one in seen if one.state is SeenState.ENDED and one.purchase is Purchase.SPOT]
        with self._lock:
            groups: dict[tuple[str, str], list[Seen]] = defaultdict(list)
            for one in ended:
                if one.instance_id not in self._paid:
                    groups[terms[one.instance_id].kind, one.zone].append(one)
            for (kind, zone), group in groups.items():
                with suppress(Exception):
                    self._read(kind, zone, group, terms, now)
            found = {
                one.instance_id: self._paid[one.instance_id] for one in ended if one.instance_id in self._paid
            }
            while len(self._paid) > _MOST:
                del self._paid[next(iter(self._paid))]
        return found

    def _read(self, kind: str, zone: str, group: list[Seen], terms: Mapping[str, Terms], now: float) -> None:
        since = min(one.launched_at for one in group)
        until = max(one.ended_at or now for one in group)
        pages = self._ec2.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=[kind],
            ProductDescriptions=[PRODUCT],
            AvailabilityZone=zone,
            # The price in force at the begin is told, too.
            StartTime=since,
            EndTime=until,
            PaginationConfig={"PageSize": 1000},
        )
        history = [entry for page in pages for entry in page.get("SpotPriceHistory") or ()]
        for one in group:
            usd = dearest_usd(history, one.launched_at, one.ended_at or now)
            dearest = 0 if usd is None else micro_of_usd(usd, self._settings.usd_rate)
            most = terms[one.instance_id].most_micro
            self._paid[one.instance_id] = max(one.price_micro, min(dearest, most) if most else dearest)
