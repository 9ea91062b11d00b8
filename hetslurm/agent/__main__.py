"""`python -m hetslurm.agent`: the daemon, without what the command line needs. `hetslurm agent` becomes this.

The nursery is forked before everything that a probe can do without is loaded.
"""

from __future__ import annotations

import random
import socket
import sys
from getopt import GetoptError, getopt
from pathlib import Path

from hetslurm.agent.nursery import Nursery
from hetslurm.agent.probes import OPENERS, preload
from hetslurm.errors import HetslurmError

BAD_USAGE = 2
_OPTIONS = ["config=", "node=", "key=", "log-format=", "once"]


def main() -> int:
    """The exit status: 1 where the one report of --once reached nobody, 2 for what was refused."""
    try:
        options = dict(getopt(sys.argv[1:], "", _OPTIONS)[0])
        with Nursery(OPENERS, preload) as nursery:
            return _run(options, nursery)
    except (HetslurmError, GetoptError) as error:
        sys.stderr.write(f"hetslurm agent: {error}\n")
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"hetslurm agent: {name}{error.strerror or error}\n")
    return BAD_USAGE


def _run(options: dict[str, str], nursery: Nursery) -> int:
    from hetslurm.agent.loop import Agent  # noqa: PLC0415  after the fork
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.config import SiteFile, find_config  # noqa: PLC0415
    from hetslurm.daemon.log import Log  # noqa: PLC0415
    from hetslurm.daemon.notify import Notifier  # noqa: PLC0415
    from hetslurm.daemon.stop import Stop  # noqa: PLC0415

    clock, stop = SystemClock(), Stop()
    stop.install()
    config = options.get("--config")
    key = options.get("--key")
    agent = Agent(
        SiteFile(find_config(Path(config) if config else None)),
        options.get("--node") or socket.gethostname().partition(".")[0],
        nursery,
        key_path=Path(key) if key else None,
        log=Log(options.get("--log-format", "text"), clock=clock),
        clock=clock,
        stop=stop,
        notifier=Notifier(),
        chance=random.random,
    )
    return 0 if agent.run(once="--once" in options) else 1


if __name__ == "__main__":
    sys.exit(main())
