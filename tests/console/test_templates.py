"""The list of templates: what stands, who was at it, what became of a day's messages, and how one is begun."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from console.conftest import Console, SignedIn
from playwright.sync_api import expect

from bridge.calendar import versions
from bridge.database import clock
from bridge.outbox.sample_tables import template_samples


def names(console: Console) -> list[str]:
    with console.bridge.database.read() as connection:
        return [entry.name for entry in versions.entries(connection)]


def cells(page: str, name: str) -> str:
    """The row of a template, as text."""
    return " ".join(page.partition(f">{name}</strong>")[2].partition("</tr>")[0].split())


def test_a_viewer_sees_each_template_with_its_state(signed_in: SignedIn, console: Console) -> None:
    console.visitor("editor").post("/console/templates", name="summer_sale", like="flash_sale")
    page = signed_in("viewer")

    page.goto("/console/templates")

    sale = page.get_by_role("row", name="flash_sale")
    expect(sale).to_contain_text("published, version 1")
    expect(sale).to_contain_text("A two-day sale")
    new = page.get_by_role("row", name="summer_sale")
    expect(new).to_contain_text("never published")
    expect(new).to_contain_text("draft, not published")
    expect(new).to_contain_text("editor")
    expect(page.get_by_role("table", name="Shared pieces")).to_contain_text("_brand")
    expect(page.get_by_role("button", name="Begin")).to_have_count(0)


def test_the_list_says_what_a_day_sent_and_what_failed(console: Console) -> None:
    with console.bridge.database.write() as connection:
        hour = int(clock(connection).timestamp()) // 3600
        of_hours = [(0, 1_000, 2), (5, 200, 0), (48, 7, 7)]
        rows = [
            {
                "template": "flash_sale",
                "version": 1,
                "hour": hour - ago,
                "sent": sent,
                "failed": failed,
                "skipped": 1,
            }
            for ago, sent, failed in of_hours
        ]
        connection.execute(sa.insert(template_samples), rows)

    page = console.visitor("viewer").get("/console/templates").get_data(as_text=True)

    assert ">1,200</td>" in cells(page, "flash_sale")
    assert "2 failed messages of flash_sale" in cells(page, "flash_sale")
    assert "/console/messages?template=flash_sale&amp;state=dead" in cells(page, "flash_sale")
    assert "failed message" not in cells(page, "fixture")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../x", "is no name of a template"),
        ("<script>alert(1)</script>", "is no name of a template"),
        ("Summer Sale", "did you mean &#34;summer_sale&#34;?"),
        ("", "is no name of a template"),
        ("x" * 65, "is no name of a template"),
        ("flash_sale", "There is a template flash_sale already."),
    ],
)
def test_a_name_that_cannot_be_is_told_and_nothing_is_made(console: Console, name: str, told: str) -> None:
    before = names(console)

    answer = console.visitor("editor").post("/console/templates", name=name)

    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert told in page
    assert "<script>alert" not in page
    assert names(console) == before


def test_a_new_template_begins_with_a_text_that_works(signed_in: SignedIn) -> None:
    page = signed_in("editor")
    page.goto("/console/templates")

    page.get_by_text("New template").click()
    page.get_by_label("Name").fill("spring_sale")
    page.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", name="spring_sale")).to_be_visible()
    expect(page.locator(".phone-title")).to_have_text("Ada, it starts now")
    expect(page.locator("#notes .bad")).to_have_count(0)


def test_a_new_piece_begins_with_a_text_that_works(console: Console) -> None:
    visitor = console.visitor("editor")

    visitor.post("/console/templates", name="_footer")

    with console.bridge.database.read() as connection:
        source = versions.sources(connection) | {"_footer": versions.draft(connection, "_footer").source}  # type: ignore[union-attr]
    assert console.bridge.parts.previews.shape("_footer", source).fault is None


def test_a_draft_of_that_name_is_told_and_stays(console: Console) -> None:
    visitor = console.visitor("editor")
    visitor.post("/console/templates", name="spring_sale", like="fixture")

    again = visitor.post("/console/templates", name="spring_sale", like="flash_sale")

    assert (again.status_code, "There is a draft spring_sale already." in again.get_data(as_text=True)) == (
        422,
        True,
    )
    with console.bridge.database.read() as connection:
        draft = versions.draft(connection, "spring_sale")
    assert draft is not None
    assert "One match" in draft.source


def test_a_viewer_begins_nothing(console: Console) -> None:
    before = names(console)

    assert console.visitor("viewer").post("/console/templates", name="spring_sale").status_code == 403
    assert names(console) == before


def test_the_list_fits_a_phone(signed_in: SignedIn) -> None:
    page = signed_in("editor", viewport={"width": 375, "height": 700})

    page.goto("/console/templates")

    assert page.evaluate("document.documentElement.scrollWidth") <= 375
