"""Why messages failed, in groups: reasons that differ only in values are one cause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.tables import messages

MOST_LOOKED_AT = 5_000  # of a state, the newest
VALUE = "…"  # in a cause, where reasons have a value
MOST_VALUES = 12  # in a cause; what comes behind so many says nothing new, and makes a pattern slow
MOST_CAUSE = 1_000  # characters

# How a value looks, and what stands for it in a cause. PostgreSQL and Python read these alike.
_LETTERS = "A-Za-z0-9_.:+…-"
_KINDS = {
    f'"{VALUE}"': r'"[^"]*(?:"|\Z)',
    f"“{VALUE}”": "“[^”]*”",
    f"«{VALUE}»": "«[^»]*»",
    f"there are {VALUE}": "there are [^;]+",
    VALUE: f"[A-Za-z_.:+-]*[0-9…][{_LETTERS}]*",
}
_VALUE = re.compile("|".join(f"({kind})" for kind in _KINDS.values()))
_SLOT = re.compile("|".join(f"({re.escape(slot)})" for slot in _KINDS))
_IN_A_WORD = re.compile(f"[{_LETTERS}]")
_SAID = r'answered [0-9]{3}|line [0-9]+|variables\.[A-Za-z0-9_]+|(?:block|template|filter|piece) "[^"]*"'
_NAMED = re.compile(r"(?:\A|[;:] )(?:variables\.)?([A-Za-z_][A-Za-z0-9_]*):")


@dataclass(frozen=True)
class Failures:
    """Messages with the same cause. `is_refused`: a template refused them, nothing of them was ever sent.

    `newest`, `oldest`: by `seq`, among those that were looked at. `example`: the newest one's reason.
    """

    state: State
    destination: str
    template: str | None
    is_refused: bool
    cause: str
    count: int
    newest: int
    oldest: int
    example: str


@dataclass(frozen=True)
class Row:
    """So many messages with the very same reason."""

    destination: str
    template: str | None
    is_refused: bool
    reason: str
    count: int
    newest: int
    oldest: int


def cause_of(reason: str) -> str:
    """A reason with `…` for each value: quoted, or with a digit. What names the fault itself stays: a field, a block,
    a line, a status.
    """
    names = "|".join(re.escape(name) for name in sorted(set(_NAMED.findall(reason))))
    said = re.compile(_SAID + (rf'|"(?:{names})"' if names else ""))
    slots = list(_KINDS)
    found, values, done, at = [], 0, 0, 0
    while values < MOST_VALUES and (match := _VALUE.search(reason, at)):
        kept = said.search(reason, at)
        if kept is not None and kept.start() <= match.start():
            at = kept.end()
            continue
        found += [reason[done : match.start()], slots[(match.lastindex or 1) - 1]]
        values, done, at = values + 1, match.end(), match.end()
    rest = reason[done:] if values < MOST_VALUES else ""
    return "".join([*found, rest])[:MOST_CAUSE]


def pattern_of(cause: str) -> str:
    """A regular expression for the reasons of a cause, which PostgreSQL and Python understand alike."""
    cause = cause[:MOST_CAUSE]
    kinds = list(_KINDS.values())
    parts, values, done = [], 0, 0
    for match in _SLOT.finditer(cause):
        # A slot inside a word is none: with many of those a regular expression takes for ever.
        if match[0] == VALUE and _IN_A_WORD.search(
            cause[max(0, match.start() - 1) : match.end() + 1].replace(VALUE, "", 1)
        ):
            continue
        if values == MOST_VALUES:
            break
        parts += [re.escape(cause[done : match.start()]), kinds[(match.lastindex or 1) - 1]]
        values, done = values + 1, match.end()
    is_whole = values < MOST_VALUES and len(cause) < MOST_CAUSE
    rest = (
        re.escape(cause[done:]) + r"\Z"
        if is_whole
        else re.escape(cause[done:])
        if values < MOST_VALUES
        else ""
    )
    return rf"\A{''.join(parts)}{rest}"


def grouped(state: State, rows: Iterable[Row]) -> list[Failures]:
    """The largest group first."""
    groups: dict[tuple[str, str | None, bool, str], list[Row]] = {}
    for row in rows:
        key = (row.destination, row.template, row.is_refused, cause_of(row.reason))
        groups.setdefault(key, []).append(row)
    found = [
        Failures(
            state,
            *key,
            count=sum(row.count for row in its),
            newest=max(row.newest for row in its),
            oldest=min(row.oldest for row in its),
            example=max(its, key=lambda row: row.newest).reason,
        )
        for key, its in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.count, -one.newest))


def newest(connection: Connection, state: State) -> tuple[list[Row], bool]:
    """The newest messages of a state by their reasons, and whether those are all."""
    table = messages.c
    of_state = sa.select(table.seq).where(table.state == state).order_by(table.seq.desc())
    looked_at = (
        sa.select(
            table.seq,
            table.destination,
            table.template,
            table.version.is_(None).label("has_no_version"),
            sa.func.coalesce(table.reason, "").label("reason"),
        )
        .where(table.state == state)
        .order_by(table.seq.desc())
        .limit(MOST_LOOKED_AT)
        .subquery()
        .c
    )
    alike = (looked_at.destination, looked_at.template, looked_at.has_no_version, looked_at.reason)
    count: Any = sa.func.count().label("messages")
    last: Any = sa.func.max(looked_at.seq).label("newest")
    first: Any = sa.func.min(looked_at.seq).label("oldest")
    rows = connection.execute(sa.select(*alike, count, last, first).group_by(*alike)).all()
    there_is_more = connection.scalar(of_state.offset(MOST_LOOKED_AT).limit(1)) is not None
    found = [
        Row(
            row.destination,
            row.template,
            bool(row.has_no_version) and row.template is not None,
            row.reason,
            row.messages,
            row.newest,
            row.oldest,
        )
        for row in rows
    ]
    return found, not there_is_more
