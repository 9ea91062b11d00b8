"""The record that a job carries in its admin_comment: one compact JSON object (docs/architecture.md)."""

from __future__ import annotations

import msgspec

VERSION = 1


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided for a job, and what its author had fixed. Times are seconds, money is in the currency.

    `alt` is the target's index in the author's order; `pins` has a letter for each thing the author
    fixed; `het` is the whole request as a --het string. `comment` is an admin_comment that was there
    before. `why`: what a held job waits for; `res`: the reservation of money that a spilled one runs on;
    `by`: "controller" where that placed it, else "".
    `cloud`: the cloud partitions that the author of a burst=only job named, "" for any. `moves`: how often
    it was moved since. `sf`: what its short run gained in priority, None where no order was set.
    """

    hetslurm: int
    state: str
    gen: int = 0
    target: str = ""
    kind: str = ""
    type: str = ""
    alt: int = 0
    pool: str = ""
    partition: str = ""
    score: float | None = None
    wait_s: float | None = None
    run_s: float | None = None
    money: float | None = None
    sf: int | None = None
    pins: str = ""
    het: str = ""
    comment: str = ""
    why: str = ""
    res: int | None = None
    cloud: str = ""
    moves: int = 0
    by: str = ""

    @property
    def is_held(self) -> bool:
        """It waits for the controller to place it."""
        return self.state == "held"


_DECODER = msgspec.json.Decoder(Record, strict=False)
_ENCODER = msgspec.json.Encoder()


def parse_record(admin_comment: str) -> Record | None:
    """The record in an admin_comment; None for anybody else's comment, or a record of a version we do not
    know.

    Unknown keys are ignored, as are trailing blanks.
    """
    text = admin_comment.strip()
    if not text.startswith("{") or '"hetslurm"' not in text:
        return None
    try:
        record = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return record if record.hetslurm == VERSION else None


def render_record(record: Record) -> str:
    """The record as an admin_comment."""
    return _ENCODER.encode(record).decode()


def predicted_run_s(admin_comment: str) -> float | None:
    """The run time that the job was placed with, seconds; None where no record says."""
    record = parse_record(admin_comment)
    return record.run_s if record and record.run_s and record.run_s > 0 else None
