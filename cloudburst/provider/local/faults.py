"""What a cloud does to its customers, told in a JSON file that may change while the provider runs.

Faults stay until they are taken back; one with `times` is used up. Levers for one instance are functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from hetslurm.cloudburst.policy import EACH
from hetslurm.cloudburst.provider.local.folder import Folder, locked, write_whole
from hetslurm.cloudburst.provider.local.instance import BAD_IMAGE, NEVER_JOINS
from hetslurm.errors import ConfigError

BOOTS = (BAD_IMAGE, NEVER_JOINS)


@dataclass(frozen=True, slots=True)
class LaunchFault:
    """Launches of these offerings fail with this Trouble, or boot in a way of BOOTS. `times` None: always."""

    how: str
    node: str = EACH
    purchase: str = EACH
    zone: str = EACH
    times: int | None = None

    def hits(self, node: str, purchase: str, zone: str) -> bool:
        """Whether it is about this launch."""
        wanted = ((self.node, node), (self.purchase, purchase), (self.zone, zone))
        return self.times != 0 and all(mine in (EACH, theirs) for mine, theirs in wanted)


@dataclass(frozen=True, slots=True)
class Faults:
    """All that is wrong now.

    `down`: "refuse" (no call does anything), "silent" (calls do what they should and say nothing of it), or
    "". `prices` by "PURCHASE" or "PURCHASE/ZONE", micro-units an hour; null: no price is to be had.
    `terminate`: "refuse" or "". The times are how long calls take.
    """

    down: str = ""
    launch: tuple[LaunchFault, ...] = ()
    prices: dict[str, int | None] = field(default_factory=dict)
    launch_s: float = 0.0
    terminate: str = ""
    terminate_s: float = 0.0


def read_faults(path: Path) -> Faults:
    """The faults in force; no file: none. Raises ConfigError for a file that is none of ours."""
    try:
        known = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Faults()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no faults can be read: {error}") from error
    names = {one.name for one in fields(Faults)}
    if not isinstance(known, dict) or not known.keys() <= names:
        raise ConfigError(f"{path}: expected an object with some of {', '.join(sorted(names))}")
    try:
        launch = tuple(LaunchFault(**one) for one in known.pop("launch", ()))
        return Faults(launch=launch, **known)
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from error


def change_faults(path: Path, change: Callable[[Faults], Faults]) -> Faults:
    """Replace the faults in one step, alone; `dataclasses.replace` makes good changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        faults = change(read_faults(path))
        write_whole(path, asdict(faults))
    return faults


def use_up(path: Path, used: LaunchFault) -> None:
    """One time less of a fault that is counted."""
    if used.times is None:
        return
    left = LaunchFault(used.how, used.node, used.purchase, used.zone, used.times - 1)

    def counted(faults: Faults) -> Faults:
        launch = list(faults.launch)
        with suppress(ValueError):
            launch[launch.index(used)] = left
        values = {one.name: getattr(faults, one.name) for one in fields(Faults)}
        return Faults(**{**values, "launch": tuple(launch)})

    change_faults(path, counted)


def give_notice(folder: Path, at: float) -> None:
    """The cloud says that it takes this instance away at Unix seconds `at`, and does."""
    Folder(folder).write("notice.json", {"action": "terminate", "time": at})


def lose(folder: Path) -> None:
    """The instance vanishes, and no list has it any more."""
    Folder(folder).mark("lost")
