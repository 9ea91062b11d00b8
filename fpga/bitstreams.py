"""Which file a loaded bitstream came from: XRT knows its UUID only, and jobs name the file."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator

from hetslurm.fpga.axlf import HEADER_BYTES, Bitstream, parse_axlf

SUFFIX = ".xclbin"
FILES_MAX = 4096

# Path, modification time, size: while these stay, so does the header.
Key = tuple[str, int, int]


class Bitstreams:
    """The xclbin files right in some folders. Looks again at each question, reads only what changed."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = sorted(folders)
        self._known: dict[Key, Bitstream | None] = {}

    def name(self, uuid: str) -> str | None:
        """File name of the bitstream with this UUID; of several, the first by folder, then by name."""
        seen: dict[Key, Bitstream | None] = {}
        for key in itertools.islice(self._files(), FILES_MAX):
            seen[key] = self._known[key] if key in self._known else read_header(key[0])
        self._known = seen
        paths = (key[0] for key, found in seen.items() if found is not None and found.uuid == uuid.lower())
        return next(map(os.path.basename, paths), None)

    def _files(self) -> Iterator[Key]:
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entry.path for entry in entries if entry.name.endswith(SUFFIX))
            except OSError:
                continue
            for path in found:
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                yield path, status.st_mtime_ns, status.st_size


def read_header(path: str) -> Bitstream | None:
    """What a file says of itself; None where it is no xclbin, no plain file, or cannot be read."""
    try:
        # A FIFO without a writer would hold us up.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        return parse_axlf(os.read(file, HEADER_BYTES), status.st_size)
    except OSError:
        return None
    finally:
        os.close(file)
