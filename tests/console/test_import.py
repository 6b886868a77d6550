"""The pages that take a webhook in from Braze, and give one out."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from braze import Braze, User
from console.conftest import Console, SignedIn
from playwright.sync_api import Page, expect
from routes.test_source_document import AUTHORIZATION, CREATE_BODY, URL
from web.running import ACCOUNT, ID

from bridge.calendar import versions

HEADERS = f"Authorization: {AUTHORIZATION}\nContent-Type: application/json"
HOSTILE = "<script>document.title = 'taken'</script>"


def draft_of(console: Console, name: str) -> versions.Draft | None:
    with console.bridge.database.browse() as connection:
        return versions.draft(connection, name)


def paste(page: Page, body: str, url: str = "", headers: str = "") -> None:
    page.goto("/console/import")
    page.get_by_label("Webhook URL").fill(url)
    page.get_by_label("Request headers").fill(headers)
    page.get_by_label("Request body").fill(body)
    page.get_by_role("button", name="Make a template").click()


def test_an_editor_pastes_the_webhook_of_brazes_page_and_keeps_a_draft(
    signed_in: SignedIn, console: Console
) -> None:
    page = signed_in("editor")

    paste(page, CREATE_BODY, URL, HEADERS)

    expect(page.get_by_text("Nothing: all of it has its equal.")).to_be_visible()
    expect(
        page.get_by_text("1 sample user, rendered by Braze's Liquid and by the template: 1 alike.")
    ).to_be_visible()
    page.get_by_label("Keep it as a draft named").fill("from_braze")
    page.get_by_role("button", name="Keep as draft").click()
    expect(page).to_have_url(f"{console.url}/console/templates/from_braze/webhook")
    expect(page.get_by_text("from_braze is a draft now.")).to_be_visible()
    draft = draft_of(console, "from_braze")
    assert draft is not None
    assert "{% block event_id %}Event_0001{% endblock %}" in draft.source
    assert (draft.edited_by, draft.origin) == ("editor", "console")


def test_what_has_no_equal_and_what_differs_stand_beside_the_template(signed_in: SignedIn) -> None:
    page = signed_in("editor")

    paste(page, CREATE_BODY.replace("Event Title", "{{${first_name}}} {{content_blocks.${terms}}}"))

    expect(page.get_by_text("Body, line 2: {{content_blocks.${terms}}}")).to_be_visible()
    assert "{# Braze: " in page.get_by_label("The template's text").input_value()
    expect(page.get_by_text("json_escape is missing")).to_be_visible()


def test_a_mistake_is_told_with_its_line_and_the_pasted_text_stays(signed_in: SignedIn) -> None:
    page = signed_in("viewer")

    paste(page, "\n{% iff x %}")

    expect(page.get_by_role("alert")).to_contain_text("line 2 of the body")
    expect(page.get_by_role("alert")).to_contain_text('did you mean "if"?')
    expect(page.get_by_label("Request body")).to_have_value("\n{% iff x %}")


def test_what_was_pasted_is_text_on_the_page(signed_in: SignedIn) -> None:
    page = signed_in("editor")

    paste(page, CREATE_BODY.replace("Event Title", HOSTILE + "{{content_blocks.${" + HOSTILE + "}}}"))

    expect(page.get_by_role("heading", name="Compared")).to_be_visible()
    assert page.title() == "From Braze – Bridge"
    assert page.locator("main script").count() == 0


def test_a_name_that_is_taken_is_asked_about_before_anything_is_written(console: Console) -> None:
    editor = console.visitor("editor")
    form = {"name": "flash_sale", "source": "{# mine #}"}

    first = editor.htmx("/console/import/keep", **form)
    before = draft_of(console, "flash_sale")
    second = editor.htmx("/console/import/keep", **form, replace="yes")

    assert first.status_code == 422
    assert "There is a published template flash_sale already." in first.get_data(as_text=True)
    assert before is None
    assert second.headers["HX-Redirect"] == "/console/templates/flash_sale/webhook"
    draft = draft_of(console, "flash_sale")
    assert draft is not None
    assert draft.source == "{# mine #}"


@pytest.mark.parametrize(
    ("name", "words"), [("Summer Sale", "summer_sale"), ("_mine", "shared piece"), ("", "no name")]
)
def test_a_name_that_no_event_can_have_is_refused_with_the_right_one(
    console: Console, name: str, words: str
) -> None:
    answer = console.visitor("editor").htmx("/console/import/keep", name=name, source="x")

    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)


def test_a_viewer_tries_and_keeps_nothing(console: Console) -> None:
    viewer = console.visitor("viewer")

    tried = viewer.post("/console/import", body=CREATE_BODY)
    kept = viewer.htmx("/console/import/keep", name="mine", source="x")

    assert "you need to be an editor" in tried.get_data(as_text=True)
    assert kept.status_code == 403
    assert draft_of(console, "mine") is None


def test_without_scripts_the_page_answers_whole(console: Console) -> None:
    page = console.visitor("editor").post("/console/import", body=CREATE_BODY, url=URL).get_data(as_text=True)

    assert "<!doctype html>" in page
    assert "Event_0001" in page
    assert "Nothing: all of it has its equal." in page


def test_the_webhook_to_paste_is_taken_by_this_bridge(console: Console) -> None:
    page = console.visitor("viewer").get("/console/templates/bill_due/webhook", place="trigger")

    text = page.get_data(as_text=True)
    assert "http://localhost/v1/calendar/events" in text
    body = unescape(text.split('id="w-body"')[1].split(">", 1)[1].split("</textarea>")[0])
    known = {"invoice_id": "1", "amount": "10", "currency": "EUR", "due": "2090-01-01", "autopay": "no"}
    for name, value in known.items():
        body = body.replace(f"{{{{api_trigger_properties.${{{name}}} | json_escape}}}}", value)
    body = body.replace("{{${first_name} | json_escape}}", "Ada").replace(
        "{{${time_zone} | json_escape}}", "UTC"
    )
    user = User("u1", {"rokt:account_code": [ACCOUNT], "rokt:subscription_id": [ID]})
    answer = console.bridge.post(json.loads(Braze().render(body, user)), dry_run=1)
    assert answer.status == 200, answer.body


def test_the_choice_of_where_values_come_from_changes_the_body(signed_in: SignedIn) -> None:
    page = signed_in("viewer")
    page.goto("/console/templates/flash_sale/webhook")

    page.get_by_label("Its values come from").select_option("context")

    expect(page.get_by_role("textbox", name="Request body")).to_have_value(
        re.compile(r"\{\{context\.\$\{sale_id\} \| json_escape\}\}")
    )


def test_a_button_copies_the_body(signed_in: SignedIn) -> None:
    page = signed_in("viewer")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/console/templates/flash_sale/webhook")

    page.get_by_role("button", name="Copy: Request body").click()

    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.get_by_role("textbox", name="Request body").input_value()


def test_a_template_that_was_never_published_says_so_beside_its_webhook(console: Console) -> None:
    editor = console.visitor("editor")
    editor.htmx("/console/import/keep", name="mine", source="{# x #}")

    page = editor.get("/console/templates/mine/webhook").get_data(as_text=True)

    assert "has never been published" in page
    assert "A mistake stands in it" in page


@pytest.mark.parametrize("name", ["nothing", "_brand"])
def test_what_is_no_template_has_no_webhook(console: Console, name: str) -> None:
    assert console.visitor("viewer").get(f"/console/templates/{name}/webhook").status_code == 404
