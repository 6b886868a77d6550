"""Real data: what was really sent goes through a draft before it is published, and nothing of it runs or leaves."""

from __future__ import annotations

import time
from typing import Any

from console.conftest import Console, SignedIn
from console.drafting import AT, SCRIPT, send_five, text_of, write
from playwright.sync_api import expect
from web.running import SALE, sale

from bridge.console.trying import MOST_PAYLOADS

BY_NAME = (
    "⚡ {% if first_name %}{{ first_name }}, {% endif %}{{ discount }}% off starts now",
    "{{ first_name }}",
)


def tried(console: Console, name: str = "flash_sale", **query: Any) -> str:
    """The fragment, as HTML."""
    answer = console.visitor("editor").htmx(f"/console/templates/{name}/realdata/tried", "GET", **query)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


class TestTried:
    def test_what_fails_is_told_by_its_cause_with_a_message_and_its_line(self, console: Console) -> None:
        ids = send_five(console.bridge)
        write(console, BY_NAME)

        page = tried(console)

        assert "3 of 5 real requests fail with the draft, 3 of them only with the draft" in text_of(page)
        assert '3 requests: the block "title" printed nothing' in text_of(page)
        assert f'href="/console/messages/{ids[4]}"' in page
        assert f'href="{AT}#line-18"' in page

    def test_what_changes_stands_field_by_field_old_and_new(self, console: Console) -> None:
        send_five(console.bridge)
        write(
            console, ("% off starts now", "% off starts today"), ("notify_before %}60", "notify_before %}120")
        )

        page = text_of(tried(console))

        assert "All 5 real requests work with the draft. 5 come out otherwise than now." in page
        assert "Title in 5 requests before: ⚡ 50% off starts now after: ⚡ 50% off starts today" in page
        assert "before: 60 minutes before after: 120 minutes before" in page

    def test_what_was_refused_is_mended_by_the_draft(self, console: Console) -> None:
        send_five(console.bridge)
        console.bridge.refuse(sale(user_id="late", variables={**SALE, "discount": "many"}))
        write(
            console,
            ("discount   required, number     e.g. 50", "discount   required   e.g. 50"),
            ("{% if discount < 5 %}discount under 5 %{% endif %}", ""),
        )

        page = text_of(tried(console))

        assert "All 6 real requests work with the draft; it mends 1 that fails now." in page

    def test_what_fails_now_too_is_no_reason_against_the_draft(self, console: Console) -> None:
        console.bridge.refuse(sale(variables={**SALE, "starts": "tomorrow"}))
        write(console, ("% off starts now", "% off starts today"))

        page = text_of(tried(console))

        assert "1 of 1 real request fails with the draft." in page
        assert "(with what is published too)" in page
        assert "only with the draft" not in page

    def test_events_that_the_draft_no_longer_makes_are_told(self, console: Console) -> None:
        send_five(console.bridge)
        write(console, ("{% if discount < 5 %}", "{% if discount < 60 %}"))

        page = text_of(tried(console))

        assert "5 make no event, as the template says. 5 come out otherwise than now." in page
        assert "Whether there is an event in 5 requests" in page
        assert "after: no event: discount under 5 %" in page

    def test_a_changed_event_id_is_told_with_what_comes_of_it(self, console: Console) -> None:
        send_five(console.bridge)
        write(console, ("sale_{{ sale_id }}", "sales_{{ sale_id }}"))

        assert (
            "The event id changes in 5 requests: what is sent after publishing makes second events"
            in text_of(tried(console, brief=1))
        )

    def test_each_variable_says_how_often_it_was_blank(self, console: Console) -> None:
        send_five(console.bridge)
        console.bridge.refuse(sale(variables={**SALE, "colour": "red"}))

        page = text_of(tried(console))

        assert "first_name 4 of 6 (67 %) it stays blank" in page
        assert "sale_id 0 of 6 (0 %)" in page
        assert "colour sent in 1 of 6 this template does not know it: the request is refused" in page

    def test_without_a_draft_it_says_how_what_is_published_does(self, console: Console) -> None:
        send_five(console.bridge)

        page = text_of(tried(console))

        assert "All 5 real requests work." in page
        assert "draft" not in page

    def test_a_template_that_was_never_published_is_tried_with_what_was_refused(
        self, console: Console
    ) -> None:
        editor = console.visitor("editor")
        editor.post("/console/templates", name="summer_sale", like="flash_sale")
        console.bridge.refuse(sale(template="summer_sale"))

        assert "The one real request works with the draft." in text_of(tried(console, "summer_sale"))

    def test_without_requests_it_says_so(self, console: Console) -> None:
        assert "No real request for flash_sale came in of late" in text_of(tried(console))

    def test_a_piece_is_tried_with_the_requests_of_all_that_use_it(self, console: Console) -> None:
        send_five(console.bridge, time_zone="")
        write(
            console,
            (
                'default "Eastern Standard Time"   e.g. Europe/Berlin   (the',
                "required   e.g. Europe/Berlin   (the",
            ),
            ("{{ time_zone }}", "{{ time_zone | upper }}"),
            name="_brand",
        )

        page = text_of(tried(console, "_brand"))

        assert "flash_sale" in page
        assert "No real request for fixture came in of late" in page

    def test_a_loop_without_end_is_cut_off_and_told(self, console: Console) -> None:
        send_five(console.bridge)
        loop = "".join(f"{{% for {one} in range(1000) %}}" for one in "abc") + "{% endfor %}" * 3
        write(console, ("Open for your", loop + "Open for your"))

        page = text_of(tried(console))

        assert "5 of 5 real requests fail with the draft" in page

    def test_events_that_are_too_long_for_one_go_are_tried_in_several(self, console: Console) -> None:
        for discount in range(10, 14):
            send_five(console.bridge, discount=str(discount))
        long = "{% for one in range(3) %}" + "y" * 30_000 + "{% endfor %}"
        write(console, ("Until {{", long + "Until {{"))

        page = text_of(tried(console))

        assert "All 20 real requests work with the draft. 20 come out otherwise than now." in page

    def test_a_viewer_does_not_render(self, console: Console) -> None:
        viewer = console.visitor("viewer")

        assert viewer.get(f"{AT}/realdata").status_code == 403
        assert viewer.htmx(f"{AT}/realdata/tried", "GET").status_code == 403
        assert "Real data" not in viewer.get(f"{AT}/versions").get_data(as_text=True)

    def test_what_strangers_sent_is_text(self, signed_in: SignedIn, console: Console) -> None:
        for name in (SCRIPT, "{{ 7 * 7 }}", "'\"><img src=x onerror=alert(1)>"):
            console.bridge.accept(sale(user_id=f"u{len(name)}", variables={**SALE, "first_name": name}))
        console.bridge.refuse(sale(user_id=SCRIPT, variables={**SALE, SCRIPT: "x"}))
        write(console, ("% off starts now", "% off starts today"))
        page = signed_in("publisher")

        for path in ("realdata", "publish"):
            page.goto(f"{AT}/{path}")
            expect(page.get_by_text("1 of 4 real requests fails with the draft")).to_be_visible()

            expect(page.get_by_text(SCRIPT).first).to_be_visible()
            assert "taken" not in page.title()
            assert page.locator("main img").count() == 0
            assert "49%" not in page.content()

    def test_two_hundred_requests_are_shown_within_seconds(
        self, signed_in: SignedIn, console: Console, record_property: Any
    ) -> None:
        for number in range(MOST_PAYLOADS + 20):
            console.bridge.accept(sale(user_id=f"u{number}", variables={**SALE, "sale_id": f"s{number}"}))
        write(console, ("% off starts now", "% off starts today"))
        page = signed_in("editor")

        began = time.monotonic()
        page.goto(f"{AT}/realdata")
        expect(page.get_by_text("Working: this takes a moment")).to_be_attached(timeout=1)
        expect(
            page.get_by_text("All 200 real requests work with the draft. 200 come out otherwise")
        ).to_be_visible()

        record_property("seconds", round(time.monotonic() - began, 2))
