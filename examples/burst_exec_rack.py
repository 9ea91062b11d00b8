#!/usr/bin/env python3
"""An exec provider for hetslurm: machines of a rack that are switched on when jobs pay for them.

    command = ["/etc/hetslurm/burst_exec_rack.py", "/var/lib/hetslurm/rack", "/etc/hetslurm/power", "250000"]

The words are a folder for what is switched on, a program, and micro-units of money an hour. The program is
called as `power on NODE DEADLINE` (it should see to it that the machine ends itself at that Unix second),
`power off NODE` and `power status NODE` (exit status 0: it is on).
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER, POWER, PRICE = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def power(*words: str) -> bool:
    """Run the admin's program; nothing of it may reach our stdout, which is the answer."""
    return subprocess.run([POWER, *words], stdout=sys.stderr, check=False).returncode == 0


def save(instance: dict) -> None:
    """One file an instance, replaced in one step."""
    path = FOLDER / f"{instance['instance_id']}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(instance))
    os.replace(new, path)


def known() -> list[dict]:
    """What was ever switched on, as it is now."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        instance = json.loads(path.read_text())
        if instance["state"] != "ended" and not power("status", instance["node"]):
            instance.update(state="ended", ended_at=time.time())
            save(instance)
        found.append(instance)
    return found


def quotes(request: dict) -> dict:
    pool = request["pool"]
    return {
        "quotes": [
            {"instance_type": pool["instance_type"], "purchase": purchase, "price_micro": PRICE}
            for purchase in pool["purchases"]
        ]
    }


def launch(request: dict) -> dict:
    launched, failed = [], []
    for order in request["orders"]:
        before = known()
        mine = [one for one in before if one["token"] == order["token"]]
        if mine:  # asked for again: it is there, or was
            launched.append(mine[0])
            continue
        refusal = {"token": order["token"]}
        if order["max_price_micro"] < PRICE:
            failed.append(refusal | {"trouble": "price", "message": f"an hour costs {PRICE}"})
        elif any(one["node"] == order["node"] and one["state"] != "ended" for one in before):
            failed.append(refusal | {"trouble": "capacity", "message": f"{order['node']} is on"})
        else:
            instance = {
                "instance_id": f"rack-{order['token']}",
                "state": "running",
                "node": order["node"],
                "generation": order["generation"],
                "token": order["token"],
                "purchase": order["purchase"],
                "price_micro": PRICE,
                "launched_at": time.time(),
            }
            save(instance)  # first, so that one that is on is always known
            if power("on", order["node"], str(int(order["deadline_at"]))):
                launched.append(instance)
            else:
                save(instance | {"state": "ended", "ended_at": time.time()})
                failed.append(refusal | {"trouble": "capacity", "message": f"{order['node']} stays off"})
    return {"launched": launched, "failed": failed}


def seen(request: dict) -> dict:
    return {"instances": known()}


def terminate(request: dict) -> dict:
    refused = []
    for instance in known():
        if instance["instance_id"] not in request["instance_ids"] or instance["state"] == "ended":
            continue
        if power("off", instance["node"]):
            save(instance | {"state": "ended", "ended_at": time.time()})
        else:
            refused.append({"instance_id": instance["instance_id"], "trouble": "unavailable"})
    return {"refused": refused}


def extend(request: dict) -> dict:
    for instance in known():
        if instance["instance_id"] == request["instance_id"] and instance["state"] != "ended":
            power("on", instance["node"], str(int(request["deadline_at"])))
            return {}
    return {"error": {"trouble": "configuration", "message": f"no instance {request['instance_id']}"}}


def main() -> None:
    request = json.load(sys.stdin)
    verbs = {"quotes": quotes, "launch": launch, "seen": seen, "terminate": terminate, "extend": extend}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # calls may come at once
        if request["version"] == 1 and request["verb"] in verbs:
            answer = verbs[request["verb"]](request)
        else:
            answer = {"error": {"trouble": "configuration", "message": "this program knows version 1"}}
    print(json.dumps({"version": 1, **answer}))


if __name__ == "__main__":
    main()
