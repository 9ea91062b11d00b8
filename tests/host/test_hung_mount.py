"""A real mount that answers nobody: FUSE without anybody behind it, in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Ends with its namespace, its mounts and its hung threads when its work is done.
IN_A_NAMESPACE = """
import ctypes, json, os, sys, threading, time
from hetslurm.host import open_host_probe, open_mount_probe
from hetslurm.site import AgentSite

CLONE_NEWNS, CLONE_NEWUSER, MS_REC, MS_PRIVATE = 0x20000, 0x10000000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)

def must(what, result):
    if result != 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")

dead, alive = sys.argv[1:]
user, group = os.getuid(), os.getgid()
must("unshare", libc.unshare(CLONE_NEWNS | (0 if user == 0 else CLONE_NEWUSER)))
if user:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
must("private mounts", libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
must("fuse", libc.mount(b"nobody", dead.encode(), b"fuse", 0, options))
must("tmpfs", libc.mount(b"memory", alive.encode(), b"tmpfs", 0, None))

agent = AgentSite(mounts=frozenset({dead, alive}), deadline_s=2.0)
probe, host = open_mount_probe(agent), open_host_probe(agent)
start = time.monotonic()
samples = [probe.sample() for _ in range(3)]
took = time.monotonic() - start
threads = sum(thread.name.startswith("statvfs") for thread in threading.enumerate())
used = host.sample().rows[0].values["disk_used_ratio"]
rows = [{row.facts["id"]: [row.values["mounted"], row.values["alive"]] for row in s.rows} for s in samples]
print(json.dumps({"rows": rows, "took": took, "threads": threads, "used": used}))
"""


def test_a_real_hung_mount_is_judged_and_leaves_the_others_judged(tmp_path: Path) -> None:
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    dead.mkdir()
    alive.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", IN_A_NAMESPACE, str(dead), str(alive)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # Three samples, one hung thread, one sample's patience: 0.4 of the deadline.
    assert result["rows"] == [{str(dead): [1, 0], str(alive): [1, 1]}] * 3
    assert result["threads"] == 1
    assert 0.8 <= result["took"] < 60
    assert 0 <= result["used"] <= 1
