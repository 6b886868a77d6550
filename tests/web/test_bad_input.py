"""What is wrong is answered in words that name it; nothing of it leaves, and nothing ever becomes a 5xx."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web.running import (
    ACCOUNT,
    EVENT,
    ID,
    SALE,
    Answer,
    Bridge,
    Starter,
    check_problem,
    literal,
    sale,
    secret,
)

EVENTS = "/v1/calendar/events"
CREATE = "/v1/subscriptionevent/brazetest"
UPDATE = "/v1/subscriptionevent/brazetest/update"
DELETE = "/v1/subscriptionevent/brazetest/e1_u1"
ROKTS = {
    "eventId": "e1_u1",
    "title": "T",
    "start": "2090-12-01T09:00:00",
    "timezone": "Eastern Standard Time",
}
POSTS = {EVENTS: literal(), CREATE: {"event": ROKTS, "subscriptionIds": [ID]}, UPDATE: {"event": ROKTS}}
HOSTILE = {
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b",
    "escape": "a\x1b[31mb",
    "one of C1": "a\x85b",
    "delete": "a\x7fb",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, stocked_sqlite: Any) -> Any:
    """One bridge for requests that leave nothing behind."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "bridge.db").write_bytes(stocked_sqlite.read_bytes())
    starter = Starter(f"sqlite:///{folder / 'bridge.db'}", folder)
    with starter.stack:
        yield starter()


@pytest.fixture
def bad(shared: Bridge) -> Any:
    """Send what has to be refused: a problem as it should be, nothing kept, nothing logged as a fault."""
    before = shared.count()

    def send(
        body: Any, path: str = EVENTS, *, status: int = 422, method: str = "POST", **more: Any
    ) -> Answer:
        answer = shared.call(method, path, body, **more)
        assert answer.status == status, answer.body
        check_problem(answer)
        assert "id" not in answer.body
        return answer

    yield send
    assert shared.count() == before


Bad = Callable[..., Answer]


class TestKeys:
    @pytest.mark.parametrize(("method", "path"), [("POST", EVENTS), ("POST", CREATE), ("DELETE", DELETE)])
    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer all-secre",
            "Bearer all-secret2",
            "bearer\tx",
            "Basic",
            "Basic !!!",
            "Basic YWxs",
            "Basic YWxsOndyb25n",
            "Digest all-secret",
            "all-secret",
            "Bearer é",
            "Bearer " + "x" * 100_000,
        ],
        ids=range(16),
    )
    def test_no_key_or_a_wrong_one_is_401(
        self, bad: Bad, method: str, path: str, authorization: str | None
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}

        answer = bad(POSTS.get(path), path, method=method, status=401, key=None, headers=headers)

        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.says("BRIDGE_TOKENS")

    @pytest.mark.parametrize("key", ["read", "operate", "templates"])
    @pytest.mark.parametrize("path", POSTS)
    def test_a_key_without_the_scope_is_403_and_told_which(self, bad: Bad, path: str, key: str) -> None:
        assert bad(POSTS[path], path, status=403, key=key).says(key, "scope send")

    def test_a_wrong_key_learns_nothing_of_the_request(self, bad: Bad) -> None:
        assert bad(b"{", status=401, key=None).body["errors"] == []


class TestNotJson:
    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize(
        ("raw", "place"),
        [
            (b'{"a": "b" "c"}', "Line 1, column 11"),
            (b'{\n  "title": "say "hi""\n}', "Line 2, column 18"),
            (b'{"a": "line\nbreak"}', "Line 1, column 12"),
            (b'{"a": 1,}', "Line 1, column "),
            (b"{'a': 1}", "Line 1, column 2"),
            (b'{"a": }', "Line 1, column 7"),
            (b'{"a": 1', "Line 1, column 8"),
            (b'{"a": 1}}', "Line 1, column 9"),
            (b"user_id=u1&template=x", "Line 1, column 1"),
            (b"<xml/>", "Line 1, column 1"),
            (b'{"a": "\\x"}', "Line 1, column 8"),
            (b'{"a": "\\u12"}', "Line 1, column"),
            (b'{"a": tru}', "Line 1, column 7"),
            (b'{"a": 01}', "Line 1, column"),
            (b'{"a": "\x00"}', "Line 1, column 8"),
        ],
        ids=range(15),
    )
    def test_its_line_and_column_are_told_and_json_escape(
        self, bad: Bad, path: str, raw: bytes, place: str
    ) -> None:
        answer = bad(raw, path, status=400)

        assert place in answer.body["detail"]
        assert "json_escape" in answer.body["detail"]

    @pytest.mark.parametrize("raw", [b"", b" \n"])
    def test_an_empty_body_is_told_as_that(self, bad: Bad, raw: bytes) -> None:
        assert "empty" in bad(raw, status=400).body["detail"]

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"title": "\xff"}',
            b'{"title": "\xc3"}',
            b'{"title": "caf\xe9"}',
            b'{"title": "\xed\xa0\x80"}',
            b'{"title": "\xc0\x80"}',
            '{"title": "x"}'.encode("utf-16"),
            b"\x80",
        ],
        ids=range(7),
    )
    def test_what_is_not_utf_8_is_400(self, bad: Bad, raw: bytes) -> None:
        assert "UTF-8" in bad(raw, status=400).body["detail"]

    @pytest.mark.parametrize(
        "number",
        [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1" * 5_000, b"-" + b"9" * 5_000],
    )
    def test_a_number_that_json_does_not_know_or_with_thousands_of_digits_is_400(
        self, bad: Bad, number: bytes
    ) -> None:
        assert "number" in bad(b'{"user_id": ' + number + b"}", status=400).body["detail"]

    @pytest.mark.parametrize(
        "raw",
        [
            b"[" * 10_000 + b"]" * 10_000,
            b"[" * 10_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b'{"variables":' + b"[" * 40 + b"]" * 40 + b"}",
            b'{"variables":' + b"[" * 900 + b"]" * 900 + b"}",
        ],
        ids=range(5),
    )
    def test_deep_nesting_is_400(self, bad: Bad, raw: bytes) -> None:
        assert "nested too deeply" in bad(raw, status=400).body["detail"]

    @pytest.mark.parametrize(
        ("raw", "told"),
        [
            (b"[]", "a list"),
            (b'"text"', "text"),
            (b"5", "a number"),
            (b"null", "null"),
            (b"true", "true or false"),
        ],
    )
    def test_what_is_no_object_is_422_and_told_what_it_is(self, bad: Bad, raw: bytes, told: str) -> None:
        assert bad(raw).body["detail"].endswith(f"not {told}.")

    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=utf-8",
            "multipart/form-data; boundary=x",
            "multipart/form-data",
            "Multipart/Mixed",
        ],
    )
    def test_a_form_is_415(self, bad: Bad, path: str, content_type: str) -> None:
        answer = bad(
            json.dumps(POSTS[path]).encode(), path, status=415, headers={"Content-Type": content_type}
        )

        assert answer.says("application/json")

    @pytest.mark.parametrize("path", POSTS)
    def test_more_than_a_mebibyte_is_413(self, bad: Bad, path: str) -> None:
        large = POSTS[path] | {"padding": "x" * int(1.1 * 1024 * 1024)}

        assert bad(large, path, status=413).says("1 MiB")

    @pytest.mark.parametrize(("size", "status"), [(1_000, 202), (1024 * 1024 - 1, 202), (1_200_000, 413)])
    def test_a_body_in_chunks_is_read_to_its_end_or_is_413(
        self, bridge: Bridge, size: int, status: int
    ) -> None:
        raw = json.dumps(literal()).encode()
        chunked = {"wsgi.input": io.BytesIO(raw + b" " * (size - len(raw))), "wsgi.input_terminated": True}

        answer = bridge.app.test_client().post(
            EVENTS, headers={"Authorization": f"Bearer {secret('all')}"}, environ_overrides=chunked
        )

        assert answer.status_code == status

    def test_a_byte_order_mark_does_no_harm(self, bridge: Bridge) -> None:
        bridge.accept(b"\xef\xbb\xbf" + json.dumps(literal()).encode())


class TestTypes:
    """A value of every wrong type in every field."""

    VALUES: tuple[object, ...] = (5, 5.5, True, [1], [[]], {"a": "b"}, [{"a": "b"}])
    FIELDS: ClassVar = {
        "template": VALUES,
        "action": VALUES,
        "user_id": [v for v in VALUES if v != 5],
        "account_code": VALUES,
        "subscription_ids": VALUES,
        "calendar_code": VALUES,
        "variables": ["text", 5, True, False, 0, [], [1]],
        "event": ["text", 5, True, False, 0, [], [1]],
        "as_of": [True, [1], {"a": "b"}, "soon"],
        "expires": VALUES,
        "idempotency_key": [v for v in VALUES if v != 5],
        "dispatch_id": VALUES,
    }
    EVENT_FIELDS: ClassVar = {
        "event_id": [v for v in VALUES if v != 5],
        "title": VALUES,
        "description": VALUES,
        "location": VALUES,
        "start": VALUES,
        "end": VALUES,
        "timezone": VALUES,
        "notify_before": [5.5, True, [1], {"a": "b"}, -1, 40_321, "soon", "1.5", 10**400],
        "all_day": [5, 5.5, [1], {"a": "b"}, "perhaps"],
        "visible_from": VALUES,
    }

    @pytest.mark.parametrize(
        ("field", "value"), [(field, value) for field, values in FIELDS.items() for value in values]
    )
    @pytest.mark.parametrize("whole", [literal(), sale()], ids=["literal", "template"])
    def test_a_field_of_a_wrong_type_is_named_with_what_would_be_right(
        self, bad: Bad, whole: dict[str, Any], field: str, value: object
    ) -> None:
        answer = bad(whole | {field: value})

        assert field in answer.fields
        assert all(error["message"] for error in answer.body["errors"])

    @pytest.mark.parametrize(
        ("field", "value"), [(field, value) for field, values in EVENT_FIELDS.items() for value in values]
    )
    def test_a_field_of_an_event_of_a_wrong_type_is_named_with_what_would_be_right(
        self, bad: Bad, field: str, value: object
    ) -> None:
        inside = bad(literal(event=EVENT | {field: value}))
        flat = bad(literal(event=..., **EVENT | {field: value}))

        assert inside.fields == [f"event.{field}"]
        assert flat.fields == [field]

    @pytest.mark.parametrize("value", [5, True, [1], "text", None])
    def test_the_event_of_a_drop_in_has_to_be_an_object(self, bad: Bad, value: object) -> None:
        assert "event" in bad({"event": value, "subscriptionIds": [ID]}, CREATE).fields

    def test_a_drop_in_without_its_event_is_asked_for_it_alone(self, bad: Bad) -> None:
        answer = bad({"subscriptionIds": [ID]}, CREATE)

        assert answer.fields == ["event"]
        assert answer.says("is needed")

    @pytest.mark.parametrize("value", [5, True, {"a": "b"}, [5], [None, {}], [[ID]]])
    def test_the_ids_of_a_drop_in_have_to_be_texts(self, bad: Bad, value: object) -> None:
        assert bad({"event": ROKTS, "subscriptionIds": value}, CREATE).fields == ["subscriptionIds"]

    def test_the_wrong_item_of_a_list_is_told(self, bad: Bad) -> None:
        assert bad(literal(subscription_ids=[ID, 5])).says("item 2 must be text in quotes, not a number")


class TestValues:
    @pytest.mark.parametrize(
        ("change", "field", "words"),
        [
            ({"event__timezone": "EST"}, "event.timezone", "Eastern Standard Time"),
            ({"event__timezone": "Eastern"}, "event.timezone", "Eastern Standard Time"),
            ({"event__timezone": "Europe/Berln"}, "event.timezone", "Europe/Berlin"),
            ({"event__timezone": "+01:00"}, "event.timezone", "offset"),
            ({"event__timezone": "x" * 100_000}, "event.timezone", "not a time zone"),
            ({"event__start": "2090-02-29T09:00"}, "event.start", "2090-02-29"),
            ({"event__start": "2090-13-01T09:00"}, "event.start", "2090-13-01"),
            ({"event__start": "2090-12-01T25:00"}, "event.start", "25:00"),
            ({"event__start": "1.12.2090"}, "event.start", "2026-12-01T09:00"),
            ({"event__start": "1763632800"}, "event.start", "number"),
            ({"event__start": "tomorrow"}, "event.start", "2026-12-01T09:00"),
            ({"event__start": "9999-12-31T23:59"}, "event.start", "out of reach"),
            ({"event__start": "2090-03-12T02:30"}, "event.start", "does not exist in Eastern Standard Time"),
            ({"event__end": "2090-12-01T08:59"}, "event.end", "before the start"),
            ({"event__end": "2090-12-01T09:00:00+01:00"}, "event.end", "before the start"),
            ({"event__title": " "}, "event.title", "blank"),
            ({"event__title": "x" * 100_001}, "event.title", "100,000"),
            ({"event__event_id": ""}, "event.event_id", "needed"),
            ({"event__event_id": "x" * 256}, "event.event_id", "255"),
            ({"user_id": "x" * 988}, "user_id", "987"),
            ({"user_id": "é" * 494}, "user_id", "987"),
            ({"user_id": 10**1000}, "user_id", "987"),
            ({"user_id": "{{${user_id}}}"}, "user_id", "Liquid"),
            ({"event__event_id": "sale_{% if x %}"}, "event.event_id", "Liquid"),
            ({"event__start": 3816000000}, "event.start", "2026-12-01T09:00"),
            ({"as_of": "yesterday"}, "as_of", "2026-12-01T09:00"),
            ({"as_of": 10**400}, "as_of", "large"),
            ({"as_of": -(10**4000)}, "as_of", "large"),
            ({"as_of": 1e300}, "as_of", "large"),
            ({"expires": "never"}, "expires", "2026-12-01T09:00"),
            ({"action": "cancel"}, "action", "delete"),
            ({"subscription_ids": []}, "subscription_ids", "none"),
            ({"subscription_ids": ["a b"]}, "subscription_ids", '"a b"'),
            ({"subscription_ids": ["../x"]}, "subscription_ids", "subscription id"),
            ({"subscription_ids": [f"s-{n}" for n in range(1_001)]}, "subscription_ids", "1,000"),
            ({"subscription_ids": ["x" * 129]}, "subscription_ids", "…"),
            ({"account_code": [f"a{n}" for n in range(1_000)] + ["x" * 65]}, "account_code", "1,000"),
        ],
        ids=range(37),
    )
    def test_a_wrong_value_is_named_with_what_would_be_right(
        self, bad: Bad, change: dict[str, Any], field: str, words: str
    ) -> None:
        answer = bad(literal(**change))

        assert answer.fields == [field]
        assert answer.says(words)

    def test_a_number_beyond_the_reach_of_floats_is_too_large(self, bad: Bad) -> None:
        raw = json.dumps(literal(as_of="AT")).replace('"AT"', "1e999").encode()

        assert "too large: 1e999" in bad(raw, status=400).body["detail"]

    @pytest.mark.parametrize(
        "code",
        [
            "a/b/c",
            "..",
            ".",
            "../../oauth2",
            "..%2f..",
            "a b",
            "a\nb",
            "a\r\nHost: x",
            "-a",
            "_a",
            "é",
            "a.b",
            "a?b",
            "a#b",
            "a%2Fb",
            "update",
            "x" * 65,
            "brazetest/f5733866ade2brazetest/ff10919f1078",
        ],
    )
    def test_what_is_no_account_code_is_shown_and_refused_everywhere(self, bad: Bad, code: str) -> None:
        in_body = bad(literal(account_code=code))
        in_path = bad(POSTS[CREATE], f"/v1/subscriptionevent/{quote(code, safe='')}")
        in_update = bad(POSTS[UPDATE], f"/v1/subscriptionevent/{quote(code, safe='')}/update")
        in_delete = bad(None, f"/v1/subscriptionevent/{quote(code, safe='')}/e1_u1", method="DELETE")

        assert in_body.fields == ["account_code"]
        assert in_path.fields == in_update.fields == in_delete.fields == ["accountCode"]

    def test_several_accounts_in_a_path_are_refused(self, bad: Bad) -> None:
        assert bad(POSTS[CREATE], "/v1/subscriptionevent/one,two").fields == ["accountCode"]


class TestHostileText:
    """What no database and no calendar can hold, in every field that takes a text."""

    TEXT_FIELDS = (
        "template",
        "action",
        "user_id",
        "account_code",
        "subscription_ids",
        "as_of",
        "expires",
    )

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    @pytest.mark.parametrize("field", TEXT_FIELDS)
    def test_a_field_that_holds_it_is_named(self, bridge: Bridge, field: str, text: str) -> None:
        if field == "template":
            assert bridge.refuse(sale(template=text)).fields == ["template"]
        else:
            assert bridge.refuse(literal(**{field: text})).fields == [field]

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    @pytest.mark.parametrize("field", ["event_id", "title", "description", "location", "start", "timezone"])
    def test_a_field_of_an_event_that_holds_it_is_named(self, bad: Bad, field: str, text: str) -> None:
        assert bad(literal(event=EVENT | {field: text})).fields == [f"event.{field}"]

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    def test_what_is_only_compared_may_hold_it(self, start_on_both: Starter, text: str) -> None:
        bridge = start_on_both()
        for field in ("idempotency_key", "dispatch_id", "calendar_code"):
            bridge.accept(literal(**{field: text, "user_id": field}))

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    def test_what_a_template_refuses_with_it_is_kept_and_shown(
        self, start_on_both: Starter, text: str
    ) -> None:
        bridge = start_on_both()
        bridge.publish(
            odd="{% block event_id %}{{ id }}{% endblock %}{% block title %}{{ title }}{% endblock %}"
            "{% block start %}2090-12-01T09:00{% endblock %}{% block timezone %}UTC{% endblock %}"
            "{% block skip %}{{ why }}{% endblock %}{% block calendar %}{{ which }}{% endblock %}"
        )
        fine = {"id": "i", "title": "T", "why": "x", "which": "x"}
        wrong = (
            sale(template=text),
            sale(variables=SALE | {"discount": text}),
            sale(variables=SALE | {"first_name": text}),
            sale(variables=SALE | {text: "x"}),
            sale(**{text: "x"}),
            sale(variables=SALE | {"starts": text}),
            sale(variables=SALE | {"sale_id": text}),
            sale(variables=SALE | {"vip": text}),
            sale(variables=SALE | {"time_zone": text}),
            sale(template="odd", variables=fine | {"id": text}),
            sale(template="odd", variables=fine | {"why": text}),
            sale(template="odd", variables=fine | {"why": " ", "which": text}, calendar_code=text),
            sale(template="odd", variables=fine | {"why": " ", "title": text}),
        )

        for body in wrong:
            answer = bridge.post(body)
            assert answer.status in (200, 422), answer.body
            assert bridge.message(answer.id)["payload"] == body
        assert len(bridge.call("GET", "/v1/messages").body["messages"]) == len(wrong)

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    def test_the_name_of_an_unknown_field_may_hold_it(self, bad: Bad, text: str) -> None:
        bad(literal(**{text: "x"}))
        bad(literal(event=EVENT | {text: "x"}))
        bad({"event": ROKTS | {text: "x"}, "subscriptionIds": [ID]}, CREATE)
        bad({"event": ROKTS, "subscriptionIds": [ID], text: "x"}, CREATE)
        bad(ROKTS | {text: "x"}, UPDATE)

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    def test_a_drop_in_that_holds_it_is_refused(self, bad: Bad, text: str) -> None:
        for field in ("eventId", "title", "start", "timezone"):
            answer = bad({"event": ROKTS | {field: text}, "subscriptionIds": [ID]}, CREATE)
            assert answer.fields == [f"event.{field}"]
        assert bad({"event": ROKTS, "subscriptionIds": [text]}, CREATE).fields == ["subscriptionIds"]

    @pytest.mark.parametrize("encoded", ["%00", "%0A", "%7F", "%C2%85"])
    def test_a_path_that_holds_it_is_refused(self, bad: Bad, encoded: str) -> None:
        bad(POSTS[CREATE], f"/v1/subscriptionevent/a{encoded}b")
        bad(None, f"/v1/subscriptionevent/brazetest/e{encoded}_u1", method="DELETE")

    @pytest.mark.parametrize("encoded", ["%00", "%FF", "%ED%A0%80", "%0A"])
    def test_a_search_for_it_finds_nothing(self, start_on_both: Starter, encoded: str) -> None:
        bridge = start_on_both()
        bridge.accept(literal())

        for name in ("user_id", "event_id", "destination"):
            found = bridge.call("GET", f"/v1/messages?{name}=a{encoded}")
            assert (found.status, found.body["messages"]) == (200, [])
        for name in ("state", "since", "until", "limit", "cursor", "was_uncertain"):
            assert bridge.call("GET", f"/v1/messages?{name}=a{encoded}").status == 422
        assert bridge.call("GET", f"/v1/messages/a{encoded}").status == 404
        assert bridge.call("POST", f"/v1/messages/a{encoded}/replay").status == 404


class TestMuchOfIt:
    def test_very_many_unknown_names_are_answered_shortly_and_soon(self, bad: Bad) -> None:
        many = {f"name_{n}_{'x' * 20}": "x" for n in range(20_000)}

        for body, path in (
            (literal(**many), EVENTS),
            (literal(event=EVENT | many), EVENTS),
            ({"event": ROKTS | many, "subscriptionIds": [ID]}, CREATE),
            (POSTS[CREATE] | many, CREATE),
            (ROKTS | many, UPDATE),
        ):
            answer = bad(body, path)
            assert len(answer.fields) < 20
            assert answer.says("more names")

    @pytest.mark.parametrize("length", [1_000, 900_000])
    def test_a_very_long_text_is_not_echoed(self, bridge: Bridge, length: int) -> None:
        long = "x" * length

        for body in (
            literal(**{long: "x"}),
            literal(action=long),
            literal(account_code=long),
            literal(subscription_ids=long),
            literal(as_of=long),
            literal(event__start=long),
            literal(event__timezone=long),
            sale(template=long),
            sale(variables=SALE | {"discount": long}),
            sale(variables=SALE | {"starts": long}),
            sale(variables=SALE | {long: "x"}),
        ):
            bridge.refuse(body)

    def test_a_mebibyte_of_commas_is_no_user_with_subscriptions(self, bad: Bad) -> None:
        assert bad(literal(subscription_ids="," * 1_000_000)).fields == ["subscription_ids"]

    def test_huge_headers_do_no_harm(self, bridge: Bridge) -> None:
        huge = "x" * 200_000

        for name in ("Idempotency-Key", "Prefer", "X-Request-Id", "Content-Type", "Accept", "X-Other"):
            answer = bridge.post(literal(user_id=name), headers={name: huge})
            assert answer.status == 202, (name, answer.body)
            assert len(answer.headers["X-Request-Id"]) <= 64
        for wait in ("9" * 5_000, "²", "1e3"):
            assert (
                bridge.post(literal(user_id=wait[:9]), headers={"Prefer": f"wait={wait}"}, dry_run="1").status
                == 200
            )

    def test_variables_with_thousands_of_digits_are_refused_by_name(self, bridge: Bridge) -> None:
        for number in (10**400, 10**4000, -(10**4000), 1e300):
            answer = bridge.refuse(sale(variables=SALE | {"discount": number}))
            assert answer.fields == ["variables.discount"]


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", EVENTS, "POST"),
            ("PUT", EVENTS, "POST"),
            ("DELETE", EVENTS, "POST"),
            ("PATCH", EVENTS, "POST"),
            ("GET", CREATE, "POST"),
            ("PUT", CREATE, "POST"),
            ("POST", "/v1/messages", "GET"),
            ("DELETE", "/v1/messages/x", "GET"),
            ("GET", "/v1/messages/x/replay", "POST"),
            ("POST", "/healthz", "GET"),
            ("GET", "/oauth2/token", "POST"),
        ],
    )
    def test_a_wrong_method_is_405_and_told_the_right_one(
        self, bad: Bad, method: str, path: str, allowed: str
    ) -> None:
        answer = bad(None, path, method=method, status=405)

        assert allowed in answer.headers["Allow"]
        assert answer.body["detail"].startswith("This path takes ")
        assert allowed in answer.body["detail"]

    def test_a_method_that_nobody_knows_is_405(self, bad: Bad) -> None:
        bad(None, EVENTS, method="BREW", status=405)

    def test_a_body_that_never_ends_where_it_says_is_answered(self, bridge: Bridge) -> None:
        with bridge.served() as url:
            host, _, port = url.removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port)), timeout=20) as line:
                head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret('all')}\r\n"
                line.sendall(f"{head}Content-Length: 100\r\n\r\n{{}}".encode())
                line.shutdown(socket.SHUT_WR)
                answer = line.makefile("rb").readline()

        assert answer.split()[1] in (b"400", b"422")


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "u1",
            ID,
            ACCOUNT,
            "brazetest",
            "2090-12-01T09:00",
            "UTC",
            "EST",
            "none",
            "yes",
            "50",
            "update",
        ]
    ),
    st.sampled_from(list(HOSTILE.values())),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=10**300, max_value=10**320),
        st.floats(allow_nan=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
OUR_EVENT = st.dictionaries(
    st.sampled_from([*EVENT, "end", "description", "location", "notify_before", "all_day", "visible_from"]),
    VALUES,
)
OUR_KEYS = [
    *literal(),
    *sale(),
    *EVENT,
    "action",
    "as_of",
    "expires",
    "calendar_code",
    "idempotency_key",
    "dispatch_id",
]
OUR_VALUES = {
    "template": st.sampled_from(["flash_sale", "fixture", "bill_due", "_brand", "x"]),
    "action": st.sampled_from(["create", "update", "upsert", "delete"]),
    "event": OUR_EVENT,
    "variables": st.dictionaries(st.sampled_from([*SALE, "first_name", "vip", "time_zone"]), VALUES),
}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A good body with some of its keys changed, taken away or added: most get far."""
    body = dict(draw(st.sampled_from([literal(), sale(), {}])))
    for key in draw(st.lists(st.one_of(st.sampled_from(OUR_KEYS), TEXTS), max_size=4)):
        body[key] = draw(st.one_of(VALUES, OUR_VALUES.get(key, VALUES)))
    for key in draw(st.lists(st.sampled_from(OUR_KEYS), max_size=2)):
        body.pop(key, None)
    return body


@st.composite
def rokts_bodies(draw: st.DrawFn) -> dict[str, Any]:
    event = dict(ROKTS)
    names = [*ROKTS, "end", "description", "notifyBefore", "allDayEvent", "visibleFromDateTimeUtc"]
    for key in draw(st.lists(st.one_of(st.sampled_from(names), TEXTS), max_size=3)):
        event[key] = draw(VALUES)
    body: dict[str, Any] = {"event": event, "subscriptionIds": [ID]}
    for key in draw(st.lists(st.sampled_from(["event", "subscriptionIds", "title"]), max_size=1)):
        body[key] = draw(VALUES)
    return draw(st.sampled_from([body, event]))


FUZZED = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class TestAnything:
    """Whatever comes, the answer is one of those that Braze is meant to see."""

    @FUZZED
    @given(body=bodies(), is_dry=st.booleans())
    def test_no_body_makes_the_events_endpoint_fail(
        self, shared: Bridge, body: dict[str, Any], is_dry: bool
    ) -> None:
        answer = shared.post(body, EVENTS, **{"dry_run": "1"} if is_dry else {})

        assert answer.status in (200, 202, 400, 422), answer.body
        if answer.status >= 400:
            check_problem(answer)

    @FUZZED
    @given(body=rokts_bodies(), is_update=st.booleans(), is_dry=st.booleans())
    def test_no_body_makes_a_drop_in_fail(
        self, shared: Bridge, body: dict[str, Any], is_update: bool, is_dry: bool
    ) -> None:
        answer = shared.post(body, UPDATE if is_update else CREATE, **{"dry_run": "1"} if is_dry else {})

        assert answer.status in (200, 202, 400, 422), answer.body
        if answer.status >= 400:
            check_problem(answer)

    @FUZZED
    @given(account=TEXTS, event_id=TEXTS)
    def test_no_path_makes_a_drop_in_fail(self, shared: Bridge, account: str, event_id: str) -> None:
        encoded = [quote(part.encode("utf-8", "surrogatepass"), safe="") for part in (account, event_id)]

        answer = shared.call("DELETE", f"/v1/subscriptionevent/{encoded[0]}/{encoded[1]}")

        assert answer.status in (200, 202, 404, 422), answer.body

    @FUZZED
    @given(
        raw=st.one_of(
            st.binary(max_size=60), st.text(alphabet='{}[]",:\\0123eE+-. nulltruefas\n', max_size=40)
        )
    )
    def test_no_bytes_make_it_fail(self, shared: Bridge, raw: bytes | str) -> None:
        answer = shared.post(raw.encode() if isinstance(raw, str) else raw)

        assert answer.status in (400, 422), answer.body
        check_problem(answer)
