"""The editor: one text as form and as source, looked at as one types, saved, and nobody's work overwritten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from console.conftest import SECRET_KEY, USERS, Console, SignedIn, Visitor
from console.test_pages import FRONTEND, installed, judge
from playwright.sync_api import Page, expect
from web.running import ID, SALE, Starter, sale

from bridge.calendar import versions
from bridge.calendar.engine import BLOCKS
from bridge.calendar.engine.filters import FILTERS
from bridge.console import hints
from bridge.console.values import pasted
from bridge.database import clock
from bridge.errors import InvalidPayload

expect.set_options(timeout=20_000)  # a busy machine

AT = "/console/templates/flash_sale"
SCRIPT = "<script>document.title = 'taken'</script></textarea>{{ 7 * 7 }}"


def open_editor(page: Page, path: str = AT) -> Page:
    page.goto(path)
    expect(page.locator(".phone-title, #notes .note").first).to_be_visible()
    return page


def title(page: Page) -> Any:
    return page.get_by_label("Title", exact=True)


def to_source(page: Page) -> None:
    page.get_by_role("tab", name="Source").click()
    expect(page.locator(".cm-content")).to_be_visible()


def published(console: Console, name: str = "flash_sale") -> str:
    with console.bridge.database.read() as connection:
        found = versions.published_source(connection, name)
    assert found is not None
    return found[0]


def draft_of(console: Console, name: str = "flash_sale") -> versions.Draft | None:
    with console.bridge.database.read() as connection:
        return versions.draft(connection, name)


def write(console: Console, source: str, *, by: str = "Grace", name: str = "flash_sale") -> versions.Draft:
    """Somebody else writes a draft."""
    stands = draft_of(console, name)
    with console.bridge.database.write() as connection:
        return versions.save_draft(
            connection,
            name,
            source,
            clock(connection),
            by=by,
            origin="console",
            revision=stands.revision if stands else None,
        )


def asks(visitor: Visitor, what: str, path: str = AT, method: str = "POST", **body: Any) -> Any:
    """As the page's script asks."""
    headers = {"HX-Request": "true", "X-CSRFToken": visitor.token()}
    return visitor.client.open(f"{path}/{what}", method=method, json=body, headers=headers)


def looks(visitor: Visitor, source: str, path: str = AT, **body: Any) -> dict[str, Any]:
    answer = asks(visitor, "look", path, source=source, **body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


class TestOneText:
    def test_what_is_changed_in_the_form_stands_in_the_source(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("{{ discount }} off for you")
        expect(page.locator(".phone-title")).to_have_text("50 off for you")
        to_source(page)

        expect(page.locator(".cm-content")).to_contain_text(
            "{% block title %}{{ discount }} off for you{% endblock %}"
        )

    def test_what_is_changed_in_the_source_stands_in_the_form(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        to_source(page)

        page.locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.insert_text(
            "{% block event_id %}e{% endblock %}{% block title %}Written{% endblock %}"
            "{% block start %}2090-12-01T09:00{% endblock %}{% block timezone %}UTC{% endblock %}"
        )
        expect(page.locator(".phone-title")).to_have_text("Written")
        page.get_by_role("tab", name="Form").click()

        expect(title(page)).to_have_value("Written")
        expect(page.get_by_label("Location", exact=True)).to_have_value("")

    def test_half_a_tag_in_one_field_keeps_no_other_from_being_written(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("{{ discount }} {% if")
        expect(page.locator("#w-title")).to_contain_text('"{%" has no "%}"')
        page.get_by_label("Location", exact=True).fill("Here")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")
        title(page).fill("Mended")
        expect(page.locator(".phone-title")).to_have_text("Mended")
        expect(page.locator(".phone-line").last).to_have_text("Here")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        draft = draft_of(console)
        assert draft is not None
        assert "{% block title %}Mended{% endblock %}" in draft.source
        assert "{% block location %}Here{% endblock %}" in draft.source

    def test_a_form_leaves_all_else_as_it_was(self, console: Console) -> None:
        source = published(console)

        told = looks(
            console.visitor("editor"), source, changes={"title": "New {# not closed", "location": "{{"}
        )

        assert told["source"] == source.replace(
            "⚡ {% if first_name %}{{ first_name }}, {% endif %}{{ discount }}% off starts now",
            "New {# not closed",
        ).replace("Open for your {{ discount }}% code", "{{")

    def test_a_field_that_is_left_blank_goes_and_the_shared_pieces_word_holds(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = open_editor(signed_in("editor"))
        reminder = page.get_by_label("Reminder", exact=True)
        expect(reminder).to_have_value("60")

        reminder.fill("")
        title(page).focus()
        expect(page.locator("#c-notify_before")).to_have_text("→ 15")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        draft = draft_of(console)
        assert draft is not None
        assert "notify_before" not in draft.source
        assert reminder.get_attribute("placeholder") == "15"

    def test_a_text_that_is_no_form_says_where_to_mend_it(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        write(console, "{% block title %}never ends")
        page = open_editor(signed_in("editor"))

        page.get_by_role("tab", name="Form").click()

        expect(page.locator("#form-fault")).to_contain_text('line 1: the block "title" has no {% endblock %}')
        expect(title(page)).to_be_hidden()


class TestVariables:
    def open(self, page: Page) -> Page:
        open_editor(page)
        page.get_by_text("What it is for, and its variables").click()
        return page

    def test_a_variable_is_added_in_the_table(self, signed_in: SignedIn, console: Console) -> None:
        page = self.open(signed_in("editor"))

        page.get_by_role("button", name="Add a variable").click()
        page.get_by_label("Name of the new variable").fill("city")
        page.get_by_label("What if it is missing of the new variable").select_option("default")
        page.get_by_label("What stands in of the new variable").fill("New York")
        page.get_by_label("Example of the new variable").fill("Rome")
        title(page).fill("In {{ city }}")
        expect(page.locator(".phone-title")).to_have_text("In Rome")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        draft = draft_of(console)
        assert draft is not None
        assert 'city       default "New York"   e.g. Rome\n' in draft.source
        before = published(console).partition("#}")[0]
        assert draft.source.startswith(before.rstrip())

    def test_a_name_that_cannot_be_is_told_at_its_row_and_the_rest_is_saved(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = self.open(signed_in("editor"))

        page.get_by_role("button", name="Add a variable").click()
        page.get_by_label("Name of the new variable").fill("first name")
        expect(page.get_by_role("alert").filter(has_text="name")).to_be_visible()
        title(page).fill("Still saved")
        expect(page.locator("#saved")).to_contain_text("but for the variables")

        draft = draft_of(console)
        assert draft is not None
        assert "Still saved" in draft.source
        assert "first name" not in draft.source

    def test_a_variable_is_taken_out(self, signed_in: SignedIn, console: Console) -> None:
        page = self.open(signed_in("editor"))

        page.get_by_role("button", name="Remove vip").click()

        expect(page.locator("#notes")).to_contain_text('"vip" is not declared')


class TestLooking:
    def test_the_event_stands_in_month_week_and_on_a_phone_on_both_clocks(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("viewer", timezone_id="America/New_York"))

        expect(page.locator(".phone-clock")).to_have_text("08:00")
        expect(page.locator("#when")).to_contain_text("Fri 4 Dec 2026, 09:00 – 09:30")
        expect(page.locator("#when")).to_contain_text("America/New_York")
        expect(page.locator("#when")).to_contain_text("Fri 4 Dec 2026, 03:00 – 03:30")
        expect(page.locator("#calendar")).to_contain_text("December 2026")
        expect(page.locator("#calendar .entry")).to_contain_text("Ada, 50% off starts now")
        page.get_by_role("button", name="Week").click()
        expect(page.locator("#calendar .entry")).to_contain_text("09:00")
        page.get_by_role("button", name="Yours").click()
        expect(page.locator("#calendar .entry")).to_contain_text("03:00")

        page.get_by_label("Recipient's time zone").fill("Asia/Tokyo")
        expect(page.locator(".phone-clock")).to_have_text("16:00")
        page.get_by_label("Recipient's time zone").fill("Asia/Tokio")
        expect(page.locator("#notes")).to_contain_text("Asia/Tokyo")

    def test_the_request_is_the_one_that_a_send_makes(self, console: Console, signed_in: SignedIn) -> None:
        source = published(console)
        variables = SALE | {"first_name": 'Ada "Q"'}

        told = looks(console.visitor("viewer"), source, values=variables)["request"]

        dry = console.bridge.post(sale(variables=variables, user_id="example-user"), dry_run=1).body[
            "requests"
        ][0]
        head, _, body = told.partition("\n\n")
        assert head == "POST /v1/subscriptionevent/brazetest"
        assert json.loads(body) == dry["body"]

    def test_the_events_file_is_downloaded(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("viewer"))

        with page.expect_download() as download:
            page.get_by_role("button", name="Download as .ics").click()

        text = download.value.path().read_text("utf-8")
        assert download.value.suggested_filename == "flash_sale.ics"
        assert "SUMMARY:⚡ Ada\\, 50% off starts now" in text

    def test_a_mistake_is_underlined_at_its_place_with_the_nearest_name(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        title(page).fill("{{ first_name | uper }}")
        expect(page.locator("#w-title")).to_contain_text('did you mean "upper"?')

        to_source(page)

        expect(page.locator(".cm-lintRange-error")).to_have_text("uper")
        page.locator(".cm-lintRange-error").hover()
        expect(page.locator(".cm-tooltip")).to_contain_text(
            'There is no filter "uper"; did you mean "upper"?'
        )
        page.get_by_role("button", name="Line 18").click()
        expect(page.locator(".cm-activeLine")).to_contain_text("uper")

    def test_a_slip_in_a_variables_name_is_a_warning(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("{{ first_nam }}")
        expect(page.locator("#notes .warn")).to_contain_text('did you mean "first_name"?')
        to_source(page)

        expect(page.locator(".cm-lintRange-warning")).to_have_text("first_nam")

    def test_a_skipped_event_says_why(self, console: Console) -> None:
        told = looks(console.visitor("viewer"), "", values=SALE | {"discount": "1"})

        assert told["calendar"] is None
        assert "No event is made with these values." in told["notes"]
        assert "discount under 5 %" in told["notes"]

    def test_a_title_that_is_too_long_for_a_phone_is_counted(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("⚡" * 10)
        expect(page.locator("#c-title")).to_contain_text("20 of about 50")
        title(page).fill("x" * 51)

        expect(page.locator("#c-title.over")).to_contain_text("51 of about 50")
        expect(page.locator("#w-title")).to_contain_text("a locked phone shows about 50")

    def test_both_sides_of_each_condition_are_listed_and_looked_at(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("viewer"))

        page.get_by_text("Both sides of each condition").click()
        blank = page.locator("#branches li").filter(has_text="first_name blank")
        expect(blank).to_contain_text("⚡ 50% off starts now")
        expect(page.locator("#branches")).to_contain_text("discount under 5 %")
        blank.get_by_role("button").click()

        expect(page.locator(".phone-title")).to_have_text("⚡ 50% off starts now")
        expect(page.locator("#whose-words")).to_have_text("one side of a condition")

    def test_a_piece_is_looked_at_in_a_template_that_uses_it(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"), "/console/templates/_brand")
        expect(page.locator("#notes")).to_contain_text("As it is in the template bill_due")

        page.get_by_text("With whose values").click()
        page.get_by_label("In the template").select_option("flash_sale")
        expect(page.locator(".phone-title")).to_have_text("⚡ Ada, 50% off starts now")
        page.get_by_label("Time zone", exact=True).fill("Asia/Tokyo")

        expect(page.locator("#when")).to_contain_text("Asia/Tokyo")

    def test_a_piece_that_nobody_uses_says_so(self, console: Console) -> None:
        visitor = console.visitor("editor")
        visitor.post("/console/templates", name="_unused")

        told = looks(visitor, "{% block location %}{% endblock %}", "/console/templates/_unused")

        assert "No template uses this piece yet" in told["notes"]
        assert (
            "No template uses"
            in asks(visitor, "branches", "/console/templates/_unused", source="x").get_json()["html"]
        )


class TestValues:
    def use(self, page: Page, source: str) -> Page:
        open_editor(page)
        page.get_by_text("With whose values").click()
        page.get_by_label("Values", exact=True).select_option(source)
        return page

    def test_pasted_values_are_shown(self, signed_in: SignedIn) -> None:
        page = self.use(signed_in("viewer"), "pasted")

        page.get_by_label("JSON, or lines").fill(
            "sale_id = x\nstarts: 2090-12-04T09:00\ndiscount = 7\nfirst_name = 'Eve'"
        )
        page.get_by_role("button", name="Use these").click()

        expect(page.locator(".phone-title")).to_have_text("⚡ Eve, 7% off starts now")

    def test_a_message_that_came_in_is_shown(self, signed_in: SignedIn, console: Console) -> None:
        console.bridge.accept(sale(variables=SALE | {"first_name": "Ada"}))
        console.bridge.post(
            sale(user_id="u2", variables=SALE | {"first_name": "Grace", "starts": "tomorrow"})
        )
        page = self.use(signed_in("viewer"), "message")

        expect(page.locator("#notes")).to_contain_text('"tomorrow" is not a time')
        page.get_by_label("One of the last 2").select_option(index=1)

        expect(page.locator(".phone-title")).to_have_text("⚡ Ada, 50% off starts now")
        expect(page.locator("#whose-words")).to_contain_text("A message for u1")

    @pytest.mark.parametrize(("source", "text"), [("anybody", ""), ("user", "u9"), ("team", "")])
    def test_somebodys_latest_values_are_found(self, start: Starter, source: str, text: str) -> None:
        bridge = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, TEST_SUBSCRIPTIONS=ID, BRAZE_SYNC="off")
        console = Console(bridge, "")
        subscription = {"subscription_id": ID, "account_code": "brazetest"}
        told = {"action": "subscribe", "external_id": "u9", "subscription": subscription}
        assert bridge.post(told, "/v1/subscribers").status == 200
        bridge.accept(sale(user_id="u9", variables=SALE | {"first_name": "Eve"}))

        told = asks(console.visitor("viewer"), "values", **{"from": source, "text": text}).get_json()

        assert told["values"] == SALE | {"first_name": "Eve"}
        assert "u9" in told["words"]

    @pytest.mark.parametrize(
        ("source", "text", "told"),
        [
            ("pasted", "", "Paste JSON"),
            ("pasted", '{"a": }', "in line 1, column 7"),
            ("pasted", "[1]", "Paste an object"),
            ("pasted", "nothing of value", "Line 1 is no value"),
            ("message", "00000000", "There is no message with this id"),
            ("user", " ", "Write the user's id"),
            ("user", "nobody", "No template's message came in for this user"),
            ("anybody", "", "No message of this template came in"),
            ("team", "", "TEST_SUBSCRIPTIONS names nobody"),
            ("moon", "", "There are no such values"),
        ],
    )
    def test_where_there_are_no_values_it_says_what_to_do(
        self, console: Console, source: str, text: str, told: str
    ) -> None:
        answer = asks(console.visitor("viewer"), "values", **{"from": source, "text": text})

        assert answer.status_code == 422
        assert told in answer.get_json()["errors"][0]["message"]

    @pytest.mark.parametrize(
        ("text", "variables"),
        [
            ('{"first_name": "Ada", "n": 5}', {"first_name": "Ada", "n": 5}),
            ('{"template": "t", "user_id": "u", "variables": {"a": "b"}}', {"a": "b"}),
            ('{"template": "t", "user_id": "u", "a": "b", "subscription_ids": []}', {"a": "b"}),
            ('# note\n"a" = "b",\nc: d=e', {"a": "b", "c": "d=e"}),
        ],
    )
    def test_variables_alone_lines_and_whole_bodies_are_understood(
        self, text: str, variables: dict[str, Any]
    ) -> None:
        assert pasted(text).variables == variables

    def test_what_braze_has_not_filled_in_is_told(self) -> None:
        assert "Braze has not filled in first_name" in pasted('{"first_name": "{{${first_name}}}"}').words

    def test_too_much_is_refused(self) -> None:
        with pytest.raises(InvalidPayload, match="too long"):
            pasted("a = b\n" * 50_000)


class TestSaving:
    def test_what_is_written_is_saved_by_itself(self, signed_in: SignedIn, console: Console) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("Saved by itself")
        expect(page.locator("#saved")).to_have_text("Not saved yet…")
        expect(page.locator("#saved")).to_contain_text("by you. Not published.")

        draft = draft_of(console)
        assert draft is not None
        assert (draft.edited_by, draft.origin) == ("editor", "console")
        assert "{% block title %}Saved by itself{% endblock %}" in draft.source
        page.reload()
        expect(title(page)).to_have_value("Saved by itself")

    def test_leaving_with_something_unsaved_is_warned_of(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        page.route("**/draft", lambda route: route.abort())

        title(page).press_sequentially("x")
        page.goto("/console/templates")

        assert asked == ["beforeunload"]

    def test_a_link_of_the_console_saves_first_and_asks_nothing(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = open_editor(signed_in("editor"))
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))

        title(page).fill("On my way")
        page.get_by_role("link", name="Versions").click()
        page.wait_for_url("**/versions")

        assert asked == []
        draft = draft_of(console)
        assert draft is not None
        assert "On my way" in draft.source

    def test_leaving_with_all_saved_asks_nothing(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))

        title(page).press_sequentially("x")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")
        page.goto("/console/templates")

        assert asked == []

    def test_what_could_not_be_saved_is_tried_again(self, signed_in: SignedIn, console: Console) -> None:
        page = open_editor(signed_in("editor"))
        page.clock.install()
        page.route("**/draft", lambda route: route.abort(), times=1)

        title(page).fill("Tried again")
        page.clock.run_for(1_500)
        expect(page.locator("#saved")).to_contain_text("the bridge does not answer")
        page.clock.run_for(6_000)
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        draft = draft_of(console)
        assert draft is not None
        assert "Tried again" in draft.source

    def test_whoever_signed_in_anew_beside_it_goes_on(self, signed_in: SignedIn, console: Console) -> None:
        page = open_editor(signed_in("editor"))
        beside = page.context.new_page()
        beside.goto("/console/templates")
        beside.get_by_role("button", name="Sign out").click()

        title(page).fill("While signed out")
        expect(page.locator("#saved")).to_contain_text("you are signed out")
        beside.get_by_label("Name").fill("editor")
        beside.get_by_label("Password").fill("correct horse")
        beside.get_by_role("button", name="Sign in").click()
        title(page).fill("Signed in anew")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        draft = draft_of(console)
        assert draft is not None
        assert "Signed in anew" in draft.source

    def test_a_draft_is_thrown_away(self, signed_in: SignedIn, console: Console) -> None:
        write(console, "{% block title %}x{% endblock %}", by="editor")
        page = open_editor(signed_in("editor"))
        page.on("dialog", lambda dialog: dialog.accept())

        page.get_by_role("button", name="Throw the draft away").click()
        expect(page.get_by_text("This is version 1, as it is published.")).to_be_visible()

        assert draft_of(console) is None

    def test_a_draft_that_was_changed_meanwhile_is_not_thrown_away(self, console: Console) -> None:
        first = write(console, "one")
        write(console, "two")

        console.visitor("editor").post(f"{AT}/discard", revision=first.revision)

        stands = draft_of(console)
        assert stands is not None
        assert stands.source == "two"


class TestTwoAtOnce:
    def test_whoever_comes_second_is_told_and_nothing_is_overwritten(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = open_editor(signed_in("editor"))
        theirs = published(console).replace("starts now", "by Grace")
        write(console, theirs)

        title(page).fill("Mine")
        panel = page.get_by_role("alertdialog")

        expect(panel).to_contain_text("Grace changed this draft at")
        expect(panel.locator(".line.gone")).to_contain_text("by Grace")
        expect(panel.locator(".line.new")).to_contain_text("Mine")
        expect(page.locator("#saved")).to_contain_text("Not saved: decide below first.")
        stands = draft_of(console)
        assert stands is not None
        assert stands.source == theirs

    def test_theirs_is_taken_and_undo_brings_mine_back(self, signed_in: SignedIn, console: Console) -> None:
        page = open_editor(signed_in("editor"))
        theirs = published(console).replace("starts now", "by Grace")
        write(console, theirs)
        title(page).fill("Mine")

        page.get_by_role("button", name="Take theirs").click()
        expect(title(page)).to_have_value(
            "⚡ {% if first_name %}{{ first_name }}, {% endif %}{{ discount }}% off by Grace"
        )
        expect(page.get_by_role("alertdialog")).to_have_count(0)
        to_source(page)
        page.locator(".cm-content").click()
        page.keyboard.press("Control+z")

        expect(page.locator(".cm-content")).to_contain_text("{% block title %}Mine{% endblock %}")

    def test_mine_is_kept_as_a_copy(self, signed_in: SignedIn, console: Console) -> None:
        page = open_editor(signed_in("editor"))
        theirs = published(console).replace("starts now", "by Grace")
        write(console, theirs)
        title(page).fill("Mine")

        page.get_by_role("button", name="Keep mine as a copy").click()

        expect(page.get_by_role("heading", name="flash_sale_editor")).to_be_visible()
        copy, stands = draft_of(console, "flash_sale_editor"), draft_of(console)
        assert copy is not None
        assert "{% block title %}Mine{% endblock %}" in copy.source
        assert stands is not None
        assert stands.source == theirs

    def test_who_only_reads_is_told_of_what_changed(self, signed_in: SignedIn, console: Console) -> None:
        page = signed_in("viewer")
        page.clock.install()
        open_editor(page)
        write(console, published(console).replace("starts now", "by Grace"))

        page.clock.run_for(6_000)
        expect(page.locator("#news")).to_contain_text("Grace changed this draft")
        page.get_by_role("button", name="Show it").click()

        expect(page.locator(".phone-title")).to_have_text("⚡ Ada, 50% off by Grace")

    def test_a_draft_that_was_published_meanwhile_is_kept_as_a_new_one(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        write(console, published(console).replace("starts now", "soon"), by="editor")
        page = open_editor(signed_in("editor"))
        versions.publish(console.bridge.database, "flash_sale", by="Grace", origin="console")

        title(page).fill("Mine")
        expect(page.get_by_role("alertdialog")).to_contain_text("published or thrown away")
        page.get_by_role("button", name="Keep mine as a new draft").click()
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")

        stands = draft_of(console)
        assert stands is not None
        assert (stands.based_on, "Mine" in stands.source) == (2, True)

    def test_somebody_who_may_still_be_at_it_is_named(self, signed_in: SignedIn, console: Console) -> None:
        write(console, published(console))

        page = open_editor(signed_in("editor"))

        expect(page.locator("#somebody")).to_contain_text("Grace wrote in this draft")


class TestStrangers:
    def test_values_and_texts_from_strangers_are_shown_as_they_are(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        console.bridge.accept(sale(user_id="<img src=x>", variables=SALE | {"first_name": SCRIPT}))
        page = open_editor(signed_in("editor"))
        page.get_by_text("With whose values").click()
        page.get_by_label("Values", exact=True).select_option("message")
        expect(page.locator(".phone-title")).to_contain_text(SCRIPT)
        expect(page.locator("#calendar .entry")).to_contain_text(SCRIPT)
        expect(page.locator("#request")).to_contain_text("</textarea>")

        title(page).fill("</textarea></script><script>document.title = 'taken'</script>")
        expect(page.locator(".phone-title")).to_contain_text("</script><script>")
        expect(page.locator("#saved")).to_contain_text("Saved as a draft")
        page.reload()

        expect(title(page)).to_have_value("</textarea></script><script>document.title = 'taken'</script>")
        assert "taken" not in page.title()

    def test_both_texts_of_a_conflict_are_shown_as_they_are(
        self, signed_in: SignedIn, console: Console
    ) -> None:
        page = open_editor(signed_in("editor"))
        write(console, f"\n{SCRIPT}", by="<b>Grace</b>")

        title(page).fill(f"{SCRIPT} mine")

        expect(page.get_by_role("alertdialog")).to_contain_text("<b>Grace</b> changed this draft")
        expect(page.locator(".line.gone").filter(has_text=SCRIPT)).to_have_count(1)
        assert "taken" not in page.title()

    @pytest.mark.parametrize(
        "path", ["../x", "..%2fx", "%3Cscript%3E", "flash_sal", "x" * 300, "flash_sale/none"]
    )
    def test_what_there_is_not_is_not_found(self, console: Console, path: str) -> None:
        answer = console.visitor("editor").get(f"/console/templates/{path}")

        assert answer.status_code == 404
        assert "<script>" not in answer.get_data(as_text=True).partition("<main")[2]

    def test_a_text_that_is_too_long_is_told_and_nothing_is_saved(self, console: Console) -> None:
        visitor = console.visitor("editor")
        long = "{% block title %}" + "ä" * 40_000 + "{% endblock %}"

        saved = asks(visitor, "draft", method="PUT", source=long, revision=None)
        looked = asks(visitor, "look", source=long)

        for answer in (saved, looked):
            assert answer.status_code == 422
            assert "65,536 are the most" in answer.get_json()["errors"][0]["message"]
        assert draft_of(console) is None

    def test_a_text_of_the_greatest_length_is_looked_at(self, console: Console) -> None:
        source = published(console)
        long = source + "{#" + "x" * (65_536 - len(source.encode()) - 4) + "#}"

        assert looks(console.visitor("editor"), long)["faults"] == []

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"source": 5},
            {"source": "x", "changes": {"none": "x"}},
            {"source": "x", "changes": {"title": 5}},
            {"source": "x", "declared": {"rows": 5}},
            {"source": "x", "declared": {"purpose": "x", "rows": [{"kind": "moon"}]}},
            {"source": "x", "values": [1]},
        ],
    )
    def test_what_no_page_sends_is_refused(self, console: Console, body: dict[str, Any]) -> None:
        visitor = console.visitor("editor")

        assert asks(visitor, "look", **body).status_code == 422

    @pytest.mark.parametrize("revision", ["1", -1, True, 2**40, [1]])
    def test_a_revision_that_is_none_is_refused(self, console: Console, revision: Any) -> None:
        answer = asks(console.visitor("editor"), "draft", method="PUT", source="x", revision=revision)

        assert answer.status_code in (409, 422)
        assert draft_of(console) is None

    def test_an_endless_template_is_told_and_stops_nobody(self, console: Console) -> None:
        visitor = console.visitor("editor")
        endless = published(console).replace(
            "starts now", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
        )

        assert looks(visitor, endless)["faults"][0]["level"] == "refuse"
        assert looks(visitor, published(console))["faults"] == []


class TestRoles:
    def test_a_viewer_sees_all_and_changes_nothing(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("viewer"))

        expect(title(page)).not_to_be_editable()
        expect(page.get_by_text("You look at this as a viewer")).to_be_visible()
        expect(page.get_by_role("button", name="Throw the draft away")).to_have_count(0)
        to_source(page)
        page.locator(".cm-content").click()
        page.keyboard.type("x")
        expect(page.locator(".cm-line").first).to_have_text("{#")

    @pytest.mark.parametrize(("method", "what"), [("PUT", "draft"), ("POST", "copy"), ("POST", "discard")])
    def test_a_viewer_writes_nothing(self, console: Console, method: str, what: str) -> None:
        answer = asks(console.visitor("viewer"), what, method=method, source="x", revision=None)

        assert answer.status_code == 403
        assert draft_of(console) is None

    def test_a_viewers_own_text_is_not_run(self, console: Console) -> None:
        assert looks(console.visitor("viewer"), "{% block title %}mine{% endblock %}")["source"] == published(
            console
        )

    @pytest.mark.parametrize(
        ("method", "what"),
        [
            ("PUT", "draft"),
            *(("POST", one) for one in ("look", "branches", "values", "copy", "discard", "event.ics")),
        ],
    )
    def test_without_the_sessions_token_nothing_is_done(
        self, console: Console, method: str, what: str
    ) -> None:
        answer = console.visitor("editor").client.open(f"{AT}/{what}", method=method, json={"source": "x"})

        assert answer.status_code == 400
        assert draft_of(console) is None


class TestByHand:
    def test_a_variable_and_a_filter_are_inserted_where_one_writes(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))

        title(page).fill("Hello ")
        page.get_by_role("button", name="first_name", exact=True).click()
        expect(title(page)).to_have_value("Hello {{ first_name }}")
        title(page).fill("")
        page.get_by_role("button", name="starts", exact=True).click()
        expect(title(page)).to_have_value('{{ starts | date("%A %-d %B, %H:%M") }}')
        page.get_by_label("Start", exact=True).fill("")
        page.get_by_role("button", name="starts", exact=True).click()

        expect(page.get_by_label("Start", exact=True)).to_have_value("{{ starts }}")

    def test_the_source_completes_variables_blocks_and_filters(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        to_source(page)
        content = page.locator(".cm-content")
        for typed, wanted in (
            ("{{ disc", "discount"),
            ("}}{{ starts | in_", "in_zone"),
            ("}}{% block visi", "visible_from"),
        ):
            content.click()
            page.keyboard.press("Control+End")
            page.keyboard.type(typed)
            page.keyboard.press("Control+Space")

            expect(page.locator(".cm-tooltip-autocomplete").get_by_text(wanted, exact=True)).to_be_visible()
            page.keyboard.press("Escape")

    def test_the_views_are_switched_by_keys(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))

        page.get_by_role("tab", name="Form").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Source")).to_be_focused()
        expect(page.locator(".cm-content")).to_be_visible()
        page.keyboard.press("ArrowLeft")

        expect(title(page)).to_be_visible()

    @pytest.mark.parametrize("view", ["", "#source"])
    def test_the_editor_fits_a_phone(self, signed_in: SignedIn, view: str) -> None:
        page = signed_in("editor", viewport={"width": 375, "height": 700})

        open_editor(page, f"{AT}{view}")

        assert page.evaluate("document.documentElement.scrollWidth") <= 375

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_everybody_can_read_and_use_it(self, signed_in: SignedIn, scheme: str) -> None:
        """By axe-core, with all that unfolds, and with a mistake and a warning in it."""
        axe = (installed(FRONTEND) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
        page = open_editor(signed_in("editor", color_scheme=scheme))
        for unfolded in (
            "What it is for, and its variables",
            "With whose values",
            "Both sides of each condition",
        ):
            page.get_by_text(unfolded).click()
        page.get_by_label("Values", exact=True).select_option("pasted")
        title(page).focus()
        page.get_by_text("Filters", exact=True).click()
        expect(page.locator("#branches li").first).to_be_visible()
        findings = judge(page, axe)
        page.get_by_role("button", name="Week").click()
        expect(page.locator("#calendar")).to_contain_text("Fri 4")
        findings += judge(page, axe)
        page.get_by_role("button", name="Month").click()
        title(page).fill("{{ first_nam }}" * 20)
        expect(page.locator("#notes .warn").first).to_be_visible()
        findings += judge(page, axe)
        page.get_by_label("Location", exact=True).fill("{{ x | uper }}")
        expect(page.get_by_text("This is the event as it was before the mistake")).to_be_visible()
        to_source(page)
        findings += judge(page, axe)

        assert findings == []

    def test_every_field_and_button_has_a_name(self, signed_in: SignedIn) -> None:
        page = open_editor(signed_in("editor"))
        page.get_by_text("What it is for, and its variables").click()

        unnamed = page.evaluate("""() => [...document.querySelectorAll("main :is(input, textarea, select, button)")]
            .filter((one) => one.type !== "hidden" && !one.labels?.length && !one.getAttribute("aria-label")
                && !one.textContent.trim()).map((one) => one.outerHTML.slice(0, 120))""")

        assert unnamed == []


def test_hints_are_of_what_there_is() -> None:
    shown = {name for group in hints.FILTERS.values() for name, _, _ in group}

    assert set(hints.BLOCKS) == set(BLOCKS)
    assert shown <= set(FILTERS)
    assert all(example.startswith(name) for group in hints.FILTERS.values() for name, example, _ in group)
