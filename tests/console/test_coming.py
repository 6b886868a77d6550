"""All that is coming: each template's events of a month, with how many people have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from console.conftest import Console, SignedIn
from playwright.sync_api import expect

from bridge.console.coming import Month
from bridge.ledger.coming import Look
from bridge.ledger.coming_tables import coming, coming_counts
from bridge.ledger.events import Change, Standing, record
from bridge.rows import upsert

NOW = datetime.now(UTC).replace(microsecond=0)
NEXT = Month.of(NOW.date()).ahead(1)
THEN = datetime(NEXT.first.year, NEXT.first.month, 15, 9, tzinfo=UTC)


def an_entry(start: datetime = THEN, **fields: Any) -> dict[str, Any]:
    return {
        "day": int(start.timestamp()) // 86_400,
        "template": "flash_sale",
        "event_id": "winter",
        "first_start": start,
        "last_start": start,
        "last_end": start + timedelta(hours=1),
        "title": "Winter sale",
        "least_version": 3,
        "newest_version": 3,
        "people": 12,
    } | fields


def keep(console: Console, *entries: dict[str, Any], left_out: int = 0) -> None:
    """What was counted of the ledger."""
    counts = {"id": 1, "began_at": NOW, "counted_at": NOW, "events": 1, "left_out": left_out}
    with console.bridge.database.write() as connection:
        upsert(connection, coming, list(entries))
        upsert(connection, coming_counts, [counts])


def page(console: Console, **query: str) -> str:
    answer = console.visitor("viewer").get("/console/coming", **query)
    assert answer.status_code == 200
    return " ".join(answer.get_data(as_text=True).split())


def test_what_rokt_took_stands_on_its_day_with_its_template(console: Console) -> None:
    content = {
        "title": "Winter sale",
        "start": f"{THEN:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{THEN:%Y-%m-%dT%H:%M:%SZ}",
    }
    with console.bridge.database.write() as connection:
        for user in ("u-1", "u-2"):
            standing = Standing(content, True, frozenset({"s"}))
            place = ("shop", f"winter_{user}")
            record(connection, [Change(place, standing, user, "flash_sale", 3, THEN)], {}, NOW)
        look = Look()
        assert look.piece(connection, NOW)
        look.write(connection, NOW)

    told = page(console, month=NEXT.key)

    assert "Winter sale" in told
    assert "flash_sale v3" in told
    assert "2 people" in told


def test_many_people_are_about_so_many(console: Console) -> None:
    keep(
        console,
        an_entry(people=480_000),
        an_entry(event_id="one", people=1),
        an_entry(event_id="x", people=9_999),
    )

    told = page(console, month=NEXT.key)

    assert "about 480,000 people" in told
    assert ">1 person<" in told
    assert ">9,999 people<" in told


def test_it_says_when_that_was_counted(console: Console) -> None:
    assert "Nothing has been counted yet" in page(console)

    keep(console, left_out=3)

    assert "Counted at" in page(console)
    assert "3 more events further away than a year are not shown." in page(console)


def test_different_titles_are_shown_as_none(console: Console) -> None:
    keep(
        console, an_entry(title=None), an_entry(template="booking", event_id="", title=None, newest_version=5)
    )

    told = page(console, month=NEXT.key)

    assert "winter <small>(different titles)</small>" in told
    assert "booking <small>(several events, different titles)</small>" in told
    assert "booking v3 to v5" in told


def test_what_strangers_wrote_is_only_text(console: Console) -> None:
    keep(
        console,
        an_entry(
            template="", event_id="</script><b>", title="<script>alert(1)</script>", newest_version=None
        ),
    )

    told = page(console, month=NEXT.key)

    assert "<script>alert" not in told
    assert "</script><b>" not in told
    assert "sent without a template" in told


def test_another_month_shows_what_that_has(console: Console) -> None:
    keep(console, an_entry())

    assert "Winter sale" in page(console, month=NEXT.key)
    elsewhere = page(console, month=NEXT.ahead(2).key)
    assert "Winter sale" not in elsewhere
    assert f"Nothing is coming in {NEXT.ahead(2).name}." in elsewhere


def test_an_empty_month_leads_to_the_next_that_has_something(console: Console) -> None:
    keep(console, an_entry(THEN + timedelta(days=62)))
    then = Month.of((THEN + timedelta(days=62)).date())

    told = page(console, month=NEXT.key)

    assert f'The next is in <a href="/console/coming?month={then.key}">{then.name}</a>' in told


@pytest.mark.parametrize("month", ["", "2026", "nonsense", "0000-00", "1999-01", "2026-13", "'--"])
def test_a_month_that_is_none_or_past_is_this_one(console: Console, month: str) -> None:
    assert f'<option value="{NOW:%Y-%m}" selected>' in page(console, month=month)


def test_a_month_too_far_away_is_the_last_one(console: Console) -> None:
    last = Month.of(NOW.date()).ahead(13)

    assert f'<option value="{last.key}" selected>' in page(console, month="9999-12")


def test_a_month_knows_its_neighbours() -> None:
    december = Month.of(datetime(2026, 12, 31, tzinfo=UTC).date())

    assert (december.ahead(1).key, december.ahead(-12).key, december.name) == (
        "2027-01",
        "2025-12",
        "December 2026",
    )
    assert december.end == december.ahead(1).first


def test_it_is_for_those_who_are_signed_in(console: Console) -> None:
    assert console.visitor().get("/console/coming").status_code == 303


class TestInABrowser:
    def test_the_month_is_a_calendar_whose_entries_lead_to_their_templates(
        self, console: Console, signed_in: SignedIn
    ) -> None:
        keep(console, an_entry(people=480_000), an_entry(template="", event_id="x", title="<b>Loud</b>"))
        page = signed_in("viewer", locale="en-GB", timezone_id="America/New_York")

        page.goto(f"/console/coming?month={NEXT.key}")

        entry = page.locator(".month-grid .coming-event", has_text="Winter sale")
        expect(entry).to_contain_text("about 480,000 people")
        expect(entry).to_contain_text(f"{THEN.astimezone(ZoneInfo('America/New_York')):%H:%M}")
        expect(page.locator(".month-grid .coming-event", has_text="<b>Loud</b>")).to_be_visible()
        entry.click()
        page.wait_for_url("**/console/templates/flash_sale")

    def test_another_month_is_a_choice_away(self, console: Console, signed_in: SignedIn) -> None:
        keep(console, an_entry())
        page = signed_in("viewer")
        page.goto("/console/coming")

        page.get_by_label("Month").last.select_option(NEXT.key)

        expect(page.locator(".month-grid .coming-event", has_text="Winter sale")).to_be_visible()

    def test_on_a_phone_it_is_a_list(self, console: Console, signed_in: SignedIn) -> None:
        keep(console, an_entry(title="A long title without end " * 5))
        page = signed_in("viewer", viewport={"width": 375, "height": 800})

        page.goto(f"/console/coming?month={NEXT.key}")

        expect(page.locator(".month-grid")).to_be_hidden()
        expect(page.get_by_role("row", name="A long title")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
