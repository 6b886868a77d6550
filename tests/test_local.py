"""What `make run` shows, and the walk of the demo."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge import demo
from bridge.errors import InvalidValue
from bridge.local import KEY, PASSWORD, USER, WEBHOOK_KEY, Local, _welcome, free_port, running
from bridge.routes import rokt_webhooks
from bridge.settings import webhook_secrets
from bridge.subscribers.facts import SUFFIX_LENGTH, suffix_of

ROOT = Path(__file__).parents[1]
WELCOME = _welcome(Local("http://127.0.0.1:8000", "http://127.0.0.1:8001", {}))


def curls() -> list[str]:
    """The lines to paste, each of a call as a whole."""
    return re.findall(r"^curl .*(?:\\\n.*|\n +.*)*", WELCOME, re.M)


def body(curl: str, now: str = "7") -> Any:
    return json.loads(re.search(r"-d '(.*)'$", curl, re.S)[1].replace("'$(date +%s)'", now))  # type: ignore[index]


def test_the_welcome_shows_what_can_be_pasted() -> None:
    event, look, subscribe = curls()

    assert event.startswith("curl -i http://127.0.0.1:8000/v1/calendar/events \\\n")
    assert body(event)["variables"]["sale_id"] == "sale-7"
    assert "/v1/messages?limit=1" in look
    assert subscribe.startswith(f"curl -i http://127.0.0.1:8000/v1/rokt/webhooks/{WEBHOOK_KEY} \\\n")
    assert all(f"Bearer {KEY}" in curl for curl in (event, look))


def test_the_readme_shows_the_same() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [curl for curl in curls() if curl not in readme] == []
    assert "<http://127.0.0.1:8000/console/>" in readme
    assert f"`{USER}` with the password `{PASSWORD}`" in readme


def test_the_welcome_tells_the_console_and_who_may_sign_in() -> None:
    assert f"http://127.0.0.1:8000/console/ – sign in as {USER} with the password {PASSWORD}\n" in WELCOME


def test_the_local_secret_is_one_that_the_settings_take() -> None:
    assert [secret.reveal() for secret in webhook_secrets(WEBHOOK_KEY)] == [WEBHOOK_KEY]


def test_what_plays_rokt_is_a_subscriber_with_an_identity() -> None:
    change = rokt_webhooks.read(body(curls()[2])).change

    assert change is not None
    assert (change.action, change.subscriber_id, change.facts["account_code"]) == (
        "subscribe",
        "u-1",
        "brazetest",
    )


def test_what_is_pasted_a_second_time_is_no_repeat() -> None:
    """The sandbox forgets when it stops, the bridge does not: what was told before is not told again."""
    first, second = (body(curls()[2], now) for now in ("1700000007", "1700000008"))

    assert first["eventId"] != second["eventId"]
    one, other = (rokt_webhooks.read(told).change for told in (first, second))
    assert one is not None
    assert other is not None
    assert one.subscription_id != other.subscription_id
    assert {len(suffix_of(told.subscription_id)) for told in (one, other)} == {SUFFIX_LENGTH}


def test_a_database_that_cannot_be_made_ready_is_said_in_words(
    sqlite_database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(sqlite_database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA user_version = 1")  # as a move leaves it
    connection.close()

    with (
        pytest.raises(InvalidValue, match="see above"),
        running(free_port(), free_port(), sqlite_database_url),
    ):
        pass

    assert "moved to PostgreSQL" in capfd.readouterr().err


def test_the_demo_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    code = demo.demo()

    assert code == 0, capsys.readouterr().out


def test_the_demo_ends_with_1_if_another_call_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_events", lambda _local: True)
    monkeypatch.setitem(demo.ARRAYS, "rokt:tags", ["another/8cc9c4d33492"])

    assert demo.demo() == 1
