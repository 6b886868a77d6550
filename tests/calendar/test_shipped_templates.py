from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.calendar.engine import Rendered, TemplateFault, check_piece, compile_template

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FOLDER = Path(__file__).parents[2] / "templates"
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.jinja")}
EVENTS = sorted(name for name in SOURCES if not name.startswith("_"))

SALE = {"sale_id": "winter26", "starts": "2026-12-04T09:00", "discount": "50"}
MATCH = {"match_id": "mci-ars", "home": "City", "away": "Arsenal", "kickoff": "2026-12-01T20:00:00Z"}
BILL = {"invoice_id": "2026-1187", "amount": "1,249.50", "due": "2026-12-15"}


def render(name: str, variables: dict[str, str], **more: object) -> Rendered:
    return compile_template(name, SOURCES).render({**variables, **more}, NOW)


def test_the_marketers_room_holds_templates_and_nothing_else() -> None:
    assert EVENTS == ["bill_due", "fixture", "flash_sale"]
    assert {path.suffix for path in FOLDER.iterdir()} == {".jinja"}


@pytest.mark.parametrize("name", EVENTS)
def test_every_template_says_what_it_is_for_and_renders_its_examples(name: str) -> None:
    template = compile_template(name, SOURCES)

    assert len(template.purpose) > 20
    assert all(variable.is_declared for variable in template.variables)
    assert {"event_id", "title", "start", "end", "timezone"} <= set(
        template.render(template.examples(), NOW).fields
    )


def test_the_shared_piece_stands_by_itself() -> None:
    check_piece("_brand", SOURCES)


class TestFlashSale:
    def test_it_opens_at_nine_in_the_customers_own_zone(self) -> None:
        for zone, offset in (("Europe/Berlin", "+01:00"), ("Pacific Standard Time", "-08:00")):
            fields = render("flash_sale", SALE, time_zone=zone).fields

            assert fields["start"] == f"2026-12-04T09:00:00{offset}"
            assert fields["end"] == f"2026-12-04T09:30:00{offset}"
            assert fields["visible_from"] == f"2026-11-27T09:00:00{offset}"
            assert fields["timezone"] == zone

    def test_it_is_as_braze_sends_it(self) -> None:
        blanks = {"first_name": "", "vip": "", "time_zone": ""}

        fields = render("flash_sale", SALE, **blanks).fields

        assert fields["title"] == "⚡ 50% off starts now"
        assert fields["notify_before"] == "60"
        assert fields["description"].startswith(
            "Until Sunday 6 December, 09:00.\nhttps://www.example.com/sale?utm_"
        )

    def test_a_vip_comes_first(self) -> None:
        fields = render("flash_sale", SALE, vip="true", first_name="Ada").fields

        assert fields["start"] == "2026-12-04T07:00:00-05:00"
        assert fields["title"] == "⚡ Ada, 50% off starts now"
        assert fields["description"].splitlines()[0] == "You are in two hours before everybody else."

    def test_a_small_discount_makes_no_event(self) -> None:
        assert render("flash_sale", SALE, discount="4").skip == "discount under 5 %"

    def test_a_wrong_discount_is_refused_by_name(self) -> None:
        with pytest.raises(TemplateFault) as refused:
            render("flash_sale", SALE, discount="half")

        assert refused.value.field == "variables.discount"


class TestFixture:
    def test_a_match_tells_its_kick_off_where_it_is_played(self) -> None:
        fields = render("fixture", MATCH, tickets="https://tickets.example.com/x").fields

        assert fields["title"] == "City v Arsenal"
        assert fields["location"] == "venue to be announced"
        assert fields["start"] == "2026-12-01T20:00:00+00:00"
        assert fields["end"] == "2026-12-01T22:00:00+00:00"
        assert fields["all_day"] == "no"
        assert fields["description"].split("?")[0] == (
            "Kick-off Tuesday 1 December, 20:00 local time.\nTickets: https://tickets.example.com/x"
        )

    def test_a_moved_match_keeps_its_event_and_says_so(self) -> None:
        before = render("fixture", MATCH, venue="Riverside").fields
        after = render(
            "fixture",
            MATCH,
            status="moved",
            kickoff="2026-12-02T19:45:00Z",
            venue="Hillside",
            was_venue="Riverside",
        ).fields

        assert before["event_id"] == after["event_id"] == "match_mci-ars"
        assert after["title"] == "🔁 NEW TIME: City v Arsenal"
        assert after["description"] == (
            "Kick-off Wednesday 2 December, 19:45 local time.\nMoved from Riverside to Hillside."
        )

    @pytest.mark.parametrize(
        ("status", "title", "description"),
        [
            ("postponed", "⚠️ POSTPONED: City v Arsenal", "This match is postponed."),
            ("cancelled", "❗ CANCELLED: City v Arsenal", "This match will not be played."),
        ],
    )
    def test_a_match_that_is_off_reminds_nobody(self, status: str, title: str, description: str) -> None:
        fields = render("fixture", MATCH, status=status, tickets="https://tickets.example.com/x").fields

        assert fields["title"] == title
        assert fields["description"].startswith(description)
        assert "Tickets: https" not in fields["description"]
        assert fields["description"].count("\n") == 0
        assert fields["notify_before"] == "none"

    def test_a_match_without_a_time_takes_its_day(self) -> None:
        fields = render("fixture", MATCH, confirmed="false").fields

        assert fields["all_day"] == "yes"
        assert fields["start"] == "2026-12-01T00:00:00+00:00"
        assert fields["end"] == "2026-12-02T00:00:00+00:00"
        assert fields["description"] == "Kick-off time to be confirmed."

    def test_a_status_that_is_misspelt_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(TemplateFault, match='did you mean "cancelled"'):
            render("fixture", MATCH, status="canceled")


class TestBillDue:
    def test_a_bill_is_due_in_the_morning_and_reminds_the_evening_before(self) -> None:
        fields = render("bill_due", BILL, first_name="Ada", time_zone="Europe/Berlin").fields

        start = datetime.fromisoformat(fields["start"])
        assert start.isoformat() == "2026-12-15T09:00:00+01:00"
        assert int(fields["notify_before"]) == 15 * 60
        assert fields["title"] == "$1,249.50 due today"
        assert fields["description"].startswith(
            "Ada, your bill 2026-1187 over $1,249.50 is due on Tuesday 15 December.\nhttps://pay.example.com/2026-1187?utm_"
        )

    def test_without_a_name_the_sentence_begins_with_a_capital(self) -> None:
        assert render("bill_due", BILL).fields["description"].startswith("Your bill 2026-1187")

    @pytest.mark.parametrize(
        ("more", "reason"), [({"autopay": "yes"}, "paid automatically"), ({"amount": "0"}, "nothing is due")]
    )
    def test_what_needs_no_payment_makes_no_event(self, more: dict[str, str], reason: str) -> None:
        assert render("bill_due", {**BILL, **more}).skip == reason

    def test_a_paid_bill_is_deleted_by_its_number_alone(self) -> None:
        template = compile_template("bill_due", SOURCES)

        assert template.render_event_id({"invoice_id": "2026-1187"}) == "bill_2026-1187"
