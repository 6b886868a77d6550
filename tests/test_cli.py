"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from servers import SandboxUnderTest, running_sandbox
from web.running import EVENT, ID, SALE, Starter, literal, sale, start, stocked_sqlite
from werkzeug.security import check_password_hash, generate_password_hash

from bridge.cli import main
from bridge.settings import console_users

__all__ = ["start", "stocked_sqlite"]

ROOT = Path(__file__).parents[1]
SECRETS = ("inbound-secret", "client-secret", "signing-secret", "database-password", "oidc-secret")


class Shell:
    """Runs commands in this process, with an environment of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in list(os.environ):
            if name.startswith(("ROKT_", "BRIDGE_", "BRAZE_", "CONSOLE_", "OIDC_")) or name in (
                "DATABASE_URL",
                "SECRET_KEY",
                "DYNO",
            ):
                monkeypatch.delenv(name)
        self.set(
            BRIDGE_ENV="development",
            BRIDGE_TOKENS="braze:inbound-secret:send",
            SECRET_KEY="signing-secret",
        )

    def set(self, **environ: str) -> None:
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)

    def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, standard error; no secret is in either."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self._capsys.readouterr()
        for hidden in SECRETS:
            assert hidden not in out + err
        return code, out, err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments)
        assert code == 0, out + err
        return json.loads(out)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    # What is logged stays away from the streams of one test, which end with it.
    monkeypatch.setattr("bridge.log.set_up", lambda **_: None)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield Shell(monkeypatch, capsys)
    structlog.reset_defaults()


@pytest.fixture
def rokt() -> Iterator[SandboxUnderTest]:
    with running_sandbox(client_id="an-id", client_secret="client-secret") as sandbox:
        yield sandbox


class TestCalls:
    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("nothing",),
            ("messages",),
            ("messages", "nothing"),
            ("subscribers",),
            ("subscribers", "import"),
            ("render",),
            ("render", "x"),
            ("templates",),
            ("templates", "publish"),
            ("check", "--x"),
        ],
    )
    def test_a_wrong_call_is_2_and_shows_how(self, shell: Shell, arguments: tuple[str, ...]) -> None:
        code, out, err = shell.run(*arguments)

        assert (code, out) == (2, "")
        assert "usage: python -m bridge" in err

    def test_help_names_every_command(self, shell: Shell) -> None:
        code, out, _ = shell.run("--help")

        assert code == 0
        for command in (
            "migrate",
            "move",
            "worker",
            "check",
            "sandbox",
            "demo",
            "render",
            "templates",
            "messages",
            "jobs",
            "subscribers",
            "hash-password",
        ):
            assert command in out

    def test_a_port_that_is_no_number_is_told(self, shell: Shell) -> None:
        shell.set(PORT="eight")

        code, _, err = shell.run("run")

        assert code == 1
        assert "PORT" in err


class TestMigrate:
    def test_it_makes_the_database_and_publishes_the_templates(self, shell: Shell, tmp_path: Path) -> None:
        shell.set(DATABASE_URL=f"sqlite:///{tmp_path}/new/bridge.db")

        first, second = shell.run("migrate"), shell.run("migrate")

        assert first == second
        assert first[0] == 0
        assert "The database is at revision " in first[1]
        shell.set(ROKT_CALENDAR_CLIENT_ID="an-id", ROKT_CALENDAR_CLIENT_SECRET="client-secret")
        assert shell.run("check")[0] == 0

    def test_a_broken_environment_is_told_and_1(self, shell: Shell) -> None:
        shell.set(DATABASE_URL="mysql://x", RETRY_FOR="soon", ROKT_CALENDAR_URL="ftp://x")

        code, out, err = shell.run("migrate")

        assert (code, out) == (1, "")
        for name in ("DATABASE_URL", "RETRY_FOR", "ROKT_CALENDAR_URL"):
            assert name in err


class TestCheck:
    @pytest.fixture
    def ready(self, shell: Shell, start: Starter, rokt: SandboxUnderTest) -> Shell:
        shell.set(
            DATABASE_URL=start.database_url,
            ROKT_CALENDAR_URL=rokt.url,
            ROKT_CALENDAR_CLIENT_ID="an-id",
            ROKT_CALENDAR_CLIENT_SECRET="client-secret",
        )
        return shell

    def test_a_good_installation_is_0(self, ready: Shell, rokt: SandboxUnderTest) -> None:
        code, out, err = ready.run("check")

        assert (code, err) == (0, "")
        assert "rokt_calendar: configured" in out
        assert "Everything is as it should be." in out
        assert rokt.calls() == []

    def test_connect_makes_one_authenticated_call(self, ready: Shell, rokt: SandboxUnderTest) -> None:
        code, out, err = ready.run("check", "--connect")

        assert (code, err) == (0, "")
        assert "rokt_calendar: token for " in out
        assert [call["path"] for call in rokt.calls()] == ["/oauth2/token"]

    def test_a_destination_without_its_variables_is_off_and_no_fault(
        self, shell: Shell, start: Starter
    ) -> None:
        shell.set(DATABASE_URL=start.database_url)

        code, out, _ = shell.run("check", "--connect")

        assert code == 0
        assert "rokt_calendar: off" in out

    def test_a_credential_that_is_refused_is_a_fault(self, ready: Shell) -> None:
        ready.set(ROKT_CALENDAR_CLIENT_ID="another")

        code, out, err = ready.run("check", "--connect")

        assert code == 1
        assert "refused the credential" in err
        assert "Everything is as it should be" not in out

    def test_one_refused_credential_hides_no_other(self, ready: Shell) -> None:
        ready.set(
            ROKT_CALENDAR_CLIENT_ID="another",
            ROKT_CALENDAR_CLIENT_ID__SHOP="a-third",
            ROKT_CALENDAR_CLIENT_SECRET__SHOP="x",
        )

        code, _, err = ready.run("check", "--connect")

        assert code == 1
        assert "- rokt_calendar: " in err
        assert "- rokt_calendar (SHOP): " in err

    def test_connect_asks_for_no_offer_to_prove_the_way_to_offers(
        self, ready: Shell, rokt: SandboxUnderTest
    ) -> None:
        ready.set(ROKT_OFFERS_URL=rokt.url, ROKT_PUB_ID="p", ROKT_SECRET="a-secret", ROKT_TAG_ID="1")

        code, out, err = ready.run("check", "--connect")

        assert (code, err) == (0, "")
        assert "offers: configured\noffers: answers; neither the credential nor the tag was refused" in out
        assert [call["status"] for call in rokt.calls("/v2/partner")] == [422]

    def test_offers_that_are_refused_are_a_fault(self, ready: Shell, rokt: SandboxUnderTest) -> None:
        ready.set(ROKT_OFFERS_URL=rokt.url, ROKT_PUB_ID="p", ROKT_SECRET="a-secret", ROKT_TAG_ID="1")
        rokt.fault(path="/v2/partner", status=401)

        code, _, err = ready.run("check", "--connect")

        assert code == 1
        assert "- offers: Rokt refused the credential: 401" in err

    def test_it_tells_whether_the_console_is_on(self, ready: Shell) -> None:
        assert "console: off, its variables are not set" in ready.run("check")[1]
        hashed = generate_password_hash("correct horse", "scrypt:1024:8:1")
        ready.set(CONSOLE_USERS=f"ada:{hashed},grace:{hashed}", SECRET_KEY="signing-secret-of-length")

        assert "console: open to 2 by password\n" in ready.run("check")[1]

        ready.set(OIDC_ISSUER="http://127.0.0.1:9", OIDC_CLIENT_ID="i", OIDC_CLIENT_SECRET="oidc-secret")
        code, out, err = ready.run("check", "--connect")
        assert code == 1
        assert "console: open to 2 by password and those whom http://127.0.0.1:9 knows\n" in out
        assert "- console: 127.0.0.1:9: connection refused" in err

    def test_the_faults_of_database_and_upstream_are_told_together(
        self, ready: Shell, tmp_path: Path
    ) -> None:
        ready.set(DATABASE_URL=f"sqlite:///{tmp_path}/old.db", ROKT_CALENDAR_URL="http://127.0.0.1:9")

        code, _, err = ready.run("check", "--connect")

        assert code == 1
        assert "python -m bridge migrate" in err
        assert "rokt_calendar: 127.0.0.1:9" in err

    def test_a_database_that_cannot_be_reached_is_a_fault_without_its_password(self, ready: Shell) -> None:
        ready.set(DATABASE_URL="postgresql://bridge:database-password@127.0.0.1:9/bridge")

        code, _, err = ready.run("check")

        assert code == 1
        assert "the database is not reachable" in err

    def test_all_faults_of_the_environment_are_told_together(self, ready: Shell) -> None:
        ready.set(
            BRIDGE_ENV="production",
            BRIDGE_TOKENS="a:inbound-secret:sned,b",
            SECRET_KEY="",
            DATABASE_URL="nonsense",
            RETENTION_DAYS="3",
            ROKT_CALENDAR_CLIENT_ID__SHOP="x",
        )

        code, out, err = ready.run("check")

        assert (code, out) == (1, "")
        for words in (
            "BRIDGE_TOKENS",
            "did you mean 'send'",
            "SECRET_KEY",
            "DATABASE_URL",
            "RETENTION_DAYS",
            "ROKT_CALENDAR_URL starts with http://",
            "ROKT_CALENDAR_CLIENT_SECRET__SHOP is missing",
        ):
            assert words in err


class TestRender:
    def test_it_prints_what_would_reach_rokt(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "data.json").write_text(json.dumps(SALE | {"first_name": 'Zoë "Z"'}), "utf-8")

        code, out, err = shell.run("render", "flash_sale", "--data", str(tmp_path / "data.json"))

        assert (code, err) == (0, "")
        event = json.loads(out)["request"]["body"]["event"]
        assert event["title"] == '⚡ Zoë "Z", 50% off starts now'
        assert event["eventId"] == "sale_w26_{user_id}"
        assert event["timezone"] == "Eastern Standard Time"

    def test_it_reads_standard_input_and_a_files_path(self, shell: Shell) -> None:
        code, out, _ = shell.run(
            "render", "templates/flash_sale.jinja", "--data", "-", stdin=json.dumps(SALE)
        )

        assert code == 0
        assert json.loads(out)["fields"]["notify_before"] == "60"

    def test_a_skip_is_printed_with_its_reason(self, shell: Shell) -> None:
        data = json.dumps(SALE | {"discount": "1"})

        code, out, _ = shell.run("render", "flash_sale", "--data", "-", stdin=data)

        assert (code, json.loads(out)) == (0, {"skip": "discount under 5 %"})

    def test_a_warning_is_printed_beside_it(self, shell: Shell) -> None:
        doubled = json.dumps(SALE | {"starts": "2090-11-05T01:30"})

        code, out, err = shell.run("render", "flash_sale", "--data", "-", stdin=doubled)

        assert code == 0
        assert json.loads(out)
        assert "exists twice" in err

    @pytest.mark.parametrize(
        ("template", "data", "words"),
        [
            ("flash_sal", json.dumps(SALE), 'did you mean "flash_sale"'),
            ("_brand", json.dumps(SALE), "shared piece"),
            ("flash_sale", "{}", '"sale_id" is required'),
            ("flash_sale", json.dumps(SALE | {"discount": "half"}), "flash_sale.jinja, line 6"),
            ("flash_sale", json.dumps(SALE | {"time_zone": "EST"}), "Eastern Standard Time"),
            ("flash_sale", json.dumps(SALE | {"price": "1"}), "price"),
            ("flash_sale", "[]", "no object"),
            ("flash_sale", "{", "cannot be read as JSON"),
            ("flash_sale", "", "cannot be read as JSON"),
        ],
    )
    def test_what_is_wrong_is_told_and_1(self, shell: Shell, template: str, data: str, words: str) -> None:
        code, out, err = shell.run("render", template, "--data", "-", stdin=data)

        assert (code, out) == (1, "")
        assert words in err

    def test_a_file_that_is_not_there_is_told_and_1(self, shell: Shell, tmp_path: Path) -> None:
        code, _, err = shell.run("render", "flash_sale", "--data", str(tmp_path / "nothing.json"))

        assert code == 1
        assert "nothing.json" in err


class TestMessages:
    @pytest.fixture
    def stored(self, shell: Shell, start: Starter) -> tuple[Shell, Any]:
        shell.set(
            DATABASE_URL=start.database_url,
            ROKT_CALENDAR_CLIENT_ID="an-id",
            ROKT_CALENDAR_CLIENT_SECRET="client-secret",
        )
        return shell, start()

    def test_they_are_listed_with_filters(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        first = bridge.accept(literal()).id
        second = bridge.accept(literal(user_id="u2", event=EVENT | {"event_id": "e2"})).id
        dead = bridge.refuse(sale(template="nothing")).id

        def ids(*arguments: str) -> list[str]:
            return [message["id"] for message in shell.json("messages", "list", *arguments)["messages"]]

        assert ids() == [dead, second, first]
        assert ids("--state", "dead") == [dead]
        assert ids("--user-id", "u2") == ids("--event-id", "e2_u2") == [second]
        assert ids("--destination", "braze") == []
        assert ids("--limit", "1") == [dead]

    def test_one_is_shown_with_what_was_sent(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        one = bridge.accept(literal(event__title="Grüße 🎉")).id

        shown = shell.json("messages", "show", one)

        assert (shown["id"], shown["state"]) == (one, "accepted")
        assert shown["payload"]["event"]["title"] == "Grüße 🎉"

    def test_half_a_character_in_it_does_no_harm(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        one = bridge.accept(literal(idempotency_key="\ud800")).id

        code, out, _ = shell.run("messages", "show", one)

        assert code == 0
        assert json.loads(out)["id"] == one

    def test_one_is_replayed(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        one = bridge.refuse(sale(template="later")).id
        code, out, _ = shell.run("messages", "replay", one)
        assert code == 1
        assert json.loads(out)["status"] == 422
        bridge.publish(
            later="{% block event_id %}l{% endblock %}{% block title %}L{% endblock %}"
            "{% block start %}{{ starts }}{% endblock %}{% block timezone %}UTC{% endblock %}"
            "{# #}{% set unused = sale_id ~ discount %}"
        )

        assert shell.json("messages", "replay", one)["state"] == "accepted"
        assert shell.run("messages", "replay", one)[0] == 1
        assert bridge.message(one)["state"] == "accepted"

    def test_replay_takes_render_and_force(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        one = bridge.post(sale(variables=SALE | {"discount": "1"})).id

        answer = shell.json("messages", "replay", one, "--render", "current", "--force")

        assert answer["state"] == "skipped"
        assert shell.run("messages", "replay", one, "--render", "old")[0] == 2

    def test_many_are_replayed_by_a_job_which_is_shown_and_cancelled(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        for user in ("u1", "u2"):
            bridge.refuse(sale(template="nothing", user_id=user))
        wanted = ("messages", "replay", "--state", "dead", "--template", "nothing")

        counted = shell.json(*wanted, "--dry-run")
        assert shell.json("jobs", "list") == {"jobs": []}
        made = shell.json(*wanted, "--force")
        cancelled = shell.json("jobs", "cancel", made["job"])

        assert (counted["dry_run"], counted["count"], made["count"]) == (True, 2, 2)
        assert (cancelled["state"], cancelled["force"], cancelled["by"]) == (
            "cancelled",
            True,
            "command line",
        )
        assert shell.json("jobs", "show", made["job"]) == cancelled
        assert [job["id"] for job in shell.json("jobs", "list")["jobs"]] == [made["job"]]

    def test_destinations_are_listed_paused_and_resumed(self, stored: tuple[Shell, Any]) -> None:
        shell, _ = stored

        paused = shell.json("destinations", "pause", "rokt_calendar")
        [listed] = shell.json("destinations", "list")["destinations"]
        resumed = shell.json("destinations", "resume", "rokt_calendar")

        assert (paused["state"], paused["reason"]) == ("paused", "paused by command line")
        assert (listed["name"], listed["state"]) == ("rokt_calendar", "paused")
        assert resumed["state"] == "open"
        assert shell.run("destinations", "pause", "rokt")[0] == 1

    def test_many_that_wait_are_cancelled(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        bridge.accept(literal())

        made = shell.json("messages", "cancel", "--event-id", "e1")

        assert made["count"] == 1
        assert shell.json("jobs", "show", made["job"])["kind"] == "cancel"

    @pytest.mark.parametrize("kind", ["replay", "cancel"])
    def test_many_need_a_filter_that_is_not_blank(self, stored: tuple[Shell, Any], kind: str) -> None:
        shell, _ = stored

        for filters in ((), ("--template", "")):
            code, out, _ = shell.run("messages", kind, *filters)
            assert (code, json.loads(out)["status"]) == (1, 422)

    def test_one_and_many_at_once_is_a_slip(self, stored: tuple[Shell, Any]) -> None:
        shell, bridge = stored
        one = bridge.refuse(sale(template="nothing")).id

        for slip in (("--state", "dead"), ("--dry-run",)):
            code, out, err = shell.run("messages", "replay", one, *slip)
            assert (code, out) == (1, "")
            assert "--dry-run is for many" in err

    @pytest.mark.parametrize("command", ["show", "replay"])
    @pytest.mark.parametrize("unknown", ["x", "../../healthz", "a/b", "x?state=dead", "é", "#", "%2e"])
    def test_an_unknown_one_is_told_and_1(
        self, stored: tuple[Shell, Any], command: str, unknown: str
    ) -> None:
        shell, _ = stored

        code, out, _ = shell.run("messages", command, unknown)

        assert code == 1
        assert json.loads(out)["status"] == 404

    def test_a_wrong_state_is_told_and_1(self, stored: tuple[Shell, Any]) -> None:
        code, out, _ = stored[0].run("messages", "list", "--state", "dad")

        assert code == 1
        assert "did you mean dead" in out

    def test_a_database_that_is_gone_is_told_and_1(self, shell: Shell) -> None:
        shell.set(DATABASE_URL="postgresql://bridge:database-password@127.0.0.1:9/bridge")

        code, out, _ = shell.run("messages", "list")

        assert code == 1
        assert "The database is not reachable" in out


class TestSubscribers:
    SUFFIX = "f5733866ade2"

    @pytest.fixture
    def known(self, shell: Shell, start: Starter) -> Shell:
        shell.set(DATABASE_URL=start.database_url)
        return shell

    def user(self, n: int) -> dict[str, Any]:
        values = {"subscription_id": f"0000000{n}-b6ba-4536-aa36-{self.SUFFIX}"}
        values |= {name: f"{name} {n}/{self.SUFFIX}" for name in ("account_code", "tags")}
        custom = {f"rokt:{name}": [value] for name, value in values.items()}
        return {"external_id": f"u-{n}", "custom_attributes": custom}

    @pytest.mark.parametrize("at_once", [1, 2, 500])
    def test_an_export_is_imported_once(
        self, known: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
    ) -> None:
        monkeypatch.setattr("bridge.commands.subscriber_import.IMPORTED_AT_ONCE", at_once)
        users = [self.user(1), {"external_id": "nobody"}, self.user(2), self.user(3)]
        (tmp_path / "lines.json").write_text("\n".join(map(json.dumps, users)))
        (tmp_path / "array.json").write_text(json.dumps([*users, self.user(4)]))

        assert known.run("subscribers", "import", str(tmp_path / "lines.json")) == (
            0,
            (
                "4 users read: 3 with subscriptions, 0 wrong.\n"
                "3 subscriptions found: 3 imported, 0 known before, 0 of them with what Braze holds of them.\n"
            ),
            "",
        )
        assert known.run("subscribers", "import", str(tmp_path / "array.json")) == (
            0,
            (
                "5 users read: 4 with subscriptions, 0 wrong.\n"
                "4 subscriptions found: 1 imported, 3 known before, 0 of them with what Braze holds of them.\n"
            ),
            "",
        )

    def test_wrong_lines_are_told_and_the_rest_is_imported(self, known: Shell, tmp_path: Path) -> None:
        lines = [json.dumps(self.user(1)), *["{"] * 22, json.dumps(self.user(2))]
        (tmp_path / "export").write_bytes("\n".join(lines).encode() + b'\n{"external_id": "\xff"}')

        code, out, err = known.run("subscribers", "import", str(tmp_path / "export"))

        assert code == 1
        assert "25 users read: 2 with subscriptions, 22 wrong." in out
        assert "2 imported" in out
        assert err.splitlines() == [
            *(f"Line {number}: this is not JSON" for number in range(2, 22)),
            "… and 2 more.",
        ]

    def test_what_is_another_users_here_is_told_with_its_line_and_nothing_personal(
        self, known: Shell, tmp_path: Path
    ) -> None:
        same = [self.user(1), self.user(1) | {"external_id": "u-2"}, self.user(3)]
        (tmp_path / "export").write_text("\n".join(map(json.dumps, same)))

        assert known.run("subscribers", "import", str(tmp_path / "export")) == (
            1,
            (
                "3 users read: 3 with subscriptions, 1 wrong.\n"
                "3 subscriptions found: 2 imported, 1 known before, 0 of them with what Braze holds of them.\n"
            ),
            "Line 2: a subscription of this user is another user's here; what Braze holds of it is noted\n",
        )

    def test_what_webhooks_told_before_the_import_goes_out_without_rokts_old_values(
        self, known: Shell, start: Starter, rokt: SandboxUnderTest, tmp_path: Path
    ) -> None:
        variables = {
            "BRAZE_REST_URL": rokt.url,
            "BRAZE_API_KEY": "a-braze-key",
            "ROKT_WEBHOOK_SECRET": "a-secret-of-rokts-webhook",
            "ROKT_CALENDAR_CLIENT_ID": "",
            "ROKT_CALENDAR_CLIENT_SECRET": "",
        }
        of_rokt = {"rokt:subscription_id": ["s-1"], "rokt:calendar_code": [f"c/{self.SUFFIX}"]}
        key = {"Authorization": "Bearer a-braze-key"}
        rokt.ask("POST", "/users/track", {"attributes": [{"external_id": "u-1", **of_rokt}]}, key)
        details = {"calendarSubscriptionId": "s-1", "calendarCode": "c", "subscriberId": "u-1"}
        body = {"eventId": "1", "eventType": "Subscribe", "eventDetails": details}
        quiet = start(sandbox=rokt, **variables, BRAZE_SYNC="off")
        assert quiet.post(body, "/v1/rokt/webhooks/a-secret-of-rokts-webhook").body["state"] == "skipped"

        (tmp_path / "export").write_text(json.dumps({"external_id": "u-1", **of_rokt}))
        code, out, _ = known.run("subscribers", "import", str(tmp_path / "export"))
        bridge = start(sandbox=rokt, **variables)
        [message] = known.json("messages", "list", "--reason", "BRAZE_SYNC is off")["messages"]
        known.json("messages", "replay", message["id"], "--force")
        bridge.deliver()

        assert (code, "0 imported, 1 known before, 1 of them with what Braze holds" in out) == (0, True)
        [profile] = rokt.sandbox.braze.profiles.shown()
        assert profile["attributes"] == {"rokt:subscription_id": ["s-1"], "rokt:calendar_code": ["c/1"]}

    def test_what_rokt_wrote_into_braze_is_changed_and_taken_away_from_here_on(
        self, known: Shell, start: Starter, rokt: SandboxUnderTest, tmp_path: Path
    ) -> None:
        of_rokt = "a-secret-of-rokts-webhook"
        bridge = start(
            sandbox=rokt,
            BRAZE_REST_URL=rokt.url,
            BRAZE_API_KEY="a-braze-key",
            ROKT_WEBHOOK_SECRET=of_rokt,
            ROKT_CALENDAR_CLIENT_ID="",
            ROKT_CALENDAR_CLIENT_SECRET="",
        )
        # The page's own sample: the suffix is not the last group of the id.
        subscription_id = "06423672-b6ba-4536-aa36-70788a7a0a36"
        titles = [f"Old/{self.SUFFIX}", f"Test Calendar 1/{self.SUFFIX}"]
        written = {"rokt:subscription_id": [subscription_id], "rokt:calendar_title": titles, "plan": "gold"}
        key = {"Authorization": "Bearer a-braze-key"}
        rokt.ask("POST", "/users/track", {"attributes": [{"external_id": "u-1", **written}]}, key)

        def profile() -> dict[str, Any]:
            [its] = rokt.sandbox.braze.profiles.shown()
            return its

        def told(event_type: str, **facts: Any) -> dict[str, Any]:
            details = {"calendarSubscriptionId": subscription_id, **facts}
            body = {"eventId": event_type, "eventType": event_type, "eventDetails": details}
            assert bridge.post(body, f"/v1/rokt/webhooks/{of_rokt}").status == 200
            bridge.deliver()
            attributes: dict[str, Any] = profile()["attributes"]
            return attributes

        export = {"external_id": "u-1", "custom_attributes": profile()["attributes"]}
        (tmp_path / "export").write_text(json.dumps(export))
        assert known.run("subscribers", "import", str(tmp_path / "export"))[0] == 0

        assert told("SubscriptionDetailsUpdated", calendarTitle="New") == written | {
            "rokt:calendar_title": [f"New/{self.SUFFIX}"]
        }
        assert told("Unsubscribe") == {"rokt:subscription_id": [], "rokt:calendar_title": [], "plan": "gold"}
        assert [event["name"] for event in profile()["events"]] == ["unsubscribe"]

    def test_they_are_listed_shown_and_counted(self, known: Shell, tmp_path: Path) -> None:
        (tmp_path / "export").write_text(json.dumps([self.user(1), self.user(2)]))
        known.run("subscribers", "import", str(tmp_path / "export"))

        def users(*arguments: str) -> list[str]:
            return [one["user_id"] for one in known.json("subscribers", "list", *arguments)["subscribers"]]

        one = f"00000002-B6BA-4536-AA36-{self.SUFFIX}"
        assert users() == ["u-1", "u-2"]
        assert users("--limit", "1") == users("--user-id", "u-1") == ["u-1"]
        assert (
            users("--subscription-id", one) == users("--cursor", one.replace("2", "1", 1).lower()) == ["u-2"]
        )
        assert users("--state", "inactive") == []
        assert known.json("subscribers", "show", one)["facts"]["tags"] == ["tags 2"]
        assert known.json("subscribers", "counts")["active"] == 2

    def test_what_is_not_there_or_wrong_is_1(self, known: Shell) -> None:
        code, out, err = known.run("subscribers", "show", "nothing")
        assert (code, out, err) == (1, "", "There is no such subscription.\n")

        code, out, _ = known.run("subscribers", "list", "--state", "activ")
        assert code == 1
        assert "did you mean active" in out

    def test_what_stands_in_no_encoding_is_told_with_its_line(self, known: Shell, tmp_path: Path) -> None:
        (tmp_path / "export").write_bytes(b'external_id,rokt:tags\nu-1,a/x\n\xff,a/x\nu-3,"\xff/x"\n')

        code, _, err = known.run("subscribers", "import", str(tmp_path / "export"))

        assert code == 1
        assert [line.partition(":")[0] for line in err.splitlines()] == ["Line 2", "Line 3", "Line 4"]

    def test_what_cannot_be_done_is_told(self, known: Shell, tmp_path: Path) -> None:
        (tmp_path / "export").write_text(json.dumps(self.user(1)))
        wanted = ("subscribers", "import", str(tmp_path / "export"))

        assert "cannot be read" in known.run("subscribers", "import", str(tmp_path / "none"))[2]
        known.set(ROKT_SUBSCRIBER_ID="email")
        assert "ROKT_SUBSCRIBER_ID is not external_id" in known.run(*wanted)[2]
        known.set(ROKT_SUBSCRIBER_ID="external_id", DATABASE_URL=f"sqlite:///{tmp_path}/new.db")
        assert "python -m bridge migrate" in known.run(*wanted)[2]
        known.set(DATABASE_URL="postgresql://bridge:database-password@127.0.0.1:9/bridge")
        code, out, err = known.run(*wanted)
        assert (code, out) == (1, "")
        assert "The database is not reachable" in err


class TestHashPassword:
    def test_it_prints_a_hash_that_fits(self, shell: Shell) -> None:
        code, out, _ = shell.run("hash-password", stdin="correct horse\n")

        assert code == 0
        assert "correct horse" not in out
        assert check_password_hash(out.strip(), "correct horse")
        assert not check_password_hash(out.strip(), "correct horse ")

    def test_a_password_is_typed_twice(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr("sys.stdin", Terminal())
        typed = iter(["correct horse", "correct house", "correct horse", "correct horse"])
        monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))

        assert main(["hash-password"]) == 1
        assert capsys.readouterr() == ("", "The two are not the same.\n")
        assert main(["hash-password"]) == 0
        assert check_password_hash(capsys.readouterr().out.strip(), "correct horse")

    def test_what_it_prints_is_what_the_settings_take(self, shell: Shell) -> None:
        hashed = shell.run("hash-password", stdin="correct horse\n")[1].strip()

        [user] = console_users(f"ada:{hashed}:editor")
        assert (user.name, user.password_hash.reveal(), user.role) == ("ada", hashed, "editor")

    def test_a_short_password_is_refused_and_not_shown(self, shell: Shell) -> None:
        code, out, err = shell.run("hash-password", stdin="seven77\n")

        assert (code, out) == (1, "")
        assert "8 characters" in err
        assert "seven77" not in err


def test_as_a_process_it_prints_to_standard_output_and_logs_to_standard_error(
    start: Starter, rokt: SandboxUnderTest
) -> None:
    bridge = start(sandbox=rokt)
    rokt.fault(path="/v1", times=1, status=400, body={"Code": "BadRequest", "Reason": "no"})
    one = bridge.accept(literal(subscription_ids=[ID])).id
    environ = {
        "PATH": os.environ["PATH"],
        "BRIDGE_ENV": "development",
        "DATABASE_URL": start.database_url,
        "BRIDGE_TOKENS": "braze:inbound-secret",
        "ROKT_CALENDAR_URL": rokt.url,
        "ROKT_CALENDAR_CLIENT_ID": "an-id",
        "ROKT_CALENDAR_CLIENT_SECRET": "client-secret",
    }
    client = start(sandbox=rokt, ROKT_CALENDAR_CLIENT_SECRET="client-secret")
    client.deliver()

    done = subprocess.run(
        [sys.executable, "-m", "bridge", "messages", "replay", one],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "accepted"
    assert "message.replayed" in done.stderr
    assert not any(hidden in done.stdout + done.stderr for hidden in SECRETS)
