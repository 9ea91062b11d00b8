"""`hetslurm check`: is this configuration, this job script, this plugin right?"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, complain, print_json, say
from hetslurm.errors import DirectiveError, HetslurmError

if TYPE_CHECKING:
    from hetslurm.job import Request
    from hetslurm.site import Site

app = typer.Typer()
# A Slurm that does not answer keeps no check waiting.
SLURM_DEADLINE_S = 5.0
PLUGINS = ("job_submit_hetslurm.so", "spank_hetslurm.so")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong. Line and column are 1-based, 0: the whole file."""

    file: str
    message: str
    line: int = 0
    column: int = 0
    word: str = ""
    expected: str = ""

    def render(self) -> str:
        """As a compiler says it."""
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        return f"{place}: {self.message}"


@app.command()
def check(
    files: Annotated[
        list[str],
        typer.Argument(
            help="hetslurm.toml, burst.toml, job scripts, plugins (.so), a slurm.conf; or: plugin [PATH…], "
            "slurm.conf (the running one)"
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check configuration files, job scripts with #HET lines, built plugins (exit code 1: wrong).

    Of a slurm.conf: which moves pending jobs can make here, and the lines that would give more.
    """
    paths = files
    if files[0] == "plugin" and not Path("plugin").is_file():
        paths = files[1:] or [str(path) for path in find_plugins()]
    slurm = _check_slurm([path for path in paths if Path(path).name == "slurm.conf"], config)
    reports = [(path, *check_file(path)) for path in paths if Path(path).name != "slurm.conf"]
    findings = [finding for _, found, _ in reports for finding in found]
    if as_json:
        checked = [{"file": path, "ok": not found, "is": what} for path, found, what in reports]
        report = {"ok": not findings, "files": checked, "findings": [asdict(f) for f in findings]}
        print_json(report | ({"slurm": slurm} if slurm else {}))
    else:
        for one in slurm:
            _render_slurm(one)
        for path, found, what in reports:
            for finding in found:
                complain(finding.render())
            if not found:
                say(f"{path}: {what}")
    if findings:
        raise typer.Exit(1)


def _check_slurm(paths: list[str], config: Path | None) -> list[dict[str, Any]]:
    from hetslurm.cli.check_slurm import check_slurm  # noqa: PLC0415
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415

    return [check_slurm(path, site_to_look_at(config)) for path in paths]


def _render_slurm(report: dict[str, Any]) -> None:
    from hetslurm.cli.check_slurm import render  # noqa: PLC0415

    render(report)


def check_file(path: str) -> tuple[list[Finding], str]:
    """What is wrong with a file, and what it is."""
    if path.endswith(".so"):
        return _check_plugin(Path(path))
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return [Finding(path, f"cannot be read: {error.strerror}")], "unreadable"
    if path.endswith(".toml"):
        return _check_config(path, content)
    return check_script(path, content)


def check_script(path: str, content: bytes) -> tuple[list[Finding], str]:
    """The plugin's own verdict on a job script; `#SBATCH --het=…` counts as it does at submit."""
    from hetslurm.cli.sbatch_lines import read_components  # noqa: PLC0415
    from hetslurm.native import parser  # noqa: PLC0415  loads NumPy-free, but no other check needs it

    findings, told = [], []
    # Slurm hands the script to the first component alone.
    script: bytes | None = content
    for options in read_components(content.decode("utf-8", "replace")):
        try:
            told.append(_targets(parser.parse(script, options.het.encode() if options.het else None)))
        except DirectiveError as error:
            where = (error.line, error.column) if error.line else (options.het_line, 0)
            message = str(error).removeprefix(f"line {error.line}: ")
            findings.append(Finding(path, message, *where, error.word, error.expected))
        script = None
    if findings:
        return findings, "job script"
    if len(told) == 1:
        return [], f"fine: {told[0] or 'no directives, hetslurm leaves the job alone'}"
    each = (f"component {number}: {what or 'no directives'}" for number, what in enumerate(told))
    return [], f"fine: {'; '.join(each)}"


def _targets(request: Request | None) -> str:
    """How many targets, and which; "" without a request."""
    if request is None:
        return ""
    targets = ", ".join(target.label for target in request.targets)
    return f"{len(request.targets)} target{'s' * (len(request.targets) != 1)}: {targets}"


def find_plugins(environ: dict[str, str] | None = None) -> list[Path]:
    """The built plugins: in $HETSLURM_PLUGIN_DIR, else ./build, else where Slurm's own plugins are."""
    from hetslurm.sandbox.machine import system_plugin_dir  # noqa: PLC0415

    named = (environ if environ is not None else dict(os.environ)).get("HETSLURM_PLUGIN_DIR")
    folders = [Path(named)] if named else [Path("build"), Path(system_plugin_dir())]
    for folder in folders:
        found = [folder / name for name in PLUGINS if (folder / name).exists()]
        if found:
            return found
    looked = ", ".join(str(folder) for folder in folders)
    raise HetslurmError(f"no {' or '.join(PLUGINS)} in {looked}: build them (make plugin), or give a path")


def _check_config(path: str, content: bytes) -> tuple[list[Finding], str]:
    from hetslurm.cloudburst.policy_file import looks_like_policy  # noqa: PLC0415
    from hetslurm.config import read_site  # noqa: PLC0415

    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return [Finding(path, "it is not UTF-8 text")], "configuration"
    if Path(path).name == "burst.toml" or looks_like_policy(text):
        return _check_policy(path, text)
    site, problems = read_site(text)
    found = [Finding(path, p.render("").lstrip(":0123456789 "), p.line) for p in problems]
    if site is None:
        return found, "configuration"
    if problem := _order_problem(site):
        return [Finding(path, f"[order] {problem}")], "configuration"
    if site.trace.endpoint:
        from hetslurm.controller.tracing import MISSING, is_installed  # noqa: PLC0415

        if not is_installed():
            return [Finding(path, f"trace.endpoint: {MISSING}")], "configuration"
    return (
        [],
        f"fine: {len(site.pools)} [[pool]], {len(site.data)} [[data]], by {site.default_objective}",
    )


def _order_problem(site: Site) -> str | None:
    """What keeps [order] from doing what it says, on the Slurm that answers here; None where none does."""
    from hetslurm.controller.order_rules import order_in_force  # noqa: PLC0415
    from hetslurm.slurm.commands import CommandAdapter  # noqa: PLC0415

    if site.order.mode == "off":
        return None
    try:
        rules = CommandAdapter(deadline_s=SLURM_DEADLINE_S).read_priority()
    except HetslurmError:
        return None
    return order_in_force(site.order, rules).problem


def _check_policy(path: str, text: str) -> tuple[list[Finding], str]:
    from hetslurm.cloudburst.policy_file import read_policy  # noqa: PLC0415

    policy, problems = read_policy(text)
    found = [Finding(path, p.render("").lstrip(":0123456789 "), p.line) for p in problems]
    if policy is None:
        return found, "burst policy"
    counts = (len(policy.providers), len(policy.pools), len(policy.caps))
    return [], "fine: {} [provider], {} [[pool]], {} [[cap]]".format(*counts)


def _check_plugin(path: Path) -> tuple[list[Finding], str]:
    from hetslurm.slurm.plugin import check_plugin, installed_version  # noqa: PLC0415

    version = installed_version()
    try:
        problems = check_plugin(path, version)
    except HetslurmError as error:
        return [Finding(str(path), str(error).removeprefix(f"{path}: "))], "plugin"
    return [Finding(str(path), problem) for problem in problems], f"fine: fits the installed Slurm {version}"
