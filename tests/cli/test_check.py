"""`hetslurm check` says what is wrong, where, as a compiler does."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from hetslurm.cli.app import build

runner = CliRunner()


def check(*words: str) -> tuple[int, str]:
    result = runner.invoke(build("check"), ["check", *words])
    return result.exit_code, result.output


def test_a_wrong_directive_is_named_with_line_column_word_and_what_was_expected(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n#HET target=cpu cpus=many\n")
    code, output = check(str(script))
    assert code == 1
    assert output.startswith(f"{script}:2:22: 'many' is not a value of cpus; expected ")
    code, output = check("--json", str(script))
    finding = json.loads(output)["findings"][0]
    assert (finding["line"], finding["column"], finding["word"]) == (2, 22, "many")
    assert finding["expected"]


def test_a_good_script_is_fine_and_its_targets_are_named(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n#HET target=gpu:a100:1 cpus=8\n#HET target=cpu cpus=4\n")
    assert check(str(script)) == (0, f"{script}: fine: 2 targets: gpu:a100:1, cpu\n")


def test_a_script_without_directives_is_fine(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\nsleep 1\n")
    code, output = check(str(script))
    assert code == 0
    assert "leaves the job alone" in output


def test_a_wrong_option_in_an_sbatch_line_is_found_at_its_line(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n#SBATCH --het=target=cpu,cpus=many\n")
    code, output = check(str(script))
    assert code == 1
    assert output.startswith(f"{script}:2: ")


def test_each_component_of_a_heterogeneous_job_is_checked(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    component = "#SBATCH hetjob\n#SBATCH --het=target=cpu,{}=4\n"
    head = "#!/bin/bash\n#HET target=gpu:a100:1\n#SBATCH hetjob\n#SBATCH -p cpu\n"
    script.write_text(head + component.format("cpus"))
    told = "component 0: 1 target: gpu:a100:1; component 1: no directives; component 2: 1 target: cpu"
    assert check(str(script)) == (0, f"{script}: fine: {told}\n")
    script.write_text(head + component.format("cpsu") + component.format("cpus"))
    code, output = check(str(script))
    assert code == 1
    assert output.startswith(f"{script}:6: --het: 'cpsu' is not a key of a target")


def test_every_mistake_of_a_configuration_is_listed(tmp_path: Path) -> None:
    config = tmp_path / "hetslurm.toml"
    config.write_text('currncy = "EUR"\n[controller]\ncycle_s = 0\n')
    code, output = check(str(config))
    assert code == 1
    assert output.splitlines() == [
        f'{config}:1: currncy: unknown key; did you mean "currency"?',
        f"{config}:3: controller.cycle_s: expected a number from 0.1 to 3600, found 0",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert check(str(tmp_path / "no.sh")) == (
        1,
        f"{tmp_path}/no.sh: cannot be read: No such file or directory\n",
    )


def test_the_built_plugins_fit_the_installed_slurm() -> None:
    code, output = check("plugin")
    assert code == 0, output
    assert "job_submit_hetslurm.so: fine: fits the installed Slurm" in output


def test_a_file_that_is_no_plugin_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "job_submit_hetslurm.so"
    plugin.write_bytes(b"not a plugin")
    code, output = check(str(plugin))
    assert code == 1
    assert output.startswith(f"{plugin}: ")


def test_every_mistake_of_a_burst_policy_is_listed(tmp_path: Path) -> None:
    policy = tmp_path / "burst.toml"
    policy.write_text('[spil]\n[[cap]]\nlevel = "site"\nper = "day"\nlimit = -1\n')
    code, output = check(str(policy))
    assert code == 1
    assert output.splitlines() == [
        f'{policy}:1: spil: unknown key; did you mean "spill"?',
        f"{policy}:5: cap[1].limit: expected an amount of money, 0 or more, found -1",
    ]


def test_a_burst_policy_is_known_by_its_tables_whatever_its_name(tmp_path: Path) -> None:
    policy = tmp_path / "cloud.toml"
    policy.write_text('[[cap]]\nlevel = "site"\nper = "day"\nlimit = 5\n')
    assert check(str(policy)) == (0, f"{policy}: fine: 0 [provider], 0 [[pool]], 1 [[cap]]\n")
