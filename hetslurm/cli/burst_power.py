"""`hetslurm burst resume|suspend|resume-fail`: what Slurm runs; `burst conf`: what slurm.conf needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, say
from hetslurm.errors import ConfigError, HetslurmError

if TYPE_CHECKING:
    from hetslurm.burst.power import Power
    from hetslurm.cloudburst.policy import Policy
    from hetslurm.site import Site

NodesArgument = Annotated[str, typer.Argument(help="Nodes as Slurm writes them: cloud[1-4,7].")]


def mount(app: typer.Typer) -> None:
    """Add the commands to `hetslurm burst`."""
    app.command()(resume)
    app.command()(suspend)
    app.command("resume-fail")(resume_fail)
    app.command()(conf)


def resume(nodes: NodesArgument, config: ConfigOption = None) -> None:
    """Slurm's ResumeProgram: start instances for nodes that have money. Code 1 when not all could be."""
    from hetslurm.burst.power import give_up, reason_of  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.burst.resume import resume as run  # noqa: PLC0415
    from hetslurm.burst.resume_file import read_resume_file  # noqa: PLC0415
    from hetslurm.daemon.log import Log  # noqa: PLC0415
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415
    from hetslurm.slurm.hostlist import expand_hostlist  # noqa: PLC0415

    _take_signals()
    names: tuple[str, ...] = ()
    try:
        file = read_resume_file()  # before all else: it does not stay
        names = expand_hostlist(nodes)
        with _power(config) as power:
            result = run(power, names, file)
    except (HetslurmError, OSError) as error:
        # Slurm would wait for these nodes until ResumeTimeout, and their jobs with them.
        names = names or expand_hostlist(nodes)
        give_up(choose_adapter("commands"), Log(), dict.fromkeys(names, reason_of("refused", str(error))))
        raise
    if result.refused or result.open:
        raise typer.Exit(1)


def suspend(nodes: NodesArgument, config: ConfigOption = None) -> None:
    """Slurm's SuspendProgram: end the nodes' instances and pay them."""
    from functools import partial  # noqa: PLC0415

    from hetslurm.burst.suspend import process_began_at  # noqa: PLC0415
    from hetslurm.burst.suspend import suspend as run  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415

    _act(config, nodes, partial(run, before=process_began_at(SystemClock())))


def resume_fail(nodes: NodesArgument, config: ConfigOption = None) -> None:
    """Slurm's ResumeFailProgram: end what did not join in time, pay it, rest the offering."""
    from hetslurm.burst.resume_fail import resume_fail as run  # noqa: PLC0415

    _act(config, nodes, run)


def conf(
    config: ConfigOption = None,
    write: Annotated[
        Path | None, typer.Option(help="Also write the three programs into this folder.", file_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the lines that slurm.conf and job_submit_hetslurm.conf need for the policy's cloud partitions."""
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from hetslurm.burst.conf import json_conf, render_conf, slurm_conf, write_programs  # noqa: PLC0415
    from hetslurm.config import find_config  # noqa: PLC0415
    from hetslurm.slurm.plugin import installed_version  # noqa: PLC0415

    site, policy = _policy(config)
    path = find_config(config)
    folder = (write or Path("/etc/hetslurm")).absolute()
    version = installed_version()
    lines = slurm_conf(policy, (version.major, version.minor), folder)
    if write is not None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        slurm_conf_path = os.environ.get("SLURM_CONF")
        write_programs(
            folder,
            python=sys.executable,
            config=str(path.absolute()) if path else "",
            log=str(Path(site.state_dir) / "burst.log"),
            environment={"SLURM_CONF": slurm_conf_path} if slurm_conf_path else None,
        )
    if as_json:
        print_json(json_conf(lines))
    else:
        say(render_conf(lines, policy).rstrip("\n"))


def _act(config: Path | None, nodes: str, run: Callable[[Power, tuple[str, ...]], object]) -> None:
    from hetslurm.slurm.hostlist import expand_hostlist  # noqa: PLC0415

    _take_signals()
    with _power(config) as power:
        run(power, expand_hostlist(nodes))


def _take_signals() -> None:
    """22.05 starts its programs with signals blocked, and what they start would inherit that."""
    import signal  # noqa: PLC0415

    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _policy(config: Path | None) -> tuple[Site, Policy]:
    from hetslurm.cloudburst.policy_file import load_policy  # noqa: PLC0415
    from hetslurm.config import find_config, load_site  # noqa: PLC0415

    path = find_config(config)
    if path is None:
        raise ConfigError("there is no hetslurm.toml; say --config")
    site = load_site(path)
    if not site.burst.policy:
        raise ConfigError(f'{path}: [burst] names no policy; write policy = "/etc/hetslurm/burst.toml"')
    return site, load_policy(Path(site.burst.policy), site.currency)


@contextmanager
def _power(config: Path | None) -> Iterator[Power]:
    """All that a program works with, closed afterwards."""
    from hetslurm.burst.power import Power  # noqa: PLC0415
    from hetslurm.burst.providers import open_providers  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.book import Book  # noqa: PLC0415
    from hetslurm.daemon.log import Log  # noqa: PLC0415
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415

    site, policy = _policy(config)
    clock, state_dir = SystemClock(), Path(site.state_dir)
    providers = open_providers(policy, clock)
    try:
        with Book(Book.path_in(state_dir), clock, by="hetslurm burst") as book:
            yield Power(
                state_dir=state_dir,
                policy=policy,
                book=book,
                providers=providers,
                slurm=choose_adapter(site.adapter),
                clock=clock,
                log=Log(clock=clock),
            )
    finally:
        for provider in providers.values():
            provider.close()
