"""Multiplies one accepted webhook into a backlog of any depth, with all the rows that belong to each message."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import Database
from bridge.outbox.tables import bodies, latest, messages, repeats, waiting

ZERO = "0" * 12  # how webhook.py writes the number of the first request, wherever it stands

_NUMBERS = {
    "postgresql": "SELECT generate_series(1, :count) AS n",
    "sqlite": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < :count) SELECT n FROM r",
}
_TWELVE = {"postgresql": "lpad({0}::text, 12, '0')", "sqlite": "printf('%012d', {0})"}
_UUID = {
    "postgresql": "gen_random_uuid()::text",
    "sqlite": "printf('%s-%s-4000-8000-%s', lower(hex(randomblob(4))), lower(hex(randomblob(2))), "
    "lower(hex(randomblob(6))))",
}
_KEY = {"postgresql": "('x' || md5(random()::text || {0}))::bit(64)::bigint", "sqlite": "random() + 0 * {0}"}
_HEX = {"postgresql": "md5('repeat' || {0})", "sqlite": "lower(hex(randomblob(16)))"}
# Two milliseconds apart, so that the last was accepted just now.
_AT = {
    "postgresql": "now() - (:count - n) * interval '2 milliseconds'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', julianday('now') - (:count - n) * 0.002 / 86400)",
}

_FIRST = {
    "messages": "t.seq = (SELECT min(seq) FROM messages)",
    "bodies": "t.seq = (SELECT min(seq) FROM bodies)",
    "repeats": "t.key = (SELECT key FROM repeats ORDER BY expires_at LIMIT 1)",
    "latest": "t.subject = (SELECT subject FROM latest ORDER BY accepted_at LIMIT 1)",
}


def fill(database: Database, count: int, **columns: str) -> None:
    """Add `count` copies of the oldest message, each of a user and a line of its own.

    `columns`: SQL for other values in `messages`. With a `line` all stand in it, and the first is its head; what
    has a `settled_at` does not wait.
    """
    engine = sa.create_engine(database.url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        if database.is_sqlite:
            for pragma in ("synchronous=OFF", "cache_size=-600000"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.commit()
        with connection.begin():
            _fill(connection, count, columns)
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill(connection: Connection, count: int, columns: Mapping[str, str]) -> None:
    name = connection.dialect.name
    given = {"count": count, "zero": ZERO}
    given["last"] = connection.scalar(sa.select(sa.func.max(messages.c.seq)))
    numbered = f"replace({{0}}, :zero, {_TWELVE[name].format('m.seq')})"
    an_id = "'[\"' || m.id || '\"]'"
    made = {
        "seq": ":last + n",
        "id": _UUID[name],
        "line": _KEY[name].format("n"),
        "user_id": f"replace(t.user_id, :zero, {_TWELVE[name].format('(:last + n)')})",
        "received_at": _AT[name],
    }
    numbers = f"({_NUMBERS[name]}) AS numbers"
    _copy(connection, messages, made | columns, f"messages AS t, {numbers} WHERE {_FIRST['messages']}", given)
    for table, changed in (
        (bodies, {"seq": "m.seq"} | {c: numbered.format(f"t.{c}") for c in ("request", "payload")}),
        (repeats, {"key": _HEX[name].format("m.seq"), "ids": an_id}),
        (
            latest,
            {"subject": _KEY[name].format("m.seq"), "ids": an_id, "content": numbered.format("t.content")},
        ),
    ):
        rows = f"messages AS m, {table.name} AS t WHERE m.seq > :last AND {_FIRST[table.name]}"
        _copy(connection, table, changed, rows, given)
    made = {c.name: f"m.{c.name}" for c in waiting.c if c.name in messages.c}
    made |= {"is_head": "m.seq = :last + 1" if "line" in columns else "1 = 1"}
    made |= {"priority": "1", "due_at": "m.received_at", "call_id": "NULL"}
    _copy(connection, waiting, made, "messages AS m WHERE m.seq > :last AND m.settled_at IS NULL", given)
    if name == "postgresql":
        connection.exec_driver_sql("SELECT setval('messages_seq_seq', (SELECT max(seq) FROM messages))")


def _copy(
    connection: Connection,
    table: sa.Table,
    changed: Mapping[str, str],
    rows: str,
    given: Mapping[str, object],
) -> None:
    names = [column.name for column in table.c]
    values = [changed.get(name, f"t.{name}") for name in names]
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows}"
    used = {name: value for name, value in given.items() if f":{name}" in statement}
    connection.execute(sa.text(statement), used)
