"""Does a built plugin fit the Slurm that would load it? Read from the file itself; nothing is loaded."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hetslurm.errors import PluginError, SlurmUnavailable
from hetslurm.slurm.version import SlurmVersion, parse_version

_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SHT_DYNSYM, _PT_LOAD, _PT_DYNAMIC = 11, 1, 2
_DT_NEEDED, _DT_STRTAB = 1, 5
_MAX_FILE = 64 << 20
_MAX_TEXT = 256


@dataclass(frozen=True)
class PluginFacts:
    """What a plugin's file says about itself.

    `plugin_type` is "job_submit/hetslurm" or "spank"; `needed` are its libraries, `undefined` the names it
    expects of its host, `exported` the names it offers.
    """

    path: Path
    plugin_type: str
    built_for: SlurmVersion
    needed: tuple[str, ...]
    undefined: frozenset[str]
    exported: frozenset[str]


def installed_version(slurmctld: str = "slurmctld") -> SlurmVersion:
    """The release of the installed slurmctld, from `slurmctld -V`."""
    try:
        done = subprocess.run([slurmctld, "-V"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SlurmUnavailable(f"{slurmctld} -V did not tell its version: {error}") from error
    return parse_version(done.stdout)


def read_plugin(path: Path) -> PluginFacts:
    """Read a 64-bit little-endian ELF plugin. Raises PluginError when it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE)
    except OSError as error:
        raise PluginError(f"{path}: {error.strerror}") from error
    try:
        return _Elf(data).facts(path)
    except (struct.error, IndexError) as error:
        raise PluginError(f"{path}: this is no Slurm plugin: the file ends too early") from error
    except ValueError as error:
        raise PluginError(f"{path}: this is no Slurm plugin: {error}") from error


def check_plugin(path: Path, slurm: SlurmVersion) -> list[str]:
    """What would keep slurmctld or SPANK of this release from loading it, a sentence each."""
    facts = read_plugin(path)
    findings = []
    is_spank = facts.plugin_type == "spank"
    built, wanted = facts.built_for, slurm
    if (built.major, built.minor) != (wanted.major, wanted.minor) or (
        not is_spank and built.micro != wanted.micro
    ):
        findings.append(
            f"{path.name} was built for Slurm {built}, the installed one is {wanted}: "
            "rebuild it with the installed headers (make plugin)"
        )
    if not is_spank and not facts.plugin_type.startswith("job_submit/"):
        findings.append(f"{path.name} is a {facts.plugin_type!r} plugin: expected 'job_submit/…' or 'spank'")
    if not is_spank and f"{facts.plugin_type.replace('/', '_')}.so" != path.name:
        findings.append(f"slurmctld looks for {facts.plugin_type.replace('/', '_')}.so, not {path.name}")
    findings.extend(
        f"{path.name} needs {library}: a plugin must not bring an interpreter into Slurm"
        for library in facts.needed
        if "python" in library
    )
    names = sorted(name for name in facts.undefined if name.startswith(("Py", "_Py")))
    if names:
        findings.append(f"{path.name} expects Python symbols: {', '.join(names[:5])}")
    return findings


class _Elf:
    """As much of ELF64 as naming a plugin's symbols takes."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != _ELF64_LITTLE:
            raise ValueError("no 64-bit little-endian ELF file")
        self.data = data
        phoff, shoff = struct.unpack_from("<QQ", data, 32)
        phsize, phnum, shsize, shnum = struct.unpack_from("<4H", data, 54)
        self.segments = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * phsize) for i in range(phnum)]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shsize) for i in range(shnum)]

    def facts(self, path: Path) -> PluginFacts:
        defined, undefined = self.symbols()
        for name in ("plugin_name", "plugin_type", "plugin_version"):
            if name not in defined:
                raise ValueError(f"it exports no {name}")
        (version,) = struct.unpack_from("<I", self.data, self.offset_of(defined["plugin_version"]))
        return PluginFacts(
            path=path,
            plugin_type=self.text(self.offset_of(defined["plugin_type"])),
            built_for=SlurmVersion(version >> 16, version >> 8 & 0xFF, version & 0xFF),
            needed=tuple(self.needed()),
            undefined=frozenset(undefined),
            exported=frozenset(defined),
        )

    def symbols(self) -> tuple[dict[str, int], set[str]]:
        """Addresses of the dynamic symbols that are defined here, and the names of those that are not."""
        table = next((s for s in self.sections if s[1] == _SHT_DYNSYM), None)
        if table is None:
            raise ValueError("it has no dynamic symbols")
        strings = self.sections[table[6]][4]
        defined: dict[str, int] = {}
        undefined: set[str] = set()
        for at in range(table[4], table[4] + table[5], 24):
            name_at, _info, _other, section, value, _size = struct.unpack_from("<IBBHQQ", self.data, at)
            name = self.text(strings + name_at)
            if name and section:
                defined[name] = value
            elif name:
                undefined.add(name)
        return defined, undefined

    def needed(self) -> list[str]:
        dynamic = next((s for s in self.segments if s[0] == _PT_DYNAMIC), None)
        if dynamic is None:
            return []
        entries = list(struct.iter_unpack("<QQ", self.data[dynamic[2] : dynamic[2] + dynamic[5] // 16 * 16]))
        strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
        if strings is None:
            return []
        base = self.offset_of(strings)
        return [self.text(base + value) for tag, value in entries if tag == _DT_NEEDED]

    def offset_of(self, address: int) -> int:
        for kind, _flags, offset, start, _physical, in_file, _in_memory, _align in self.segments:
            if kind == _PT_LOAD and start <= address < start + in_file:
                return int(offset + address - start)
        raise ValueError(f"address {address:#x} lies outside of the file")

    def text(self, offset: int) -> str:
        end = self.data.index(b"\0", offset, offset + _MAX_TEXT)
        return self.data[offset:end].decode("utf-8", "replace")
