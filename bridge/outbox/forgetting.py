"""Erases what the outbox holds of one person; ids, states, times and what statistics go by stay.

A message without a body is one that was erased: whatever comes back for it later changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.hashing import hashed
from bridge.message import State
from bridge.outbox.lines import promote
from bridge.outbox.persons import AUDIENCES, Marks
from bridge.outbox.tables import HELD, attempts, bodies, jobs, key_of, latest, lock_keys, messages, waiting
from bridge.rows import among, update

FORGOTTEN = "forgotten"
UNDER_WAY = "forgotten while its call was under way: whether that was taken is not known"
MEMBERS = ("emails", "sha256s")  # of a list, in what changes it
LEAST_WORD = 6  # characters; a shorter one stands in many a reason
ANYBODY = "(forgotten)"  # in the filter of a job, where a person stood

_ROWS = (
    sa.select(messages, bodies.c.request, bodies.c.payload)
    .join(bodies, bodies.c.seq == messages.c.seq)
    .where(among(messages.c.seq, "seqs"), among(bodies.c.seq, "seqs"))
    .order_by(messages.c.seq)
)
_LOCKED = _ROWS.with_for_update(of=messages)
_WAITING = (
    sa.select(waiting.c.seq, waiting.c.call_id).where(among(waiting.c.seq, "seqs")).order_by(waiting.c.seq)
)
_ANSWERS = sa.delete(attempts).where(among(attempts.c.seq, "seqs"))
_BODIES = sa.delete(bodies).where(among(bodies.c.seq, "seqs"))
_LEAVE = sa.delete(waiting).where(among(waiting.c.seq, "seqs"))
_LATEST = sa.delete(latest).where(among(latest.c.subject, "subjects"))
_WITH_BODY = sa.select(bodies.c.seq).where(among(bodies.c.seq, "seqs"))


@dataclass
class Erased:
    """What was done, by kind. `moved`: those that others changed meanwhile; they are to be looked for again."""

    counts: dict[str, int] = field(default_factory=dict)
    moved: tuple[int, ...] = ()

    def add(self, kind: str, count: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count


def lines_of(connection: Connection, seqs: Sequence[int]) -> dict[int, int]:
    """Their lines, by `seq`."""
    query = sa.select(messages.c.seq, messages.c.line).where(among(messages.c.seq, "seqs"))
    return {row.seq: row.line for row in connection.execute(query, {"seqs": list(seqs)})} if seqs else {}


def lock(connection: Connection, lines: Iterable[int], subscriptions: Iterable[str]) -> datetime:
    """Hold all keys at once that whoever accepts, settles or replays something of these would need."""
    return lock_keys(connection, {*lines, *(key_of("subscription", key) for key in subscriptions)})


def erase(connection: Connection, lines: Mapping[int, int], marks: Marks, now: datetime) -> Erased:
    """Erase these messages, whose lines' keys are held, as far as they are still about this person."""
    done = Erased()
    seqs = list(lines)
    # A claim holds no key: with its row's lock it has either not begun or written its call. First these rows, as
    # whoever takes over a silent worker's calls, who holds no key either, goes from them to the messages.
    rows_of_calls = connection.execute(_WAITING.with_for_update(), {"seqs": seqs}).all()
    calls = {row.seq: None if row.call_id == HELD else row.call_id for row in rows_of_calls}
    rows = connection.execute(_LOCKED, {"seqs": seqs}).all() if seqs else []
    done.moved = tuple(row.seq for row in rows if row.line != lines[row.seq])
    whole, cut = [], []
    for row in rows:
        if row.seq in done.moved:
            continue
        if row.destination == AUDIENCES:
            cut.append(row)
        elif _is_meant(row, marks):
            whole.append(row)
    whole += _without_member(connection, cut, marks, done)
    _erase_whole(connection, whole, calls, now, done)
    return done


def erase_subjects(connection: Connection, events: Collection[str], keys: Collection[str]) -> int:
    """What was accepted last of these events and subscriptions. Returns of how many something was known."""
    subjects = {key_of("calendar_event", one) for one in events} | {key_of("subscription", k) for k in keys}
    return connection.execute(_LATEST, {"subjects": sorted(subjects)}).rowcount if subjects else 0


def erase_filters(connection: Connection, words: Collection[str]) -> int:
    """Where a job's filter names this person it means nobody from now on. Returns in how many it did."""
    found = 0
    for row in connection.execute(sa.select(jobs.c.seq, jobs.c.wanted).order_by(jobs.c.seq)).all():
        wanted = {
            name: ANYBODY if isinstance(its, str) and _names(name, its, words) else its
            for name, its in row.wanted.items()
        }
        if wanted != row.wanted:
            connection.execute(sa.update(jobs).where(jobs.c.seq == row.seq).values(wanted=wanted))
            found += 1
    return found


def erased_among(connection: Connection, seqs: Collection[int]) -> set[int]:
    """Those of these messages that were erased, or are gone altogether."""
    return set(seqs) - set(connection.scalars(_WITH_BODY, {"seqs": list(seqs)})) if seqs else set()


def has_ended_since(connection: Connection, began_at: datetime) -> bool:
    """Whether somebody was forgotten since then: what was read before may still name him."""
    query = sa.select(jobs.c.seq).where(jobs.c.finished_at >= began_at, jobs.c.kind == "forget").limit(1)
    return connection.scalar(query) is not None


def scrub(connection: Connection) -> None:
    """From here on this transaction writes over what it deletes in SQLite's file, which would leave it there."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def scrub_no_more(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")


def _is_meant(row: Any, marks: Marks) -> bool:
    if marks.is_of(row):
        return True
    named = marks.named_in([row.request, row.payload])
    return any(marks.may_name(row, one) for one in named)


def _erase_whole(
    connection: Connection, rows: Sequence[Any], calls: Mapping[int, str | None], now: datetime, done: Erased
) -> None:
    seqs = [row.seq for row in rows]
    if not seqs:
        return
    connection.execute(_LEAVE, {"seqs": seqs})
    promote(connection, {row.line for row in rows if row.seq in calls})
    done.add("answers", connection.execute(_ANSWERS, {"seqs": seqs}).rowcount)
    connection.execute(_BODIES, {"seqs": seqs})
    update(connection, messages, [_what_stays(row, calls, now) for row in rows])
    done.add("messages", len(rows))
    done.add("ended", sum(row.seq in calls or row.state == State.UNCERTAIN for row in rows))
    done.add("under_way", sum(calls.get(row.seq) is not None for row in rows))
    events = {row.request["rokt_event_id"] for row in rows if (row.request or {}).get("rokt_event_id")}
    done.add("requests", erase_subjects(connection, events, ()))


def _what_stays(row: Any, calls: Mapping[int, str | None], now: datetime) -> dict[str, object]:
    """What waits or asks for a person's word can never be sent: it is dead."""
    is_open = row.seq in calls or row.state == State.UNCERTAIN
    return {
        "seq": row.seq,
        "state": State.DEAD if is_open else row.state,
        "settled_at": now if is_open else row.settled_at,
        "line": key_of(row.destination, row.id),  # its own: the old one is made of an id or an address
        "user_id": None,
        "event_id": None,
        "reason": UNDER_WAY if calls.get(row.seq) is not None else FORGOTTEN,
        "progress": None,
    }


def _without_member(connection: Connection, rows: Sequence[Any], marks: Marks, done: Erased) -> list[Any]:
    """Take this person out of changes of lists. Returns those that then say nothing of anybody."""
    empty, cut = [], []
    for row in rows:
        members = next((name for name in MEMBERS if name in (row.request or {})), None)
        if members is None:
            continue
        left = [one for one in row.request[members] if (hashed(one) or one) not in marks.hashes]
        if len(left) == len(row.request[members]):
            continue
        if left:
            cut.append({"seq": row.seq, "request": {**row.request, members: left}})
        else:
            empty.append(row)
    update(connection, bodies, cut)
    done.add("list_changes", len(cut))
    return empty


def _names(name: str, given: str, words: Collection[str]) -> bool:
    if given in words:
        return True
    if name == "event_id":
        return any(given.endswith(f"_{word}") for word in words)
    return name in ("reason", "cause") and any(len(word) >= LEAST_WORD and word in given for word in words)
