"""What is read of an event for Rokt's older API: the bridge's own form, Rokt's, and all that either refuses."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.errors import InvalidPayload
from bridge.routes.api_events import EventCall, read, read_dropin, read_list, read_rokts

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
HASH = hashlib.sha256(b"ada@example.com").hexdigest()


def event(**changes: Any) -> dict[str, Any]:
    """A whole event; ... takes a field away."""
    whole = {"event_id": "e-1", "email": "ada@example.com"} | changes
    return {k: v for k, v in whole.items() if v is not ...}


def rokts(**changes: Any) -> dict[str, Any]:
    """An event of Rokt's own body; ... takes a field away."""
    whole = {
        "clientEventId": "e-1",
        "eventType": "conversion",
        "eventTime": "2027-03-01T11:00:00Z",
        "objectData": [{"name": "email", "value": "ada@example.com"}],
    } | changes
    return {k: v for k, v in whole.items() if v is not ...}


def taken(body: dict[str, Any], header_key: str | None = None, **more: Any) -> EventCall:
    return read(body, NOW, header_key, **{"version": "V2", **more})


def refused(body: dict[str, Any], **more: Any) -> dict[str, str]:
    """The errors, by field."""
    with pytest.raises(InvalidPayload) as refusal:
        taken(body, **more)
    return {error.field: error.message for error in refusal.value.errors}


def rokts_refused(body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidPayload) as refusal:
        read_rokts(body, NOW, None, version="V2")
    return {error.field: error.message for error in refusal.value.errors}


def data(call: EventCall) -> dict[str, str]:
    return dict(call.event.object_data)


class TestAnEvent:
    def test_what_is_not_given_is_made(self) -> None:
        call = taken({"email": "ada@example.com"})

        assert call.event.body() == {
            "clientEventId": str(uuid.UUID(call.event.client_event_id)),
            "eventType": "conversion",
            "eventTime": "2027-03-01T12:00:00.000Z",
            "objectData": [{"name": "email", "value": "ada@example.com"}],
        }
        assert call.version == "V2"

    def test_blanks_are_as_good_as_nothing(self) -> None:
        blank = dict.fromkeys(("event_id", "event_time", "event_type", "version", "amount", "click_id"), " ")
        call = taken(event(**blank, object_data="", meta_data=None))

        assert (call.event.event_type, call.event.event_time, call.version) == ("conversion", NOW, "V2")
        assert len(call.event.client_event_id) == 36
        assert data(call) == {"email": "ada@example.com"}

    def test_the_fields_of_a_conversion_are_its_object_data(self) -> None:
        call = taken(
            event(
                click_id="c-1",
                user_id="u-1",
                first_name="Ada",
                mobile="3053211654",
                amount="129.95",
                conversion_type="purchase",
                product_name="Shoe",
                payment_type="card",
                transaction_id="T-1",
                confirmation_ref="C-1",
                attributes={"Shop": "Paris"},
            )
        )

        assert data(call) == {
            "email": "ada@example.com",
            "passbackconversiontrackingid": "c-1",
            "customerid": "u-1",
            "firstname": "Ada",
            "mobile": "3053211654",
            "amount": "129.95",
            "conversiontype": "purchase",
            "productname": "Shoe",
            "paymenttype": "card",
            "transactionid": "T-1",
            "confirmationref": "C-1",
            "Shop": "Paris",
        }
        assert call.user_id == "u-1"

    @pytest.mark.parametrize(
        "given",
        [
            {
                "emailsha256": HASH,
                "amount": 0,
                "vip": False,
                "note": "two\nlines",
                "none": None,
                "blank": " ",
            },
            [
                {"name": "EmailSHA256", "value": HASH.upper()},
                {"name": "amount", "value": 0},
                {"name": "vip", "value": False},
                {"name": "note", "value": "two\nlines"},
                {"name": "none"},
            ],
        ],
        ids=["an object", "a list"],
    )
    def test_object_data_is_an_object_or_a_list_and_every_value_a_text(self, given: Any) -> None:
        call = taken(event(email=..., object_data=given))

        assert data(call) == {"emailsha256": HASH, "amount": "0", "vip": "false", "note": "two\nlines"}

    def test_meta_data_goes_under_its_own_name(self) -> None:
        body = taken(event(meta_data={"campaign": "spring", "empty": ""})).event.body()

        assert body["metaData"] == [{"name": "campaign", "value": "spring"}]

    @pytest.mark.parametrize(
        "body",
        [
            event(email="Ada@Example.com", hash=True),
            event(email=HASH),
            event(email=..., email_sha256=HASH),
            event(email=..., object_data={"email": "ada@example.com"}, hash="true"),
            event(email=..., object_data={"email": HASH}),
        ],
    )
    def test_an_address_that_is_to_be_hashed_leaves_as_its_hash(self, body: dict[str, Any]) -> None:
        assert data(taken(body)) == {"emailsha256": HASH}

    @pytest.mark.parametrize(("given", "version"), [("V1", "V1"), ("v2", "V2"), (" v1 ", "V1"), (None, "V1")])
    def test_the_version_is_read_in_any_case_of_letters(self, given: str | None, version: str) -> None:
        call = taken(event(version=given), version="V1")

        assert call.version == version
        assert call.message.destination == f"rokt_api_{version.lower()}"

    def test_a_type_of_ones_own_needs_nobody(self) -> None:
        call = taken({"event_type": "SignUp", "object_data": {"plan": "gold"}})

        assert (call.event.event_type, data(call)) == ("SignUp", {"plan": "gold"})

    def test_a_conversion_is_one_in_any_case_of_letters(self) -> None:
        assert taken(event(event_type="Conversion")).event.event_type == "conversion"

    def test_its_time_leaves_in_utc(self) -> None:
        call = taken(event(event_time="2027-03-01T13:30:00.5+02:00"))

        assert call.event.body()["eventTime"] == "2027-03-01T11:30:00.500Z"

    def test_its_message_may_leave_until_rokt_finds_it_too_old(self) -> None:
        message = taken(event(event_time="2025-09-01T12:00:00Z")).message

        assert message.expires_at == datetime(2027, 3, 1, 12, tzinfo=UTC)
        assert (message.line, message.event_id, message.action) == (None, "e-1", "event")

    @pytest.mark.parametrize(
        ("given", "has_sku"),
        [
            ({"object_data": {"quantity": "2", "sku": "s-1"}}, False),
            ({"object_data": {"quantity": 12, "sku": "s-1"}}, False),
            ({"quantity": 2, "object_data": {"sku": "s-1"}}, False),
            ({"object_data": {"quantity": "2.0"}, "sku": "s-1"}, False),
            ({"object_data": {"quantity": "1", "sku": "s-1"}}, True),
            ({"object_data": {"quantity": "some", "sku": "s-1"}}, True),
        ],
    )
    def test_several_items_have_no_sku_wherever_it_stands(self, given: dict[str, Any], has_sku: bool) -> None:
        assert ("sku" in data(taken(event(**given)))) is has_sku


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"event_id": "x" * 37}, "event_id", "37 characters; 36 are the most"),
            ({"event_id": ["e"]}, "event_id", "must be text"),
            ({"event_type": "t" * 129}, "event_type", "128 are the most"),
            ({"event_time": "yesterday"}, "event_time", "is not a time"),
            ({"event_time": "2025-08-31T12:00:00Z"}, "event_time", "more than 18 months ago"),
            ({"event_time": "2027-03-01T12:05:01Z"}, "event_time", "more than 5 minutes ahead"),
            ({"version": "V3"}, "version", '"V3" is neither V1 nor V2'),
            ({"email": "nobody"}, "email", "is no e-mail address"),
            ({"email": ..., "email_sha256": "ada@example.com"}, "email_sha256", "not its hash"),
            ({"email": ...}, "email", "is needed, or email_sha256 or click_id"),
            ({"email": ..., "object_data": {"amount": 1}}, "email", "is needed"),
            ({"amount": "a lot"}, "amount", "is no number"),
            ({"object_data": {"rokt.x": "1"}}, "object_data.rokt.x", "Rokt's own"),
            ({"object_data": {"ROKT.x": "1"}}, "object_data.ROKT.x", "Rokt's own"),
            ({"meta_data": {"rokt.x": "1"}}, "meta_data.rokt.x", "Rokt's own"),
            ({"attributes": {"Rokt.x": "1"}}, "attributes", "Rokt.x: begins with"),
            ({"object_data": {"n" * 257: "1"}}, "object_data." + "n" * 60, "more than 256"),
            ({"object_data": {"note": "v" * 65_537}}, "object_data.note", "65,536 are the most"),
            ({"object_data": {"note": ["v"]}}, "object_data.note", "must be one text"),
            ({"object_data": {"email": "ada@example.com"}}, "email", "stands in object_data too"),
            ({"meta_data": {"emailSha256": "ada@example.com"}}, "meta_data.emailsha256", "not its hash"),
            ({"attributes": {"hashed": "ada@example.com"}}, "attributes.hashed", "not its hash"),
            (
                {"object_data": {"amount": 1}, "amount": 2},
                "object_data.amount",
                "stands beside object_data too",
            ),
            ({"object_data": {"a": 1, "A": 2, "sku": 1, "SKU": 2}}, "object_data.SKU", "is there twice"),
            ({"object_data": "text"}, "object_data", "must be an object or a list"),
            ({"object_data": ["text"]}, "object_data[0]", "and nothing else"),
            ({"object_data": [{"name": "a", "values": "1"}]}, "object_data[0]", "and nothing else"),
            ({"object_data": [{"value": "1"}]}, "object_data[0]", "a name must be text"),
            ({"object_date": {}}, "object_date", "did you mean object_data"),
        ],
    )
    def test_it_is_refused_by_name(self, changes: dict[str, Any], field: str, words: str) -> None:
        errors = refused(event(**changes))

        assert list(errors) == [field]
        assert words in errors[field]

    def test_everything_that_is_wrong_is_told_at_once(self) -> None:
        errors = refused(event(event_id="x" * 40, version="9", amount="x", object_data={"rokt.a": 1}))

        assert errors.keys() == {"event_id", "version", "amount", "object_data.rokt.a"}

    def test_of_very_many_wrong_names_only_the_first_are_told(self) -> None:
        errors = refused(event(object_data={f"rokt.{n}": "x" for n in range(500)}))

        assert len(errors) == 12


class TestRepeats:
    def test_an_event_that_was_named_is_known_by_its_name(self) -> None:
        call = taken(event(confirmation_ref="C-1"))

        assert (call.known_by, call.is_named) == (("event", "conversion", "e-1"), True)

    def test_a_conversion_without_a_name_is_known_as_conversions_are(self) -> None:
        assert taken(event(event_id=..., confirmation_ref="C-1")).known_by == ("ref", "C-1")
        by_data = taken(event(event_id=..., object_data={"transactionid": "T-1", "sku": "S"}))
        by_fields = taken(event(event_id=..., transaction_id="T-1", sku="S"))
        assert by_data.known_by == by_fields.known_by
        assert by_data.known_by[0] == "transaction"

    def test_another_event_without_a_name_is_known_by_nothing(self) -> None:
        call = taken(event(event_id=..., event_type="signup", confirmation_ref="C-1"))

        assert (call.known_by, call.is_named) == ((), False)

    def test_its_transaction_is_its_reference_where_that_is_wished(self) -> None:
        call = taken(event(event_id=..., transaction_id="T-1"), fills_ref=True)

        assert data(call)["confirmationref"] == "T-1"
        assert call.known_by == ("ref", "T-1")

    def test_the_field_of_the_key_goes_before_the_header(self) -> None:
        assert taken(event(idempotency_key="field"), "header").idempotency_key == "field"
        assert taken(event(), "header").idempotency_key == "header"

    @pytest.mark.parametrize("field", ["idempotency_key", "dispatch_id"])
    def test_brazes_test_send_is_known(self, field: str) -> None:
        assert taken(event(**{field: "x-dispatch_id_for_unsent_campaign"})).is_test
        assert not taken(event(**{field: "x"})).is_test


class TestRoktsOwnBody:
    def test_an_event_leaves_as_it_came(self) -> None:
        body = rokts(
            eventTime="2027-03-01T11:00:00.000Z",
            objectData=[{"name": "email", "value": "ada@example.com"}, {"name": "amount", "value": "129.95"}],
            metaData=[{"name": "source", "value": "web"}],
        )

        assert read_rokts(body, NOW, None, version="V1").event.body() == body

    def test_what_is_wrong_is_told_in_rokts_names(self) -> None:
        assert rokts_refused({"objectData": []}).keys() == {"clientEventId", "eventType", "eventTime"}
        assert rokts_refused(rokts(eventTime="2020-01-01T00:00:00Z")).keys() == {"eventTime"}
        assert rokts_refused(rokts(clientEventId="x" * 37)).keys() == {"clientEventId"}
        assert rokts_refused(rokts(objectData=[])).keys() == {"objectData.email"}
        wrong = [{"name": "emailsha256", "value": "ada@example.com"}]
        assert rokts_refused(rokts(objectData=wrong)).keys() == {"objectData.emailsha256"}
        reserved = [{"name": "rokt.a", "value": "1"}]
        assert rokts_refused(rokts(metaData=reserved)).keys() == {"metaData[0]"}
        assert "did you mean clientEventId" in rokts_refused(rokts(clientEventID="e"))["clientEventID"]

    def test_it_is_for_our_account_alone(self) -> None:
        assert read_dropin({"accountId": "1234", "events": [{}]}, "1234") == [{}]
        assert read_dropin({"accountId": "1234", "events": [{}]}, None) == [{}]
        for wrong in ("99", "", 1234):
            with pytest.raises(InvalidPayload, match="accountId"):
                read_dropin({"accountId": wrong, "events": [{}]}, "1234")

    @pytest.mark.parametrize("body", [{"accountId": "1"}, {"accountId": "1", "events": {}}])
    def test_its_events_are_a_list(self, body: dict[str, Any]) -> None:
        with pytest.raises(InvalidPayload, match="events: must be a list"):
            read_dropin(body, "1")

    def test_nothing_else_stands_in_it(self) -> None:
        with pytest.raises(InvalidPayload, match="version"):
            read_dropin({"accountId": "1", "events": [], "version": "V1"}, "1")


class TestTheList:
    def test_it_goes_to_the_first_version_unless_it_says_otherwise(self) -> None:
        assert read_list({"events": [1]}, "header") == ([1], "V1", "header")
        both = {"events": [1], "version": "v2", "idempotency_key": "field"}
        assert read_list(both, "header") == ([1], "V2", "field")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [({"events": {}}, "events"), ({"version": "3"}, "version"), ({"email": "x"}, "email")],
    )
    def test_what_is_wrong_is_told_by_name(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            read_list({"events": []} | changes, None)

        assert [error.field for error in refusal.value.errors] == [field]


def test_a_time_without_an_offset_is_utc() -> None:
    assert taken(event(event_time="2027-03-01T11:00:00")).event.event_time == NOW - timedelta(hours=1)
