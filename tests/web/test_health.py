"""Whether the process and its database are well, and the zones: open to everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from web.running import Bridge, Starter, literal

from bridge.outbox.tables import messages


def test_the_process_is_well_without_a_key_and_without_a_database(start: Starter) -> None:
    bridge = start(DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")

    answer = bridge.call("GET", "/healthz", key=None)

    assert (answer.status, answer.body["status"]) == (200, "ok")


def test_it_is_ready_on_a_migrated_database(start_on_both: Starter) -> None:
    answer = start_on_both().call("GET", "/readyz", key=None)

    assert (answer.status, answer.body) == (200, {"status": "ok", "oldest_waiting_seconds": 0.0})


def test_the_age_of_the_oldest_waiting_message_is_told_and_decides_nothing(start_on_both: Starter) -> None:
    bridge = start_on_both()
    bridge.accept(literal())
    bridge.accept(literal(user_id="u2"))
    with bridge.database.write() as connection:
        day_ago = datetime.now(UTC) - timedelta(days=1)
        connection.execute(sa.update(messages).where(messages.c.user_id == "u1").values(received_at=day_ago))

    answer = bridge.call("GET", "/readyz", key=None)

    assert answer.status == 200
    assert 86_400 <= answer.body["oldest_waiting_seconds"] < 86_500


def test_it_is_not_ready_while_the_database_is_gone(start: Starter) -> None:
    answer = start(DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing").call("GET", "/readyz", key=None)

    assert answer.status == 503
    assert answer.body == {"status": "not ready", "reason": "the database is not reachable"}


def test_it_is_not_ready_on_a_database_that_was_never_migrated(start: Starter) -> None:
    bridge = start(DATABASE_URL=f"sqlite:///{start.folder}/empty.db")

    answer = bridge.call("GET", "/readyz", key=None)

    assert answer.status == 503
    assert "python -m bridge migrate" in answer.body["reason"]


def test_it_is_ready_on_a_newer_schema(bridge: Bridge) -> None:
    with bridge.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'of_the_future'"))

    assert bridge.call("GET", "/readyz", key=None).status == 200


def test_the_zones_are_listed_by_their_windows_names(bridge: Bridge) -> None:
    answer = bridge.call("GET", "/v1/timezones", key=None)

    zones = {zone["windows"]: zone["iana"] for zone in answer.body["timezones"]}
    assert answer.status == 200
    assert "America/New_York" in zones["Eastern Standard Time"]
    assert "Europe/Berlin" in zones["W. Europe Standard Time"]
    assert len(zones) > 130
