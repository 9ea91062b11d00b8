"""`hetslurm report cost` as it is called."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hetslurm.cli.app import build
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer
from hetslurm.errors import LedgerError

from .histories import Life, caps, job

ANN, CYD = Payer("phys", "ann", "blast"), Payer("chem", "cyd")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A hetslurm.toml whose ledger has a job of ann's an hour old, and one of cyd's twenty days old."""
    clock = FixedClock(time.time() - 20 * 86400)
    with Book(Book.path_in(tmp_path), clock, caps(), cluster="t") as book:
        job(book, clock, 1, CYD)
        clock.advance(20 * 86400 - 3600)
        job(book, clock, 2, ANN, [Life(run_s=1940)])
    return written(tmp_path)


def written(folder: Path) -> Path:
    """A hetslurm.toml with its state there."""
    path = folder / "hetslurm.toml"
    path.write_text(f'currency = "CHF"\n[controller]\nstate_dir = "{folder}"\n')
    return path


def call(config: Path, *words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(build("report"), ["report", "cost", *words, "--config", str(config)])


def found(config: Path, *words: str) -> dict[str, object]:
    """Its JSON."""
    result = call(config, "--json", *words)
    assert result.exit_code == 0, result.output
    value: dict[str, object] = json.loads(result.output)
    return value


def test_json_has_rows_and_their_sum(config: Path) -> None:
    told = found(config, "--by", "user")
    assert told["currency"] == "CHF"
    assert [(row["name"], row["spent_micro"]) for row in told["rows"]] == [  # type: ignore[attr-defined]
        ("ann", 2_000_000),
        ("cyd", 660_000),
    ]
    assert told["total"]["spent_micro"] == 2_660_000  # type: ignore[index]
    assert told["total"]["saved_micro"] == 2_660_000  # type: ignore[index]


def test_since_and_until_cut_the_history(config: Path) -> None:
    assert found(config, "--since", "7d")["total"]["spent_micro"] == 2_000_000  # type: ignore[index]
    both = found(config, "--since", "2020-01-01", "--until", "7d")
    assert both["total"]["spent_micro"] == 660_000  # type: ignore[index]


def test_the_table_names_money_and_wait(config: Path) -> None:
    output = call(config, "--by", "workload").output
    assert "blast" in output
    assert "2.66" in output
    assert "3h59m" in output
    assert "CHF" in output


def test_html_goes_to_a_file_or_to_standard_output(config: Path, tmp_path: Path) -> None:
    page = tmp_path / "cost.html"
    assert call(config, "--html", str(page)).exit_code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert call(config, "--html").output.startswith("<!DOCTYPE html>")


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    with Book(Book.path_in(tmp_path), FixedClock(1.0), caps(), cluster="t"):
        pass
    assert "nothing was spent" in call(written(tmp_path)).output


def test_without_a_ledger_it_says_who_makes_one(tmp_path: Path) -> None:
    error = call(written(tmp_path)).exception
    assert isinstance(error, LedgerError)
    assert "the controller makes it" in str(error)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "soon"], "is no time"),
        (["--since", "1d", "--until", "2d"], "is not after --since"),
        (["out.html"], "a file is for --html"),
        (["--html", "--json"], "another"),
        (["--by", "planet"], "planet"),
    ],
)
def test_wrong_words_are_explained(config: Path, words: list[str], said: str) -> None:
    result = call(config, *words)
    assert result.exit_code == 2
    assert said in result.output + (result.stderr if result.stderr_bytes else "")
