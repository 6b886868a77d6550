"""Looks after the lines: frees the calls of silent workers, ends what is too late, sends again what was overtaken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import ONCE_MORE, UNSURE, Message, State
from bridge.metrics.samples import Samples, from_json
from bridge.outbox import counters
from bridge.outbox.lines import enter, give_up, read
from bridge.outbox.tables import HELD, attempts, calls, lock_keys, messages, waiting, workers
from bridge.rows import insert, update

STALE_AFTER = timedelta(seconds=20)  # four missed heartbeats
CALL_LASTS = timedelta(seconds=10)  # at most, dripping answers included
SWEEP_ROWS = 64
TOO_LATE = "too late"
WORKER_LOST = "the worker that sent this was not heard of again"
OVERTAKEN_LATE = "an older call of this event was answered late, so this goes once more"
# Of a delivered message that goes again: its deadline and its failures were met before.
_ONCE_MORE = {
    "state": State.RETRYING,
    "was_uncertain": True,
    "progress": {ONCE_MORE: True},
    "expires_at": None,
    "first_failed_at": None,
    "tries": 0,
}


def take_over(connection: Connection, now: datetime) -> int:
    """Free the calls of workers not heard of: nobody knows what became of them. Returns how many."""
    silent = list(
        connection.scalars(
            sa.select(workers.c.id)
            .where(workers.c.heartbeat_at < now - STALE_AFTER)
            .with_for_update(skip_locked=True)
        )
    )
    counted: list[Samples] = []
    if silent:
        gone = sa.delete(workers).where(workers.c.id.in_(silent)).returning(workers.c.counters)
        counted = [from_json(one) for one in connection.scalars(gone)]
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
        _mark_unsure(connection, seqs)
        told = [{"seq": seq, "at": now, "status": None, "ms": 0, "answer": WORKER_LOST} for seq in seqs]
        insert(connection, attempts, told)
        connection.execute(sa.delete(calls).where(calls.c.id.in_(lost)))
    counters.fold(connection, counted)
    return len(lost)


def send_last_again(connection: Connection, lines: Iterable[int], now: datetime) -> list[Message]:
    """A late answer of a call that was taken over may have overtaken newer ones: the last goes once more.

    So does what is in flight, after it. What only waits is not trusted to be the last word: it may yet die.
    Returns the messages that go again. The lines' keys must be held.
    """
    again: list[int] = []
    for line in sorted(set(lines)):
        spoilt = _spoil(connection, line, now)
        last = None if _is_going_again(connection, line) else _last_delivered(connection, line)
        if last is not None:
            # Behind the end of the call that was spoilt: both at once could arrive in any order.
            enter(connection, [last], now + CALL_LASTS if spoilt else now, _ONCE_MORE)
            again.append(last)
        again += spoilt
    return read(connection, again)


def _spoil(connection: Connection, line: int, now: datetime) -> list[int]:
    """Take over what a line has in flight: the late call may have arrived after it."""
    in_flight = sa.select(waiting.c.seq, waiting.c.call_id).where(
        waiting.c.line == line, waiting.c.call_id.is_not(None), waiting.c.call_id != HELD
    )
    found = connection.execute(in_flight.order_by(waiting.c.seq).with_for_update()).all()
    seqs = [row.seq for row in found]
    if found:
        free = {"call_id": None, "due_at": now + CALL_LASTS, "expires_at": None}  # it left in time
        connection.execute(sa.update(waiting).where(waiting.c.seq.in_(seqs)).values(free))
        told = {"state": State.RETRYING, "was_uncertain": True, "expires_at": None, "reason": OVERTAKEN_LATE}
        connection.execute(sa.update(messages).where(messages.c.seq.in_(seqs)).values(told))
        _mark_unsure(connection, seqs)
        # Others of its batch are its worker's to settle.
        carries_more = sa.select(waiting.c.seq).where(waiting.c.call_id == calls.c.id).exists()
        its = calls.c.id.in_({row.call_id for row in found})
        connection.execute(sa.delete(calls).where(its, ~carries_more))
    return seqs


def _mark_unsure(connection: Connection, seqs: Sequence[int]) -> None:
    """Until it is replayed or known: `was_uncertain` stays for good, so it does not tell of the last call."""
    query = sa.select(messages.c.seq, messages.c.progress).where(messages.c.seq.in_(seqs))
    marked = [
        {"seq": row.seq, "progress": {**(row.progress or {}), UNSURE: True}}
        for row in connection.execute(query.order_by(messages.c.seq))
    ]
    update(connection, messages, marked)


def _is_going_again(connection: Connection, line: int) -> bool:
    query = sa.select(messages.c.progress).join(waiting, waiting.c.seq == messages.c.seq)
    its = connection.scalars(query.where(waiting.c.line == line, messages.c.progress.is_not(None)))
    return any(ONCE_MORE in progress for progress in its)


def _last_delivered(connection: Connection, line: int) -> int | None:
    """By the time of delivery: an older one may have been forced behind a newer one."""
    query = (
        sa.select(messages.c.seq)
        # By the line: SQLite would read all that was ever delivered, by the index on states.
        .where(messages.c.line == line, sa.func.coalesce(messages.c.state, "") == State.DELIVERED)
        .order_by(messages.c.settled_at.desc(), messages.c.seq.desc())
        .limit(1)
    )
    seq: int | None = connection.scalar(query)
    return seq


def expire(connection: Connection, now: datetime) -> list[Message]:
    """What has not left by its `expires` is dead; at most 64 of them, which are returned."""
    overdue = sa.and_(waiting.c.expires_at <= now, waiting.c.call_id.is_(None))
    found = connection.execute(
        sa.select(waiting.c.seq, waiting.c.line)
        .where(overdue)
        .order_by(waiting.c.expires_at)
        .limit(SWEEP_ROWS)
    ).all()
    if not found:
        return []
    lock_keys(connection, (row.line for row in found))
    return give_up(connection, [row.seq for row in found], TOO_LATE, now, overdue)
