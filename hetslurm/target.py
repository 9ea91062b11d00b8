"""One alternative that a job declares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Everything is per node; 0 and "" mean "not given". `time_s` is seconds, `mem_mb` MiB."""

    kind: str
    type: str = ""
    count: int = 0
    nodes: int = 0
    cpus: int = 0
    mem_mb: int = 0
    time_s: int = 0
    name: str = ""
    xclbin: str = ""
    line: int = 0

    @property
    def label(self) -> str:
        """The author's name for it, else KIND[:TYPE][:COUNT]."""
        if self.name:
            return self.name
        return ":".join(p for p in (self.kind, self.type, str(self.count) if self.count else "") if p)
