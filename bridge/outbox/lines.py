"""Lines and heads: what may leave next is claimed, what came of it settled, what was lost taken over."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Delivered, Json, Message, Outcome, Rejected, Retry, Skipped, State, Uncertain
from bridge.outbox.tables import attempts, bodies, calls, lock_keys, messages, waiting, workers

STALE_AFTER = timedelta(seconds=20)  # four missed heartbeats
SWEEP_ROWS = 64
ANSWER_KEPT = 2000  # characters of the upstream's answer that stay with an attempt
BACK_OFF_FIRST = 1.0  # seconds
BACK_OFF_MOST = 15 * 60.0
TOO_LATE = "too late"
WORKER_LOST = "the worker that sent this was not heard of again"
OVERTAKEN = "a later message of the same event was delivered; replay with force to send this all the same"
FORCED = "forced"  # in a message's progress: it goes even if a later one was delivered
# Of a delivered message that goes again: its deadline and its failures were met before.
_ONCE_MORE = {
    "state": State.RETRYING,
    "was_uncertain": True,
    "progress": None,
    "expires_at": None,
    "first_failed_at": None,
    "tries": 0,
}
IN_PLACE = (State.DELIVERED, State.SKIPPED)  # Rokt holds what the message says


@dataclass(frozen=True)
class Call:
    """A claimed message with the row that says so. Only whoever still holds the row may settle it."""

    id: str
    message: Message


@dataclass(frozen=True)
class Result:
    call: Call
    outcome: Outcome


@dataclass(frozen=True)
class Settled:
    """What settling changed: `final` has the messages that ended, with their state."""

    final: tuple[tuple[Result, State], ...]
    late: tuple[Result, ...]


def is_any_due(connection: Connection, destination: str, now: datetime) -> bool:
    query = sa.select(waiting.c.seq).where(*_due(destination, now)).limit(1)
    return connection.scalar(query) is not None


def claim(
    connection: Connection,
    worker_id: str,
    destination: str,
    limit: int,
    now: datetime,
    closed_accounts: Iterable[str] = (),
    *,
    is_probe: bool = False,
) -> list[Call]:
    """Take at most `limit` due heads and write one call row for each before anything is sent.

    `is_probe`: the destination is closed and this is the one call that looks whether it answers again, so a
    head in back-off will do. `closed_accounts`: left alone.
    """
    query = (
        sa.select(waiting.c.seq)
        .where(*_due(destination, None if is_probe else now))
        .order_by(waiting.c.priority, waiting.c.due_at, waiting.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if closed := list(closed_accounts):
        query = query.where(waiting.c.account_code.not_in(closed))
    due = list(connection.scalars(query))
    return _call(connection, worker_id, destination, due, now) if due else []


def claim_of_account(
    connection: Connection, worker_id: str, destination: str, account_code: str, now: datetime
) -> list[Call]:
    """One head of an account whose credential was refused, to see whether it is taken again."""
    query = (
        sa.select(waiting.c.seq)
        .where(*_due(destination, None), waiting.c.account_code == account_code)
        .order_by(waiting.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    due = list(connection.scalars(query))
    return _call(connection, worker_id, destination, due, now) if due else []


def settle(connection: Connection, results: Sequence[Result], now: datetime, retry_for: timedelta) -> Settled:
    """Write what came of calls, only for those that are still ours, and let the next of each line go."""
    lock_keys(connection, (r.call.message.line for r in results))
    ours = _fence(connection, results)
    kept = [r for r in results if r.call.id in ours]
    endings = [(r, ending_of(r, now, retry_for)) for r in kept]
    _write_attempts(connection, kept, now)
    _write_messages(connection, endings, now)
    final = [(r, state) for r, (state, _due_at, _reason) in endings if _due_at is None]
    promoted = _leave(connection, [r.call.message for r, _ in final])
    in_place = {r.call.message.line: r.call.message.seq for r, state in final if state in IN_PLACE}
    _supersede(connection, promoted, in_place, now)
    again = [
        {"its_seq": r.call.message.seq, "its_due_at": due} for r, (_, due, _) in endings if due is not None
    ]
    if again:
        connection.execute(
            sa.update(waiting)
            .where(waiting.c.seq == sa.bindparam("its_seq"))
            .values(call_id=None, due_at=sa.bindparam("its_due_at")),
            again,
        )
    connection.execute(sa.delete(calls).where(calls.c.id.in_([r.call.id for r in results])))
    return Settled(tuple(final), tuple(r for r in results if r.call.id not in ours))


def ending_of(
    result: Result, now: datetime, retry_for: timedelta
) -> tuple[State, datetime | None, str | None]:
    """State, when it is due again (None: it has ended), reason."""
    outcome, message = result.outcome, result.call.message
    match outcome:
        case Delivered(progress=None):
            return State.DELIVERED, None, None
        case Delivered():
            return State.RETRYING if message.first_failed_at else State.ACCEPTED, now, None
        case Skipped(reason):
            return State.SKIPPED, None, reason
        case Rejected(reason=reason):
            return State.DEAD, None, reason
        case Retry(reason=reason) | Uncertain(reason=reason):
            failing_for = now - (message.first_failed_at or now)
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


def give_back(connection: Connection, given: Sequence[Call]) -> None:
    """Return what was claimed and never sent, as if it had not been touched."""
    ids = [call.id for call in given]
    connection.execute(sa.update(waiting).where(waiting.c.call_id.in_(ids)).values(call_id=None))
    connection.execute(sa.delete(calls).where(calls.c.id.in_(ids)))


def take_over(connection: Connection, now: datetime) -> int:
    """Free the calls of workers not heard of: nobody knows what became of them. Returns how many."""
    silent = list(
        connection.scalars(
            sa.select(workers.c.id)
            .where(workers.c.heartbeat_at < now - STALE_AFTER)
            .with_for_update(skip_locked=True)
        )
    )
    if silent:
        connection.execute(sa.delete(workers).where(workers.c.id.in_(silent)))
    # Not only theirs: a worker may have been forgotten while its last claim was under way.
    nobodys = calls.c.worker_id.not_in(sa.select(workers.c.id))
    lost = list(connection.scalars(sa.select(calls.c.id).where(nobodys)))
    if lost:
        freed = sa.update(waiting).where(waiting.c.call_id.in_(lost)).values(call_id=None, due_at=now)
        seqs = list(connection.scalars(freed.returning(waiting.c.seq)))
        connection.execute(
            sa.update(messages)
            .where(messages.c.seq.in_(seqs))
            .values(
                state=State.RETRYING,
                was_uncertain=True,
                tries=messages.c.tries + 1,
                first_failed_at=sa.func.coalesce(messages.c.first_failed_at, now),
                reason=WORKER_LOST,
            )
        )
        if seqs:
            told = [{"seq": seq, "at": now, "status": None, "ms": 0, "answer": WORKER_LOST} for seq in seqs]
            connection.execute(sa.insert(attempts), told)
        connection.execute(sa.delete(calls).where(calls.c.id.in_(lost)))
    return len(lost)


def send_last_again(connection: Connection, lines: Iterable[int], now: datetime) -> list[Message]:
    """A late answer of a call that was taken over may have overtaken newer ones: the last goes once more.

    Where something of the line still waits, that is the last word. Returns the messages that go again.
    """
    again = []
    for line in sorted(set(lines)):
        if connection.scalar(sa.select(waiting.c.seq).where(waiting.c.line == line).limit(1)) is not None:
            continue
        last = connection.scalar(
            sa.select(sa.func.max(messages.c.seq)).where(
                messages.c.line == line, messages.c.state == State.DELIVERED
            )
        )
        if last is not None:
            again += [(last, line)]
    for seq, _line in again:
        enter(connection, seq, now, _ONCE_MORE)
    return _read(connection, [seq for seq, _ in again])


def enter(connection: Connection, seq: int, now: datetime, values: Mapping[str, Any]) -> None:
    """Put a stored message back into its place in its line. The line's key must be held."""
    connection.execute(sa.update(messages).where(messages.c.seq == seq).values(settled_at=None, **values))
    row = connection.execute(sa.select(messages).where(messages.c.seq == seq)).one()
    # A claim holds no key: without its row's lock the head could be in flight by the time it is set back.
    head = connection.execute(
        sa.select(waiting.c.seq, waiting.c.call_id)
        .where(waiting.c.line == row.line, waiting.c.is_head)
        .with_for_update()
    ).first()
    goes_first = head is None or (head.call_id is None and seq < head.seq)
    if head is not None and goes_first:
        connection.execute(sa.update(waiting).where(waiting.c.seq == head.seq).values(is_head=False))
    connection.execute(
        sa.insert(waiting).values(
            seq=seq,
            destination=row.destination,
            account_code=row.account_code,
            line=row.line,
            is_head=goes_first,
            priority=1,
            due_at=now,
            expires_at=row.expires_at,
        )
    )


def expire(connection: Connection, now: datetime) -> list[Message]:
    """What has not left by its `expires` is dead; at most 64 of them, which are returned."""
    overdue = sa.and_(waiting.c.expires_at <= now, waiting.c.call_id.is_(None))
    found = connection.execute(
        sa.select(waiting.c.seq, waiting.c.line).where(overdue).limit(SWEEP_ROWS)
    ).all()
    if not found:
        return []
    lock_keys(connection, (row.line for row in found))
    still = sa.select(waiting.c.seq).where(waiting.c.seq.in_([row.seq for row in found]), overdue)
    gone = _read(connection, list(connection.scalars(still.with_for_update(skip_locked=True))))
    connection.execute(
        sa.update(messages)
        .where(messages.c.seq.in_([m.seq for m in gone]))
        .values(state=State.DEAD, settled_at=now, reason=TOO_LATE)
    )
    _leave(connection, gone)
    return gone


def _due(destination: str, now: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = [
        waiting.c.destination == destination,
        waiting.c.is_head,
        waiting.c.call_id.is_(None),
    ]
    return conditions if now is None else [*conditions, waiting.c.due_at <= now]


def _call(
    connection: Connection, worker_id: str, destination: str, due: Sequence[int], now: datetime
) -> list[Call]:
    claimed = [Call(str(uuid.uuid4()), message) for message in _read(connection, due)]
    connection.execute(
        sa.insert(calls),
        [
            {"id": c.id, "worker_id": worker_id, "destination": destination, "started_at": now}
            for c in claimed
        ],
    )
    connection.execute(
        sa.update(waiting)
        .where(waiting.c.seq == sa.bindparam("its_seq"))
        .values(call_id=sa.bindparam("its_call")),
        [{"its_seq": c.message.seq, "its_call": c.id} for c in claimed],
    )
    return claimed


def _read(connection: Connection, seqs: Sequence[int]) -> list[Message]:
    query = (
        sa.select(messages, bodies.c.request)
        .join(bodies, bodies.c.seq == messages.c.seq)
        .where(messages.c.seq.in_(seqs))
        .order_by(messages.c.seq)
    )
    return [message_of(row, row.request) for row in connection.execute(query)] if seqs else []


def message_of(row: Any, request: Json | None) -> Message:
    """A row of `messages` as the worker and the destinations see it."""
    return Message(
        seq=row.seq,
        id=row.id,
        destination=row.destination,
        action=row.action,
        request=request or {},
        line=row.line,
        user_id=row.user_id,
        event_id=row.event_id,
        account_code=row.account_code,
        template=row.template,
        version=row.version,
        is_test=row.is_test,
        was_uncertain=row.was_uncertain,
        received_at=row.received_at,
        first_failed_at=row.first_failed_at,
        tries=row.tries,
        expires_at=row.expires_at,
        request_id=row.request_id,
        progress=row.progress or {},
    )


def _fence(connection: Connection, results: Sequence[Result]) -> set[str]:
    ids = [r.call.id for r in results]
    query = sa.select(waiting.c.call_id).where(waiting.c.call_id.in_(ids)).with_for_update()
    return set(connection.scalars(query))


def _write_attempts(connection: Connection, results: Sequence[Result], now: datetime) -> None:
    rows = [
        {
            "seq": r.call.message.seq,
            "at": now - timedelta(milliseconds=o.ms),
            "status": getattr(o, "status", None),
            "ms": o.ms,
            "answer": (getattr(o, "answer", "") or getattr(o, "reason", ""))[:ANSWER_KEPT],
        }
        for r in results
        if not isinstance(o := r.outcome, Skipped) and not (isinstance(o, Rejected) and o.status is None)
    ]
    if rows:
        connection.execute(sa.insert(attempts), rows)


def _write_messages(
    connection: Connection,
    endings: Sequence[tuple[Result, tuple[State, datetime | None, str | None]]],
    now: datetime,
) -> None:
    rows = []
    for result, (state, due_at, reason) in endings:
        message, outcome = result.call.message, result.outcome
        has_failed = isinstance(outcome, Retry | Uncertain)
        progress = getattr(outcome, "progress", None)
        rows.append(
            {
                "its_seq": message.seq,
                "its_state": state,
                "its_reason": reason,
                "its_settled_at": now if due_at is None else None,
                "its_first_failed_at": message.first_failed_at or (now if has_failed else None),
                "its_tries": message.tries + has_failed,
                "its_was_uncertain": message.was_uncertain or isinstance(outcome, Uncertain),
                "its_progress": dict(message.progress) | dict(progress or {}) or None,
            }
        )
    if rows:
        changed = (
            "state",
            "reason",
            "settled_at",
            "first_failed_at",
            "tries",
            "was_uncertain",
            "progress",
        )
        connection.execute(
            sa.update(messages)
            .where(messages.c.seq == sa.bindparam("its_seq"))
            .values({name: sa.bindparam(f"its_{name}") for name in changed}),
            rows,
        )


def _leave(connection: Connection, gone: Sequence[Message]) -> list[tuple[int, int]]:
    """Returns what became the head of its line instead, with the line."""
    if not gone:
        return []
    connection.execute(sa.delete(waiting).where(waiting.c.seq.in_([m.seq for m in gone])))
    return _promote(connection, {m.line for m in gone})


def _promote(connection: Connection, lines: set[int]) -> list[tuple[int, int]]:
    """Make the first of each line that has no head its head."""
    headed = set(
        connection.scalars(sa.select(waiting.c.line).where(waiting.c.line.in_(lines), waiting.c.is_head))
    )
    firsts = (
        sa.select(sa.func.min(waiting.c.seq))
        .where(waiting.c.line.in_(lines - headed))
        .group_by(waiting.c.line)
    )
    if not lines - headed:
        return []
    promoted = sa.update(waiting).where(waiting.c.seq.in_(firsts)).values(is_head=True)
    rows = connection.execute(promoted.returning(waiting.c.seq, waiting.c.line))
    return [(row.seq, row.line) for row in rows]


def _supersede(
    connection: Connection, promoted: Sequence[tuple[int, int]], in_place: Mapping[int, int], now: datetime
) -> None:
    """A replay that came while a later one was in flight stood behind it, and is out of date once that stands."""
    while older := [seq for seq, line in promoted if seq < in_place.get(line, 0)]:
        overtaken = [message for message in _read(connection, older) if not message.progress.get(FORCED)]
        connection.execute(
            sa.update(messages)
            .where(messages.c.seq.in_([message.seq for message in overtaken]))
            .values(state=State.SUPERSEDED, settled_at=now, reason=OVERTAKEN)
        )
        promoted = _leave(connection, overtaken)
