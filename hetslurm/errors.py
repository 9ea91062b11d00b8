"""Every error that hetslurm raises on purpose.

HetslurmError
├── ConfigError          a file of the admin's: which file, which key, what was expected
├── DirectiveError       a #HET line or --het: line, column, word, what was expected
├── SnapshotError        the snapshot file cannot be trusted, and why
├── SlurmError           Slurm refused, or answered with what we cannot read
│   ├── SlurmUnavailable slurmctld or slurmdbd did not answer
│   └── SlurmRefused     slurmctld answered "no"; holds its words
├── BusError             a report, a socket of the bus
│   └── KeyFileError     a key file that is missing, broken, or open to others
├── BudgetError          money
│   ├── BudgetExceeded   a cap would be broken: which one, by how much; nothing was reserved
│   ├── NoReservation    nobody set money aside for this node or job: nothing is started
│   └── LedgerError      the ledger cannot be read, written or trusted
├── HistoryError         the history of runs cannot be read, written or trusted
├── ProbeError           a probe cannot look at its device, and why
├── PluginError          a built plugin does not fit the installed Slurm
├── WorkloadError        a workload log cannot be read: which file, which line, what was expected
└── SandboxError         the sandbox cannot start, or something of it died
"""

from __future__ import annotations


class HetslurmError(Exception):
    """Base of all; its text says what was wrong, where, and what to do."""


class ConfigError(HetslurmError):
    """A configuration file is wrong. The old configuration stays in force."""


class DirectiveError(HetslurmError):
    """A directive was refused.

    Attributes: `line` (1-based, 0 in --het), `column` (1-based byte), `word`, `expected`.
    """

    def __init__(self, message: str, *, line: int, column: int, word: str, expected: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.word = word
        self.expected = expected


class SnapshotError(HetslurmError):
    """The snapshot cannot be read or written."""


class SlurmError(HetslurmError):
    """Slurm and hetslurm did not understand each other."""


class SlurmUnavailable(SlurmError):
    """A Slurm daemon did not answer; trying again later may help."""


class SlurmRefused(SlurmError):
    """Slurm refused a request; the text holds its own words."""


class BusError(HetslurmError):
    """The bus cannot be used."""


class KeyFileError(BusError):
    """A key file cannot be trusted: it is missing, broken, or others can read it."""


class BudgetError(HetslurmError):
    """Money cannot be had, or cannot be accounted for."""


class BudgetExceeded(BudgetError):
    """A cap stands in the way; nothing was reserved."""


class NoReservation(BudgetError):
    """No money was set aside for this, or not enough; nothing may be started."""


class LedgerError(BudgetError):
    """The ledger of money cannot be used; money is then not spent."""


class HistoryError(HetslurmError):
    """The history of finished runs cannot be used; jobs are then placed by what their authors declare.

    `damaged`: the file is broken, and opening it for writing sets it aside.
    """

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged


class ProbeError(HetslurmError):
    """A probe cannot do its work."""


class PluginError(HetslurmError):
    """A plugin does not fit the Slurm that would load it."""


class WorkloadError(HetslurmError):
    """A workload log is not what it should be."""


class SandboxError(HetslurmError):
    """The sandbox could not do what was asked."""
