"""The templates by HTTP: drafts with their faults, previews, publication, the history and the way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from web.running import PLAIN, Answer, Bridge, Starter, check_problem, literal

BROKEN = PLAIN.replace("{{ title }}", "{{ title | upcas }}")
LOUD = PLAIN.replace("{{ title }}", "{{ title }}!")
VALUES = {"title": "Sale", "starts": "2090-12-01T09:00"}
PLACE = "/v1/templates/plain"


@pytest.fixture
def both(start_on_both: Starter) -> Bridge:
    """A web process on either database, with a template that is published."""
    bridge = start_on_both(ROKT_CALENDAR_URL="https://rokt.example.com")
    bridge.publish(plain=PLAIN)
    return bridge


@pytest.fixture
def stocked(start: Starter) -> Bridge:
    """The same, on SQLite alone."""
    bridge = start(ROKT_CALENDAR_URL="https://rokt.example.com")
    bridge.publish(plain=PLAIN)
    return bridge


def get(bridge: Bridge, path: str = PLACE, **more: Any) -> Any:
    answer = bridge.call("GET", path, **more)
    assert answer.status == 200, answer.body
    return answer.body


def save(bridge: Bridge, source: str, path: str = PLACE, **more: Any) -> Answer:
    return bridge.call("PUT", path, {"source": source, **more})


def refused(answer: Answer, status: int = 422) -> Answer:
    assert answer.status == status, answer.body
    check_problem(answer)
    return answer


class TestReading:
    def test_the_list_shows_what_is_published_and_what_is_drafted(self, both: Bridge) -> None:
        save(both, LOUD)

        found = {one["name"]: one for one in get(both, "/v1/templates")["templates"]}

        assert {"plain", "flash_sale", "_brand"} <= found.keys()
        assert found["_brand"]["is_piece"]
        assert found["flash_sale"]["purpose"].startswith("A two-day sale")
        assert found["flash_sale"]["draft"] is None
        assert found["plain"]["version"] == 1
        assert found["plain"]["draft"]["edited_by"] == "all"
        assert "source" not in found["plain"]["draft"]

    def test_one_is_shown_with_its_text_its_variables_and_its_draft(self, both: Bridge) -> None:
        save(both, LOUD.replace("{{ starts }}", "{{ begins }}"))

        found = get(both)

        assert (found["published"]["version"], found["published"]["source"]) == (1, PLAIN)
        assert [one["name"] for one in found["published"]["variables"]] == ["title", "starts"]
        assert [one["name"] for one in found["draft"]["variables"]] == ["title", "begins"]
        assert (found["draft"]["based_on"], found["draft"]["faults"]) == (1, [])

    def test_a_declared_variable_is_shown_with_its_type_and_example(self, stocked: Bridge) -> None:
        variables = {v["name"]: v for v in get(stocked, "/v1/templates/flash_sale")["published"]["variables"]}

        assert variables["discount"]["type"] == "number"
        assert variables["discount"]["required"]
        assert variables["starts"]["example"] == "2026-12-04T09:00"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("GET", "/versions"),
            ("GET", "/versions/1"),
            ("POST", "/preview"),
            ("POST", "/publish"),
            ("POST", "/rollback"),
        ],
    )
    def test_a_name_that_is_not_there_is_told_with_the_nearest(
        self, stocked: Bridge, method: str, path: str
    ) -> None:
        body = {"version": 1} if path == "/rollback" else None

        answer = refused(stocked.call(method, f"/v1/templates/plane{path}", body), 404)

        assert answer.says('did you mean "plain"?')

    @pytest.mark.parametrize("path", ["/v1/templates/", f"{PLACE}/", f"{PLACE}/versions/"])
    def test_a_slash_at_the_end_is_no_redirect(self, stocked: Bridge, path: str) -> None:
        assert stocked.call("GET", path).status == 200

    @pytest.mark.parametrize("name", ["%00", "%ED%A0%80", "a%0Ab", "x" * 500, "99999999999999999999"])
    def test_a_strange_name_is_not_found(self, both: Bridge, name: str) -> None:
        for path in ("", "/versions", "/versions/1"):
            refused(both.call("GET", f"/v1/templates/{name}{path}"), 404)
        assert both.call("PUT", f"/v1/templates/{name}", {"source": "x"}).status in (200, 422)

    def test_a_number_beyond_all_versions_is_not_found(self, both: Bridge) -> None:
        for number in ("2", "0", "2147483647", "2147483648", "9" * 30, "-1", "x"):
            refused(both.call("GET", f"{PLACE}/versions/{number}"), 404)


class TestDrafts:
    def test_a_draft_may_be_broken_and_says_where(self, both: Bridge) -> None:
        answer = save(both, BROKEN)

        assert answer.status == 200
        [fault] = answer.body["faults"]
        assert (fault["template"], fault["line"], fault["field"]) == ("plain", 2, "title")
        assert BROKEN.splitlines()[1][fault["start"] : fault["end"]] == "upcas"
        assert fault["message"] == 'there is no filter "upcas"; did you mean "upcase"?'

    def test_the_second_of_two_editors_is_told_and_shown_what_stands(self, both: Bridge) -> None:
        revision = save(both, LOUD).body["revision"]
        save(both, LOUD + "{# first #}", revision=revision)

        answer = refused(save(both, LOUD + "{# second #}", revision=revision), 409)

        assert answer.body["draft"]["source"] == LOUD + "{# first #}"
        assert answer.fields == ["revision"]
        assert get(both)["draft"]["source"] == LOUD + "{# first #}"

    def test_a_name_that_does_not_exist_is_a_new_template(self, both: Bridge) -> None:
        answer = save(both, PLAIN, "/v1/templates/brand_new")

        assert (answer.status, answer.body["based_on"], answer.body["faults"]) == (200, None, [])
        assert "warnings" not in answer.body
        assert get(both, "/v1/templates/brand_new")["published"] is None

    def test_a_new_name_that_looks_like_another_is_told(self, stocked: Bridge) -> None:
        answer = save(stocked, PLAIN, "/v1/templates/flash_sal")

        assert answer.body["warnings"] == ['"flash_sal" is new; there is "flash_sale" already']

    def test_a_shared_piece_is_drafted_too(self, stocked: Bridge) -> None:
        assert save(stocked, "{# Foot. #}The end", "/v1/templates/_foot").body["faults"] == []
        assert save(stocked, "{% blok %}", "/v1/templates/_food").body["faults"]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({}, ["source"]),
            ({"source": None}, ["source"]),
            ({"source": 5}, ["source"]),
            ({"source": "a\x00"}, ["source"]),
            ({"source": "\ud800"}, ["source"]),
            ({"source": "x" * 65_537}, ["source"]),
            ({"source": "x", "revision": "1"}, ["revision"]),
            ({"source": "x", "revision": True}, ["revision"]),
            ({"source": "x", "revision": 0}, ["revision"]),
            ({"source": "x", "revision": 2**31}, ["revision"]),
            ({"sorce": "x", "source": "x"}, ["sorce"]),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_saved(
        self, both: Bridge, body: dict[str, Any], fields: list[str]
    ) -> None:
        answer = refused(both.call("PUT", PLACE, body))

        assert answer.fields == fields
        assert get(both)["draft"] is None

    def test_a_name_that_is_none_is_told(self, stocked: Bridge) -> None:
        answer = refused(save(stocked, PLAIN, "/v1/templates/Summer-Sale"))

        assert answer.fields == ["name"]
        assert answer.says('did you mean "summer_sale"?')

    def test_a_draft_is_discarded_by_whoever_has_seen_it(self, both: Bridge) -> None:
        revision = save(both, LOUD).body["revision"]
        newest = save(both, LOUD + "\n", revision=revision).body["revision"]

        refused(both.call("DELETE", f"{PLACE}/draft"))
        refused(both.call("DELETE", f"{PLACE}/draft", revision=revision), 409)
        answer = both.call("DELETE", f"{PLACE}/draft", revision=newest)

        assert answer.status == 200
        assert get(both)["draft"] is None


class TestPreviews:
    def test_it_shows_the_fields_and_the_request_that_would_leave(self, stocked: Bridge) -> None:
        answer = stocked.post({"variables": VALUES}, f"{PLACE}/preview")

        assert answer.status == 200
        assert answer.body["of"] == "published"
        assert answer.body["version"] == 1
        assert answer.body["fields"]["title"] == "Sale"
        assert answer.body["faults"] == []
        [request] = answer.body["requests"]
        assert request["method"] == "POST"
        assert request["url"] == "https://rokt.example.com/v1/subscriptionevent/brazetest"
        assert request["body"]["event"] == {
            "eventId": "plain_example-user",
            "title": "Sale",
            "description": "",
            "location": "",
            "start": "2090-12-01T09:00:00",
            "end": "2090-12-01T10:00:00",
            "timezone": "UTC",
            "notifyBefore": 15,
        }

    def test_it_is_what_a_dry_run_of_the_same_shows(self, stocked: Bridge) -> None:
        [request] = stocked.post({"variables": VALUES}, f"{PLACE}/preview").body["requests"]
        whole = literal(template="plain", variables=VALUES, event=..., user_id="example-user")

        [dry] = stocked.post(whole, dry_run="1").body["requests"]

        headers = ("Accept", "User-Agent", "Content-Type")
        assert request["body"] == dry["body"]
        assert (request["method"], request["url"]) == (dry["method"], dry["url"])
        assert {name: request["headers"][name] for name in headers} == {
            name: dry["headers"][name] for name in headers
        }

    def test_without_variables_the_examples_are_shown(self, stocked: Bridge) -> None:
        answer = stocked.post({}, "/v1/templates/flash_sale/preview")

        assert answer.body["variables"]["sale_id"] == "winter26"
        assert answer.body["fields"]["event_id"] == "sale_winter26"

    def test_no_variables_at_all_are_what_a_request_without_any_is(self, stocked: Bridge) -> None:
        answer = stocked.post({"variables": {}}, "/v1/templates/flash_sale/preview")

        assert answer.body["fields"] is None
        assert '"sale_id" is required' in answer.body["faults"][0]["message"]

    def test_it_shows_the_draft_before_what_is_published_and_each_version(self, stocked: Bridge) -> None:
        save(stocked, LOUD)

        def title(**asked: Any) -> tuple[str, str]:
            found = stocked.post({"variables": VALUES, **asked}, f"{PLACE}/preview").body
            return found["of"], found["fields"]["title"]

        assert title() == ("draft", "Sale!")
        assert title(version=1) == ("version", "Sale")
        assert title(source=PLAIN.replace("{{ title }}", "My {{ title }}")) == ("source", "My Sale")

    def test_a_skip_has_its_reason_and_no_request(self, stocked: Bridge) -> None:
        source = PLAIN + "{% block skip %}not today{% endblock %}"

        answer = stocked.post({"source": source, "variables": VALUES}, f"{PLACE}/preview")

        assert (answer.body["skip"], answer.body["requests"]) == ("not today", [])

    def test_a_name_that_is_not_there_yet_can_be_looked_at(self, stocked: Bridge) -> None:
        answer = stocked.post({"source": PLAIN, "variables": VALUES}, "/v1/templates/brand_new/preview")

        assert answer.body["fields"]["title"] == "Sale"

    def test_a_shared_piece_shows_its_mistakes_alone(self, stocked: Bridge) -> None:
        good = stocked.post({}, "/v1/templates/_brand/preview")
        broken = stocked.post({"source": "{% blok %}"}, "/v1/templates/_brand/preview")

        assert (good.body["fields"], good.body["faults"]) == (None, [])
        assert broken.body["faults"][0]["line"] == 1

    def test_what_never_ends_is_cut_off(self, stocked: Bridge) -> None:
        loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
        body = {"source": PLAIN.replace("{{ title }}", loops + "{{ title }}"), "variables": VALUES}

        answer = stocked.post(body, f"{PLACE}/preview")

        assert answer.status == 200
        assert "250 ms" in answer.body["faults"][0]["message"]

    def test_nothing_is_kept_of_it(self, stocked: Bridge) -> None:
        stocked.post({"source": LOUD, "variables": VALUES}, f"{PLACE}/preview")

        assert get(stocked)["draft"] is None
        assert stocked.count() == 0

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"source": "x", "version": 1}, ["version"]),
            ({"variables": []}, ["variables"]),
            ({"variables": "x"}, ["variables"]),
            ({"version": "one"}, ["version"]),
            ({"source": 1}, ["source"]),
            ({"data": {}}, ["data"]),
        ],
    )
    def test_what_is_wrong_is_named(self, stocked: Bridge, body: dict[str, Any], fields: list[str]) -> None:
        assert refused(stocked.post(body, f"{PLACE}/preview")).fields == fields

    def test_a_version_that_is_not_there_is_told(self, stocked: Bridge) -> None:
        answer = refused(stocked.post({"version": 7}, f"{PLACE}/preview"), 404)

        assert answer.says("plain has no version 7; its versions are 1 to 1")


class TestPublishing:
    def test_a_draft_is_published_and_the_next_message_names_its_version(self, both: Bridge) -> None:
        revision = save(both, LOUD).body["revision"]

        answer = both.post({"revision": revision, "note": "Louder"}, f"{PLACE}/publish")
        both.parts.templates._looked_at = float("-inf")
        accepted = both.accept(literal(template="plain", variables=VALUES, event=...))

        assert (answer.status, answer.body["version"]) == (200, 2)
        assert get(both)["draft"] is None
        message = both.message(accepted.id)
        assert (message["template"], message["version"]) == ("plain", 2)
        shown = get(both, f"{PLACE}/versions/{message['version']}")
        assert (shown["source"], shown["note"], shown["made_by"], shown["origin"]) == (
            LOUD,
            "Louder",
            "all",
            "api",
        )

    def test_it_needs_no_body(self, stocked: Bridge) -> None:
        save(stocked, LOUD)

        assert stocked.call("POST", f"{PLACE}/publish").body["version"] == 2

    def test_a_broken_draft_is_refused_with_its_line(self, both: Bridge) -> None:
        save(both, BROKEN)

        answer = refused(both.post({}, f"{PLACE}/publish"))

        assert answer.fields == ["title"]
        assert answer.says("plain.jinja, line 2", 'did you mean "upcase"?')
        assert answer.body["faults"][0]["line"] == 2
        assert get(both)["version"] == 1

    def test_a_piece_that_breaks_others_is_refused_naming_them(self, stocked: Bridge) -> None:
        save(stocked, "{# Nothing. #}", "/v1/templates/_brand")

        answer = refused(stocked.post({}, "/v1/templates/_brand/publish"))

        assert {fault["template"] for fault in answer.body["faults"]} == {"flash_sale", "bill_due", "fixture"}

    def test_what_another_has_saved_is_not_published_unseen(self, both: Bridge) -> None:
        revision = save(both, LOUD).body["revision"]
        save(both, LOUD + "\n", revision=revision)

        answer = refused(both.post({"revision": revision}, f"{PLACE}/publish"), 409)

        assert answer.body["draft"]["source"] == LOUD + "\n"

    def test_what_was_published_since_is_not_undone_unseen(self, both: Bridge) -> None:
        save(both, LOUD)
        both.publish(plain=PLAIN + "\n")

        answer = refused(both.post({}, f"{PLACE}/publish"), 409)
        again = both.post({"over": answer.body["version"]}, f"{PLACE}/publish")

        assert (answer.body["version"], again.body["version"]) == (2, 3)

    def test_without_a_draft_there_is_nothing(self, stocked: Bridge) -> None:
        answer = refused(stocked.post({}, f"{PLACE}/publish"))

        assert answer.says("there is no draft of plain: version 1 is published as it is")

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"revision": "x"}, ["revision"]),
            ({"over": -1}, ["over"]),
            ({"note": 5}, ["note"]),
            ({"note": "x" * 501}, ["note"]),
            ({"nte": "x"}, ["nte"]),
        ],
    )
    def test_what_is_wrong_is_named(self, stocked: Bridge, body: dict[str, Any], fields: list[str]) -> None:
        save(stocked, LOUD)

        assert refused(stocked.post(body, f"{PLACE}/publish")).fields == fields
        assert get(stocked)["version"] == 1

    def test_a_note_that_no_database_can_hold_is_kept_as_far_as_it_can_be(self, both: Bridge) -> None:
        save(both, LOUD)

        both.post({"note": "a\x00b\ud800"}, f"{PLACE}/publish")

        assert get(both, f"{PLACE}/versions/2")["note"] == "a\ufffdb\ufffd"


class TestRollingBack:
    def test_an_earlier_version_is_published_again(self, both: Bridge) -> None:
        save(both, LOUD)
        both.post({}, f"{PLACE}/publish")

        answer = both.post({"version": 1}, f"{PLACE}/rollback")

        assert (answer.status, answer.body["version"]) == (200, 1)
        assert get(both)["published"]["source"] == PLAIN
        found = get(both, f"{PLACE}/versions")["versions"]
        assert [(one["version"], one["is_published"]) for one in found] == [(2, False), (1, True)]
        assert found[1]["published_by"] == "all"

    @pytest.mark.parametrize("body", [{}, {"version": None}, {"version": "1"}, {"version": 1.0}])
    def test_the_version_is_needed(self, stocked: Bridge, body: dict[str, Any]) -> None:
        assert refused(stocked.post(body, f"{PLACE}/rollback")).fields == ["version"]

    def test_a_version_that_is_not_there_is_told(self, stocked: Bridge) -> None:
        answer = refused(stocked.post({"version": 7}, f"{PLACE}/rollback"), 404)

        assert answer.says("its versions are 1 to 1")


def test_the_example_of_the_docs_is_published(stocked: Bridge) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    [body] = re.findall(
        r"curl -X PUT \S+/v1/templates/store_opening \\\n[^\n]* -d '(.*?)'\n", docs, re.DOTALL
    )

    saved = stocked.call("PUT", "/v1/templates/store_opening", json.loads(body))
    published = stocked.post({"note": "first"}, "/v1/templates/store_opening/publish")

    assert (saved.status, saved.body.get("faults")) == (200, []), saved.body
    assert (published.status, published.body["version"]) == (200, 1)


class TestScopes:
    READS = (("GET", "/v1/templates"), ("GET", PLACE), ("GET", f"{PLACE}/versions"))
    WRITES = (
        ("PUT", PLACE),
        ("DELETE", f"{PLACE}/draft"),
        ("POST", f"{PLACE}/preview"),
        ("POST", f"{PLACE}/publish"),
        ("POST", f"{PLACE}/rollback"),
    )

    def test_a_key_that_reads_may_look(self, stocked: Bridge) -> None:
        for key in ("read", "templates", "all"):
            for method, path in self.READS:
                assert stocked.call(method, path, key=key).status == 200, (key, path)

    def test_only_a_key_for_templates_may_change(self, stocked: Bridge) -> None:
        for key in ("read", "send", "operate"):
            for method, path in self.WRITES:
                refused(stocked.call(method, path, {}, key=key), 403)
        for method, path in self.WRITES:
            assert stocked.call(method, path, {}, key="templates").status != 403, path

    def test_a_form_is_not_read(self, stocked: Bridge) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}

        refused(stocked.call("PUT", PLACE, b"source=x", headers=form), 415)

    def test_a_body_that_is_no_object_is_told(self, stocked: Bridge) -> None:
        refused(stocked.call("PUT", PLACE, ["x"]))
        refused(stocked.call("PUT", PLACE, b"{"), 400)
