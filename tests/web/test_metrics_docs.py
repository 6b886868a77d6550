"""docs/metrics.md lists what is served, and every alert has its heading in the runbook."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.metrics import causes, counted
from bridge.metrics.families import FAMILIES
from bridge.outbox.jobs import OPEN
from bridge.settings.declared import declared
from bridge.web.database_metrics import STATES
from bridge.web.offers import OUTCOMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")
RUNBOOK = (ROOT / "docs" / "operating.md").read_text("utf-8")
ALERTS = (ROOT / "monitoring" / "alerts.yml").read_text("utf-8")
TRIED = (ROOT / "monitoring" / "alerts_test.yml").read_text("utf-8")


def in_ticks(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", text))


def row_of(label: str) -> str:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {label} |")]
    return row


def test_the_table_lists_exactly_what_is_served() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `bridge_")]
    told = {in_ticks(row[1])[0]: (row[2].strip(), in_ticks(row[3]), row[4].strip()) for row in rows}

    assert len(told) == len(rows)
    assert told == {one.name: (one.kind, one.labels, str(one.source)) for one in FAMILIES}


def test_the_page_names_every_value_that_a_label_has() -> None:
    assert set(in_ticks(row_of("`destination`"))) == {"destination", *declared(), counted.OFFERS_UPSTREAM}
    assert set(causes.OF_DEAD) <= set(in_ticks(row_of("`cause` of the dead")))
    assert set(causes.OF_RETRIES) <= set(in_ticks(row_of("`cause` of retries")))
    assert set(OUTCOMES) <= set(in_ticks(row_of("`outcome` of offers")))
    assert {counted.LOST, counted.UNSENT, counted.OTHER_STATUS} <= set(in_ticks(row_of("`status`")))
    for word in (*STATES, *OPEN, *counted.TOKEN_OUTCOMES):
        assert f"`{word}`" in PAGE, word


def test_every_alert_has_its_heading_in_the_runbook_and_every_heading_its_alert() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    anchors = re.findall(r"runbook: docs/operating\.md#(\w+)\n", ALERTS)
    headings = re.findall(r"^## (Bridge\w+)$", RUNBOOK, re.MULTILINE)

    assert len(alerts) == len(set(alerts)) > 15
    assert [alert.lower() for alert in alerts] == anchors
    assert set(alerts) == set(headings)


def test_every_alert_is_tried_both_ways() -> None:
    for alert in re.findall(r"- alert: (\w+)", ALERTS):
        assert re.search(rf"alertname: {alert}, .*exp_alerts: \[\]", TRIED), alert
        assert f'alertname="{alert}"' in TRIED, alert
