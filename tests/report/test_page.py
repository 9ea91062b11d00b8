"""The page: whole, well-formed, nothing from elsewhere, and no name in it is markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cloudburst.report import By, Report, Row, add
from hetslurm.cloudburst.report_html import BARS, money, render_html, wait_text

SINCE, NOW = 1_700_000_000.0, 1_702_000_000.0


def report(*rows: Row, currency: str = "EUR") -> Report:
    """Of these rows."""
    return Report(By.USER, currency, SINCE, None, NOW, rows, add("total", rows))


def parse(page: str) -> ElementTree.Element:
    """The page as a tree; it is written so that an XML parser takes it, too."""
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))


def row(name: str = "ann", micro: int = 5_000_000) -> Row:
    """Somebody who spent."""
    return Row(name, 1, 1, 30, 600, 30, micro // 10, micro - micro // 5, micro // 10, 2 * micro)


@given(st.text(max_size=40), st.text(max_size=5), st.integers(0, 10**15))
def test_any_name_gives_a_well_formed_page(name: str, currency: str, micro: int) -> None:
    page = render_html(report(row(name, micro), currency=currency))
    assert parse(page).tag == "html"
    page.encode()


def test_a_name_is_text_and_never_markup() -> None:
    page = render_html(report(row('<script>alert("1")</script>&\'"')))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_nothing_comes_from_elsewhere() -> None:
    page = render_html(report(row())).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//|<link|<script|@import|url\(|src=", page)


def test_every_row_is_in_the_table_and_the_dearest_have_bars() -> None:
    rows = [row(f"user{i}", 1_000_000 * (BARS + 5 - i)) for i in range(BARS + 5)]
    tree = parse(render_html(report(*rows)))
    assert len(tree.findall(".//tbody/tr")) == BARS + 5
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}rect")) == 3 * BARS


def test_a_bar_ends_within_the_picture() -> None:
    tree = parse(render_html(report(row("a", 10**15), row("b", 1))))
    for bar in tree.findall(".//{http://www.w3.org/2000/svg}rect"):
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= 760


def test_an_empty_report_says_so() -> None:
    assert "Nothing was spent" in render_html(report())


def test_small_money_is_not_rounded_to_nothing() -> None:
    assert [money(micro) for micro in (0, 1_234, 12_345_678, 1_234_567_000_000, -2_500_000)] == [
        "0.00",
        "0.0012",
        "12.35",
        "1,234,567.00",
        "-2.50",
    ]


def test_the_wait_says_of_how_many_jobs_it_is_known() -> None:
    assert wait_text(Row("a", jobs=2)) == ""
    assert wait_text(Row("a", jobs=1, waits=1, home_wait_s=7200, waited_s=60)) == "1h59m"
    assert wait_text(Row("a", jobs=1, waits=1, home_wait_s=0, waited_s=120)) == "-2m"
    assert wait_text(Row("a", jobs=3, waits=1, home_wait_s=600, nowhere=1)) == (
        "10m (1 of 3 jobs) and 1 for the cloud only"
    )
