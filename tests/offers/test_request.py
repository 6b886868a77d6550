"""Requests for offers: the bridge's own form, the one in an address, and Rokt's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bridge.offers.codes import CODES, NOT_PROVIDED, PAYLOAD, RequestRefused, told
from bridge.offers.integration import SERVER_SIDE
from bridge.offers.request import OfferRequest, faults_of, read, read_address
from bridge.settings import INTEGRATION

TAG = "1234567890"
WHOLE: dict[str, Any] = {
    "pageIdentifier": "confirmation",
    "attributes": {"email": "ada@example.com", "locale": "en-AU"},
    "sessionId": "s-1",
    "user_id": "u-1",
    "transaction_id": "t-1",
}
ROKTS: dict[str, Any] = {
    "pageIdentifier": "confirmation",
    "attributes": {"email": "ada@example.com"},
    "integration": {**SERVER_SIDE, "metadata": {"IsCharging": "true"}},
}


def own(
    changes: Mapping[str, Any] | None = None,
    tag: str | None = None,
    configured: Mapping[str, Any] | None = None,
) -> OfferRequest:
    whole = {name: value for name, value in {**WHOLE, **(changes or {})}.items() if value is not ...}
    return read(whole, tag, TAG, configured or {})


def refused(*given: Any, **named: Any) -> dict[str, str]:
    """The codes of what was refused, by field."""
    with pytest.raises(RequestRefused) as caught:
        own(*given, **named)
    return {fault.field: fault.code for fault in caught.value.faults}


def codes(body: Any, tag: str | None = None) -> list[str]:
    return [fault.code for fault in faults_of(body, tag)]


class TestOwnForm:
    def test_what_leaves_is_rokts_body_without_the_names_of_the_cache(self) -> None:
        assert own().body() == {
            "sessionId": "s-1",
            "pageIdentifier": "confirmation",
            "attributes": {"email": "ada@example.com", "locale": "en-AU"},
            "integration": SERVER_SIDE,
        }

    def test_a_page_is_enough(self) -> None:
        request = read({"pageIdentifier": "p"}, None, TAG, {})

        assert request.body() == {"pageIdentifier": "p", "attributes": {}, "integration": SERVER_SIDE}
        assert request.tag_id == TAG

    def test_the_default_integration_is_complete(self) -> None:
        assert codes({**ROKTS, "integration": dict(SERVER_SIDE)}) == []

    def test_a_requests_integration_lies_over_the_environments_and_that_over_the_default(self) -> None:
        configured = {"deviceLocale": "en-AU", "platform": "iOS", "metadata": {"a": "b"}}

        integration = own({"integration": {"platform": "Web", "deviceType": "Phone"}}, configured=configured)

        assert integration.body()["integration"] == {
            **SERVER_SIDE,
            "deviceLocale": "en-AU",
            "platform": "Web",
            "deviceType": "Phone",
            "metadata": {"a": "b"},
        }

    @pytest.mark.parametrize("blank", ["", " ", None])
    def test_a_blank_field_of_the_integration_is_filled_from_below(self, blank: str | None) -> None:
        request = own({"integration": {"deviceLocale": blank}})

        assert request.integration["deviceLocale"] == SERVER_SIDE["deviceLocale"]

    def test_blank_attributes_stay_here_and_numbers_leave_as_texts(self) -> None:
        attributes = {"a": "", "b": None, "c": 12.5, "d": True, "e": 7, "f": " x "}

        assert own({"attributes": attributes}).attributes == {"c": "12.5", "d": "true", "e": "7", "f": "x"}

    @pytest.mark.parametrize("page", ["", "  ", None, ...])
    def test_without_a_page_it_is_refused_with_rokts_code(self, page: Any) -> None:
        assert refused({"pageIdentifier": page}) == {"pageIdentifier": "PageIdentifierNotProvided"}

    @pytest.mark.parametrize("tag", ["", " ", "12 34", "x" * 65, "ä", "1\n2"])
    def test_a_tag_that_is_none_is_refused_with_rokts_code(self, tag: str) -> None:
        assert refused(tag=tag) == {"rokt-tag-id": "PartnerIdNotProvided"}

    def test_a_requests_own_tag_goes_first(self) -> None:
        assert own(tag=" 77 ").tag_id == "77"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"pageIdentifier": ["p"]}, "pageIdentifier"),
            ({"user_id": {"id": "u"}}, "user_id"),
            ({"sessionId": []}, "sessionId"),
            ({"attributes": "email=a"}, "attributes"),
            ({"attributes": ["email"]}, "attributes"),
            ({"attributes": {"tags": ["a"]}}, "attributes.tags"),
            ({"integration": "Web"}, "integration"),
            ({"integration": {"platform": ["Web"]}}, "integration.platform"),
            ({"integration": {"deviceLocal": "en"}}, "integration.deviceLocal"),
            ({"integration": {"metadata": "x"}}, "integration.metadata"),
            ({"userId": "u"}, "userId"),
            ({"pageIdentifier": "{{page}}"}, "pageIdentifier"),
            ({"attributes": {"email": "{% if x %}"}}, "attributes.email"),
            ({"email": "ada@example.com"}, "email"),
        ],
    )
    def test_what_is_no_request_is_refused_by_its_field(self, changes: Any, field: str) -> None:
        assert refused(changes) == {field: PAYLOAD}

    def test_a_slip_in_a_name_is_told_with_the_name_that_is_meant(self) -> None:
        with pytest.raises(RequestRefused, match=r"userId: is not known; did you mean user_id\?"):
            own({"userId": "u"})

    def test_all_faults_are_told_together(self) -> None:
        assert refused({"pageIdentifier": "", "attributes": 7, "x": 1}, tag="") == {
            "x": PAYLOAD,
            "attributes": PAYLOAD,
            "pageIdentifier": "PageIdentifierNotProvided",
            "rokt-tag-id": "PartnerIdNotProvided",
        }


class TestKey:
    @pytest.mark.parametrize(
        "changes",
        [
            {"pageIdentifier": "other"},
            {"transaction_id": "t-2"},
            {"user_id": "u-2"},
            {"attributes": {"email": "ada@example.com", "locale": "de-DE"}},
            {"integration": {"deviceType": "Phone"}},
            {"integration": {"operatingSystem": "Android"}},
        ],
    )
    def test_another_context_is_another_answer(self, changes: dict[str, Any]) -> None:
        assert own(changes).key() != own().key()

    def test_another_tag_is_another_answer(self) -> None:
        assert own(tag="77").key() != own().key()

    @pytest.mark.parametrize(
        "changes",
        [
            {"sessionId": "s-2"},
            {"attributes": {"locale": "en-AU", "email": "ada@example.com", "x": ""}},
            {"integration": {"metadata": {"IsCharging": "true"}}},
        ],
    )
    def test_the_same_context_is_the_same_answer(self, changes: dict[str, Any]) -> None:
        assert own(changes).key() == own().key() is not None

    @pytest.mark.parametrize(
        "whom",
        [
            {"user_id": "u"},
            {"transaction_id": "t"},
            {"attributes": {"email": "a@b.c"}},
            {"attributes": {"emailsha256": "00"}},
        ],
    )
    def test_user_transaction_or_address_say_whom_an_answer_is_for(self, whom: dict[str, Any]) -> None:
        assert read({"pageIdentifier": "p", **whom}, None, TAG, {}).key() is not None

    def test_an_answer_for_nobody_in_particular_is_for_nobody_else(self) -> None:
        body = {"pageIdentifier": "p", "user_id": "", "attributes": {"email": "", "locale": "en"}}

        assert read(body, None, TAG, {}).key() is None

    def test_user_and_transaction_are_not_taken_for_each_other(self) -> None:
        one = read({"pageIdentifier": "p", "user_id": "x"}, None, TAG, {})
        other = read({"pageIdentifier": "p", "transaction_id": "x"}, None, TAG, {})

        assert one.key() != other.key()

    def test_nothing_personal_shows(self) -> None:
        request = own()

        for personal in ("ada@example.com", "u-1", "t-1", "s-1"):
            assert personal not in repr(request)
            assert personal.encode() not in (request.key() or b"")


class TestAddress:
    def test_it_asks_for_a_page_for_a_user_and_a_transaction(self) -> None:
        query = {"page": "p", "user_id": "u", "transaction_id": "t"}

        found = read_address(query, None, TAG, {})

        assert found == read({"pageIdentifier": "p", "user_id": "u", "transaction_id": "t"}, None, TAG, {})

    @pytest.mark.parametrize("name", ["page", "user_id", "transaction_id"])
    @pytest.mark.parametrize("value", ["ada@example.com", "ada%40example.com"])
    def test_an_address_in_an_address_is_refused_and_not_repeated(self, name: str, value: str) -> None:
        with pytest.raises(RequestRefused, match="POST") as caught:
            read_address({"page": "p", name: value}, None, TAG, {})

        assert [fault.field for fault in caught.value.faults] == [name]
        assert value not in str(caught.value)

    def test_what_is_not_known_belongs_into_a_post(self) -> None:
        with pytest.raises(RequestRefused, match="body of a POST") as caught:
            read_address({"page": "p", "email": "ada"}, None, TAG, {})

        assert [(fault.field, fault.code) for fault in caught.value.faults] == [("email", PAYLOAD)]

    def test_without_a_page_it_is_refused_with_rokts_code(self) -> None:
        with pytest.raises(RequestRefused) as caught:
            read_address({"user_id": "u"}, None, TAG, {})

        assert [(fault.field, fault.code) for fault in caught.value.faults] == [
            ("page", "PageIdentifierNotProvided")
        ]


class TestRoktsOwnForm:
    def test_a_whole_request_has_no_faults(self) -> None:
        assert codes(ROKTS) == codes(ROKTS, TAG) == []

    @pytest.mark.parametrize("name", INTEGRATION)
    @pytest.mark.parametrize("missing", ["", " ", None, ...])
    def test_each_field_of_the_integration_has_its_code(self, name: str, missing: Any) -> None:
        integration = {k: v for k, v in {**ROKTS["integration"], name: missing}.items() if v is not ...}

        assert codes({**ROKTS, "integration": integration}) == [NOT_PROVIDED[name]]

    def test_everything_that_lacks_is_told_together_in_rokts_order(self) -> None:
        assert codes({"attributes": {}}, "") == list(CODES[:-1])
        assert len(CODES) == 15

    @pytest.mark.parametrize("metadata", [None, {}, {"IsCharging": "true"}])
    def test_metadata_may_lack(self, metadata: Any) -> None:
        assert codes({**ROKTS, "integration": {**SERVER_SIDE, "metadata": metadata}}) == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"attributes": None},
            {"attributes": {"age": 7}},
            {"attributes": []},
            {"integration": []},
            {"integration": {**SERVER_SIDE, "version": 1.0}},
            {"integration": {**SERVER_SIDE, "metadata": {"IsCharging": True}}},
            {"pageIdentifier": 7},
            {"sessionId": {}},
        ],
    )
    def test_another_form_is_an_invalid_payload_and_nothing_else(self, changes: dict[str, Any]) -> None:
        assert codes({**ROKTS, **changes}, "") == [PAYLOAD]

    @pytest.mark.parametrize("body", [None, [], "x", 7, [ROKTS]])
    def test_what_is_no_object_is_an_invalid_payload(self, body: Any) -> None:
        assert codes(body) == [PAYLOAD]


class TestRoktsRefusals:
    def test_its_codes_are_told_without_its_words(self) -> None:
        errors = [
            {"code": "PartnerIdNotProvided", "message": "ada@example.com"},
            {"code": "New"},
            7,
            {"code": []},
        ]

        [fault] = told({"errors": errors})

        assert (fault.code, fault.field) == ("PartnerIdNotProvided", "rokt-tag-id")
        assert "ada" not in fault.message

    @pytest.mark.parametrize("body", [None, [], {}, {"errors": None}, {"errors": {"code": "x"}}])
    def test_an_answer_without_codes_has_none(self, body: Any) -> None:
        assert told(body) == []
