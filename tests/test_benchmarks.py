"""The benchmark run small, so that it does not rot between its real runs: no figure is judged here."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks import both, processes, report
from benchmarks.__main__ import MEASURES
from benchmarks.client import Client
from benchmarks.extent import Extent
from benchmarks.report import Row
from benchmarks.webhook import request
from bridge.database import Database
from bridge.outbox.tables import messages

TINY = Extent(
    rounds=1,
    seconds=0.5,
    warm_up=0.1,
    connections=(4,),
    delays=(0,),
    both=20,
    tokens=40,
    token_life=300,
    subscribers=200,
    addresses=500,
    conversions=2_700,  # a second behind the warm-up, for each number of workers
    history=5_000,
    in_process=40,
)


def test_the_client_sends_each_number_once_whether_answers_or_a_clock_drive_it(
    database: Database, database_url: str
) -> None:
    with processes.web(processes.for_web(database_url)) as web:
        client = Client(web.port, request, connections=4)

        closed = client.as_fast_as_answered(count=20)
        opened = client.at_rate(100, 0.2)

    assert (closed.answers, opened.answers) == (20, 20)
    assert len(closed.latencies) == len(opened.latencies) == 20
    with database.read() as connection:
        users = set(connection.scalars(sa.select(messages.c.user_id)))
    assert users == {f"u-{number:012d}" for number in range(40)}


def test_the_client_stops_at_an_answer_that_is_no_202(database_url: str) -> None:
    with processes.web(processes.for_web(database_url)) as web:
        client = Client(web.port, lambda number: request(number).replace(b"Bearer", b"Bearar"), connections=2)

        with pytest.raises(RuntimeError, match="401"):
            client.as_fast_as_answered(count=2)


def test_the_stand_in_takes_no_event_without_a_token_that_it_gave() -> None:
    with processes.stand_in() as rokt:
        call = urllib.request.Request(
            f"{rokt.url}/v1/subscriptionevent/a", b"{}", {"Authorization": "Bearer x"}
        )
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(call, timeout=5)
        refused.value.close()

        assert processes.seen(rokt) == processes.Seen(count=0, token_calls=0, refused=1, arrivals=[])


@pytest.mark.parametrize("part", MEASURES)
def test_each_part_measures_one_database(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both, "_install", lambda: "nothing is installed by a test")

    rows, tables = MEASURES[part](["sqlite"], TINY)

    assert {row.database for row in rows} == {"sqlite"}
    assert all(
        len(line) == len(table.head) for table in (report.of_rows(rows), *tables) for line in table.lines
    )


def test_a_ratio_is_the_median_of_pairs_measured_side_by_side() -> None:
    row = report.compared("accepted", "sqlite", [50, 300, 90], [100, 200, 100], 0.9)

    assert row.ratio == "0.90 (0.50 – 1.50)"
    assert row.is_good


def test_the_docs_keep_their_words_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")

    report.write(report.for_docs(report.of_rows([Row("accepted", "sqlite", "1/s", is_good=False)])), page)

    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")
    assert "old" not in page.read_text()
    assert "| accepted | sqlite | 1/s |  |  |  | below |" in page.read_text()
    assert report.BEGIN in report.DOCS.read_text()


def test_every_wire_of_the_flow_for_node_red_ends_at_a_node() -> None:
    flow = json.loads((both.FLOW / "flow.json").read_text())

    wired = {end for node in flow for wires in node.get("wires", []) for end in wires}

    assert wired <= {node["id"] for node in flow}
