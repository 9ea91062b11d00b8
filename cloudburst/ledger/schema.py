"""The tables, and what the database itself refuses."""

from __future__ import annotations

APPLICATION_ID = 0x48455442  # "HETB"
VERSION = 1

# What is kept beside the entries (balances, reservations) is changed in the transaction of the entry that
# changes it, and `verify` derives it from the entries again.
SCHEMA = """
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    res_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    user TEXT NOT NULL,
    workload TEXT NOT NULL,
    reserved_micro INTEGER NOT NULL,
    spent_micro INTEGER NOT NULL,
    what TEXT NOT NULL,
    "by" TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX entries_of_reservation ON entries (res_id);
CREATE INDEX overruns ON entries (seq) WHERE kind = 'overrun';
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never changed'); END;
CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never deleted'); END;
CREATE TRIGGER entries_follow BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'entries of the ledger are only appended'); END;

CREATE TABLE held (
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    reserved_micro INTEGER NOT NULL CHECK (reserved_micro >= 0),
    PRIMARY KEY (level, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE spent (
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    period TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    spent_micro INTEGER NOT NULL CHECK (spent_micro >= 0),
    PRIMARY KEY (level, name, period, since_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_by_period ON spent (period, since_us);
CREATE TABLE caps (
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    period TEXT NOT NULL,
    source TEXT NOT NULL,
    limit_micro INTEGER NOT NULL CHECK (limit_micro >= 0),
    at_us INTEGER NOT NULL,
    "by" TEXT NOT NULL,
    PRIMARY KEY (level, name, period, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    res_id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    account TEXT NOT NULL,
    user TEXT NOT NULL,
    workload TEXT NOT NULL,
    partition TEXT NOT NULL,
    node_names TEXT NOT NULL,
    price_cap_micro INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    attempt_s REAL NOT NULL,
    attempt_micro INTEGER NOT NULL,
    first_amount_micro INTEGER NOT NULL,
    first_limit_s REAL NOT NULL,
    expires_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'committed', 'settled', 'released', 'expired')),
    amount_micro INTEGER NOT NULL CHECK (amount_micro >= 0),
    spent_micro INTEGER NOT NULL CHECK (spent_micro >= 0),
    limit_s REAL NOT NULL,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX reservations_of_job ON reservations (job_id, submit_at);
CREATE INDEX reservations_by_change ON reservations (changed_at);
CREATE UNIQUE INDEX one_open_reservation_a_job ON reservations (job_id, submit_at)
    WHERE state IN ('reserved', 'committed');
CREATE TABLE nodes (
    node TEXT PRIMARY KEY,
    res_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX nodes_of_reservation ON nodes (res_id);

CREATE TABLE instances (
    node TEXT NOT NULL,
    generation INTEGER NOT NULL,
    res_id INTEGER NOT NULL,
    partition TEXT NOT NULL,
    provider TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('intent', 'launched', 'terminating', 'ended', 'failed')),
    price_cap_micro INTEGER NOT NULL,
    billed_least_s REAL NOT NULL,
    intended_at REAL NOT NULL,
    deadline_at REAL NOT NULL,
    instance_type TEXT NOT NULL DEFAULT '',
    purchase TEXT NOT NULL DEFAULT '',
    zone TEXT NOT NULL DEFAULT '',
    instance_id TEXT NOT NULL DEFAULT '',
    price_micro INTEGER NOT NULL DEFAULT 0,
    on_demand_micro INTEGER NOT NULL DEFAULT 0,
    launched_at REAL,
    ended_at REAL,
    cost_micro INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (node, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX instances_of_reservation ON instances (res_id);
CREATE INDEX live_instances ON instances (node)
    WHERE state IN ('intent', 'launched', 'terminating');

CREATE TABLE runs (
    node TEXT NOT NULL,
    generation INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    PRIMARY KEY (node, generation, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_runs ON runs (node) WHERE ended_at IS NULL;
CREATE TABLE waits (
    res_id INTEGER PRIMARY KEY,
    home_wait_s REAL
) STRICT;
CREATE TABLE cooldowns (
    partition TEXT NOT NULL,
    zone TEXT NOT NULL,
    purchase TEXT NOT NULL,
    trouble TEXT NOT NULL,
    until REAL NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (partition, zone, purchase)
) STRICT, WITHOUT ROWID;
CREATE TABLE notes (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alerts (
    level TEXT NOT NULL,
    name TEXT NOT NULL,
    period TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    limit_micro INTEGER NOT NULL,
    share_ppm INTEGER NOT NULL,
    sink TEXT NOT NULL,
    tries INTEGER NOT NULL,
    tried_at REAL NOT NULL,
    done INTEGER NOT NULL,
    PRIMARY KEY (level, name, period, since_us, limit_micro, share_ppm, sink)
) STRICT, WITHOUT ROWID;
"""
