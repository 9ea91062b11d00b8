"""slurmdbd over a MariaDB of its own, in the sandbox's directory; MariaDB listens on a socket file only."""

from __future__ import annotations

import subprocess

from hetslurm.errors import SandboxError
from hetslurm.sandbox.layout import Layout
from hetslurm.sandbox.machine import program, user_name

DATABASE = "slurm_acct_db"


def create_database(layout: Layout) -> None:
    """MariaDB's data directory, and slurmdbd's database in it. Raises SandboxError with its words."""
    done = subprocess.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--user={user_name()}",
            f"--datadir={layout.root}/mysql",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SandboxError(f"mariadb-install-db failed: {done.stderr.strip() or done.stdout.strip()}")
    # A folder is a database. Where slurmdbd has to make its own, MariaDB's client library 11.8.9 refuses the
    # next query on that connection ("Number of columns in result (=1)… maximum… (=0)"), and slurmdbd ends.
    database = layout.root / "mysql" / DATABASE
    database.mkdir()
    database.chmod(0o700)


def mariadb_command(layout: Layout) -> list[str]:
    """mariadbd without any of the system's option files, small, on its own socket."""
    return [
        program("mariadbd"),
        "--no-defaults",
        f"--user={user_name()}",
        f"--datadir={layout.root}/mysql",
        f"--socket={layout.mysql_socket}",
        f"--pid-file={layout.run}/mysql.pid",
        "--skip-networking",
        "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=16M",
        "--innodb-flush-log-at-trx-commit=0",
        "--skip-grant-tables",
    ]
