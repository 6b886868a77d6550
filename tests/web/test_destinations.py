"""The destinations as the API shows them, and what a pause does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import a_call, a_message, accept
from servers import SandboxUnderTest
from web.running import Bridge, Starter, check_problem, literal

from bridge.database import clock
from bridge.message import Outcome, Retry
from bridge.outbox import claim, states
from bridge.outbox.overview import Backlog
from bridge.outbox.settle import Result
from bridge.outbox.tables import waiting, workers
from bridge.web import destinations as destinations_module

NAME = "rokt_calendar"
BUSY = Retry("answered 503", 503, is_trouble=True)


@pytest.fixture
def bridge(start_on_both: Starter) -> Bridge:
    return start_on_both(ROKT_CALENDAR_RATE="50")


def shown(bridge: Bridge, name: str = NAME) -> dict[str, Any]:
    answer = bridge.call("GET", "/v1/destinations")
    assert answer.status == 200, answer.body
    [found] = [one for one in answer.body["destinations"] if one["name"] == name]
    return dict(found)


def note(bridge: Bridge, *outcomes: Outcome) -> datetime:
    """What came of calls, as a worker notes it."""
    results = [Result(a_call(line), outcome) for line, outcome in enumerate(outcomes)]
    with bridge.database.write() as connection:
        now = clock(connection)
        states.note(connection, NAME, results, now)
    return now


def pause(bridge: Bridge, name: str = NAME, **options: Any) -> Any:
    return bridge.call("POST", f"/v1/destinations/{name}/pause", **options)


def resume(bridge: Bridge, name: str = NAME, **options: Any) -> Any:
    return bridge.call("POST", f"/v1/destinations/{name}/resume", **options)


class TestTheList:
    def test_one_that_nothing_is_known_of_is_open(self, bridge: Bridge) -> None:
        assert shown(bridge) == {
            "name": NAME,
            "is_configured": True,
            "state": "open",
            "reason": None,
            "since": None,
            "waiting": 0,
            "oldest": None,
            "rate": 50,
            "held_until": None,
            "halved_until": None,
            "accounts": [],
        }

    def test_it_tells_what_waits_and_since_when(self, bridge: Bridge) -> None:
        events = [("u1", "One"), ("u1", "Two"), ("u2", "Three")]
        ids = [bridge.accept(literal(user_id=user, event__title=title)).id for user, title in events]

        found = shown(bridge)

        assert found["waiting"] == 3
        assert found["oldest"] == bridge.message(ids[0])["received_at"]

    @pytest.mark.parametrize(("waiting", "counts"), [(1_000_000, 2), (3, 4)])
    def test_what_waits_is_not_counted_anew_for_each_request_where_there_is_much(
        self, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, waiting: int, counts: int
    ) -> None:
        counted: list[None] = []
        now = [0.0]

        def backlogs(_connection: Any) -> dict[str, Backlog]:
            counted.append(None)
            now[0] += 0.5
            return {NAME: Backlog(waiting, None)}

        monkeypatch.setattr(destinations_module.overview, "backlogs", backlogs)
        monkeypatch.setattr(destinations_module.time, "monotonic", lambda: now[0])

        for at in (0.0, 0.6, 10.4, 10.6):
            now[0] = max(now[0], at)
            bridge.call("GET", "/v1/destinations")

        assert len(counted) == counts

    def test_one_that_is_off_is_listed_while_something_waits_for_it(self, start: Starter) -> None:
        bridge = start(ROKT_CALENDAR_CLIENT_ID="", ROKT_CALENDAR_CLIENT_SECRET="")
        assert bridge.call("GET", "/v1/destinations").body == {"destinations": []}

        accept(bridge.database, a_message())

        found = shown(bridge)
        assert (found["is_configured"], found["waiting"], found["rate"]) == (False, 1, None)

    def test_a_closed_one_has_its_reason_and_since_when(self, bridge: Bridge) -> None:
        at = note(bridge, *[BUSY] * 5)

        found = shown(bridge)

        assert (found["state"], found["reason"]) == ("closed", "answered 503")
        assert abs(datetime.fromisoformat(found["since"]) - at) < timedelta(milliseconds=1)

    def test_it_is_probing_while_a_call_is_under_way(self, bridge: Bridge) -> None:
        bridge.accept(literal())
        note(bridge, *[BUSY] * 5)
        with bridge.database.write() as connection:
            claim.claim(connection, "w-1", NAME, 1, clock(connection))

        assert shown(bridge)["state"] == "probing"

    def test_accounts_and_credentials_that_are_closed_are_listed(self, bridge: Bridge) -> None:
        note(
            bridge,
            Retry("answered 403", 403, refused_account="shop"),
            Retry("refused the credential", refused_account=""),
        )

        found = shown(bridge)

        assert found["state"] == "open"
        assert [(one["account_code"], one["reason"]) for one in found["accounts"]] == [
            ("(common)", "refused the credential"),
            ("shop", "answered 403"),
        ]

    def test_it_tells_what_the_upstream_asked_for(self, bridge: Bridge) -> None:
        at = note(bridge, Retry("answered 429", 429, wait=30), Retry("answered 429", 429))

        found = shown(bridge)

        until = [datetime.fromisoformat(found[name]) - at for name in ("held_until", "halved_until")]
        assert [round(wait.total_seconds()) for wait in until] == [30, 60]

    def test_it_needs_the_scope_read(self, bridge: Bridge) -> None:
        assert bridge.call("GET", "/v1/destinations", key="read").status == 200
        assert bridge.call("GET", "/v1/destinations", key="operate").status == 403


class TestAPause:
    def test_it_is_shown_with_who_did_it_until_it_is_over(self, bridge: Bridge) -> None:
        answer = pause(bridge, key="operate")

        assert (answer.status, answer.body["state"]) == (200, "paused")
        assert (shown(bridge)["state"], shown(bridge)["reason"]) == ("paused", "paused by operate")

        answer = resume(bridge, key="operate")

        assert (answer.status, answer.body) == (
            200,
            {"name": NAME, "state": "open", "reason": None, "since": None},
        )
        assert shown(bridge)["state"] == "open"

    def test_nothing_leaves_and_nothing_is_lost(self, start_on_both: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start_on_both(sandbox=rokt)
        pause(bridge)
        held = bridge.accept(literal()).id
        with bridge.working():
            accept(bridge.database, a_message(destination="elsewhere"))
            bridge.wait_until(lambda: _has_beaten(bridge))
            assert bridge.sent() == []
            assert bridge.message(held)["state"] == "accepted"

            resume(bridge)
            bridge.wait_until(lambda: bridge.message(held)["state"] == "delivered")

    def test_what_expires_meanwhile_is_too_late(self, start_on_both: Starter, rokt: SandboxUnderTest) -> None:
        bridge = start_on_both(sandbox=rokt)
        pause(bridge)
        late = bridge.accept(literal(expires="2090-01-01T00:00Z")).id
        with bridge.database.write() as connection:
            connection.execute(sa.update(waiting).values(expires_at=clock(connection)))

        bridge.deliver()

        message = bridge.message(late)
        assert (message["state"], message["reason"]) == ("dead", "too late")

    def test_it_outlives_the_process_that_was_told(self, start_on_both: Starter) -> None:
        pause(start_on_both())

        assert shown(start_on_both())["state"] == "paused"

    def test_twice_is_as_once(self, bridge: Bridge) -> None:
        since = pause(bridge).body["since"]

        assert pause(bridge, key="operate").body == {
            "name": NAME,
            "state": "paused",
            "reason": "paused by all",
            "since": since,
        }

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_an_unknown_name_is_answered_with_those_that_there_are(self, bridge: Bridge, verb: str) -> None:
        answer = bridge.call("POST", f"/v1/destinations/rokt_calender/{verb}")

        assert answer.status == 404
        check_problem(answer)
        assert "rokt_calendar" in answer.body["detail"]

    def test_one_for_which_something_waits_is_known(self, bridge: Bridge) -> None:
        accept(bridge.database, a_message(destination="elsewhere"))

        assert pause(bridge, "elsewhere").status == 200

    def test_it_needs_the_scope_operate(self, bridge: Bridge) -> None:
        for call in (pause, resume):
            assert call(bridge, key="read").status == 403
            assert call(bridge, key="send").status == 403


def _has_beaten(bridge: Bridge) -> bool:
    with bridge.database.read() as connection:
        return connection.scalar(sa.select(workers.c.id).limit(1)) is not None
