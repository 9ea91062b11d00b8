"""An exec provider whose instances are entries of a file: there at once, and starting nothing.

sim_cloud.py FILE
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path

PRICE = 400_000


def _launch(made: dict, request: dict) -> dict:
    for order in request["orders"]:
        made.setdefault(
            order["token"],
            {
                "instance_id": f"i-{order['token']}",
                "state": "running",
                "node": order["node"],
                "generation": order["generation"],
                "token": order["token"],
                "purchase": order["purchase"],
                "price_micro": PRICE,
                "launched_at": time.time(),
            },
        )
    return {"launched": [made[order["token"]] for order in request["orders"]]}


def _terminate(made: dict, request: dict) -> dict:
    for instance_id in request["instance_ids"]:
        instance = made[instance_id.removeprefix("i-")]
        if instance["state"] != "ended":
            instance.update(state="ended", ended_at=time.time())
    return {}


def _answer(made: dict, request: dict) -> dict:
    match request["verb"]:
        case "quotes":
            pool = request["pool"]
            quote = {"instance_type": pool["instance_type"], "price_micro": PRICE}
            return {"quotes": [quote | {"purchase": purchase} for purchase in pool["purchases"]]}
        case "launch":
            return _launch(made, request)
        case "seen":
            return {"instances": list(made.values())}
        case "terminate":
            return _terminate(made, request)
    return {"error": {"trouble": "configuration", "message": f"what is {request['verb']}?"}}


def main() -> None:
    request = json.load(sys.stdin)
    with Path(sys.argv[1]).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        made = json.loads(file.read() or "{}")
        answer = _answer(made, request)
        file.seek(0)
        file.truncate()
        json.dump(made, file)
    json.dump({"version": 1, **answer}, sys.stdout)


if __name__ == "__main__":
    main()
