"""The cost report as one page for a browser or a printer: nothing from elsewhere, no scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from hetslurm.cloudburst.report import Report, Row
from hetslurm.cloudburst.report_period import show_period, show_when
from hetslurm.units import MICRO

BARS = 30
_PARTS = (("run", "#2a6f97"), ("boot", "#e09f3e"), ("idle", "#b8b8b8"))
_WIDE, _LABEL, _STEP, _BAR = 760, 190, 24, 15

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.when { color: #555; margin: 0 0 1.2rem; }
dl { display: flex; flex-wrap: wrap; gap: .8rem 2.4rem; margin: 0; }
dt { color: #555; font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 9rem; }
th:last-child, td:last-child { white-space: normal; min-width: 8rem; }
thead th { border-bottom: 2px solid #888; font-size: .85rem; }
tfoot td { border-top: 2px solid #888; border-bottom: 0; font-weight: 600; }
svg { width: 100%; height: auto; max-width: 60rem; }
svg text { font: 12px system-ui, sans-serif; fill: #1c1c1c; }
.legend span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
.notes { color: #555; font-size: .85rem; max-width: 60rem; }
@media print {
  @page { size: landscape; margin: 12mm; }
  body { margin: 0; max-width: none; font-size: 11px; }
  thead { display: table-header-group; }
  tr, svg { break-inside: avoid; }
  .wide { overflow: visible; }
  svg, .legend span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

_NOTES = (
    "Money counts when it was settled: when an instance had ended. What still runs is in the money "
    "reserved, which is as of now, whatever time the report is of.",
    "Run: a job was on the instance. Boot: before its job began, or all of it where none was seen to run. "
    "Idle: the rest that was paid for.",
    "On-demand: the same instances, as long, at their on-demand price. Wait avoided: what was expected "
    "on-premises when the jobs left, less what they waited from then until they ran, boots included; jobs "
    "for the cloud only could run nowhere else.",
)

HEADINGS = (
    "jobs",
    "instances",
    "spent",
    "run",
    "boot",
    "idle",
    "on-demand",
    "saved",
    "reserved",
    "wait avoided",
)


def render_html(report: Report) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """A row under HEADINGS."""
    return (
        str(row.jobs),
        str(row.instances),
        money(row.spent_micro),
        money(row.run_micro),
        money(row.boot_micro),
        money(row.idle_micro),
        money(row.on_demand_micro),
        money(row.saved_micro),
        money(row.held_micro),
        wait_text(row),
    )


def money(micro: int) -> str:
    """Two digits, or four where two would hide it."""
    digits = 4 if 0 < abs(micro) < MICRO // 10 else 2
    return f"{micro / MICRO:,.{digits}f}"


def wait_text(row: Row) -> str:
    """How long jobs would have waited more; "" where that is not known of any."""
    words = []
    if row.waits:
        sign = "-" if round(row.avoided_s) < 0 else ""
        words.append(f"{sign}{_hours(abs(row.avoided_s))}")
        if row.waits < row.jobs - row.nowhere:
            words.append(f"({row.waits} of {row.jobs} jobs)")
    if row.nowhere:
        words.append(f"{'and ' if words else ''}{row.nowhere} for the cloud only")
    return " ".join(words)


def _hours(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m"


def _page(report: Report) -> Iterator[str]:
    title = f"Cloud cost by {report.by}"
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8"/>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
    yield f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_text(title)}</h1>"
    period = show_period(report.since, report.until, report.made_at)
    yield (
        f'<p class="when">settled from {escape(period)}, in {_text(report.currency or "the currency")}; '
        f"made {escape(show_when(report.made_at))}</p>"
    )
    if not report.rows:
        yield "<p>Nothing was spent in that time, and nothing is reserved.</p></body></html>"
        return
    yield from _summary(report)
    yield from _chart(report)
    yield from _table(report)
    yield '<div class="notes">'
    yield from (f"<p>{escape(note)}</p>" for note in _NOTES)
    yield "</div></body></html>"


def _summary(report: Report) -> Iterator[str]:
    total = report.total
    facts = [
        ("spent", money(total.spent_micro)),
        ("at on-demand prices", money(total.on_demand_micro)),
        ("saved against on-demand", money(total.saved_micro) + _percent(total)),
        ("still reserved", money(total.held_micro)),
        ("wait avoided", wait_text(total) or "not known"),
    ]
    yield "<dl>"
    for name, value in facts:
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
    yield "</dl>"


def _percent(row: Row) -> str:
    return f" ({100 * row.saved_micro / row.on_demand_micro:.0f} %)" if row.on_demand_micro else ""


def _chart(report: Report) -> Iterator[str]:
    rows = [row for row in report.rows if row.spent_micro][:BARS]
    if not rows:
        return
    most = max(row.spent_micro for row in rows)
    tall = _STEP * len(rows) + 4
    legend = "".join(f'<span style="background:{colour}"></span>{escape(name)}' for name, colour in _PARTS)
    of = "" if len(rows) == sum(1 for row in report.rows if row.spent_micro) else f", the {BARS} dearest"
    yield f"<h2>Where the money went{of}</h2>"
    yield f'<p class="legend">{legend}</p>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {tall}" role="img" '
        f'aria-label="Money by {escape(str(report.by))}, a bar each: run, boot and idle">'
    )
    for index, row in enumerate(rows):
        yield from _bar(row, _STEP * index + 4, most)
    yield "</svg>"


def _bar(row: Row, top: int, most: int) -> Iterator[str]:
    name = row.name if len(row.name) <= 26 else f"{row.name[:25]}…"
    base = top + _BAR - 3
    whole = f"<title>{_text(row.name)}</title>"
    yield f'<text x="{_LABEL - 8}" y="{base}" text-anchor="end">{_text(name)}{whole}</text>'
    left = float(_LABEL)
    for (part, colour), micro in zip(_PARTS, (row.run_micro, row.boot_micro, row.idle_micro), strict=True):
        width = (_WIDE - _LABEL - 90) * micro / most
        if micro:
            yield (
                f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_BAR}" fill="{colour}">'
                f"<title>{part} {money(micro)}</title></rect>"
            )
        left += width
    yield f'<text x="{left + 6:.2f}" y="{base}">{money(row.spent_micro)}</text>'


def _table(report: Report) -> Iterator[str]:
    yield f"<h2>Every {escape(str(report.by))}</h2>"
    yield '<div class="wide"><table><thead>'
    yield _line("th", (str(report.by), *HEADINGS))
    yield "</thead><tbody>"
    for row in report.rows:
        yield _line("td", (row.name, *cells(row)))
    yield "</tbody><tfoot>"
    yield _line("td", ("total", *cells(report.total)))
    yield "</tfoot></table></div>"


def _line(kind: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{_text(text)}</{kind}>" for text in texts) + "</tr>"


def _text(text: str) -> str:
    """Escaped, and without the characters that no page may hold."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
