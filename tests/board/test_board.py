"""The board holds what nodes said last: a plain dictionary, only faster."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.bus.board import Board
from hetslurm.bus.wire import ProbeReport, Report, decode, encode
from hetslurm.telemetry import SCHEMAS, ProbeState

NOW = 1_800_000_000.0
WIDTH = {probe: len(metrics) for probe, metrics in SCHEMAS.items()}


@dataclass(frozen=True)
class Arrival:
    received_at: float
    report: Report


def probe(
    name: str = "mount",
    rows: tuple[tuple[float, ...], ...] = (),
    *,
    runs: int = 1,
    state: ProbeState = ProbeState.OK,
    columns: int | None = None,
    age_s: float = 0.5,
) -> ProbeReport:
    width = columns or (len(rows[0]) if rows else WIDTH.get(name, 3))
    numbers = array("d", [value for row in rows for value in row]).tobytes()
    return ProbeReport(name, int(state), runs, age_s, 0.25, width, numbers, "")


def arrive(
    *probes: ProbeReport,
    node: str = "n1",
    seq: int = 1,
    agent: int = 5,
    at: float = NOW,
    facts: dict[str, list[dict[str, str]]] | None = None,
) -> Arrival:
    return Arrival(at, decode(encode(Report(node, agent, seq, at - 1.0, 5.0, list(probes), facts))))


def values(board: Board, name: str, node: str, index: int) -> list[float]:
    slot = board.slot(node)
    assert slot is not None
    table = board.probes[name]
    return table.values[:, table.slots[slot, index]].tolist()


MOUNT = (1.0, 1.0, 0.0, 0.5, 0.01)


def test_a_report_fills_the_columns_of_its_node() -> None:
    board = Board()
    board.take([arrive(probe("mount", (MOUNT,)), seq=9)])
    slot = board.slot("n1")
    nodes, runs = board.nodes, board.probes["mount"].on_node
    assert (nodes.received_at[slot], nodes.sent_at[slot], nodes.skew_s[slot]) == (NOW, NOW - 1.0, -1.0)
    assert (nodes.seq[slot], nodes.beat_s[slot], nodes.agent[slot], nodes.reports[slot]) == (9, 5.0, 5, 1)
    assert (runs.state[slot], runs.runs[slot], runs.sampled_at[slot], runs.took_s[slot]) == (
        1,
        1,
        NOW - 0.5,
        0.25,
    )
    assert values(board, "mount", "n1", 0) == list(MOUNT)


def test_gaps_in_the_sequence_count_as_lost_and_a_new_agent_does_not() -> None:
    board = Board()
    for seq, agent in ((1, 5), (2, 5), (6, 5), (3, 6), (4, 6)):
        board.take([arrive(seq=seq, agent=agent)])
    slot = board.slot("n1")
    assert (board.nodes.lost[slot], board.nodes.restarts[slot], board.nodes.reports[slot]) == (3, 1, 5)
    assert board.counts.lost == 3


def test_a_report_that_is_older_than_the_last_changes_nothing_but_a_count() -> None:
    board = Board()
    board.take([arrive(probe("mount", (MOUNT,), runs=2), seq=5)])
    board.take([arrive(probe("mount", ((0.0,) * 5,), runs=1), seq=4), arrive(node="n2")])
    board.take([arrive(probe("mount", ((0.0,) * 5,), runs=3), seq=5)])
    assert values(board, "mount", "n1", 0) == list(MOUNT)
    assert board.counts.out_of_order == 2
    assert "n2" in board


def test_reports_of_one_node_that_come_together_count_in_their_order() -> None:
    board = Board()
    reports = [arrive(probe("mount", ((float(n),) * 5,), runs=n), seq=n) for n in (1, 2, 3)]
    board.take([*reports, arrive(node="n2")])
    assert values(board, "mount", "n1", 0) == [3.0] * 5
    assert board.nodes.lost[board.slot("n1")] == 0
    assert board.counts.taken == 4


def test_numbers_that_are_none_are_unknown() -> None:
    board = Board()
    board.take([arrive(probe("mount", ((math.inf, -math.inf, math.nan, 1e300, 1.0),)))])
    got = values(board, "mount", "n1", 0)
    assert all(math.isnan(value) for value in got[:4])
    assert got[4] == 1.0


def test_an_agent_that_knows_fewer_metrics_leaves_the_others_unknown() -> None:
    board = Board()
    board.take([arrive(probe("mount", (MOUNT,)))])
    board.take([arrive(probe("mount", ((1.0, 0.0),), runs=2), seq=2)])
    got = values(board, "mount", "n1", 0)
    assert got[:2] == [1.0, 0.0]
    assert all(math.isnan(value) for value in got[2:])


def test_metrics_that_we_do_not_know_yet_are_passed_over_in_every_row() -> None:
    board = Board()
    board.take(
        [
            arrive(probe("mount", ((*MOUNT, 7.0, 8.0), (*MOUNT, 9.0, 9.0)))),
            arrive(probe("mount", (MOUNT,)), node="n2"),
        ]
    )
    assert values(board, "mount", "n1", 1) == list(MOUNT)
    assert values(board, "mount", "n2", 0) == list(MOUNT)


def test_a_probe_that_we_do_not_know_is_passed_over_and_counted() -> None:
    board = Board()
    board.take([arrive(probe("quantum", ((1.0, 2.0),)), probe("mount", (MOUNT,)))])
    assert board.counts.unknown_probe == 1
    assert values(board, "mount", "n1", 0) == list(MOUNT)


def test_a_probe_that_a_report_has_twice_says_what_it_said_last() -> None:
    board = Board()
    board.take([arrive(probe("mount", ((0.0,) * 5,)), probe("mount", (MOUNT,)))])
    assert values(board, "mount", "n1", 0) == list(MOUNT)
    assert board.probes["mount"].count == 1


def test_a_device_that_is_gone_keeps_its_last_values_and_is_not_present() -> None:
    board = Board()
    board.take([arrive(probe("mount", (MOUNT, MOUNT)))])
    board.take([arrive(probe("mount", ((0.0,) * 5,), runs=2), seq=2)])
    table = board.probes["mount"]
    assert values(board, "mount", "n1", 1) == list(MOUNT)
    assert int(table.present().sum()) == 1
    assert table.on_node.most_rows[board.slot("n1")] == 2


def test_the_same_run_again_is_no_new_sample() -> None:
    board = Board()
    for seq in (1, 2, 3):
        board.take([arrive(probe("mount", (MOUNT,), age_s=seq), seq=seq, at=NOW + seq)])
    runs, slot = board.probes["mount"].on_node, board.slot("n1")
    assert (runs.serial[slot], runs.sampled_at[slot]) == (1, NOW)
    board.take([arrive(probe("mount", (MOUNT,)), seq=1, agent=6, at=NOW + 9)])
    assert runs.serial[slot] == 2


def test_another_agent_s_first_run_is_a_new_sample_though_it_comes_late() -> None:
    board = Board()
    board.take([arrive(probe("mount", (MOUNT,)))])
    board.take([arrive(seq=1, agent=6)])
    board.take([arrive(probe("mount", ((0.0,) * 5,)), seq=2, agent=6)])
    assert values(board, "mount", "n1", 0) == [0.0] * 5


@pytest.mark.parametrize("counts", [(5, 5, 5), (5, 9, 9), (5, 3, 4), (0, 0, 7)])
def test_a_counter_tells_when_it_last_rose_and_by_how_much(counts: tuple[int, ...]) -> None:
    board = Board()
    at = board.probes["link"].counter_place["errors"]
    rises = []
    for n, count in enumerate(counts):
        board.take([arrive(probe("link", ((1.0, 1.0, 1.0, count, 0.0),), runs=n + 1), seq=n + 1, at=NOW + n)])
        if n:
            rise = count - counts[n - 1]
            rises.append((NOW + n - 0.5, float(rise if rise >= 0 else count)))
    expected = next((rise for rise in reversed(rises) if rise[1] > 0), (0.0, 0.0))
    table = board.probes["link"]
    assert (table.rose_at[at, 0], table.rose_by[at, 0]) == expected


def test_an_unknown_count_is_no_reset() -> None:
    board = Board()
    at = board.probes["link"].counter_place["errors"]
    for n, count in enumerate((5.0, math.nan, 7.0)):
        board.take([arrive(probe("link", ((1.0, 1.0, 1.0, count, 0.0),), runs=n + 1), seq=n + 1)])
    assert board.probes["link"].rose_by[at, 0] == 2.0


def test_facts_stay_until_new_ones_come() -> None:
    board = Board()
    board.take(
        [arrive(probe("mount", (MOUNT,)), facts={"mount": [{"id": "/home"}], "quantum": [{"id": "q"}]})]
    )
    board.take([arrive(probe("mount", (MOUNT,)), seq=2)])
    assert board.probes["mount"].facts_of(0) == {"id": "/home"}


def test_only_allowed_nodes_have_a_place() -> None:
    board = Board()
    board.take([arrive(node="n1"), arrive(node="n2")])
    board.allow({"n1", "n3"})
    assert "n2" not in board
    board.take([arrive(node="n2", seq=2), arrive(node="n3"), arrive(node="n1", seq=2)])
    assert sorted(name for name in board.names if name) == ["n1", "n3"]
    assert board.counts.unknown_node == 1
    board.allow(None)
    board.take([arrive(node="n2", seq=3)])
    assert "n2" in board


def test_memory_is_bounded_by_the_number_of_nodes() -> None:
    board = Board(max_nodes=3)
    for n in range(50):
        board.take([arrive(probe("gpu", ((1.0,) * 4,) * 40), node=f"n{n}")])
    assert len(board) == 3
    assert board.counts.no_room == 47
    assert board.probes["gpu"].count <= 3 * 32
    assert board.counts.rows_refused == 3 * 40 - 3 * 32


def test_places_of_nodes_that_left_are_used_again_and_hold_nothing_of_them() -> None:
    board = Board()
    for turn in range(20):
        name = f"n{turn}"
        board.take([arrive(probe("mount", (MOUNT, MOUNT)), node=name, facts={"mount": [{"id": name}]})])
        size = board.nodes.size, board.probes["mount"].size
        board.forget([name, "nobody"])
        assert (len(board), board.probes["mount"].count) == (0, 0)
        assert size == (64, 64)
    assert not board.probes["mount"].facts
    assert np.isnan(board.probes["mount"].values).all()


@pytest.mark.parametrize(
    "report",
    [
        Report("n1", -(2**63), 2**63 + 5, NOW, 5.0, []),
        Report("n1", 2**64 - 1, 1, 1e300, 1e-300, []),
        Report("n1", 1, 1, -1e300, 5.0, [ProbeReport("gpu", 1, 2**64 - 1, math.inf, math.inf, 2**63, b"")]),
        Report("n1", 1, 1, NOW, 5.0, [ProbeReport("gpu", 1, -(2**63), 0.0, 0.0, 2**61, b"", "x" * 60000)]),
        Report("n1", 1, 1, NOW, 5.0, [probe("gpu", ((1e308,) * 600,))]),
        Report("n1", 1, 1, NOW, 5.0, [], {"gpu": [{}] * 10000, "": []}),
    ],
)
def test_numbers_that_the_wire_should_not_let_through_do_not_break_the_board(report: Report) -> None:
    board = Board()
    board.take([arrive(node="n0"), Arrival(NOW, report), arrive(node="n2")])
    assert {"n0", "n2"} <= {name for name in board.names if name}
    board.take([arrive(probe("gpu", ((1.0,) * 5,), runs=77), seq=3, agent=99)])
    assert values(board, "gpu", "n1", 0)[0] == 1.0


@dataclass
class Model:
    """What the board means, one dictionary a node."""

    rows: dict[tuple[str, str, int], list[float]] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    seen: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    last: dict[str, tuple[int, int]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def take(self, arrival: Arrival) -> None:
        report = arrival.report
        agent, seq = self.last.get(report.node, (-1, 0))
        if agent == report.agent:
            if report.seq <= seq:
                return
            self.lost[report.node] = self.lost.get(report.node, 0) + report.seq - seq - 1
        else:
            self.seen = {key: run for key, run in self.seen.items() if key[0] != report.node}
        self.last[report.node] = report.agent, report.seq
        for said in {p.probe: p for p in report.probes}.values():
            if said.probe not in WIDTH:
                continue
            key = report.node, said.probe
            this = said.runs, said.state
            if self.seen.get(key) == this:
                continue
            self.seen[key] = this
            numbers = np.frombuffer(said.values).reshape(-1, said.columns)
            for index, row in enumerate(numbers.tolist()):
                known = [v if abs(v) <= 1e18 else math.nan for v in row][: WIDTH[said.probe]]
                self.rows[*key, index] = known + [math.nan] * (WIDTH[said.probe] - len(known))
            if said.state in (ProbeState.OK, ProbeState.ABSENT):
                self.counts[key] = len(numbers)

    def forget(self, node: str) -> None:
        for of in (self.rows, self.counts, self.seen):
            for key in [key for key in of if key[0] == node]:
                del of[key]  # type: ignore[attr-defined]
        self.last.pop(node, None)
        self.lost.pop(node, None)


NODES = st.sampled_from(["a", "b", "c", "d"])
NUMBERS = st.sampled_from([0.0, 1.0, 2.5, -3.0, math.nan, math.inf, 1e30])


@st.composite
def probes(draw: st.DrawFn) -> ProbeReport:
    width = draw(st.integers(1, 7))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), max_size=4))
    return probe(
        draw(st.sampled_from(["mount", "link", "gpu", "quantum"])),
        tuple(tuple(row) for row in rows),
        columns=width,
        runs=draw(st.integers(0, 3)),
        state=draw(st.sampled_from(list(ProbeState))),
    )


ARRIVALS = st.builds(
    lambda node, seq, agent, said: arrive(*said, node=node, seq=seq, agent=agent),
    NODES,
    st.integers(1, 6),
    st.integers(0, 1),
    st.lists(probes(), max_size=3),
)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.lists(ARRIVALS, min_size=1, max_size=8), NODES), max_size=12))
def test_the_board_is_a_dictionary_of_what_was_said_last(steps: list[list[Arrival] | str]) -> None:
    board, model = Board(), Model()
    for step in steps:
        if isinstance(step, str):
            board.forget([step])
            model.forget(step)
        else:
            board.take(step)
            # Within a batch only the order of one node's own reports counts.
            for arrival in step:
                model.take(arrival)
    assert {name for name in board.names if name} == set(model.last)
    for name, (agent, seq) in model.last.items():
        slot = board.slot(name)
        assert (board.nodes.agent[slot], board.nodes.seq[slot]) == (agent, seq)
        assert board.nodes.lost[slot] == model.lost.get(name, 0)
    for (name, of, index), row in model.rows.items():
        np.testing.assert_array_equal(values(board, of, name, index), row)
    for of in ("mount", "link", "gpu"):
        assert board.probes[of].count == sum(1 for _, p, _ in model.rows if p == of)
        for name in model.last:
            assert board.probes[of].on_node.rows[board.slot(name)] == model.counts.get((name, of), 0)
