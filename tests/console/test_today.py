"""Today: how each destination does, in words, when the last leaves, and what came and left over time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console.conftest import SECRET_KEY, USERS, Console, SignedIn
from factories import a_message, a_request
from playwright.sync_api import expect
from web.running import Bridge, Starter

from bridge.outbox.enqueue import store
from bridge.outbox.sample_tables import counting, depths, samples
from bridge.outbox.states import CLOSED, COMMON, OPEN, WHOLE, DestinationState, _write
from bridge.outbox.tables import workers
from bridge.rows import upsert

CALENDAR = "rokt_calendar"


@pytest.fixture
def console(start: Starter) -> Iterator[Console]:
    """With Rokt Calendar at 270 a second, and Braze."""
    bridge = start(
        CONSOLE_USERS=USERS,
        SECRET_KEY=SECRET_KEY,
        ROKT_CALENDAR_RATE="270",
        BRAZE_REST_URL="http://127.0.0.1:9",
        BRAZE_API_KEY="a-key",
    )
    with bridge.served() as url:
        yield Console(bridge, url)


@pytest.fixture
def now(console: Console) -> datetime:
    """The time at which a worker was heard of."""
    now = datetime.now(UTC)
    with console.bridge.database.write() as connection:
        row = {"id": "w-1", "started_at": now, "heartbeat_at": now + timedelta(hours=1)}
        upsert(connection, workers, [row])
    return now


def waits(bridge: Bridge, count: int, at: datetime, expires_at: datetime | None = None) -> None:
    """So many wait, as they were counted then; more than are counted where somebody looks."""
    runs = [[0, count, expires_at.timestamp()]] if expires_at else []
    row = {"destination": CALENDAR, "waiting": count, "oldest_at": at, "ages": {}, "expiring": runs}
    with bridge.database.write() as connection:
        upsert(connection, depths, [row | {"counted_at": at}])


def counted(bridge: Bridge, now: datetime, **minutes_ago: dict[str, Any]) -> None:
    """`m3={…}`: what was counted three minutes ago."""
    minute = int(now.timestamp()) // 60
    nothing = dict.fromkeys(("accepted", "delivered", "dead", "uncertain", "skipped", "superseded"), 0)
    row = {"name": "outbox", "holder_id": "w-1", "held_until": now, "accepted_upto": 0, "settled_upto": now}
    with bridge.database.write() as connection:
        upsert(connection, counting, [row])
        for ago, its in minutes_ago.items():
            place = {"minute": minute - int(ago[1:]), "destination": CALENDAR, "took": {}}
            upsert(connection, samples, [place | nothing | its])


def accept(bridge: Bridge, count: int, at: datetime, **fields: Any) -> None:
    requests = [a_request(a_message(user_id=f"u-{n}", **fields)) for n in range(count)]
    with bridge.database.write() as connection:
        store(connection, requests, at)


def state(bridge: Bridge, place: str, state: str, now: datetime, **fields: Any) -> None:
    with bridge.database.write() as connection:
        _write(connection, [DestinationState(CALENDAR, place, state, None, now, **fields)])


def cards(console: Console, role: str = "viewer") -> dict[str, str]:
    """What stands on each card, as text."""
    page = console.visitor(role).get("/console/today/cards").get_data(as_text=True)
    found = {}
    for article in page.split("<article")[1:]:
        name = re.search(r"<h2[^>]*>([^<]+)<", article)
        assert name
        text = re.sub(r"<[^>]+>", "", article.partition(">")[2])
        found[name[1]] = re.sub(r"\s+([.,;])", r"\1", " ".join(text.split()))
    return found


class TestInWords:
    def test_a_destination_without_trouble_is_healthy(self, console: Console, now: datetime) -> None:
        assert cards(console).keys() == {"Rokt Calendar", "Braze"}
        assert "Healthy. Nothing waits." in cards(console)["Rokt Calendar"]

    def test_a_refused_credential_is_told_with_what_to_do(self, console: Console, now: datetime) -> None:
        state(console.bridge, COMMON, CLOSED, now)
        accept(console.bridge, 3, now)

        told = cards(console)["Rokt Calendar"]

        assert "Rokt refuses the credential, since" in told
        assert "ROKT_CALENDAR_CLIENT_ID and ROKT_CALENDAR_CLIENT_SECRET" in told
        assert "3 waiting; nothing leaves while Rokt refuses the credential." in told

    def test_a_refused_account_keeps_the_others_going(self, console: Console, now: datetime) -> None:
        state(console.bridge, "my-shop", CLOSED, now)
        accept(console.bridge, 3, now)

        told = cards(console)["Rokt Calendar"]

        assert "Rokt refuses the credential of account my-shop" in told
        assert "__MY_SHOP" in told
        assert "nothing leaves" not in told

    def test_an_upstream_that_fails_is_told_with_its_own_words(self, console: Console, now: datetime) -> None:
        with console.bridge.database.write() as connection:
            said = "answered 503 <script>alert(1)</script>"
            _write(connection, [DestinationState(CALENDAR, WHOLE, CLOSED, said, now)])

        page = console.visitor("viewer").get("/console/today/cards").get_data(as_text=True)

        assert "Rokt does not answer as it should, since" in cards(console)["Rokt Calendar"]
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>" not in page

    @pytest.mark.parametrize(
        ("field", "words"),
        [
            ("hold_until", "Rokt asked to wait until"),
            ("halved_until", "Slowed to half: Rokt said it was too much (429)"),
        ],
    )
    def test_a_slowed_destination_says_until_when(
        self, console: Console, now: datetime, field: str, words: str
    ) -> None:
        state(console.bridge, WHOLE, OPEN, now, **{field: now + timedelta(minutes=3)})
        assert words in cards(console)["Rokt Calendar"]

        state(console.bridge, WHOLE, OPEN, now, **{field: now - timedelta(seconds=1)})
        assert "Healthy." in cards(console)["Rokt Calendar"]

    def test_without_a_worker_nothing_leaves(self, console: Console) -> None:
        accept(console.bridge, 2, datetime.now(UTC))

        assert "2 waiting; nothing leaves while no worker is running." in cards(console)["Rokt Calendar"]

    def test_a_destination_that_is_not_set_up_any_more_is_told_while_something_waits_for_it(
        self, console: Console, now: datetime
    ) -> None:
        accept(console.bridge, 2, now, destination="rokt_events")

        assert "nothing leaves while it is not set up" in cards(console)["Rokt conversions"]


class TestTheForecast:
    def test_says_when_the_last_leaves_and_how_much_is_too_late(
        self, console: Console, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.outbox.samples.MOST_LIVE", 1)
        accept(console.bridge, 2, now)
        waits(console.bridge, 480_000, now, now + timedelta(seconds=0.98 * 480_000 / 270))

        told = cards(console)["Rokt Calendar"]

        assert "480,000 waiting; at 270 a second the last leaves at" in told
        assert "about 2 % of them (9,6" in told
        assert "after their event has begun: they will be dropped as too late." in told

    def test_goes_by_what_left_lately_where_that_is_less(
        self, console: Console, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.outbox.samples.MOST_LIVE", 1)
        accept(console.bridge, 2, now)
        waits(console.bridge, 480_000, now)
        busy = {"delivered": 6_000, "waiting": 480_000}
        counted(console.bridge, now, m1=busy, m2=busy, m3=busy)

        assert "at 100 a second the last leaves" in cards(console)["Rokt Calendar"]

    def test_goes_by_half_of_what_is_allowed_while_that_was_too_much(
        self, console: Console, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.outbox.samples.MOST_LIVE", 1)
        accept(console.bridge, 2, now)
        waits(console.bridge, 480_000, now)
        state(console.bridge, WHOLE, OPEN, now, halved_until=now + timedelta(minutes=1))

        assert "at 135 a second the last leaves" in cards(console)["Rokt Calendar"]

    def test_does_not_trouble_anybody_with_the_few_that_leave_at_once(
        self, console: Console, now: datetime
    ) -> None:
        accept(console.bridge, 5, now)

        assert "5 waiting; the last leaves within a minute." in cards(console)["Rokt Calendar"]

    def test_says_more_than_where_nobody_has_counted(
        self, console: Console, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.outbox.samples.MOST_LIVE", 3)
        accept(console.bridge, 5, now)

        assert "More than 3 waiting" in cards(console)["Rokt Calendar"]

    def test_says_what_goes_out_of_date_while_nothing_leaves(self, console: Console, now: datetime) -> None:
        waits(console.bridge, 2, now, now + timedelta(hours=2))
        accept(console.bridge, 2, now)
        state(console.bridge, COMMON, CLOSED, now)

        assert "The first of it goes out of date at" in cards(console)["Rokt Calendar"]


class TestPausing:
    def test_is_for_publishers(self, console: Console, now: datetime) -> None:
        assert "Pause" in cards(console, "publisher")["Rokt Calendar"]
        for role in ("viewer", "editor"):
            assert "Pause" not in cards(console, role)["Rokt Calendar"]
            for what in ("pause", "resume"):
                assert console.visitor(role).post(f"/console/today/{CALENDAR}/{what}").status_code == 403

    def test_stops_a_destination_until_it_is_resumed(self, console: Console, now: datetime) -> None:
        publisher = console.visitor("publisher")

        publisher.post(f"/console/today/{CALENDAR}/pause")
        paused = cards(console, "publisher")["Rokt Calendar"]
        publisher.post(f"/console/today/{CALENDAR}/resume")

        assert "Paused by publisher, since" in paused
        assert "Resume" in paused
        assert "Healthy." in cards(console)["Rokt Calendar"]

    def test_of_what_there_is_not_is_refused(self, console: Console) -> None:
        assert console.visitor("publisher").post("/console/today/nothing/pause").status_code == 404


class TestOverTime:
    def test_has_a_value_for_each_whole_minute(self, console: Console, now: datetime) -> None:
        delivered = {"accepted": 7, "delivered": 5, "dead": 1, "uncertain": 1, "waiting": 3, "half_ms": 120}
        counted(console.bridge, now, m2=delivered, m0={"accepted": 99})

        found = console.visitor("viewer").get("/console/today.json", span="3h").get_json()

        assert len(found["times"]) == len(found["accepted"]) == 180
        assert found["times"][-1] == (int(now.timestamp()) // 60 - 1) * 60
        assert [found[name][-2] for name in ("accepted", "delivered", "failed", "waiting", "half_ms")] == [
            7,
            5,
            2,
            3,
            120,
        ]
        assert sum(found["accepted"]) == 7
        assert found["waiting"][-1] is None

    def test_is_of_one_destination_where_that_is_asked_for(self, console: Console, now: datetime) -> None:
        counted(console.bridge, now, m12={"accepted": 7})
        visitor = console.visitor("viewer")

        def accepted(destination: str) -> int:
            found = visitor.get("/console/today.json", destination=destination, span="24h").get_json()
            return sum(found["accepted"])

        assert [accepted(one) for one in ("", CALENDAR, "braze", "'; DROP TABLE samples; --")] == [7, 7, 0, 0]

    @pytest.mark.parametrize("span", ["3h", "24h", "8d", "nonsense", ""])
    def test_begins_with_nothing(self, console: Console, span: str) -> None:
        found = console.visitor("viewer").get("/console/today.json", span=span).get_json()

        assert (found["times"], found["counted_at"]) == ([], None)

    def test_is_for_those_who_are_signed_in(self, console: Console) -> None:
        for path in ("/console/today.json", "/console/today/cards", "/console/"):
            assert console.visitor().get(path).status_code == 303


class TestInABrowser:
    def test_the_charts_are_drawn_and_stand_in_a_table_too(
        self, console: Console, now: datetime, signed_in: SignedIn
    ) -> None:
        counted(console.bridge, now, m2={"accepted": 1234, "delivered": 5, "waiting": 3, "half_ms": 1500})
        page = signed_in("viewer", locale="en-GB")

        page.goto("/console/")

        expect(page.locator("#charts canvas")).to_have_count(3)
        page.get_by_text("The same as a table").click()
        row = page.locator("#charts details tbody tr").nth(1)
        expect(row).to_contain_text("1,234")
        expect(row).to_contain_text("1.5 s")
        page.get_by_label("The last").select_option("8d")
        expect(page.locator("#charts details tbody tr")).to_have_count(384)

    def test_cards_and_charts_follow_what_happens(
        self, console: Console, now: datetime, signed_in: SignedIn
    ) -> None:
        page = signed_in("viewer")
        page.clock.install()
        page.goto("/console/")
        expect(page.get_by_text("Nothing waits.").first).to_be_visible()
        accept(console.bridge, 5, now)
        counted(console.bridge, now, m2={"accepted": 5})

        page.clock.run_for(11_000)

        expect(page.get_by_text("5 waiting")).to_be_visible()
        expect(page.locator("#charts[data-shown]")).to_have_attribute("data-shown", re.compile("T"))

    def test_a_time_of_today_is_told_as_its_hour_alone(
        self, console: Console, now: datetime, signed_in: SignedIn
    ) -> None:
        state(console.bridge, WHOLE, CLOSED, now)
        page = signed_in("viewer", locale="en-GB", timezone_id="UTC")

        page.goto("/console/")

        expect(page.locator(".notices time").first).to_have_text(f"{now:%H:%M}")

    def test_a_publisher_pauses_after_a_question(
        self, console: Console, now: datetime, signed_in: SignedIn
    ) -> None:
        page = signed_in("publisher")
        page.goto("/console/")
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))

        page.locator("article", has_text="Rokt Calendar").get_by_role("button", name="Pause").click()

        expect(page.get_by_text("Rokt Calendar is paused.")).to_be_visible()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        assert asked
        assert "Nothing leaves for it" in asked[0]

    def test_it_is_the_first_page_and_fits_a_phone(self, console: Console, signed_in: SignedIn) -> None:
        page = signed_in("viewer", viewport={"width": 375, "height": 800})

        expect(page.get_by_role("heading", name="Today")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 375
