"""`hetslurm explain`: where a script would go, or where a job went, and why."""

from __future__ import annotations

import os
import pwd
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json
from hetslurm.cli.sbatch_lines import (
    Options,
    count_array,
    count_cpus,
    count_nodes,
    gres_list,
    memory_mib,
    overlay,
    parse_minutes,
    read_components,
)
from hetslurm.cli.site import NO_SNAPSHOT, site_to_look_at
from hetslurm.errors import DirectiveError, HetslurmError, SnapshotError
from hetslurm.site import Site

if TYPE_CHECKING:
    from hetslurm.native.kernel import View
    from hetslurm.placement import Asked

app = typer.Typer()
# As squeue prints them: a job, a task of an array, the tasks that still wait, a component.
_JOB_ID = re.compile(r"([0-9]{1,10})(?:_(?:([0-9]+)|\[[^]]*\])|\+([0-9]{1,4}))?")
Text = Annotated[str | None, typer.Option(help="As sbatch's option of that name.", show_default=False)]


@app.command()
def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="SCRIPT|JOBID", help="A job script (- is stdin) or a job's id, as in squeue."),
    ],
    het: Annotated[str | None, typer.Option(help="As sbatch's --het.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="Whose job it would be; else yours.")] = None,
    partition: Annotated[str | None, typer.Option("--partition", "-p", show_default=False)] = None,
    account: Annotated[str | None, typer.Option("--account", "-A", show_default=False)] = None,
    qos: Annotated[str | None, typer.Option("--qos", "-q", show_default=False)] = None,
    time_limit: Annotated[str | None, typer.Option("--time", "-t", show_default=False)] = None,
    constraint: Annotated[str | None, typer.Option("--constraint", "-C", show_default=False)] = None,
    gres: Text = None,
    gpus: Annotated[str | None, typer.Option("--gpus", "-G", show_default=False)] = None,
    gpus_per_node: Text = None,
    cpus_per_task: Annotated[str | None, typer.Option("--cpus-per-task", "-c", show_default=False)] = None,
    nodes: Annotated[str | None, typer.Option("--nodes", "-N", show_default=False)] = None,
    ntasks: Annotated[str | None, typer.Option("--ntasks", "-n", show_default=False)] = None,
    ntasks_per_node: Text = None,
    mem: Text = None,
    mem_per_cpu: Text = None,
    array: Annotated[str | None, typer.Option("--array", "-a", show_default=False)] = None,
    nodelist: Annotated[str | None, typer.Option("--nodelist", "-w", show_default=False)] = None,
    reservation: Text = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a script without submitting it, or show what was decided for a job."""
    site = site_to_look_at(config)
    job_id = _JOB_ID.fullmatch(what)
    if job_id and not Path(what).exists():
        from hetslurm.cli.explain_job import explain_job  # noqa: PLC0415

        component = None if job_id[3] is None else int(job_id[3])
        report = explain_job(site, int(job_id[1]), component, task=job_id[2])
    else:
        given = {
            "partition": partition,
            "account": account,
            "qos": qos,
            "time": time_limit,
            "constraint": constraint,
            "gres": gres,
            "gpus": gpus,
            "gpus_per_node": gpus_per_node,
            "cpus_per_task": cpus_per_task,
            "nodes": nodes,
            "ntasks": ntasks,
            "ntasks_per_node": ntasks_per_node,
            "mem": mem,
            "mem_per_cpu": mem_per_cpu,
            "array": array,
            "nodelist": nodelist,
            "reservation": reservation,
            "het": het,
        }
        report = explain_script(site, what, given, user)
    if as_json:
        print_json(report)
    else:
        from hetslurm.cli.explain_table import render  # noqa: PLC0415

        render(report)
    if report.get("chosen") is None:
        raise typer.Exit(1)


def explain_script(site: Site, path: str, given: dict[str, str | None], user: str | None) -> dict[str, Any]:
    """What `explain SCRIPT --json` prints: the plugin's decision, were the script submitted now."""
    from hetslurm.cli.explain_order import order_report  # noqa: PLC0415
    from hetslurm.native import parser  # noqa: PLC0415  after the command is known
    from hetslurm.placement import decision_json  # noqa: PLC0415
    from hetslurm.scoring import decide  # noqa: PLC0415
    from hetslurm.scoring import explain as explain_request  # noqa: PLC0415

    content = _read_script(path)
    components = read_components(content.decode("utf-8", "replace"))
    options = overlay(components[0], given)
    try:
        request = parser.parse(
            content, options.het.encode("utf-8", "surrogateescape") if options.het else None
        )
    except DirectiveError as error:
        raise HetslurmError(f"{path}: {error}") from error
    if request is None:
        raise HetslurmError(f"{path}: no #HET directives and no --het: hetslurm leaves this job alone")
    view = read_snapshot(site)
    asked, now = asked_by(options, user), time.time()
    decision = explain_request(view, request, asked, now)
    report = decision_json(decision)
    report["reasons"] = list(decision.reasons)
    notes = []
    if len(components) > 1:
        notes.append(f"this is the first of {len(components)} components; each is placed on its own")
    age = now - view.written_at
    report["snapshot_age_s"] = round(age, 3)
    report["currency"] = view.currency
    chosen = decision.chosen
    report["order"] = order_report(site, chosen.terms["run_s"].value if chosen else None)
    if age > view.max_age_s:
        ordered = decision_json(decide(view, request, asked, now, order_only=True))
        report["chosen"] = ordered["chosen"]
        notes.append(
            f"the snapshot is stale ({age:.0f} s old): the author's order of targets decides, "
            "the scores are of the past"
        )
    if notes:
        report["note"] = "; ".join(notes)
    return report


def read_snapshot(site: Site) -> View:
    """The newest snapshot, checked as the plugin checks it. SnapshotError when there is none to trust."""
    from hetslurm.native.kernel import View  # noqa: PLC0415
    from hetslurm.snapshot import read_view  # noqa: PLC0415

    try:
        return View(read_view(site.snapshot_path))
    except SnapshotError as error:
        raise SnapshotError(f"no snapshot: {error}; {NO_SNAPSHOT}") from error


def asked_by(options: Options, user: str | None) -> Asked:
    """The author's own choices, for this user (a name or a uid; None: whoever runs this)."""
    from hetslurm.placement import Asked  # noqa: PLC0415
    from hetslurm.slurm.hostlist import expand_hostlist  # noqa: PLC0415

    uid = _uid(user)
    names = expand_hostlist(options.nodelist)
    return Asked(
        uid=uid,
        privileged=uid == 0,
        account=options.account.lower(),
        qos=options.qos,
        partition=options.partition,
        constraint=options.constraint,
        gres=gres_list(options),
        node_names=names,
        has_reservation=bool(options.reservation),
        nodes=max(count_nodes(options), len(names)),
        cpus=count_cpus(options),
        mem_mb=memory_mib(options),
        limit_min=parse_minutes(options.time),
        n_tasks=count_array(options.array) if options.array else 0,
    )


def _uid(user: str | None) -> int:
    if user is None:
        return os.getuid()
    if re.fullmatch(r"[0-9]{1,10}", user) and int(user) < 2**32 - 1:
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise HetslurmError(f"--user: nobody here is called {user}") from None


def _read_script(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise HetslurmError(f"{path}: {error.strerror}; expected a job script or a job id") from error
