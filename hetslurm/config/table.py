"""Reading one TOML table key by key; every mistake is noted, none stops the reading."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

from hetslurm.config.problems import Problems, nearest
from hetslurm.pool import Rates
from hetslurm.units import MICRO

_MOST = Decimal(10) ** 12
_T = TypeVar("_T")


class Table:
    """A table at `path`. Read every key that is known, then call `done` to have the rest refused."""

    def __init__(self, values: dict[str, Any], path: str, problems: Problems) -> None:
        self._values = values
        self._path = path
        self._problems = problems
        self._known: set[str] = set()

    def done(self) -> None:
        """Refuse every key that nothing asked for, and name the known one that is nearest."""
        for key in self._values:
            if key not in self._known:
                self._problems.add(self.path(key), f"unknown key{nearest(key, self._known)}")

    def path(self, key: str) -> str:
        """The key's full path."""
        return f"{self._path}.{key}" if self._path else key

    def refuse(self, key: str, text: str) -> None:
        """Note a mistake at a key."""
        self._problems.add(self.path(key), text)

    def text(self, key: str, default: str, *, longest: int = 0) -> str:
        """A string that is not empty; `longest` in bytes, 0: any."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value or "\0" in value:
            return self._wrong(key, value, "a text that is not empty", default)
        if longest and len(value.encode()) > longest:
            return self._wrong(key, value, f"at most {longest} bytes", default)
        return value

    def maybe_empty_text(self, key: str, default: str) -> str:
        """A string that may be empty, where that means "none"."""
        value = self._take(key)
        return "" if value == "" else self.text(key, default)

    def ordered_texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts whose order counts."""
        value = self._take(key)
        self.texts(key)
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            return default
        return tuple(value)

    def whole(self, key: str, default: int, *, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            return self._wrong(key, value, f"a whole number from {low} to {high}", default)
        return value

    def absolute_path(self, key: str, default: str) -> str:
        """A path from the root of the file system."""
        value = self.text(key, default)
        if not value.startswith("/"):
            return self._wrong(key, value, "a path that starts with /", default)
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self._take(key)
        if value is None:
            return default
        if value in choices:
            return str(value)
        return self._wrong(key, value, " or ".join(f'"{word}"' for word in choices), default)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        return self._wrong(key, value, "true or false", default)

    def maybe_flag(self, key: str) -> bool | None:
        """true, false, or None when the key is not there."""
        self._known.add(key)
        return self.flag(key, False) if key in self._values else None

    def number(self, key: str, default: float, *, low: float, high: float, above: bool = False) -> float:
        """A number in [low, high]; `above`: low itself is out."""
        value = self._number(key, low, high, above=above)
        return default if value is None else value

    def maybe_number(self, key: str, *, low: float, high: float, above: bool = False) -> float | None:
        """As `number`; None when the key is not there."""
        return self._number(key, low, high, above=above)

    def texts(self, key: str, default: frozenset[str] = frozenset()) -> frozenset[str]:
        """A list of texts."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            return self._wrong(key, value, 'a list of texts such as ["gpu", "fpga"]', frozenset[str]())
        return frozenset(value)

    def rates(self, key: str, *, money: bool) -> Rates | None:
        """`{cpu = 0.04, device = 2.5, node = 0.1}`: amounts of money (to millionths) or plain numbers."""
        self._known.add(key)
        if key not in self._values:
            return None
        table = self.table(key)
        read = table.money if money else table.amount
        found = Rates(cpu=read("cpu"), device=read("device"), node=read("node"))
        table.done()
        return found

    def money(self, key: str) -> float:
        """An amount of the site's currency as whole millionths; 0 when it is not there."""
        value = self._number(key, 0, float(_MOST), what="an amount of money, 0 or more")
        if value is None:
            return 0.0
        micro = Decimal(str(self._values[key])) * MICRO
        if micro != micro.to_integral_value():
            return self._wrong(key, self._values[key], "at most six digits after the point", 0.0)
        return float(micro)

    def micro(self, key: str, default: int) -> int:
        """An amount of the site's currency as whole millionths, exact; for money that is spent."""
        value = self._number(key, 0, float(_MOST), what="an amount of money, 0 or more")
        if value is None:
            return default
        micro = Decimal(str(self._values[key])) * MICRO
        if micro != micro.to_integral_value():
            return self._wrong(key, self._values[key], "at most six digits after the point", default)
        return int(micro)

    def numbers(self, key: str, default: tuple[float, ...], *, low: float, high: float) -> tuple[float, ...]:
        """A list of numbers above `low` and at most `high`, at least one."""
        value = self._take(key)
        if value is None:
            return default
        fine = isinstance(value, list) and bool(value)
        if not fine or not all(
            isinstance(v, int | Decimal) and not isinstance(v, bool) and low < v <= high for v in value
        ):
            what = f"a list of numbers above {_plain(low)} and at most {_plain(high)}"
            return self._wrong(key, value, what, default)
        return tuple(float(v) for v in value)

    def amount(self, key: str) -> float:
        """A number, 0 or more; 0 when it is not there."""
        return self.number(key, 0.0, low=0, high=1e12)

    def items(self) -> Iterator[str]:
        """The keys of a table whose keys are names that the admin chose."""
        yield from self._values

    def table(self, key: str) -> Table:
        """A table inside; an empty one when it is not there."""
        value = self._take(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            value = self._wrong(key, value, f"a table, [{self.path(key)}]", {})
        return Table(value, self.path(key), self._problems)

    def tables(self, key: str) -> list[Table]:
        """An array of tables, `[[pool]]`."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            return self._wrong(key, value, f"tables, each under [[{self.path(key)}]]", list[Table]())
        return [Table(v, f"{self.path(key)}[{i}]", self._problems) for i, v in enumerate(value, start=1)]

    def _take(self, key: str) -> Any:
        self._known.add(key)
        return self._values.get(key)

    def _number(
        self, key: str, low: float, high: float, *, above: bool = False, what: str = ""
    ) -> float | None:
        value = self._take(key)
        if value is None:
            return None
        if above:
            what = what or f"a number above {_plain(low)} and at most {_plain(high)}"
        else:
            what = what or f"a number from {_plain(low)} to {_plain(high)}"
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return self._wrong(key, value, what, None)
        number = float(value)
        if not low <= number <= high or (above and number == low):
            return self._wrong(key, value, what, None)
        return number

    def _wrong(self, key: str, value: Any, expected: str, default: _T) -> _T:
        self.refuse(key, f"expected {expected}, found {show(value)}")
        return default


def show(value: Any) -> str:
    """A TOML value as the admin may have written it, cut to a readable length."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)


def _plain(number: float) -> str:
    return f"{number:.0f}" if number == int(number) else str(number)
