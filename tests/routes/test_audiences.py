"""What a request about a custom audience says, and what is refused of it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.audiences.change import AudienceChange
from bridge.errors import InvalidPayload, NotFound
from bridge.message import NewMessage
from bridge.routes.audiences import (
    MOST_NAME,
    NO_ADDRESS,
    NO_HASH,
    NOT_HASHED,
    AudienceUpdate,
    list_in_path,
    read,
    read_many,
)

UNSENT = "dispatch_id_for_unsent_campaign"


def hashed(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


ADA, BOB = "ada@example.com", "bob@example.com"
HASH = hashed(ADA)


def told(path_list: str | None = None, key: str | None = None, **body: Any) -> AudienceUpdate:
    return read({"action": "include", **body}, path_list, key)


def refused(path_list: str | None = None, **body: Any) -> dict[str, str]:
    """What is wrong, by field."""
    with pytest.raises(InvalidPayload) as caught:
        read({"action": "include", "email": ADA} | body, path_list, None)
    return {error.field: error.message for error in caught.value.errors}


def said(update: AudienceUpdate) -> list[tuple[str, tuple[str, ...]]]:
    return [(change.kind, change.identifiers) for change in update.changes]


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"email": " Ada@Example.com\n"}, [("emails", (ADA,))]),
            ({"emails": [ADA, " BOB@example.com"]}, [("emails", (ADA, BOB))]),
            ({"emails": f"{ADA}, {BOB}"}, [("emails", (ADA, BOB))]),
            ({"emails": f'["{ADA}","{BOB}"]'}, [("emails", (ADA, BOB))]),
            ({"sha256": HASH.upper()}, [("sha256s", (HASH,))]),
            ({"sha256s": [HASH, hashed(BOB)]}, [("sha256s", (HASH, hashed(BOB)))]),
            ({"email": ADA, "sha256": ""}, [("emails", (ADA,))]),
            ({"email": None, "sha256s": [HASH], "emails": []}, [("sha256s", (HASH,))]),
        ],
    )
    def test_each_way_of_naming_people_is_read(self, body: dict[str, Any], expected: Any) -> None:
        assert said(told(**body)) == expected

    def test_a_mixed_list_is_split(self) -> None:
        assert said(told(emails=[ADA, hashed(BOB)])) == [("emails", (ADA,)), ("sha256s", (hashed(BOB),))]

    @pytest.mark.parametrize("field", ["email", "sha256"])
    @pytest.mark.parametrize("given", [ADA, " ADA @example.com", HASH, HASH.upper()])
    def test_where_it_is_asked_for_addresses_are_hashed_and_hashes_are_not(
        self, field: str, given: str
    ) -> None:
        assert said(told(**{field: given, "hash": True})) == [("sha256s", (HASH,))]

    @pytest.mark.parametrize(
        ("given", "is_hashed"),
        [
            (True, True),
            ("true", True),
            ("Yes", True),
            (False, False),
            ("false", False),
            ("", False),
            (None, False),
        ],
    )
    def test_whether_to_hash_may_come_as_text(self, given: object, is_hashed: bool) -> None:
        [(kind, _)] = said(told(email=ADA, hash=given))

        assert kind == ("sha256s" if is_hashed else "emails")

    def test_an_address_never_goes_where_a_hash_is_expected(self) -> None:
        assert refused(email="", sha256=ADA) == {"sha256": NOT_HASHED}
        assert refused(email="", sha256s=[HASH, ADA]) == {"sha256s[1]": NOT_HASHED}

    @pytest.mark.parametrize(
        ("body", "field", "words"),
        [
            ({"email": "ada"}, "email", NO_ADDRESS),
            ({"email": "{{${email_address}}}"}, "email", NO_ADDRESS),
            ({"email": "", "emails": [ADA, "ada", 7]}, "emails[1]", NO_ADDRESS),
            ({"email": "", "emails": [ADA, "ada", 7]}, "emails[2]", "must be text"),
            ({"email": "", "emails": [ADA, " "]}, "emails[1]", "is blank"),
            ({"email": "", "sha256": "abc"}, "sha256", NO_HASH),
            ({"email": "ada", "hash": True}, "email", NO_ADDRESS),
            ({"email": ""}, "email", "is blank: this user has no"),
            ({"email": "", "emails": []}, "email", "is blank"),
            ({"email": [ADA]}, "email", "goes into emails"),
            ({"email": 7}, "email", "must be text"),
            ({"email": "", "emails": {"a": 1}}, "emails", "must be a list"),
            ({"sha256": HASH}, "sha256", "stands beside email: exactly one of"),
            ({"hash": "perhaps"}, "hash", "must be true or false"),
        ],
    )
    def test_what_is_wrong_is_named(self, body: dict[str, Any], field: str, words: str) -> None:
        assert words in refused(**body)[field]

    def test_nobody_is_named_at_all(self) -> None:
        with pytest.raises(InvalidPayload) as caught:
            read({"action": "include"}, None, None)

        assert [error.field for error in caught.value.errors] == ["email"]

    def test_what_is_refused_is_not_repeated(self) -> None:
        assert "secret" not in str(refused(email="secret@nowhere", sha256=""))

    def test_of_many_that_are_wrong_the_first_are_named(self) -> None:
        found = refused(email="", emails=["x"] * 100)

        assert len(found) == 13
        assert found["emails"] == "88 more of its 100 are not right"


class TestLists:
    def test_without_a_name_it_is_rokts_own(self) -> None:
        assert told(email=ADA).changes[0].list_name == "AdvertiserDatabase"
        assert told(email=ADA, list=" ").changes[0].list_name == "AdvertiserDatabase"

    def test_path_or_body_name_it(self) -> None:
        assert told(email=ADA, list="a/b c").changes[0].list_name == "a/b c"
        assert told("VIP", email=ADA).changes[0].list_name == "VIP"
        assert told("VIP", email=ADA, list="VIP").changes[0].list_name == "VIP"

    def test_two_names_are_refused(self) -> None:
        assert "another list than that of the path" in refused("VIP", list="other")["list"]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("x" * (MOST_NAME + 1), "longer than 255 characters"),
            ("a\nb", "control character"),
            ("a\ud800", "control character"),
            ("{{list}}", "Liquid"),
            (7, "must be text"),
        ],
    )
    def test_a_name_that_cannot_be_one_is_refused(self, name: object, words: str) -> None:
        assert words in refused(list=name)["list"]

    def test_a_name_may_have_255_characters_of_any_language(self) -> None:
        assert told(email=ADA, list="ü" * MOST_NAME).changes[0].list_name == "ü" * MOST_NAME

    @pytest.mark.parametrize(
        ("rest", "name"),
        [
            ("", None),
            ("/", None),
            ("/VIP", "VIP"),
            ("/VIP/", "VIP"),
            ("/Gold%20members", "Gold members"),
            ("/a%2Fb", "a/b"),
            ("/a/b", "a/b"),
            ("/a%2Fb/", "a/b"),
            ("/a%2F", "a/"),
            ("/100%25", "100%"),
            ("/a%252Fb", "a%2Fb"),
            ("/a+b", "a+b"),
            ("/Caf%C3%A9", "Café"),
        ],
    )
    def test_a_path_is_decoded_once(self, rest: str, name: str | None) -> None:
        assert list_in_path(rest) == name

    @pytest.mark.parametrize("rest", ["//", "//VIP", "/a//b", "/VIP//"])
    def test_a_blank_part_of_a_path_is_no_list(self, rest: str) -> None:
        with pytest.raises(NotFound):
            list_in_path(rest)

    @pytest.mark.parametrize("rest", ["/%20", "/%FF", "/a%0Ab", "/%00", "/" + "x" * 256, "/%7B%7Blist%7D%7D"])
    def test_a_path_that_names_no_list_is_refused(self, rest: str) -> None:
        with pytest.raises(InvalidPayload):
            list_in_path(rest)


class TestTheRest:
    @pytest.mark.parametrize(
        ("action", "words"),
        [("", "is needed"), (None, "is needed"), ("inclued", "did you mean include"), (7, "must be text")],
    )
    def test_an_action_is_needed(self, action: object, words: str) -> None:
        assert words in refused(action=action)["action"]

    def test_an_action_may_be_in_capitals(self) -> None:
        assert told(action="EXCLUDE", email=ADA).changes[0].action == "exclude"

    def test_what_is_not_known_is_refused_with_what_may_be_meant(self) -> None:
        assert "did you mean email" in refused(e_mail=ADA)["e_mail"]

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        assert set(refused(action="x", email="ada", list="a\nb", other=1)) == {
            "action",
            "email",
            "list",
            "other",
        }

    @pytest.mark.parametrize(
        ("body", "key"), [({"dispatch_id": UNSENT}, None), ({"idempotency_key": UNSENT}, None), ({}, UNSENT)]
    )
    def test_a_test_of_braze_is_known(self, body: dict[str, Any], key: str | None) -> None:
        assert told(key=key, email=ADA, **body).is_test
        assert not told(email=ADA, dispatch_id="d-1").is_test

    def test_a_message_stands_in_the_line_of_its_list_and_names_no_user(self) -> None:
        [message] = told("VIP", email=ADA).messages()

        assert message == NewMessage(
            "rokt_audiences",
            "include",
            {"list": "VIP", "action": "include", "emails": [ADA]},
            line="VIP",
            event_id="VIP",
        )

    def test_many_people_are_several_messages_of_one_line(self) -> None:
        messages = told("VIP", emails=[HASH, *(f"u{n}@example.com" for n in range(250))]).messages()

        assert [len(m.request.get("emails", m.request.get("sha256s"))) for m in messages] == [100, 100, 50, 1]
        assert {m.line for m in messages} == {"VIP"}
        assert [AudienceChange.of(m.request).kind for m in messages][-1] == "sha256s"

    def test_what_is_kept_of_a_request_names_nobody(self) -> None:
        update = told(emails=[ADA, BOB], hash=True)

        assert update.told == {"action": "include", "list": "AdvertiserDatabase", "emails": 2, "hash": True}


class TestMany:
    def test_a_list_may_be_named_for_all(self) -> None:
        assert read_many({"updates": [1], "list": "VIP"}, None, "k") == ([1], "VIP", "k")
        assert read_many({"updates": []}, "VIP", None) == ([], "VIP", None)
        assert read_many({"updates": [], "idempotency_key": "mine"}, None, "k") == ([], None, "mine")

    def test_a_test_of_braze_is_one_for_all(self) -> None:
        _, _, key = read_many({"updates": [], "dispatch_id": UNSENT}, None, "k")

        assert key == UNSENT

    @pytest.mark.parametrize(
        "body",
        [
            {"updates": {}},
            {"updates": None},
            {"updates": [], "action": "include"},
            {"updates": [], "list": 7},
        ],
    )
    def test_what_is_wrong_is_refused(self, body: dict[str, Any]) -> None:
        with pytest.raises(InvalidPayload):
            read_many(body, None, None)


class TestDocs:
    PAGE = (Path(__file__).parents[2] / "docs" / "audiences.md").read_text("utf-8")

    def test_the_webhook_to_paste_is_read_as_braze_renders_it(self) -> None:
        [liquid] = re.findall(r"```liquid\n(.*?)```", self.PAGE, re.S)
        rendered = re.sub(r"{%.*?%}", "", liquid).replace("{{email | json_escape}}", ADA)
        rendered = rendered.replace("{{campaign.${dispatch_id}}}", "d-1")

        update = read(json.loads(rendered), "Gold members", None)

        assert (said(update), update.idempotency_key) == ([("sha256s", (HASH,))], "d-1")

    def test_its_other_bodies_are_read_too(self) -> None:
        [of_many] = re.findall(r"```json\n(.*?)```", self.PAGE, re.S)
        [of_one] = re.findall(r"-d '(.*?)'\n", self.PAGE)
        items, list_name, _ = read_many(json.loads(of_many), None, None)

        assert [read(item, list_name, None).changes[0].list_name for item in items] == ["Gold members"] * 2
        assert said(read(json.loads(of_one), None, None)) == [("sha256s", (HASH, hashed(BOB)))]
