"""Settles calls: what came of them is written, only while they are still ours, and the next of a line goes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import (
    UNSURE,
    Delivered,
    Divided,
    Message,
    Outcome,
    Rejected,
    Retry,
    Skipped,
    State,
    Uncertain,
    Undecided,
)
from bridge.outbox.claim import Call
from bridge.outbox.lines import FORCED, IN_PLACE, OVERTAKEN, leave, promote, read
from bridge.outbox.tables import HELD, attempts, calls, lock_keys, messages, waiting
from bridge.rows import Delete, Insert, Update, among, write

ANSWER_KEPT = 2000  # characters of the upstream's answer that stay with an attempt
BACK_OFF_FIRST = 1.0  # seconds
BACK_OFF_MOST = 15 * 60.0

_STILL_OURS = (
    sa.select(waiting.c.seq, waiting.c.call_id).where(among(waiting.c.call_id, "ids")).with_for_update()
)


@dataclass(frozen=True)
class Result:
    call: Call
    outcome: Outcome


@dataclass(frozen=True)
class Settled:
    """What settling changed: `final` has the messages that ended, with their state; `due`: when the others go
    again, by `seq`.
    """

    final: tuple[tuple[Result, State], ...]
    late: tuple[Result, ...]
    due: Mapping[int, datetime]


def settle(
    connection: Connection,
    results: Sequence[Result],
    now: datetime,
    retry_for: timedelta,
    shut_for: Callable[[Message], float] = lambda message: 0.0,
) -> Settled:
    """Write what came of calls, only for those that are still ours, and let the next of each line go.

    What is uncertain for good keeps its place, and its line waits until a person has decided.
    `shut_for`: seconds for which a message was ever kept back; they do not count as time in which it was tried.
    """
    lock_keys(connection, (r.call.message.line for r in results))
    kept, late = _fence(connection, results)
    failed = [r.call.message for r in kept if isinstance(r.outcome, Retry | Uncertain)]
    shut = {message.seq: shut_for(message) for message in failed}
    endings = [(r, ending_of(r, now, retry_for, shut.get(r.call.message.seq, 0.0))) for r in kept]
    final = [(r, state) for r, (state, due_at, _reason) in endings if due_at is None]
    due = {r.call.message.seq: at for r, (_, at, _) in endings if at is not None}
    gone = [r for r, state in final if state != State.UNCERTAIN]
    stays: list[dict[str, object]] = [
        {"seq": r.call.message.seq, "call_id": None if at else HELD, "due_at": at or now}
        for r, (state, at, _) in endings
        if at is not None or state == State.UNCERTAIN
    ]
    write(
        connection,
        Insert(attempts, _attempts(kept, now)),
        Update(messages, _endings(endings, now, shut)),
        Update(waiting, stays),
        Delete(waiting, [{"seq": r.call.message.seq} for r in gone]),
        Delete(calls, [{"id": one} for one in _whole(results)]),
    )
    promoted = promote(connection, {r.call.message.line for r in gone})
    _supersede(connection, promoted, _in_place(final), now)
    return Settled(tuple(final), late, due)


def ending_of(
    result: Result, now: datetime, retry_for: timedelta, shut_for: float = 0.0
) -> tuple[State, datetime | None, str | None]:
    """State, when it is due again (None: it has ended), reason. `shut_for`: seconds, as in `settle`."""
    outcome, message = result.outcome, result.call.message
    match outcome:
        case Delivered(progress=None):
            return State.DELIVERED, None, None
        case Delivered():
            return State.RETRYING if message.first_failed_at else State.ACCEPTED, now, None
        case Divided(reason=reason):
            return State.RETRYING, now, reason
        case Skipped(reason):
            return State.SKIPPED, None, reason
        case Rejected(reason=reason):
            return State.DEAD, None, reason
        case Undecided(reason) | Uncertain(reason=reason, is_final=True):
            return State.UNCERTAIN, None, reason
        case Retry(reason=reason) | Uncertain(reason=reason):
            failing_for = timedelta(0)
            if message.first_failed_at:
                shut = timedelta(seconds=max(0.0, shut_for - message.shut_before))
                failing_for = max(failing_for, now - message.first_failed_at - shut)
            if failing_for >= retry_for:
                return State.DEAD, None, f"tried for {retry_for}: {reason}"
            asked = outcome.wait if isinstance(outcome, Retry) else None
            # Probes, and a destination that opens again and again, make many tries in a short time. Those must
            # not make its line wait for minutes once the upstream is well.
            tries = min(message.tries, int(failing_for.total_seconds()).bit_length() + 1)
            return State.RETRYING, now + back_off(tries, asked), reason


def back_off(tries: int, asked: float | None = None) -> timedelta:
    """Full jitter from one second, doubling to a quarter of an hour; never before the upstream asked."""
    most = min(BACK_OFF_MOST, BACK_OFF_FIRST * 2 ** min(tries, 20))
    return timedelta(seconds=max(random.uniform(0, most), asked or 0))  # noqa: S311  jitter, no secret


def _fence(connection: Connection, results: Sequence[Result]) -> tuple[list[Result], tuple[Result, ...]]:
    """Those whose messages are still held by their calls, and the others."""
    rows = connection.execute(_STILL_OURS, {"ids": list({r.call.id for r in results})})
    ours = {(row.seq, row.call_id) for row in rows}
    mine = [(r.call.message.seq, r.call.id) in ours for r in results]
    return (
        [r for r, is_mine in zip(results, mine, strict=True) if is_mine],
        tuple(r for r, is_mine in zip(results, mine, strict=True) if not is_mine),
    )


def _whole(results: Sequence[Result]) -> list[str]:
    """The calls of which nothing else is to be settled. A row that outlives its call is harmless, and goes with its
    worker; one that is gone before would leave what still hangs on it to nobody.
    """
    found = Counter(r.call.id for r in results)
    return list({r.call.id for r in results if found[r.call.id] >= r.call.messages})


def _attempts(results: Sequence[Result], now: datetime) -> list[dict[str, object]]:
    return [
        {
            "seq": r.call.message.seq,
            "at": now - timedelta(milliseconds=o.ms),
            "status": getattr(o, "status", None),
            "ms": o.ms,
            "answer": (getattr(o, "answer", "") or getattr(o, "reason", ""))[:ANSWER_KEPT],
            "call_id": r.call.message.call_id or None,
        }
        for r in results
        if not isinstance(o := r.outcome, Skipped | Undecided)
        and not (isinstance(o, Rejected) and o.status is None)
    ]


def _endings(
    endings: Sequence[tuple[Result, tuple[State, datetime | None, str | None]]],
    now: datetime,
    shut: Mapping[int, float],
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for result, (state, due_at, reason) in endings:
        message, outcome = result.call.message, result.outcome
        has_failed = isinstance(outcome, Retry | Uncertain)
        progress = dict(getattr(outcome, "progress", None) or {})
        if isinstance(outcome, Uncertain):
            progress[UNSURE] = True
        rows.append(
            {
                "seq": message.seq,
                "state": state,
                "reason": reason,
                "settled_at": now if due_at is None else None,
                "first_failed_at": message.first_failed_at or (now if has_failed else None),
                "shut_before": (
                    message.shut_before if message.first_failed_at else shut.get(message.seq, 0.0)
                ),
                "tries": message.tries + has_failed,
                "was_uncertain": message.was_uncertain or isinstance(outcome, Uncertain),
                "progress": dict(message.progress) | progress or None,
            }
        )
    return rows


Thing = tuple[int, str | None]  # a line, and what in it a message is about


def _in_place(final: Sequence[tuple[Result, State]]) -> dict[Thing, int]:
    """The last message that stands now, of each thing."""
    found: dict[Thing, int] = {}
    for result, state in final:
        if state in IN_PLACE:
            message = result.call.message
            found[_thing(message)] = max(message.seq, found.get(_thing(message), 0))
    return found


def _thing(message: Message) -> Thing:
    return message.line, message.event_id


def _supersede(
    connection: Connection, promoted: Sequence[tuple[int, int]], in_place: Mapping[Thing, int], now: datetime
) -> None:
    """A replay that came while a later one was in flight stood behind it, and is out of date once that stands."""
    last: dict[int, int] = {}
    for (line, _), seq in in_place.items():
        last[line] = max(seq, last.get(line, 0))
    while older := [seq for seq, line in promoted if seq < last.get(line, 0)]:
        overtaken = [
            message
            for message in read(connection, older)
            if message.seq < in_place.get(_thing(message), 0) and not message.progress.get(FORCED)
        ]
        connection.execute(
            sa.update(messages)
            .where(messages.c.seq.in_([message.seq for message in overtaken]))
            .values(state=State.SUPERSEDED, settled_at=now, reason=OVERTAKEN)
        )
        promoted = leave(connection, overtaken)
