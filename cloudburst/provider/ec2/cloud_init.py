"""User data: what an instance does when it boots. It carries no secret: the instance fetches its keys. Pure.

It is cloud-init's own format with JSON for YAML, of which JSON is a part.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.errors import ConfigError

MAX_BYTES = 16384
_HERE = Path(__file__).parent
_LIB = "/usr/local/lib/hetslurm"
_ENV = "/run/hetslurm/node.env"

_GUARD = f"""[Unit]
Description=Ends this instance when its money does
DefaultDependencies=no

[Service]
ExecStart={_LIB}/guard.sh
Restart=always
RestartSec=5
"""
_SLURMD = f"""[Unit]
Description=slurmd of a cloud node
After=munge.service network-online.target remote-fs.target

[Service]
EnvironmentFile={_ENV}
ExecStart=%s -D -b -N $NODE --conf-server $CONF_SERVER
KillMode=process
LimitNOFILE=131072
LimitMEMLOCK=infinity
LimitSTACK=infinity
Delegate=yes
TasksMax=infinity
Restart=on-failure
"""
_AGENT = f"""[Unit]
Description=hetslurm's agent

[Service]
EnvironmentFile={_ENV}
ExecStart=/usr/bin/env hetslurm agent --node $NODE
Restart=always
RestartSec=5
"""
_WATCH = f"""[Unit]
Description=Drains this node when EC2 takes it away

[Service]
EnvironmentFile={_ENV}
ExecStart=/usr/bin/env hetslurm burst watch --node $NODE
Restart=on-failure
RestartSec=5
"""


def user_data(settings: Ec2Settings) -> str:
    """The text. ConfigError: it is longer than EC2 takes."""
    files = [
        _file(f"{_LIB}/guard.sh", (_HERE / "guard.sh").read_text(encoding="utf-8"), "0755"),
        _file(f"{_LIB}/join.sh", (_HERE / "join.sh").read_text(encoding="utf-8"), "0755"),
        _file("/etc/hetslurm/instance.env", instance_env(settings)),
        _unit("guard", _GUARD),
        _unit("slurmd", _SLURMD % settings.slurmd),
        _unit("agent", _AGENT) if settings.bus_key else _unit("watch", _WATCH),
    ]
    if settings.bus_connect:
        files.append(
            _file("/etc/hetslurm/hetslurm.toml", f"[bus]\nconnect = {json.dumps(settings.bus_connect)}\n")
        )
    document = {
        "preserve_hostname": True,
        "write_files": files,
        "runcmd": [
            # First of all: whatever comes after it, the machine ends in time.
            ["systemctl", "daemon-reload"],
            ["systemctl", "start", "hetslurm-guard"],
            [f"{_LIB}/join.sh"],
        ],
    }
    text = "#cloud-config\n" + json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if len(text.encode()) > MAX_BYTES:
        raise ConfigError(
            f"provider.{settings.name}: user data of {len(text.encode())} bytes; EC2 takes {MAX_BYTES}"
        )
    return text


def instance_env(settings: Ec2Settings) -> str:
    """What join.sh is told: where keys are, never keys."""
    told = {
        "REGION": settings.region,
        "AUTH": settings.auth,
        "CONF_SERVER": settings.conf_server,
        "SLURM_KEY": settings.slurm_key,
        "BUS_KEY": settings.bus_key,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in told.items())


def _file(path: str, content: str, mode: str = "0644") -> dict[str, str]:
    return {"path": path, "owner": "root:root", "permissions": mode, "content": content}


def _unit(name: str, content: str) -> dict[str, str]:
    return _file(f"/etc/systemd/system/hetslurm-{name}.service", content)
