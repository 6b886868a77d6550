"""Publishing: what changes is shown first, nobody's work goes out unseen, and the way back is one press."""

from __future__ import annotations

import time
from typing import Any

import pytest
from console.conftest import Console, SignedIn
from console.drafting import AT, SCRIPT, draft_of, published, send_five, text_of, write
from console.test_pages import FRONTEND, judge
from node import installed
from playwright.sync_api import Page, expect
from web.running import sale

from bridge.calendar import versions
from bridge.calendar.event import FIELDS as EVENT_FIELDS
from bridge.console.marked import marked, side_by_side
from bridge.console.trial import FIELDS

NOW = ("% off starts now", "% off starts today")


def checks(console: Console, name: str = "flash_sale", role: str = "editor") -> str:
    answer = console.visitor(role).htmx(f"/console/templates/{name}/publish/checks", "GET")
    assert answer.status_code == 200
    return text_of(answer.get_data(as_text=True))


def publish(console: Console, role: str = "publisher", name: str = "flash_sale", **form: Any) -> Any:
    return console.visitor(role).post(f"/console/templates/{name}/publish", **form)


def two_versions(console: Console, note: str = "") -> None:
    """Version 2 of flash_sale says "today"."""
    draft = write(console, NOW)
    assert publish(console, revision=draft.revision, note=note).status_code == 303


def roll_back(console: Console, version: int, standing: int, role: str = "publisher") -> Any:
    return console.visitor(role).post(f"{AT}/versions/{version}/rollback", standing=standing)


class Presses:
    """Counts what a person presses, and the time from the first to the last."""

    def __init__(self) -> None:
        self.count = 0
        self.began = time.monotonic()

    def __call__(self, what: Any) -> None:
        self.count += 1
        what.click()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def edit_title(page: Page, text: str) -> None:
    page.get_by_label("Title", exact=True).fill(text)
    expect(page.locator("#saved")).to_contain_text("Saved")


def test_a_draft_that_fails_real_requests_is_mended_published_and_rolled_back(
    signed_in: SignedIn, console: Console, record_property: Any
) -> None:
    send_five(console.bridge)
    page = signed_in("publisher")
    page.goto(AT)
    expect(page.locator(".phone-title, #notes .note").first).to_be_visible()
    press = Presses()
    tabs = page.get_by_role("navigation", name="flash_sale")

    edit_title(page, "{{ first_name }}")
    press(tabs.get_by_role("link", name="Real data"))
    expect(
        page.get_by_text("3 of 5 real requests fail with the draft, 3 of them only with the draft")
    ).to_be_visible()

    press(tabs.get_by_role("link", name="Edit"))
    edit_title(page, '{{ first_name | default("You") }}: {{ discount }}% off')
    press(tabs.get_by_role("link", name="Publish"))
    expect(page.get_by_text("All 5 real requests work with the draft")).to_be_visible()
    page.get_by_label("What is new").fill("Begins with the name")
    press(page.get_by_role("button", name="Publish"))
    expect(page.get_by_text("Version 2 of flash_sale is published")).to_be_visible()
    assert published(console)[1] == 2

    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.accept()))
    press(page.get_by_role("button", name="Roll back to this"))
    expect(page.get_by_text("Version 1 of flash_sale is published again")).to_be_visible()

    assert published(console)[1] == 1
    assert "only what is sent from now on" in said[0]
    assert press.count == 5
    record_property("seconds", round(press.seconds, 1))


class TestBefore:
    def test_the_lines_that_differ_stand_beside_each_other_with_their_words_marked(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        write(console, NOW)
        page = signed_in("editor")

        page.goto(f"{AT}/publish")

        row = page.locator("table.lines tr.changed")
        expect(row).to_have_count(1)
        expect(row.locator("del")).to_have_text("now")
        expect(row.locator("ins")).to_have_text("today")

    def test_each_finding_names_its_line_and_leads_there(self, console: Console) -> None:
        write(
            console,
            ('"https://www.example.com/sale" | link(campaign=sale_id)', '"http://www.example.com/sale"'),
        )

        page = console.visitor("editor").htmx(f"{AT}/publish/checks", "GET").get_data(as_text=True)

        assert "http://www.example.com/sale does not begin with https://" in text_of(page)
        assert f'href="{AT}#line-23"' in page

    def test_a_finding_leads_to_its_line_in_the_source(self, signed_in: SignedIn, console: Console) -> None:
        write(
            console,
            ('"https://www.example.com/sale" | link(campaign=sale_id)', '"http://www.example.com/sale"'),
        )
        page = signed_in("editor")
        page.goto(f"{AT}/publish")

        page.get_by_role("link", name="flash_sale, line 23").first.click()

        expect(page.locator(".cm-activeLine")).to_contain_text("http://www.example.com/sale")

    def test_what_changes_in_the_examples_stands_field_by_field_and_once(self, console: Console) -> None:
        write(console, NOW, ("{% block notify_before %}60", "{% block notify_before %}120"))

        page = checks(console)

        assert page.count("after: 120 minutes before") == 1
        assert "⚡ Ada, 50% off starts now after: ⚡ Ada, 50% off starts today" in page
        assert "The same changes show with" in page

    def test_a_variable_that_was_often_blank_is_named(self, console: Console) -> None:
        send_five(console.bridge)
        write(console, NOW)

        assert "first_name was blank in 3 of the last 5 requests" in checks(console)

    def test_what_must_not_go_out_is_told_before_the_press(self, console: Console) -> None:
        write(console, ("sale_{{ sale_id }}", "the_sale"))

        assert "Must be mended: the event_id is the same whatever the time is" in checks(console)

    def test_a_draft_that_makes_the_same_events_is_told_so(self, console: Console) -> None:
        write(console, ("{# It shows up in the calendar a week ahead, not today. #}", "{# A week ahead. #}"))

        assert "Nothing: the events come out as they do now" in checks(console)

    def test_a_first_draft_has_nothing_to_be_compared_with(self, console: Console) -> None:
        console.visitor("editor").post("/console/templates", name="summer_sale", like="flash_sale")

        answer = console.visitor("editor").get("/console/templates/summer_sale/publish")

        assert answer.status_code == 200
        assert "All of it is new" in text_of(answer.get_data(as_text=True))
        assert "What changes in the examples" not in checks(console, "summer_sale")

    def test_without_a_draft_there_is_nothing_to_press(self, console: Console) -> None:
        page = console.visitor("publisher").get(f"{AT}/publish").get_data(as_text=True)

        assert "There is no draft: version 1 is published as it is" in text_of(page)
        assert "<button>Publish" not in page

    def test_an_editor_asks_a_publisher(self, console: Console) -> None:
        write(console, NOW)

        page = console.visitor("editor").get(f"{AT}/publish").get_data(as_text=True)

        assert "Ask a publisher to publish it" in page
        assert "<button>Publish" not in page
        assert publish(console, "editor", revision=1).status_code == 403
        assert published(console)[1] == 1

    def test_a_name_that_is_not_there_is_told_with_the_nearest(self, console: Console) -> None:
        answer = console.visitor("editor").get("/console/templates/flash_sal/publish")

        assert answer.status_code == 404
        assert "flash_sale" in text_of(answer.get_data(as_text=True))


class TestPress:
    def test_a_published_draft_is_the_next_version_with_its_note(self, console: Console) -> None:
        two_versions(console, note=f"Softer {SCRIPT}")

        source, version = published(console)
        page = console.visitor("viewer").get(f"{AT}/versions").get_data(as_text=True)

        assert version == 2
        assert NOW[1] in source
        assert draft_of(console) is None
        assert f"Softer {SCRIPT}" in text_of(page.replace("&lt;", "«").replace("&gt;", "»")).replace(
            "«", "<"
        ).replace("»", ">")
        assert SCRIPT not in page

    def test_what_reaches_customers_is_the_new_version_at_once(self, console: Console) -> None:
        two_versions(console)
        console.bridge.parts.templates._looked_at = float("-inf")

        message = console.bridge.message(console.bridge.accept(sale()).id)

        assert message["version"] == 2
        assert message["request"]["event"]["title"].endswith("off starts today")

    def test_a_draft_that_another_changed_is_not_published_and_the_change_is_shown(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        write(console, NOW, by="editor")
        page = signed_in("publisher")
        page.goto(f"{AT}/publish")
        write(console, ("Open for your", f"Run for your{SCRIPT}"), by="Grace")

        page.get_by_label("What is new").fill("my note")
        page.get_by_role("button", name="Publish").click()

        told = page.get_by_role("alert")
        expect(told).to_contain_text("Nothing was published: Grace changed the draft meanwhile")
        expect(told.locator("del")).to_have_text("Open")
        expect(told.locator("ins").first).to_contain_text("Run")
        expect(page.get_by_label("What is new")).to_have_value("my note")
        assert published(console)[1] == 1

        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Version 2 of flash_sale is published")).to_be_visible()
        assert "Run for your" in published(console)[0]

    def test_a_draft_that_was_published_meanwhile_is_told(self, console: Console) -> None:
        draft = write(console, NOW)
        publish(console, revision=draft.revision)

        answer = publish(console, revision=draft.revision)

        assert answer.status_code == 409
        assert "this draft was published or thrown away meanwhile" in answer.get_data(as_text=True)
        assert published(console)[1] == 2

    def test_another_version_published_meanwhile_is_replaced_only_by_whoever_has_seen_it(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        write(console, NOW)
        with console.bridge.database.read() as connection:
            source = versions.sources(connection)["flash_sale"]
        versions.publish_source(
            console.bridge.database, "flash_sale", source.replace("Open", "Go"), by="ci", origin="api"
        )
        assert publish(console, revision=1).status_code == 409
        page = signed_in("publisher")

        page.goto(f"{AT}/publish")
        expect(page.locator("#over-told")).to_contain_text(
            "Version 2 was published after this draft was begun from version 1, by ci, by the API"
        )
        expect(page.locator("table.lines del")).to_contain_text(["now", "Go"])
        page.get_by_label("I have looked").check()
        page.get_by_role("button", name="Publish").click()

        expect(page.get_by_text("Version 3 of flash_sale is published")).to_be_visible()
        assert "Open for your" in published(console)[0]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (("sale_{{ sale_id }}", "the_sale"), "the event_id is the same whatever the time is"),
            (("{% block start %}{{ opens }}", "{% block start %}{{ opens | opened }}"), "opened"),
            (("plus(minutes=30)", "minus(minutes=30)"), "end"),
        ],
    )
    def test_what_must_not_go_out_is_refused_with_its_reason(
        self, console: Console, change: tuple[str, str], told: str
    ) -> None:
        draft = write(console, change)

        answer = publish(console, revision=draft.revision, note="kept")

        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert "Nothing was published: it must not go out like this" in page
        assert told in text_of(page)
        assert 'value="kept"' in page
        assert published(console)[1] == 1
        assert draft_of(console) is not None

    def test_a_note_that_is_too_long_is_refused(self, console: Console) -> None:
        draft = write(console, NOW)

        answer = publish(console, revision=draft.revision, note="x" * 501)

        assert answer.status_code == 422
        assert "501 characters; 500 are the most" in answer.get_data(as_text=True)
        assert published(console)[1] == 1


class TestPieces:
    def test_a_piece_is_looked_at_in_the_templates_that_use_it(self, console: Console) -> None:
        write(console, ("{{ time_zone }}", "Europe/Berlin"), name="_brand")

        page = checks(console, "_brand")

        assert "Looked at in the templates that use it: bill_due, fixture, flash_sale" in page
        assert "fixture, with the examples" in page
        assert "Europe/Berlin" in page

    def test_what_a_piece_breaks_elsewhere_keeps_it_back(self, console: Console) -> None:
        draft = write(console, ("{{ time_zone }}", "Mars/Olympus"), name="_brand")
        page = console.visitor("publisher").get("/console/templates/_brand/publish").get_data(as_text=True)

        answer = publish(console, name="_brand", revision=draft.revision)

        assert "Publish for 3 templates" in page
        assert "Mars/Olympus" in checks(console, "_brand")
        assert answer.status_code == 422
        assert "Mars/Olympus" in answer.get_data(as_text=True)
        assert published(console, "_brand")[1] == 1

    def test_what_was_wrong_before_is_not_laid_at_the_pieces_door(self, console: Console) -> None:
        console.bridge.publish(
            linked="""{% extends "_brand" %}{% block event_id %}e{{ n }}{% endblock %}
{% block title %}T{% endblock %}{% block start %}2090-12-01T09:00{% endblock %}
{% block description %}http://www.example.com/{% endblock %}"""
        )
        write(console, ("notify_before %}15", "notify_before %}30"), name="_brand")

        assert "http://www.example.com/" not in checks(console, "_brand")
        assert "Nothing was found that was not there before" in checks(console, "_brand")


class TestVersions:
    def test_the_history_says_who_when_by_which_way_and_what_was_new(self, console: Console) -> None:
        two_versions(console, note="Softer words")
        with console.bridge.database.read() as connection:
            source = versions.sources(connection)["flash_sale"]
        versions.publish_source(
            console.bridge.database, "flash_sale", source.replace("Open", "Go"), by="ci", origin="api"
        )

        page = text_of(console.visitor("viewer").get(f"{AT}/versions").get_data(as_text=True))

        assert page.index("Version 3 published by ci, by the API") < page.index("Version 2")
        assert "by publisher" in page
        assert "Softer words" in page
        assert "by a file of templates/" in page

    def test_any_two_versions_are_compared(self, signed_in: SignedIn, console: Console) -> None:
        two_versions(console)
        draft = write(console, ("Open for", "Run for"))
        publish(console, revision=draft.revision)
        page = signed_in("viewer")
        page.goto(f"{AT}/versions")

        page.locator("select[name=old]").select_option("1")
        page.locator("select[name=new]").select_option("3")
        page.get_by_role("button", name="Compare").click()

        expect(page.locator("table.lines tr.changed")).to_have_count(2)
        expect(page.locator("table.lines ins")).to_have_text(["today", "Run"])

    def test_of_very_many_versions_the_newest_are_listed_first(
        self, console: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.console.history.MOST_LISTED", 1)
        two_versions(console)
        viewer = console.visitor("viewer")

        some, every = (
            viewer.get(f"{AT}/versions", **query).get_data(as_text=True) for query in ({}, {"all": 1})
        )

        assert "All 2 versions" in some
        assert f'href="{AT}/versions/1"' not in some
        assert f'href="{AT}/versions/1"' in every

    def test_a_version_is_read_as_it_was(self, console: Console) -> None:
        before = published(console)[0]
        two_versions(console)

        page = console.visitor("viewer").get(f"{AT}/versions/1").get_data(as_text=True)

        assert all(" ".join(line.split()) in text_of(page) for line in before.splitlines())
        assert "not published" in page

    def test_a_message_leads_to_the_version_that_made_it(self, signed_in: SignedIn, console: Console) -> None:
        message_id = console.bridge.accept(sale()).id
        two_versions(console)
        page = signed_in("viewer")
        page.goto(f"/console/messages/{message_id}")

        page.get_by_role("link", name="version 1 of flash_sale").click()

        expect(page.get_by_role("heading", name="flash_sale, version 1")).to_be_visible()

    def test_a_version_that_never_was_is_told(self, console: Console) -> None:
        answer = console.visitor("viewer").get(f"{AT}/versions/9")

        assert answer.status_code == 404
        assert "its versions are 1 to 1" in answer.get_data(as_text=True)

    def test_a_viewer_has_nothing_to_press(self, console: Console) -> None:
        two_versions(console)

        pages = [
            console.visitor("viewer").get(f"{AT}/{path}").get_data(as_text=True)
            for path in ("versions", "versions/1")
        ]

        assert not any("Roll back" in page or "Make this a draft" in page for page in pages)
        assert roll_back(console, 1, 2, "viewer").status_code == 403
        assert console.visitor("viewer").post(f"{AT}/versions/1/draft").status_code == 403

    def test_an_editor_cannot_roll_back(self, console: Console) -> None:
        two_versions(console)

        assert roll_back(console, 1, 2, "editor").status_code == 403
        assert published(console)[1] == 2

    def test_a_roll_back_from_an_old_page_does_not_undo_what_another_published(
        self, console: Console
    ) -> None:
        two_versions(console)
        draft = write(console, ("Open for", "Run for"))
        publish(console, revision=draft.revision)

        answer = roll_back(console, 1, standing=2)

        assert answer.status_code == 409
        assert "Version 3 was published meanwhile" in answer.get_data(as_text=True)
        assert published(console)[1] == 3

    def test_a_version_that_a_piece_left_behind_is_not_published_again(self, console: Console) -> None:
        two_versions(console)
        alone = (
            ('{% extends "_brand" %}\n', ""),
            ("{# It shows", "{% block timezone %}UTC{% endblock %}{# It shows"),
        )
        draft = write(console, *alone)
        assert publish(console, revision=draft.revision).status_code == 303
        console.bridge.publish(_brand="{% block timezone %}Mars/Olympus{% endblock %}")

        answer = roll_back(console, 2, standing=3)

        page = text_of(answer.get_data(as_text=True))
        assert answer.status_code == 422
        assert "Version 2 was not published again: it does not work with today's shared pieces" in page
        assert "Mars/Olympus" in page
        assert published(console)[1] == 3

    def test_a_version_becomes_a_draft(self, console: Console) -> None:
        before = published(console)[0]
        two_versions(console)

        answer = console.visitor("editor").post(f"{AT}/versions/1/draft")

        draft = draft_of(console)
        assert answer.headers["Location"] == AT
        assert draft is not None
        assert (draft.source, draft.based_on, draft.edited_by) == (before, 2, "editor")
        assert published(console)[1] == 2

    def test_a_version_overwrites_no_draft(self, console: Console) -> None:
        two_versions(console)
        mine = write(console, ("Open for", "Run for"), by="Grace")
        editor = console.visitor("editor")

        answer = editor.post(f"{AT}/versions/1/draft")

        assert draft_of(console) == mine
        assert "A draft by Grace stands already, and was not touched" in editor.get(
            answer.headers["Location"]
        ).get_data(as_text=True)


class TestSuspended:
    @pytest.fixture
    def suspended(self, console: Console) -> Console:
        two_versions(console)
        for _ in range(3):
            console.bridge.parts.templates.cut_off("flash_sale", 2)
        return console

    def test_a_suspended_version_is_told_with_what_to_do(self, suspended: Console) -> None:
        page = text_of(suspended.visitor("publisher").get(f"{AT}/publish").get_data(as_text=True))
        history = text_of(suspended.visitor("viewer").get(f"{AT}/versions").get_data(as_text=True))

        assert "Version 2 is suspended: it took too long three times in a minute" in page
        assert "Version 2 suspended: it took too long" in history

    def test_a_roll_back_ends_it(self, signed_in: SignedIn, suspended: Console) -> None:
        page = signed_in("publisher")
        page.goto(f"{AT}/versions")
        page.on("dialog", lambda dialog: dialog.accept())

        page.get_by_role("button", name="Roll back to this").click()

        expect(page.get_by_text("Version 1 of flash_sale is published again")).to_be_visible()
        suspended.bridge.parts.templates._looked_at = float("-inf")
        assert suspended.bridge.message(suspended.bridge.accept(sale()).id)["version"] == 1

    def test_it_is_published_again_as_it_is(self, suspended: Console) -> None:
        page = suspended.visitor("publisher").get(f"{AT}/publish").get_data(as_text=True)

        answer = publish(suspended)

        assert "Publish version 2 again as it is" in page
        assert answer.status_code == 303
        suspended.bridge.parts.templates._looked_at = float("-inf")
        assert suspended.bridge.accept(sale()).status == 202


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_publishing_can_be_read_and_used_by_everybody(
    console: Console, signed_in: SignedIn, scheme: str
) -> None:
    axe = (installed(FRONTEND) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    send_five(console.bridge)
    two_versions(console)
    write(
        console,
        ("Open for", "Run for"),
        ('"https://www.example.com/sale" | link(campaign=sale_id)', '"http://a.example.com"'),
    )
    findings, too_wide = [], []
    for width in (1280, 375):
        page = signed_in("publisher", color_scheme=scheme, viewport={"width": width, "height": 800})
        for path in ("publish", "realdata", "versions", "versions/1", "test-send"):
            page.goto(f"{AT}/{path}")
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            findings += judge(page, axe)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                too_wide.append((path, width))

    assert findings == []
    assert too_wide == []


class TestMarks:
    def test_words_that_differ_are_marked_and_the_rest_is_not(self) -> None:
        old, new = marked("Sale starts now, Ada", "Sale begins right now, Ada")

        assert old == (("Sale ", False), ("starts", True), (" now, Ada", False))
        assert new == (("Sale ", False), ("begins right", True), (" now, Ada", False))

    @pytest.mark.parametrize(
        "pair", [("", "x y"), ("a  b", "a b c"), ("äöü 東京", "äö 東 京"), ("x" * 3000, "y" * 3000)]
    )
    def test_both_texts_are_whole_in_their_pieces(self, pair: tuple[str, str]) -> None:
        assert tuple("".join(text for text, _ in marks) for marks in marked(*pair)) == pair

    def test_of_a_line_of_very_many_words_the_whole_is_marked(self) -> None:
        old, new = "[" + "0," * 900, "[" + "0.0," * 400

        assert marked(old, new) == (((old, True),), ((new, True),))

    def test_what_is_too_long_to_compare_is_one_change_between_what_is_the_same(self) -> None:
        lines = [str(number) for number in range(20_000)]
        old, new = ["begin", *lines, "end"], ["begin", *reversed(lines), "end"]

        rows = side_by_side("\n".join(old), "\n".join(new))

        assert [row.kind for row in (rows[0], rows[-1])] == ["same", "same"]
        assert {row.kind for row in rows[1:-1]} == {"changed"}
        assert len(rows) == len(old)

    def test_the_same_text_has_no_rows(self) -> None:
        assert side_by_side("a\nb", "a\nb") == []

    def test_lines_stand_beside_what_they_were_and_what_is_far_is_left_out(self) -> None:
        old = "\n".join(f"line {number}" for number in range(30))
        new = old.replace("line 15\n", "").replace("line 20", "line twenty") + "\nlast"

        rows = side_by_side(old, new)

        assert [row.kind for row in rows if row.kind != "same"] == ["cut", "gone", "changed", "cut", "new"]
        assert [
            (row.old and row.old.number, row.new and row.new.number) for row in rows if row.kind == "gone"
        ] == [(16, None)]

    def test_lines_that_have_nothing_in_common_are_marked_whole(self) -> None:
        [row] = side_by_side("{% block title %}", "zzz 12345")

        assert row.old is not None
        assert row.old.marks == (("{% block title %}", True),)

    def test_every_field_of_an_event_is_compared(self) -> None:
        assert set(EVENT_FIELDS) <= set(FIELDS)
