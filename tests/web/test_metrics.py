"""GET /metrics: every metric is served, whatever is wrong, and no caller makes a new series."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from factories import a_call
from outbox.test_samples import count, measure
from prometheus_client.parser import text_string_to_metric_families
from servers import SandboxUnderTest
from web.running import PATIENCE, Bridge, Starter, literal, sale, secret

from bridge.app import create_app
from bridge.database import Database, clock
from bridge.message import Retry, State
from bridge.metrics import causes, counted, page
from bridge.metrics.families import FAMILIES
from bridge.metrics.samples import Samples, key
from bridge.outbox import states
from bridge.outbox.settle import Result
from bridge.outbox.tables import calls, messages
from bridge.outbox.tally import LASTS
from bridge.web import metrics
from bridge.web.metrics import Look

MONITORING = Path(__file__).parents[2] / "monitoring"
OFFERS = {"ROKT_PUB_ID": "pub", "ROKT_SECRET": "a-rokt-secret", "ROKT_TAG_ID": "12345"}
STATE, ALL_STATES = "bridge_destination_state", ("open", "closed", "paused")
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text_of(bridge: Bridge) -> str:
    headers = {"Authorization": f"Bearer {secret('read')}"}
    answer = bridge.app.test_client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.content_type == page.CONTENT_TYPE
    return answer.get_data(as_text=True)


def read(text: str) -> Page:
    """Every series with its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def page_of(bridge: Bridge) -> Page:
    return read(text_of(bridge))


def value(found: Page, name: str, **labels: str) -> float:
    return found[key(name, **labels)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is of the moment in which it is asked for, on however busy a machine."""
    monkeypatch.setattr(metrics, "GOOD_FOR", 0.0)
    monkeypatch.setattr(metrics, "ANSWERS_WITHIN", PATIENCE)


@pytest.fixture
def whole(start: Starter, rokt: SandboxUnderTest) -> Bridge:
    """With all that can be on, and something of everything done and counted."""
    bridge = start(
        sandbox=rokt,
        ROKT_CALENDAR_RATE="100",
        ROKT_WEBHOOK_SECRET="a-secret-of-rokts-webhook",
        ROKT_EVENTS_URL=f"{rokt.url}/v2",
        ROKT_EVENTS_KEY="k",
        ROKT_EVENTS_SECRET="s",
        ROKT_EVENTS_ENVIRONMENT="development",
        ROKT_ACCOUNT_ID="1",
        ROKT_API_KEY="k",
        ROKT_API_SECRET="s",
        ROKT_API_URL=f"{rokt.url}/api.rokt.com",
        ROKT_APP_ID="a",
        ROKT_APP_SECRET="s",
        ROKT_AUDIENCE_URL=rokt.url,
        BRAZE_REST_URL=rokt.url,
        BRAZE_API_KEY="a-braze-key",
        ROKT_OFFERS_URL=rokt.url,
        **OFFERS,
    )
    bridge.accept(literal())
    bridge.refuse(sale(template="flash_sal"))
    bridge.deliver()
    count_all(bridge.database)
    return bridge


def count_all(database: Database) -> None:
    """As a worker does once half a minute has gone by."""
    with database.read() as connection:
        later = clock(connection) + 2 * LASTS  # whoever counted has let go by then
    count(database, later)
    measure(database, later)


class TestWhatIsServed:
    def test_every_metric_with_its_own_labels(self, whole: Bridge) -> None:
        found = page_of(whole)

        for family in FAMILIES:
            its = [dict(labels) for name, labels in found if name == family.samples[0]]
            assert its, family.name
            assert all(labels.keys() - {"le"} == set(family.labels) for labels in its), family.name
        assert {name for name, _ in found} <= {name for family in FAMILIES for name in family.samples}

    def test_all_that_alerts_and_the_dashboard_name(self, whole: Bridge) -> None:
        found = page_of(whole)

        for expression in expressions():
            for name, matchers in re.findall(r"(bridge_[a-z_]+)(?:\{([^}]*)\})?", expression):
                its = [dict(labels) for series, labels in found if series == name]
                assert its, name
                for label, operator, wanted in re.findall(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"', matchers):
                    values = {labels[label] for labels in its}
                    assert operator == "=~" or wanted in values, (name, label, wanted)

    def test_what_became_of_messages(self, whole: Bridge) -> None:
        found = page_of(whole)

        its = {"destination": "rokt_calendar"}
        assert value(found, "bridge_messages_accepted_total", **its) == 2
        assert value(found, "bridge_messages_delivered_total", **its) == 1
        assert value(found, "bridge_messages_dead_total", **its, cause="template") == 1
        assert value(found, "bridge_messages_dead_total", **its, cause="other") == 0
        assert value(found, "bridge_delivery_seconds_count", **its) == 1
        assert value(found, "bridge_messages_accepted_total", destination="braze") == 0

    def test_what_a_worker_counted_after_it_has_gone(self, whole: Bridge) -> None:
        found = page_of(whole)

        its = {"destination": "rokt_calendar"}
        assert value(found, "bridge_token_calls_total", **its, outcome="granted") == 1
        assert value(found, "bridge_upstream_seconds_count", **its, status="2xx") == 1
        assert value(found, "bridge_budget_slots_total", **its) >= 1
        assert value(found, "bridge_workers") == 0

    def test_the_rate_is_that_of_all_credentials_in_use(self, whole: Bridge) -> None:
        name = "bridge_budget_slots_per_second"

        assert value(page_of(whole), name, destination="rokt_calendar") == pytest.approx(98, rel=0.01)
        with whole.database.write() as connection:
            states.note(
                connection, "rokt_calendar", [Result(a_call(), Retry("answered 429", 429))], clock(connection)
            )
        assert value(page_of(whole), name, destination="rokt_calendar") == pytest.approx(49, rel=0.01)

    def test_answers_by_route_and_class(self, bridge: Bridge) -> None:
        before = page_of(bridge)
        for path in ("/healthz", "/healthz", "/nothing/here"):
            bridge.call("GET", path)
        bridge.post({})
        found = page_of(bridge)

        def more(**labels: str) -> float:
            name = "bridge_http_seconds_count"
            return found[key(name, **labels)] - before.get(key(name, **labels), 0)

        assert more(route="unguarded.healthz", status="2xx") == 2
        assert more(route="unknown", status="4xx") == 1
        assert more(route="hooks.calendar_events", status="4xx") == 1

    def test_a_fault_of_our_own_is_told_apart_from_a_database_that_is_gone(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = page_of(bridge)

        def broken(*_: object) -> None:
            raise KeyError("broken")

        monkeypatch.setattr(bridge.parts.templates, "published", broken)
        assert bridge.post(sale()).status == 500
        found = page_of(bridge)

        name, its = "bridge_http_faults_total", {"route": "hooks.calendar_events"}
        assert value(before, name, **its) + 1 == value(found, name, **its)

    def test_counters_stand_at_zero_before_anything_happened(self, start: Starter) -> None:
        found = page_of(start(**OFFERS))

        its = {"destination": "rokt_calendar"}
        for cause in causes.OF_DEAD:
            assert value(found, "bridge_messages_dead_total", **its, cause=cause) == 0
        for cause in causes.OF_RETRIES:
            assert value(found, "bridge_messages_retried_total", **its, cause=cause) == 0
        assert value(found, "bridge_token_calls_total", **its, outcome="refused") == 0
        assert key("bridge_offers_total", outcome="timeout") in found
        assert key("bridge_http_faults_total", route="hooks.calendar_events") in found


class TestHowItStands:
    @pytest.fixture
    def bridge(self, start_on_both: Starter) -> Bridge:
        return start_on_both(ROKT_CALENDAR_RATE="50")

    def test_what_waits_and_for_how_long(self, bridge: Bridge) -> None:
        bridge.accept(literal(user_id="u1"))
        bridge.accept(literal(user_id="u2"))
        count_all(bridge.database)
        found = page_of(bridge)

        its = {"destination": "rokt_calendar"}
        assert value(found, "bridge_waiting_messages", **its) == 2
        assert value(found, "bridge_waiting_oldest_seconds", **its) > 0
        assert value(found, "bridge_waiting_age_seconds_bucket", **its, le="+Inf") == 2
        assert value(found, "bridge_waiting_age_seconds_bucket", **its, le="0.05") == 0

    def test_both_histograms_of_delivery_can_be_added(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        count_all(bridge.database)
        found = page_of(bridge)

        def bounds(name: str) -> list[str]:
            return [dict(labels)["le"] for series, labels in found if series == name]

        assert bounds("bridge_delivery_seconds_bucket") == bounds("bridge_waiting_age_seconds_bucket")

    @pytest.mark.parametrize(
        ("places", "state", "refused"),
        [
            ((), "open", 0),
            ((states.WHOLE,), "closed", 0),
            ((states.PAUSED,), "paused", 0),
            ((states.PAUSED, states.WHOLE), "paused", 0),
            (("acme", states.COMMON), "open", 2),
        ],
    )
    def test_a_destinations_state(
        self, bridge: Bridge, places: tuple[str, ...], state: str, refused: int
    ) -> None:
        with bridge.database.write() as connection:
            now = clock(connection)
            known = [
                states.DestinationState("rokt_calendar", place, states.CLOSED, "why", now) for place in places
            ]
            states._write(connection, known)
        found = page_of(bridge)

        told = {one: value(found, STATE, destination="rokt_calendar", state=one) for one in ALL_STATES}
        assert told == {one: float(one == state) for one in ALL_STATES}
        assert value(found, "bridge_refused_credentials", destination="rokt_calendar") == refused
        assert "acme" not in text_of(bridge)

    def test_what_a_person_has_to_decide_calls_and_jobs(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        asked = bridge.call("POST", "/v1/messages/cancel", {"destination": "rokt_calendar"})
        assert asked.status == 202
        with bridge.database.write() as connection:
            connection.execute(messages.update().values(state=State.UNCERTAIN))
            started = {"worker_id": "w", "destination": "rokt_calendar", "started_at": clock(connection)}
            connection.execute(calls.insert().values(id="c", **started))
        found = page_of(bridge)

        assert value(found, "bridge_uncertain_messages", destination="rokt_calendar") == 1
        assert value(found, "bridge_calls_in_flight", destination="rokt_calendar") == 1
        assert value(found, "bridge_jobs", state="waiting") == 1

    def test_a_template_that_is_suspended(self, bridge: Bridge) -> None:
        before = value(page_of(bridge), "bridge_templates_suspended")
        for _ in range(3):
            bridge.parts.templates.cut_off("flash_sale", 1)

        assert (before, value(page_of(bridge), "bridge_templates_suspended")) == (0, 1)


class TestSeriesAreBounded:
    def test_no_caller_makes_a_new_one(self, whole: Bridge) -> None:
        for name in ("first", "second"):  # so that whatever there is to count has been, the page itself too
            self.be_a_nuisance(whole, name)
            before = page_of(whole)
        for name in ("third", "fourth"):
            self.be_a_nuisance(whole, name)
        after = page_of(whole)

        assert after.keys() == before.keys()
        assert not any("nuisance" in text for series in after for text in map(str, series))

    @staticmethod
    def be_a_nuisance(bridge: Bridge, name: str) -> None:
        """With a name of its own wherever a caller may say one."""
        name = f"nuisance-{name}"
        headers = {"X-Request-Id": name, "Idempotency-Key": name, "User-Agent": name, "Host": name}
        bridge.call("GET", f"/{name}")
        bridge.call("GET", f"/console/{name}")
        bridge.call("GET", f"/v1/messages/{name}")
        bridge.call("GET", f"/v1/templates/{name}")
        bridge.call(f"X{name}".upper(), "/v1/calendar/events")
        bridge.call("GET", "/healthz", key=None, headers={"Authorization": f"Bearer {name}"})
        bridge.post(literal(), key=None, headers={"Authorization": f"Bearer {name}"})
        bridge.post(b"{", path="/v1/calendar/events")
        bridge.accept(literal(user_id=name, event__event_id=name), headers=headers)
        bridge.accept(literal(account_code=name, user_id=f"{name}-2"))
        bridge.refuse(sale(template=name, user_id=name))
        bridge.call("POST", "/v1/destinations/nobody/pause")
        bridge.call("POST", f"/v1/destinations/{name}/pause")
        bridge.call("POST", f"/v1/audiences/{name}", {"action": "include", "email": f"{name}@example.com"})
        bridge.call("GET", "/v1/offers", page=name)
        bridge.deliver()
        count_all(bridge.database)

    def test_what_a_worker_of_another_release_counts_is_left_out(self, bridge: Bridge) -> None:
        samples = {
            key("bridge_of_tomorrow_total", x="1"): 1.0,
            key("bridge_token_calls_total", destination="braze", outcome="granted", user="u-1"): 1.0,
            key("bridge_token_calls_total", destination="braze", outcome="granted"): 2.0,
        }

        assert read(page.render(samples).decode()) == {list(samples)[2]: 2.0}

    def test_an_upstream_may_answer_any_status(self) -> None:
        assert {counted.class_of(status) for status in range(1000)} == {*counted.CLASSES, "other"}


class TestADatabaseThatIsGone:
    def test_the_page_tells_that_and_what_the_process_knows(self, start: Starter) -> None:
        start.database_url = "postgresql://nobody@127.0.0.1:9/nothing"
        bridge = start(**OFFERS)
        bridge.call("GET", "/healthz")
        found = page_of(bridge)

        assert value(found, "bridge_database_up") == value(found, "bridge_ready") == 0
        assert value(found, "bridge_http_seconds_count", route="unguarded.healthz", status="2xx") >= 1
        assert not any(name == "bridge_workers" for name, _ in found)

    def test_an_older_schema_is_not_ready(self, bridge: Bridge) -> None:
        with bridge.database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        found = page_of(bridge)

        assert value(found, "bridge_database_up") == 1
        assert value(found, "bridge_ready") == 0

    def test_a_fault_of_ours_does_not_take_the_rest_of_the_page_with_it(self, bridge: Bridge) -> None:
        with bridge.database.write() as connection:
            connection.exec_driver_sql("DROP TABLE worker_totals")

        assert value(page_of(bridge), "bridge_database_up") == 0

    def test_one_that_hangs_is_not_waited_for_and_asked_once(self, hanging: Hanging) -> None:
        look = Look(hanging.read)

        assert [look.now(), look.now()] == [None, None]
        assert hanging.asked == 1
        hanging.released.set()
        assert eventually(look.now) == {}

    def test_who_asks_often_is_told_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "GOOD_FOR", 60.0)
        asked: list[int] = []

        def read() -> Samples:
            asked.append(1)
            return {}

        look = Look(read)

        assert [look.now() for _ in range(3)] == [{}] * 3
        assert len(asked) == 1


class Hanging:
    """A database that answers once it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.released = threading.Event()

    def read(self) -> Samples:
        self.asked += 1
        self.released.wait()
        return {}


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(metrics, "ANSWERS_WITHIN", 0.02)
    hanging = Hanging()
    yield hanging
    hanging.released.set()


def eventually(ask: Callable[[], Samples | None]) -> Samples | None:
    found: list[Samples | None] = []
    Bridge.wait_until(lambda: found.append(ask()) or found[-1] is not None)
    return found[-1]


def test_it_is_for_keys_that_may_read_or_operate(bridge: Bridge) -> None:
    def status(name: str | None) -> int:
        return bridge.call("GET", "/metrics", key=name).status

    assert [status(name) for name in ("read", "operate", "all")] == [200] * 3
    assert [status(name) for name in ("send", "templates", None)] == [403, 403, 401]


def test_on_heroku_what_a_dyno_counted_bears_its_name(bridge: Bridge) -> None:
    settings = replace(bridge.settings, dyno="web.2")
    dyno = Bridge(create_app(settings), settings)
    dyno.call("GET", "/healthz")
    found = page_of(dyno)
    dyno.close()

    its = {"route": "unguarded.healthz", "status": "2xx"}
    assert key("bridge_http_seconds_count", **its, dyno="web.2") in found
    assert key("bridge_http_seconds_count", **its) not in found
    assert key("bridge_workers") in found


def expressions() -> list[str]:
    """All that Prometheus is asked."""
    board = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [one["query"]["query"] for one in board["templating"]["list"] if one["name"] == "destination"]
    rules = (MONITORING / "alerts.yml").read_text("utf-8")
    asked += re.findall(r"expr: (\|\n(?: {10}.*\n)+|.*\n)", rules)
    assert len(asked) > 50
    return asked
