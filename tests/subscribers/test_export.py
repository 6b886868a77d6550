"""What is read from an export of Braze, and which values are whose."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import pytest

from bridge.errors import InvalidValue
from bridge.subscribers import export_file
from bridge.subscribers.export import ExportedUser, Found, pair, read_user
from bridge.subscribers.export_file import records

SUFFIX, OTHER = "f5733866ade2", "ff10919f1078"
ID = f"06423672-b6ba-4536-aa36-{SUFFIX}"
OTHER_ID = f"0d3a2f8e-5a35-4a38-9d4c-{OTHER}"
PAGES_ID = "06423672-b6ba-4536-aa36-70788a7a0a36"  # of Braze's page: its last group is not its suffix


def pairs(ids: Sequence[str], **arrays: Sequence[str]) -> list[Found]:
    texts = {name: tuple(some) for name, some in arrays.items()}
    return pair(ExportedUser("u-1", {"subscription_id": tuple(ids), **texts}))


def suffixes(ids: Sequence[str], **arrays: Sequence[str]) -> dict[str, str]:
    return {found.given_id: found.suffix for found in pairs(ids, **arrays)}


class TestPairing:
    def test_a_suffix_belongs_to_the_id_of_whose_last_group_it_is(self) -> None:
        codes = [f"a/{OTHER}", f"b/{SUFFIX}"]

        assert suffixes([ID, OTHER_ID], account_code=codes) == {ID: SUFFIX, OTHER_ID: OTHER}

    def test_it_does_so_in_any_case_of_letters_and_stays_as_it_was_found(self) -> None:
        [found] = pairs([ID], account_code=["a/F5733866ADE2"])

        assert (found.suffix, found.facts["account_code"]) == ("F5733866ADE2", "a")
        assert found.held["rokt:account_code"] == ("a/F5733866ADE2",)

    def test_one_id_and_one_suffix_belong_together(self) -> None:
        assert suffixes([PAGES_ID], account_code=[f"brazetest/{SUFFIX}"]) == {PAGES_ID: SUFFIX}

    def test_else_they_stand_in_the_same_order(self) -> None:
        ids = ["1", "2", "3"]
        codes = ["b/y", "a/x", "c/z"]

        assert suffixes(ids, account_code=codes, tags=["t/x", "t/y", "t/z"]) == {"1": "y", "2": "x", "3": "z"}

    def test_what_is_left_once_last_groups_are_found_stands_in_the_same_order(self) -> None:
        codes = ["b/y", f"a/{SUFFIX}", "c/z"]

        assert suffixes(["1", ID, "3"], account_code=codes) == {"1": "y", ID: SUFFIX, "3": "z"}

    def test_an_id_without_values_goes_by_its_last_group(self) -> None:
        [first, second] = pairs([ID, OTHER_ID], account_code=[f"a/{SUFFIX}"])

        assert (first.suffix, second.suffix) == (SUFFIX, OTHER)
        assert second.facts == {"subscription_id": OTHER_ID}

    @pytest.mark.parametrize(
        ("ids", "codes", "words"),
        [
            (["1", "2"], ["a/x", "b/y", "c/z"], "2 ids and 3 suffixes are left"),
            (["1", "2"], ["a/x"], "2 ids and 1 suffix are left"),
            ([ID], [f"a/{SUFFIX}", "b/y"], "0 ids and 1 suffix are left"),
            ([], [f"a/{SUFFIX}"], "0 ids and 1 suffix are left"),
            ([ID], ["brazetest"], "rokt:account_code: a value does not end in / and a suffix"),
            ([ID], ["brazetest/"], "rokt:account_code: a value does not end in / and a suffix"),
            (["x" * 256], [], "rokt:subscription_id: it has 256 characters"),
            (["x" * 129], [], "rokt:subscription_id: one of them is none such as 06423672-"),
            ([f"{{{ID}}}"], [], "rokt:subscription_id: one of them is none such as 06423672-"),
            ([ID, "a b"], [], "rokt:subscription_id: one of them is none such as 06423672-"),
        ],
    )
    def test_what_cannot_be_told_is_refused(self, ids: list[str], codes: list[str], words: str) -> None:
        with pytest.raises(InvalidValue, match=words):
            pairs(ids, account_code=codes)

    def test_what_is_refused_names_no_user_and_no_value(self) -> None:
        with pytest.raises(InvalidValue) as refused:
            pairs(["secret-1", "secret-2"], account_code=["a/secret"])

        assert "secret" not in str(refused.value)


class TestFacts:
    def test_they_are_what_stands_before_the_last_slash(self) -> None:
        [found] = pairs(
            [ID],
            account_code=[f"brazetest/{SUFFIX}"],
            optIn1=[f"True/{SUFFIX}"],
            optIn2=[f"False/{SUFFIX}"],
            subscription_method=[f"WebCal/{SUFFIX}"],
            tags=[f"Test Calendar 1/All Teams/{SUFFIX}", f"Test Calendar 1/TeamI//{SUFFIX}"],
        )

        assert found.facts == {
            "subscription_id": ID,
            "account_code": "brazetest",
            "optIn1": True,
            "optIn2": False,
            "subscription_method": "WebCal",
            "tags": ["Test Calendar 1/All Teams", "Test Calendar 1/TeamI/"],
        }
        assert found.held["rokt:tags"] == (
            f"Test Calendar 1/All Teams/{SUFFIX}",
            f"Test Calendar 1/TeamI//{SUFFIX}",
        )
        assert found.held["rokt:subscription_id"] == (ID,)

    def test_of_several_values_the_newest_is_the_fact_and_all_are_held(self) -> None:
        both = (f"Desktop/{SUFFIX}", f"Mobile/{SUFFIX}")
        [found] = pairs([ID], device_name=both)

        assert found.facts["device_name"] == "Mobile"
        assert found.held["rokt:device_name"] == both

    def test_what_cannot_be_read_is_held_and_no_fact(self) -> None:
        values = (f"perhaps/{SUFFIX}", f"/{SUFFIX}")
        [found] = pairs([ID], optIn1=values)

        assert "optIn1" not in found.facts
        assert found.held["rokt:optIn1"] == values

    def test_an_id_in_two_forms_is_one_subscription(self) -> None:
        [found] = pairs([ID.upper(), ID], account_code=[f"a/{SUFFIX}"])

        assert found.given_id == ID
        assert found.held["rokt:subscription_id"] == (ID.upper(), ID)


class TestUsers:
    def test_attributes_stand_inside_custom_attributes_or_beside_them(self) -> None:
        inside = read_user({"external_id": "u-1", "custom_attributes": {"rokt:tags": ["a/x"], "plan": 1}})
        beside = read_user({"user_id": "u-1", "rokt:tags": ["a/x", "a/x", "", None], "rokt:other": 7})

        assert inside == beside == ExportedUser("u-1", {"tags": ("a/x",)})

    @pytest.mark.parametrize(
        "record",
        [{}, {"external_id": "u-1"}, {"custom_attributes": {"plan": "gold"}}, {"rokt:tags": []}],
    )
    def test_whoever_holds_nothing_of_rokt_is_none(self, record: Mapping[str, Any]) -> None:
        assert read_user(record) is None

    @pytest.mark.parametrize(
        ("record", "words"),
        [
            ({"rokt:tags": ["a/x"]}, "external_id is missing"),
            ({"external_id": " ", "rokt:tags": ["a/x"]}, "external_id is missing"),
            ({"external_id": ["u"], "rokt:tags": ["a/x"]}, "external_id is missing"),
            ({"external_id": "x" * 988, "rokt:tags": ["a/x"]}, "external_id is missing"),
            ({"external_id": "u-1", "rokt:tags": [7]}, "rokt:tags: an array of texts"),
            ({"external_id": "u-1", "rokt:tags": {"add": ["a/x"]}}, "rokt:tags: an array of texts"),
            ({"external_id": "u-1", "rokt:tags": ["a\ud800/x"]}, "rokt:tags: it holds a character"),
            ({"external_id": "u-1", "custom_attributes": []}, None),
            ({"external_id": "u-1", "custom_attributes": "x"}, "custom_attributes: an object"),
        ],
    )
    def test_a_wrong_one_is_refused(self, record: Mapping[str, Any], words: str | None) -> None:
        if words is None:
            assert read_user(record) is None
        else:
            with pytest.raises(InvalidValue, match=words):
                read_user(record)


U1 = {"external_id": "u-1", "custom_attributes": {"rokt:tags": ["Ä, b/x"]}}
U2 = {"external_id": "u-2"}


def read(text: str) -> list[tuple[int, Any]]:
    return [
        (number, str(record) if isinstance(record, InvalidValue) else record)
        for number, record in records(io.StringIO(text, newline=""))
    ]


class TestJsonLines:
    def test_each_line_is_a_user(self) -> None:
        text = f"\ufeff{json.dumps(U1)}\r\n\n{json.dumps(U2)}"

        assert read(text) == [(1, U1), (3, U2)]

    def test_a_wrong_line_takes_no_other_with_it(self) -> None:
        text = f'{json.dumps(U1)}\n{{"external_id":\n[]\n{"[" * 100_000}\n{json.dumps(U2)}\n'

        assert read(text) == [
            (1, U1),
            (2, "this is not JSON"),
            (3, "this is no object"),
            (4, "this is not JSON"),
            (5, U2),
        ]


class TestJsonArray:
    def test_each_item_is_a_user_whatever_the_lines(self) -> None:
        for text in (json.dumps([U1, U2]), f" [{json.dumps(U1)},{json.dumps(U2)}] x"):
            assert read(text) == [(1, U1), (1, U2)]
        assert read(f"\n{json.dumps([U1, U2], indent=1)}\n") == [(3, U1), (11, U2)]
        assert read("[]") == []

    def test_an_item_may_be_longer_than_what_is_read_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export_file, "CHUNK", 7)

        assert read(json.dumps([U1, U2, U1])) == [(1, U1), (1, U2), (1, U1)]

    def test_users_come_before_the_end_of_the_file(self) -> None:
        class Endless(io.StringIO):
            begun = False

            def read(self, size: int | None = -1) -> str:
                begin, self.begun = "" if self.begun else "[", True
                return f"{begin}{json.dumps(U1)},"

        assert [record for _, record in islice(records(Endless()), 1000)] == [U1] * 1000

    @pytest.mark.parametrize("broken", ['[{"external_id": u}]', "[", "[nonsense", '[{"a": 1'])
    def test_what_is_broken_is_told_once(self, broken: str) -> None:
        assert read(broken) == [(1, "from here on this is not JSON")]

    def test_a_user_without_an_end_does_not_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export_file, "LONGEST", 10_000)
        taken: list[int] = []

        class Endless(io.StringIO):
            def read(self, size: int | None = -1) -> str:
                taken.append(size or 0)
                return '[{"a": "' if len(taken) == 1 else "x" * 1000

        assert [str(fault) for _, fault in records(Endless())] == ["from here on this is not JSON"]
        assert len(taken) < 20

    def test_an_item_that_is_no_object_takes_no_other_with_it(self) -> None:
        assert read(f"[7,\n{json.dumps(U1)}]") == [(1, "this is no object"), (2, U1)]


class TestCsv:
    def test_cells_are_json_arrays_or_joined_by_commas(self) -> None:
        text = (
            "user_id,plan,rokt:subscription_id,rokt:tags,rokt:account_name\r\n"
            'u-1,gold,"1, 2","[""a, b/x"", ""c/y""]","Braze, Inc./x,Ltd/y"\r\n'
            "\r\n"
            "u-2,,3,,\r\n"
        )

        assert [(number, read_user(record)) for number, record in read(text)] == [
            (
                2,
                ExportedUser(
                    "u-1",
                    {
                        "account_name": ("Braze, Inc./x", "Ltd/y"),
                        "subscription_id": ("1", "2"),
                        "tags": ("a, b/x", "c/y"),
                    },
                ),
            ),
            (4, ExportedUser("u-2", {"subscription_id": ("3",)})),
        ]

    def test_a_wrong_line_takes_no_other_with_it(self) -> None:
        text = 'external_id,rokt:tags\nu-1\nu-2,[a\nu-3,"a"b\n"u\n4",a/x\n'

        assert read(text) == [
            (2, "the header has 2 cells, this line 1"),
            (3, "rokt:tags: it begins with [ and is no JSON array"),
            (4, "this is not CSV"),
            (5, {"external_id": "u\n4", "rokt:tags": ["a/x", ""]}),
        ]

    def test_a_value_without_a_slash_is_seen_when_it_is_paired(self) -> None:
        [(_, record)] = read("external_id,rokt:subscription_id,rokt:tags\nu-1,1,a\n")
        user = read_user(record)
        assert user is not None

        with pytest.raises(InvalidValue, match="does not end in / and a suffix"):
            pair(user)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("name,rokt:tags\nu-1,a/x\n", "neither JSON nor CSV with a column external_id or user_id"),
            ("external_id,tags\nu-1,a/x\n", "no column whose name begins with rokt:"),
            ("hello\n", "neither JSON nor CSV"),
            (
                '"external_id";"rokt:tags"\n"u-1";"a/x"\n',
                'cells are separated by ";", and have to be by commas',
            ),
            ("user_id\trokt:tags\nu-1\ta/x\n", "cells are separated by tabs"),
            ("rokt:tags|external_id\na/x|u-1\n", 'cells are separated by "|"'),
        ],
    )
    def test_a_file_of_another_kind_is_told_once(self, text: str, words: str) -> None:
        [(number, told)] = read(text)

        assert number == 1
        assert words in told

    def test_an_empty_file_has_no_users(self) -> None:
        assert read("") == []
