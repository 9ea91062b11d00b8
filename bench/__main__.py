"""`python -m bench [--out FILE] [NAME…]`: measure, print, write JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path
from typing import Any

FIGURES = {
    "kernel_speedup": "bench.kernel",
    "rescore_ms": "bench.rescore",
    "submit_rpc_ratio": "bench.submit",
    "decision_us": "bench.decision",
    "bus_ratio": "bench.bus",
    "bus_scale": "bench.bus_scale",
    "ledger_tx": "bench.ledger",
}


def main() -> None:
    """Run the named figures (all by default) and keep the rest of an existing file."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    if unknown := set(options.names) - FIGURES.keys():
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")

    records: dict[str, dict[str, Any]] = {}
    if options.out.exists():
        records = {record["name"]: record for record in json.loads(options.out.read_text())}
    for name in options.names or FIGURES:
        started = time.perf_counter()
        print(f"{name}: measuring…", flush=True)
        record = importlib.import_module(FIGURES[name]).measure()
        records[name] = record
        ratio = "" if record["ratio"] is None else f", ratio {record['ratio']:.3f}"
        print(
            f"{name}: {record['value']:.6g} {record['unit']}{ratio} ({time.perf_counter() - started:.0f} s)"
        )
        print(json.dumps(record["detail"], indent=2), flush=True)
        # After each: one that fails takes none of the others with it.
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(list(records.values()), indent=2) + "\n")


if __name__ == "__main__":
    main()
