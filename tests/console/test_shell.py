"""What holds for every page of the console: who comes in, what a browser is told, and how a fault looks."""

from __future__ import annotations

import re

import pytest
from console.conftest import PASSWORD, SECRET_KEY, USERS, Console, SignedIn, Visitor, hashed
from flask import Blueprint, flash, g, redirect, render_template_string, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import TimestampSigner
from playwright.sync_api import Page, expect
from web.running import Starter

from bridge import console as console_package
from bridge.console.roles import needs, person
from bridge.console.sessions import IDLE, LONGEST
from bridge.errors import InvalidPayload
from bridge.web.parts import Parts
from bridge.web.signatures import AHEAD

PRODUCTION = {
    "BRIDGE_ENV": "production",
    "ROKT_CALENDAR_URL": "https://api.roktcalendar.com",
    "CONSOLE_USERS": USERS,
    "SECRET_KEY": SECRET_KEY,
}
HTTPS = {"base_url": "https://bridge.example.com"}


class Specimen:
    """A page module with one of everything."""

    NAV = (("Specimen", "specimen"), ("Other", "other"))
    PAGE = """
    {% extends "_layout.html" %}{% block title %}Specimen{% endblock %}
    {% block main %}
    <h1>Specimen</h1>
    <form method="post">{{ m.csrf() }}
      {{ m.field("first", "First", value, hint="As in a letter") }}
      {{ m.field("second", "Second", "x", fault="This is wrong", required=true, maxlength=5) }}
      {{ m.choice("kind", "Kind", [("a", "One"), ("b", "Other")], "b") }}
      <button>Send</button>
    </form>
    <input aria-label="Search" name="q" hx-post="{{ url_for('console.specimen_fragment') }}" hx-target="#found">
    <div id="found"></div>
    {% call m.table("Things", ["Name", "State"]) %}
      <tr><td>{{ value }}</td><td>{{ m.state("dead") }}</td></tr>
      <tr><td>b</td><td>{{ m.state("delivered", "braze") }}</td></tr>
    {% endcall %}
    {{ m.post(url_for("console.specimen_publish"), "Publish", class="danger", sure="Really?") }}
    {{ m.pager(newer="?n", older="?o") }}
    {% endblock %}
    """

    @staticmethod
    def register(console: Blueprint, _parts: Parts) -> None:
        @console.get("/specimen")
        @needs("viewer")
        def specimen() -> str:
            return render_template_string(Specimen.PAGE, value="<script>alert(1)</script>")

        @console.post("/specimen")
        @needs("editor")
        def specimen_send() -> ResponseReturnValue:
            flash(f"Kept {request.form['first']}.", "good")
            return redirect(url_for("console.specimen"), 303)

        @console.post("/specimen/fragment")
        @needs("viewer")
        def specimen_fragment() -> str:
            if request.form.get("q") == "broken":
                raise RuntimeError("a secret of the code")
            if request.form.get("q") == "wrong":
                raise InvalidPayload("That is wrong.")
            return render_template_string("Found by {{ g.person.name }}", g=g)

        @console.post("/specimen/publish")
        @needs("publisher")
        def specimen_publish() -> ResponseReturnValue:
            flash(f"Published by {person().name}.", "good")
            return redirect(url_for("console.specimen"), 303)

        @console.get("/other")
        @needs("viewer")
        def other() -> str:
            return render_template_string(
                '{% extends "_layout.html" %}{% block main %}<h1>Other</h1>{% endblock %}'
            )


@pytest.fixture(autouse=True)
def specimen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_package, "PAGES", (Specimen,))


class TestWhoComesIn:
    def test_a_view_that_does_not_say_who_may_call_it_stops_the_start(
        self, start: Starter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Careless:
            @staticmethod
            def register(console: Blueprint, _parts: Parts) -> None:
                console.add_url_rule("/careless", "careless", lambda: "everything")

        monkeypatch.setattr(console_package, "PAGES", (Careless,))

        with pytest.raises(TypeError, match=r"console\.careless does not say who may call it"):
            start()

    def test_one_comes_back_to_the_page_that_one_wanted(self, console: Console) -> None:
        visitor = console.visitor()
        to_sign_in = visitor.get("/console/specimen", a="1", b="x y").headers["Location"]

        page = visitor.client.get(to_sign_in).get_data(as_text=True)
        [wanted] = re.findall(r'name="next" value="([^"]+)"', page)
        answer = visitor.sign_in("viewer", next=wanted.replace("&amp;", "&"))

        assert answer.headers["Location"] == "/console/specimen?a=1&b=x+y"
        assert visitor.get("/console/sign-in", next="/console/other").headers["Location"] == "/console/other"

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://evil.example.com/console/",
            "//evil.example.com/console/",
            "/\\evil.example.com",
            "javascript:alert(1)",
            "/v1/messages",
            "http://[",
            "/console/\r\nX: y",
            "",
        ],
    )
    def test_signing_in_leads_nowhere_else(self, console: Console, elsewhere: str) -> None:
        answer = console.visitor().sign_in("viewer", next=elsewhere)

        assert answer.headers["Location"] == "/console/go"

    def test_without_users_the_console_says_how_it_is_turned_on(self, start: Starter) -> None:
        client = start().app.test_client()

        for path in ("/console", "/console/", "/console/sign-in", "/console/specimen"):
            answer = client.get(path)

            assert answer.status_code == 501
            words = answer.get_data(as_text=True)
            assert all(name in words for name in ("CONSOLE_USERS", "OIDC_ISSUER", "SECRET_KEY"))
        assert client.post("/console/sign-in").status_code == 501
        assert client.get("/console/static/console.css").status_code == 200


class TestSessions:
    def test_a_session_ends_after_a_while_without_a_request(self, console: Console) -> None:
        visitor = console.visitor("viewer")

        age(visitor, seen=IDLE - 60)
        assert visitor.get("/console/specimen").status_code == 200
        age(visitor, seen=IDLE - 60)
        assert visitor.get("/console/specimen").status_code == 200, "the request before kept it"
        age(visitor, seen=IDLE + 60)
        assert visitor.get("/console/specimen").status_code == 303

    def test_a_session_ends_after_a_week_whatever_one_does(self, console: Console) -> None:
        visitor = console.visitor("viewer")

        age(visitor, since=LONGEST["password"] - 60)
        assert visitor.get("/console/specimen").status_code == 200
        age(visitor, since=120)
        assert visitor.get("/console/specimen").status_code == 303

    def test_a_session_of_a_machine_whose_clock_is_ahead_holds(
        self, console: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        visitor = console.visitor("viewer")
        now = TimestampSigner("x").get_timestamp()

        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: now - 60)
        assert visitor.get("/console/specimen").status_code == 200
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: now - 2 * AHEAD)
        assert visitor.get("/console/specimen").status_code == 303

    def test_signing_in_starts_a_new_session(self, console: Console) -> None:
        visitor = console.visitor()
        before = visitor.token()
        with visitor.client.session_transaction() as session:
            session["planted"] = "by somebody else"

        visitor.sign_in("viewer")

        with visitor.client.session_transaction() as session:
            assert "planted" not in session
        old = visitor.client.post("/console/specimen/fragment", headers={"X-CSRFToken": before})
        assert old.status_code == 400

    def test_signing_out_forgets_everything(self, console: Console) -> None:
        visitor = console.visitor("viewer")

        assert visitor.post("/console/sign-out").status_code == 303

        assert visitor.get("/console/specimen").status_code == 303
        with visitor.client.session_transaction() as session:
            assert "name" not in session

    @pytest.mark.parametrize(
        ("users", "status"),
        [
            (USERS, 200),
            (USERS.replace("editor:", "editor2:", 1), 303),  # taken out
            (f"editor:{hashed(PASSWORD)}:editor", 303),  # another hash, even of the same password
            (USERS.replace(":editor,", ":viewer,"), 303),  # another role
        ],
    )
    def test_somebody_whose_entry_changed_is_signed_out_everywhere(
        self, start: Starter, users: str, status: int
    ) -> None:
        before = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY)
        visitor = Visitor(before.app.test_client())
        visitor.sign_in("editor")
        cookie = visitor.client.get_cookie("bridge")
        assert cookie

        after = start(CONSOLE_USERS=users, SECRET_KEY=SECRET_KEY).app.test_client()
        after.set_cookie("bridge", cookie.value)

        assert after.get("/console/specimen").status_code == status

    def test_a_cookie_of_another_key_is_nobodys(self, start: Starter) -> None:
        forger = Visitor(
            start(CONSOLE_USERS=USERS, SECRET_KEY="another key of the same length").app.test_client()
        )
        forger.sign_in("publisher")
        cookie = forger.client.get_cookie("bridge")
        assert cookie

        client = start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY).app.test_client()
        client.set_cookie("bridge", cookie.value)

        assert client.get("/console/specimen").status_code == 303

    def test_in_production_the_cookie_is_bound_to_this_host_and_https(self, start: Starter) -> None:
        client = start(**PRODUCTION).app.test_client()

        answer = client.get("/console/sign-in", **HTTPS)

        name, _, attributes = answer.headers["Set-Cookie"].partition("=")
        assert name == "__Host-bridge"
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes.split("; "))
        assert "Domain" not in attributes

    def test_somebody_signs_in_behind_a_router_that_ends_tls(self, start: Starter) -> None:
        client = start(**PRODUCTION).app.test_client()
        forwarded = {"X-Forwarded-Proto": "https", "Referer": "https://bridge.example.com/console/sign-in"}
        token = client.get("/console/token", **HTTPS).get_json()["token"]

        form = {"name": "viewer", "password": PASSWORD, "csrf_token": token}
        answer = client.post("/console/sign-in", data=form, headers=forwarded, **HTTPS)

        assert answer.status_code == 303
        assert client.get("/console/specimen", **HTTPS).status_code == 200

    def test_the_api_sets_no_cookie_and_needs_none(self, console: Console) -> None:
        answer = console.bridge.call("GET", "/v1/messages")

        assert "Set-Cookie" not in answer.headers
        assert console.visitor("publisher").get("/v1/messages").status_code == 401


class TestForms:
    @pytest.mark.parametrize("token", ["", "nonsense", "IjEi.aaaa.bbbb"])
    def test_a_form_without_its_token_changes_nothing(self, console: Console, token: str) -> None:
        visitor = console.visitor("publisher")

        by_form = visitor.client.post("/console/specimen", data={"csrf_token": token, "first": "x"})
        by_header = visitor.client.post(
            "/console/specimen/fragment", headers={"HX-Request": "true", "X-CSRFToken": token}
        )

        assert by_form.status_code == by_header.status_code == 400
        assert "This page is too old" in by_form.get_data(as_text=True)
        assert "Kept" not in visitor.get("/console/specimen").get_data(as_text=True)
        assert by_header.headers["HX-Retarget"] == "#told"

    def test_nobody_is_signed_in_by_another_sites_form(self, console: Console) -> None:
        client = console.visitor().client

        answer = client.post("/console/sign-in", data={"name": "viewer", "password": PASSWORD})

        assert answer.status_code == 400
        assert client.get("/console/specimen").status_code == 303

    def test_a_token_of_one_person_is_not_anothers(self, console: Console) -> None:
        token = console.visitor("publisher").token()

        answer = console.visitor("publisher").client.post(
            "/console/specimen/publish", data={"csrf_token": token}
        )

        assert answer.status_code == 400

    def test_what_was_done_is_told_once(self, signed_in: SignedIn) -> None:
        page = signed_in("editor")
        page.goto("/console/specimen")

        page.get_by_label("First").fill("<b>Ada</b>")
        page.get_by_role("button", name="Send").click()

        expect(page.get_by_role("status")).to_have_text("Kept <b>Ada</b>.")
        page.reload()
        expect(page.get_by_role("status")).to_have_text("")

    def test_what_matters_is_asked_before(self, signed_in: SignedIn) -> None:
        page = signed_in("publisher")
        page.goto("/console/specimen")

        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_role("status")).to_have_text("")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Publish").click()

        expect(page.get_by_role("status")).to_have_text("Published by publisher.")

    def test_htmx_sends_the_token_and_takes_what_comes(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer")
        page.goto("/console/specimen")

        search(page, "x")

        expect(page.locator("#found")).to_have_text("Found by viewer")

    def test_a_fault_stands_where_messages_stand(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer")
        page.goto("/console/specimen")

        search(page, "wrong")

        expect(page.get_by_role("status")).to_have_text("The request is not right. That is wrong.")
        expect(page.locator("#found")).to_have_text("")

    def test_whoever_was_signed_out_goes_on_with_what_is_typed(self, signed_in: SignedIn) -> None:
        page = signed_in("editor")
        page.goto("/console/specimen")
        page.get_by_label("First").fill("half a letter")
        page.context.clear_cookies()

        search(page, "x")
        expect(page.get_by_role("status")).to_contain_text("You are signed out")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Sign in").click()
        other = opened.value
        other.get_by_label("Name").fill("editor")
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_role("heading", name="Specimen")).to_be_visible()
        with page.expect_response("**/console/token"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_role("button", name="Send").click()

        expect(page.get_by_role("status")).to_have_text("Kept half a letter.")


class TestFaults:
    def test_what_is_not_there_is_a_page_in_words(self, console: Console) -> None:
        visitor = console.visitor("viewer")

        for answer in (visitor.get("/console/nothing"), visitor.post("/console/nothing")):
            assert answer.status_code == 404
            assert answer.mimetype == "text/html"
            assert "There is no such page." in answer.get_data(as_text=True)

    def test_a_fault_of_the_code_tells_a_number_and_nothing_of_itself(self, console: Console) -> None:
        answer = console.visitor("viewer").htmx("/console/specimen/fragment", q="broken")

        words = answer.get_data(as_text=True)
        assert answer.status_code == 500
        assert answer.headers["X-Request-Id"] in words
        assert "secret" not in words

    def test_values_of_strangers_are_text(self, console: Console) -> None:
        page = console.visitor("viewer").get("/console/specimen").get_data(as_text=True)

        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
        assert "<script>alert" not in page


class TestHeaders:
    @pytest.mark.parametrize(
        "path", ["/console/specimen", "/console/nothing", "/console/sign-in", "/console/static/console.js"]
    )
    def test_a_browser_is_told_what_a_page_may(self, console: Console, path: str) -> None:
        headers = console.visitor("viewer").get(path).headers

        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        nonce = policy.pop("style-src").removeprefix("'self' 'nonce-").removesuffix("'")
        assert policy == {
            "default-src": "'self'",
            "img-src": "'self' data:",
            "frame-ancestors": "'none'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "object-src": "'none'",
        }
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "static" in path or len(nonce) >= 20
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"

    def test_each_answer_has_a_nonce_of_its_own(self, console: Console) -> None:
        visitor = console.visitor("viewer")

        policies = {visitor.get("/console/specimen").headers["Content-Security-Policy"] for _ in range(3)}

        assert len(policies) == 3

    def test_pages_are_kept_nowhere(self, console: Console) -> None:
        assert console.visitor("viewer").get("/console/specimen").headers["Cache-Control"] == "no-store"

    def test_only_production_asks_for_https_from_now_on(self, start: Starter, console: Console) -> None:
        there = start(**PRODUCTION).app.test_client().get("/console/sign-in", **HTTPS)

        assert there.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "Strict-Transport-Security" not in console.visitor().get("/console/sign-in").headers

    def test_what_the_policy_forbids_fails_a_test(self, signed_in: SignedIn, windows: object) -> None:
        page = signed_in("viewer")

        page.evaluate("document.body.setAttribute('style', 'color: red')")
        page.wait_for_function("true")

        complaints = windows.complaints  # type: ignore[attr-defined]
        assert any("Content Security Policy" in told for told in complaints)
        complaints.clear()


class TestTheMenu:
    def test_it_says_where_one_is(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer")
        page.goto("/console/specimen")

        pages = page.get_by_role("navigation", name="Pages")
        expect(pages.get_by_role("link", name="Specimen")).to_have_attribute("aria-current", "page")
        pages.get_by_role("link", name="Other").click()

        expect(page.get_by_role("heading", name="Other")).to_be_visible()
        assert page.locator("nav [aria-current]").all_inner_texts() == ["Other"]

    def test_the_keyboard_skips_it(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer")
        page.goto("/console/specimen")

        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")

        expect(page.get_by_label("First")).to_be_focused()

    def test_light_and_dark_follow_the_system_until_one_chooses(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer", color_scheme="dark")
        page.goto("/console/specimen")
        background = "() => getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(background)

        page.get_by_role("button", name="Light or dark").click()
        light = page.evaluate(background)
        page.goto("/console/other")

        assert light == page.evaluate(background) != dark
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Light or dark").click()
        assert page.evaluate(background) == dark

    def test_a_time_is_shown_in_the_readers_zone(self, signed_in: SignedIn) -> None:
        page = signed_in("viewer", timezone_id="America/New_York", locale="en-US")
        page.goto("/console/other")

        page.evaluate("""() => {
            document.querySelector("h1").innerHTML =
                '<time datetime="2026-12-04T09:00:00+00:00">4 Dec 2026, 09:00 UTC</time>';
            htmx.trigger(document.body, "htmx:afterSettle");
        }""")

        expect(page.locator("time")).to_have_text(re.compile(r"Dec 4, 2026, 4:00\sAM"))
        expect(page.locator("time")).to_have_attribute("title", "4 Dec 2026, 09:00 UTC")


def age(visitor: Visitor, **seconds: float) -> None:
    """Let the session's times lie further back."""
    with visitor.client.session_transaction() as session:
        for name, by in seconds.items():
            session[name] -= by


def search(page: Page, words: str) -> None:
    page.get_by_label("Search").fill(words)
    with page.expect_response("**/fragment"):
        page.get_by_label("Search").press("Tab")


def test_without_its_database_the_console_says_so(start: Starter) -> None:
    nowhere = "postgresql://bridge:a-database-password@127.0.0.1:9/bridge"
    visitor = Visitor(
        start(CONSOLE_USERS=USERS, SECRET_KEY=SECRET_KEY, DATABASE_URL=nowhere).app.test_client()
    )

    answer = visitor.sign_in("editor")

    assert answer.status_code == 503
    assert "The database does not answer" in answer.get_data(as_text=True)
    assert "a-database-password" not in answer.get_data(as_text=True)
