"""[provider.NAME] with kind = "local": what pretended instances cost, how many there are, how they boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hetslurm.cloudburst.policy import CloudPool, ProviderSite, Purchase
from hetslurm.errors import ConfigError

START_COMMAND = ("slurmd", "-D", "-b", "-N", "{node}")


@dataclass(frozen=True, slots=True)
class LocalOffer:
    """[[provider.NAME.offers]]: price and capacity of some offerings; "" matches each.

    The first price that matches counts, and every capacity.
    `price_micro` and `capacity` None: as the provider's own keys say.
    """

    instance_type: str = ""
    purchase: str = ""
    zone: str = ""
    price_micro: int | None = None
    capacity: int | None = None

    def matches(self, instance_type: str, purchase: Purchase, zone: str) -> bool:
        """Whether it is about this offering."""
        wanted = ((self.instance_type, instance_type), (self.purchase, purchase), (self.zone, zone))
        return all(mine in ("", theirs) for mine, theirs in wanted)


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Where instances live and what runs in them. `{node}`, `{dir}` in commands: node name, instance folder.

    `agent_command` empty: no agent. `capacity` 0: no limit. `slurm_conf` "": as in the environment.
    `price_micro` is for spot; reserved costs nothing more. `faults` "": the file `faults.json` in `dir`.
    """

    dir: Path
    slurm_conf: str = ""
    start_command: tuple[str, ...] = START_COMMAND
    agent_command: tuple[str, ...] = ()
    capacity: int = 0
    boot_s: float = 0.0
    price_micro: int = 100_000
    on_demand_micro: int = 300_000
    zones: tuple[str, ...] = ()
    faults: str = ""
    offers: tuple[LocalOffer, ...] = ()

    @classmethod
    def of(cls, site: ProviderSite) -> LocalSettings:
        """The settings of a policy. Raises ConfigError where `dir` is missing."""
        known: Mapping[str, object] = site.settings
        folder = known.get("dir")
        if not isinstance(folder, str):
            raise ConfigError(f"[provider.{site.name}]: a local provider needs dir, where its instances live")
        offers = known.get("offers", ())
        return cls(
            dir=Path(folder),
            slurm_conf=str(known.get("slurm_conf", "")),
            start_command=_texts(known.get("start_command")) or START_COMMAND,
            agent_command=_texts(known.get("agent_command")),
            capacity=_whole(known.get("capacity"), 0),
            boot_s=float(str(known.get("boot_s", 0.0))),
            price_micro=_whole(known.get("price"), 100_000),
            on_demand_micro=_whole(known.get("on_demand_price"), 300_000),
            zones=_texts(known.get("zones")),
            faults=str(known.get("faults", "")),
            offers=tuple(offer for offer in offers if isinstance(offer, LocalOffer))
            if isinstance(offers, Iterable)
            else (),
        )

    @property
    def faults_file(self) -> Path:
        """Where faults are told."""
        return Path(self.faults) if self.faults else self.dir / "faults.json"

    def zones_of(self, pool: CloudPool) -> tuple[str, ...]:
        """Zones of a pool: its own, else the provider's, else one without a name."""
        return pool.zones or self.zones or ("",)

    def price_of(self, instance_type: str, purchase: Purchase, zone: str) -> int:
        """Micro-units an hour."""
        for offer in self.offers:
            if offer.price_micro is not None and offer.matches(instance_type, purchase, zone):
                return offer.price_micro
        prices = {Purchase.SPOT: self.price_micro, Purchase.ON_DEMAND: self.on_demand_micro}
        return prices.get(purchase, 0)

    def limits_on(
        self, instance_type: str, purchase: Purchase, zone: str
    ) -> tuple[tuple[LocalOffer, int], ...]:
        """Every limit that a launch of this offering counts against: what it covers, how many it allows."""
        found = [
            (offer, offer.capacity)
            for offer in self.offers
            if offer.capacity is not None and offer.matches(instance_type, purchase, zone)
        ]
        return (*found, (LocalOffer(), self.capacity)) if self.capacity else tuple(found)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple | list) else ()


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
