"""What `#SBATCH` lines and sbatch-like options fix: the part of sbatch that decides where a job can go.

Pure, and forgiving on purpose: what it does not know it passes over, since sbatch itself will judge.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

_SHORT = {
    "p": "partition",
    "A": "account",
    "q": "qos",
    "t": "time",
    "C": "constraint",
    "G": "gpus",
    "c": "cpus_per_task",
    "N": "nodes",
    "n": "ntasks",
    "a": "array",
    "w": "nodelist",
}
# As much as the kernel, and Slurm, count to. More is asked for by mistake alone, and fits nowhere.
MOST = 2**31 - 1
_COUNT = re.compile(r"[0-9]+")
_TIME = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,9})(?::([0-9]{1,9}))?(?::([0-9]{1,9}))?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([KMGT]?)B?", re.IGNORECASE)
_MIB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1048576.0}


@dataclass(frozen=True, slots=True)
class Options:
    """sbatch's options as written; "": not given. `het_line`: where in the script `het` stands, from 1."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    time: str = ""
    constraint: str = ""
    gres: str = ""
    gpus: str = ""
    gpus_per_node: str = ""
    cpus_per_task: str = ""
    nodes: str = ""
    ntasks: str = ""
    ntasks_per_node: str = ""
    mem: str = ""
    mem_per_cpu: str = ""
    array: str = ""
    nodelist: str = ""
    reservation: str = ""
    het: str = ""
    het_line: int = 0


_KNOWN = {field.name for field in fields(Options)} - {"het_line"}


def read_components(script: str) -> tuple[Options, ...]:
    """The options of a batch script's `#SBATCH` lines: those before its first command; the last one wins.

    One value for each component of a heterogeneous job, and for any other job just one.
    """
    found: list[dict[str, Any]] = [{}]
    for number, line in enumerate(script.splitlines(), start=1):
        if line.startswith("#SBATCH") and line[7:8].isspace():
            words = _split(line[7:])
            if words and words[0].lower() in ("hetjob", "packjob"):
                found.append({})
                continue
            options = _read_words(words)
            found[-1].update(options | ({"het_line": number} if "het" in options else {}))
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return tuple(Options(**options) for options in found)


def overlay(options: Options, given: Mapping[str, str | None]) -> Options:
    """Command line over script; None leaves what the script says."""
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return replace(options, **changes)


def parse_minutes(text: str) -> int:
    """Slurm's times (`90`, `90:00`, `1:30:00`, `1-12`, `1-12:30`) in minutes, rounded up; 0: none."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        return 0
    days = match[1]
    first, second, third = (int(part or 0) for part in match.groups()[1:])
    if days is not None:
        seconds = int(days) * 86400 + first * 3600 + second * 60 + third
    elif match[4] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    return min(-(-seconds // 60), MOST)


def parse_mib(text: str) -> int:
    """Slurm's sizes (`500`, `4G`) in MiB, rounded up; 0: none or not one."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        return 0
    return min(-int(-(float(match[1]) * _MIB[match[2].upper()]) // 1), MOST)


def count_array(text: str) -> int:
    """How many tasks `0-15:4%2` or `1,3,[5-7]` has; 1 for none, or what is not one."""
    count = 0
    for part in text.partition("%")[0].replace("[", "").replace("]", "").split(","):
        span, _, step = part.strip().partition(":")
        low, _, high = span.partition("-")
        if not all(_COUNT.fullmatch(number) for number in (low, high or low, step or "1")):
            return 1
        count += max(0, (_number(high or low) - _number(low)) // max(1, _number(step, 1)) + 1)
    return min(max(1, count), MOST)


def count_nodes(options: Options) -> int:
    """The least number of nodes asked for; 0: left open."""
    return _number(options.nodes.partition("-")[0])


def count_cpus(options: Options) -> int:
    """Cpus per node from -c, -n and --ntasks-per-node; 0: left open."""
    if not (options.cpus_per_task or options.ntasks or options.ntasks_per_node):
        return 0
    tasks = _number(options.ntasks_per_node)
    if not tasks:
        tasks = -(-_number(options.ntasks, 1) // max(1, count_nodes(options)))
    return min(tasks * _number(options.cpus_per_task, 1), MOST)


def memory_mib(options: Options) -> int:
    """MiB per node from --mem and --mem-per-cpu; 0: left open."""
    return parse_mib(options.mem) or min(parse_mib(options.mem_per_cpu) * max(1, count_cpus(options)), MOST)


def gres_list(options: Options) -> str:
    """Every GRES named, as one comma list: `--gpus=a100:2` is `gpu:a100:2`."""
    gpus = (f"gpu:{value}" for value in (options.gpus, options.gpus_per_node) if value)
    return ",".join([*([options.gres] if options.gres else []), *gpus])


def _read_words(words: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            key = name.replace("-", "_")
        elif word.startswith("-") and word[1:2] in _SHORT:
            key, value = _SHORT[word[1]], word[2:].removeprefix("=")
            has_value = value
        else:
            continue
        if key in _KNOWN:
            if not has_value and rest:
                value = rest.pop(0)
            found[key] = value
    return found


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _number(text: str, default: int = 0) -> int:
    if not _COUNT.fullmatch(text):
        return default
    return min(int(text), MOST) if len(text) <= 15 else MOST
