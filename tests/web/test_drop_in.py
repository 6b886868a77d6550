"""Rokt's own paths, and slashes wherever they may stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from web.running import (
    ACCOUNT,
    ID,
    Answer,
    Bridge,
    check_problem,
    eastern,
    literal,
    secret,
)


class TestThePaths:
    @pytest.fixture
    def line(self, bridge: Bridge) -> Callable[..., Answer]:
        """A request as gunicorn hands it over: the path as it came over the line, and decoded."""

        def ask(method: str, target: str, body: object = None) -> Answer:
            path, _, query = target.partition("?")
            environ = {
                "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
                "QUERY_STRING": query,
                "RAW_URI": target,
                "REQUEST_URI": target,
            }
            answer = bridge.app.test_client().open(
                method=method,
                json=body,
                headers={"Authorization": f"Bearer {secret('all')}"},
                environ_overrides=environ,
            )
            return Answer(answer.status_code, answer.get_json(), dict(answer.headers))

        return ask

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/calendar/events",
            "/v1/calendar/events/",
            "/v1/calendar/events//",
            "//v1/calendar/events",
            "///v1/calendar/events/",
            "/v1/calendar/events?a=/b",
        ],
    )
    def test_an_event_is_taken_with_and_without_slashes_around_its_path(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        assert line("POST", path, literal()).status == 202

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/brazetest/",
            "/v1/subscriptionevent//brazetest",
            "/v1/subscriptionevent///brazetest//",
            "//v1/subscriptionevent/brazetest",
            "/v1/subscriptionevent/brazetest%2Ff5733866ade2",
            "/v1/subscriptionevent/brazetest%2ff5733866ade2/",
            "/v1/subscriptionevent/brazetest/f5733866ade2",
            "/v1/subscriptionevent/%62razetest",
            "/v1/subscriptionevent/brazetest?x=1",
        ],
    )
    def test_a_drop_in_create_finds_its_account_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern(), "subscriptionIds": [ID]})

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("create", "brazetest")

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent/brazetest/update",
            "/v1/subscriptionevent/brazetest/update/",
            "/v1/subscriptionevent/brazetest//update",
            "//v1/subscriptionevent//brazetest//update//",
            "/v1/subscriptionevent/brazetest%2Ff5733866ade2/update",
        ],
    )
    def test_a_drop_in_update_finds_its_account_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern()})

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("update", "brazetest")

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/subscriptionevent",
            "/v1/subscriptionevent/",
            "/v1/subscriptionevent//",
            "/v1/subscriptionevent//update",
            "/v1/subscriptionevent/update",
            "/v1/subscriptionevent/update/",
            "/v1/subscriptionevent/%20",
            "/v1/subscriptionevent/%20/update",
            "/v1/subscriptionevent/%2Ff5733866ade2/update",
            "//v1/subscriptionevent//update",
        ],
    )
    def test_a_blank_account_in_the_path_is_refused_by_name_and_never_redirected(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, {"event": eastern(), "subscriptionIds": [ID]})

        assert answer.status == 422
        assert answer.fields == ["accountCode"]
        assert answer.says("this user has no rokt:account_code")

    @pytest.mark.parametrize(
        ("path", "account", "event_id"),
        [
            ("/v1/subscriptionevent/brazetest/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest/e1_u1/", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest//e1_u1", "brazetest", "e1_u1"),
            ("//v1/subscriptionevent/brazetest/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest%2Ff5733866ade2/e1_u1", "brazetest", "e1_u1"),
            ("/v1/subscriptionevent/brazetest/a%2Fb%20c_u%3F1", "brazetest", "a/b c_u?1"),
            ("/v1/subscriptionevent/brazetest/a%252Fb_%C3%A9", "brazetest", "a%2Fb_é"),
            ("/v1/subscriptionevent/brazetest/a/b_u1", "brazetest", "a/b_u1"),
            ("/v1/subscriptionevent/brazetest/..%2F.._u1", "brazetest", "../.._u1"),
        ],
    )
    def test_a_drop_in_delete_finds_its_event_in_the_path(
        self, bridge: Bridge, line: Callable[..., Answer], path: str, account: str, event_id: str
    ) -> None:
        answer = line("DELETE", path)

        assert answer.status == 202, answer.body
        shown = bridge.message(answer.id)
        assert (shown["action"], shown["account_code"]) == ("delete", account)
        assert shown["request"]["rokt_event_id"] == event_id

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("/v1/subscriptionevent/brazetest", "eventId"),
            ("/v1/subscriptionevent/brazetest/", "eventId"),
            ("/v1/subscriptionevent/brazetest/e1_", "eventId"),
            ("/v1/subscriptionevent/brazetest/%20", "eventId"),
            ("/v1/subscriptionevent/brazetest/e1_%00", "eventId"),
            ("/v1/subscriptionevent//e1_u1", "accountCode"),
            ("/v1/subscriptionevent/update/e1_u1", "accountCode"),
            ("/v1/subscriptionevent/a%20b/e1_u1", "accountCode"),
        ],
    )
    def test_a_drop_in_delete_without_account_or_event_is_refused_by_name(
        self, line: Callable[..., Answer], path: str, field: str
    ) -> None:
        answer = line("DELETE", path)

        assert answer.status == 422
        assert answer.fields == [field]

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/calendar/eventsx",
            "/v1/calendar/events/x",
            "/v1/subscriptioneventx/brazetest",
            "/v1//calendar/events",
            "/v1/calendar",
            "/",
            "//",
            "//evil.example.com/v1",
        ],
    )
    def test_what_is_nothing_is_404_and_never_redirected(
        self, line: Callable[..., Answer], path: str
    ) -> None:
        answer = line("POST", path, literal())

        assert answer.status == 404
        check_problem(answer)

    @pytest.mark.parametrize(
        "path", ["/v1/messages/", "//v1/messages", "/healthz/", "//readyz", "/v1/timezones/"]
    )
    def test_other_paths_are_not_redirected_either(self, line: Callable[..., Answer], path: str) -> None:
        assert line("GET", path).status == 200

    def test_ids_leave_percent_encoded(self, walked: Bridge) -> None:
        call = walked.sends(
            {"action": "delete", "user_id": "ü/1", "event_id": "a b?#", "account_code": ACCOUNT}
        )

        assert call["path"] == "/v1/subscriptionevent/brazetest/a%20b%3F%23_%C3%BC%2F1"

    def test_an_event_id_of_a_drop_in_that_ends_in_an_underscore_has_no_user(self, bridge: Bridge) -> None:
        path = "/v1/subscriptionevent/brazetest"

        answer = bridge.refuse({"event": eastern(eventId="Event_0001_"), "subscriptionIds": [ID]}, path)

        assert answer.fields == ["event.eventId"]
        assert answer.says("this user has no {{${user_id}}}")

    def test_utc_of_a_drop_in_is_utc_though_it_does_not_say_so(self, walked: Bridge) -> None:
        event = eastern(visibleFromDateTimeUtc="2090-11-24T14:00:00")

        call = walked.sends({"event": event, "subscriptionIds": [ID]}, "/v1/subscriptionevent/brazetest")

        assert call["body"]["event"]["visibleFromDateTimeUtc"] == "2090-11-24T14:00:00Z"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"notifyBefore": "soon"}, "notifyBefore"),
            ({"start": "soon"}, "start"),
            ({"title": ""}, "title"),
            ({"end": "2090-11-01T09:00:00"}, "end"),
            ({"timezone": "Eastern"}, "timezone"),
            ({"allDayEvent": "maybe"}, "allDayEvent"),
            ({"visibleFromDateTimeUtc": "soon"}, "visibleFromDateTimeUtc"),
            ({"eventId": 5}, "eventId"),
        ],
    )
    def test_a_drop_in_is_refused_in_rokts_own_names(
        self, bridge: Bridge, change: dict[str, Any], field: str
    ) -> None:
        event = eastern(**change)

        wrapped = bridge.refuse({"event": event, "subscriptionIds": [ID]}, "/v1/subscriptionevent/brazetest")
        flat = bridge.refuse(event, "/v1/subscriptionevent/brazetest/update")

        assert wrapped.fields == [f"event.{field}"]
        assert flat.fields == [field]
