"""One piece of a job: the messages it takes next, and what is done with them in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Message, NewMessage, State
from bridge.outbox import leases
from bridge.outbox.claim import lanes
from bridge.outbox.enqueue import line_of
from bridge.outbox.jobs import Job, Kind
from bridge.outbox.leases import CHANGED, Work
from bridge.outbox.lines import BEHIND, LIVE, give_up, message_of, read
from bridge.outbox.replay import new_line, payload_of, refuse_again, send_as, send_each_again
from bridge.outbox.selection import some, still
from bridge.outbox.tables import bodies, lock_keys, messages, waiting

MOST = 64  # messages, and so keys that one transaction holds
MOST_RENDERED = 16  # of them made anew, which may be for several accounts each
MOST_BEHIND = 1_000  # sent again by jobs and due, but not left yet: then jobs wait
LATE = timedelta(seconds=1)
OVERTAKEN = "a later message of the same event was delivered"
UNDER_WAY = "its call was under way, or over"
SKIPS = "its template skips it now"


@dataclass(frozen=True)
class Refusal:
    """Why something cannot be made anew. `reason`: what the message itself keeps, if a template refused it."""

    cause: str
    reason: str | None = None


@dataclass(frozen=True)
class Piece:
    """`payloads`: what their callers sent, of those that are to be made anew, by `seq`. `cursor`: where it ends."""

    messages: tuple[Message, ...]
    payloads: Mapping[int, dict[str, Any]]
    cursor: int

    def each(self) -> list[Piece]:
        """Its messages one by one."""
        ends = [message.seq for message in self.messages[:-1]] + [self.cursor]
        return [
            Piece((message,), self.payloads, end) for message, end in zip(self.messages, ends, strict=True)
        ]


Made = Mapping[int, tuple[NewMessage, ...] | Refusal]


def is_full(connection: Connection, destination: str, now: datetime) -> bool:
    """Enough of what jobs have sent again waits to leave."""
    behind = (
        waiting.c.priority > sa.literal_column("1"),
        waiting.c.is_head,
        waiting.c.call_id.is_(None),
        waiting.c.destination == destination,
        waiting.c.due_at <= now,
    )
    query = sa.select(waiting.c.seq).where(*behind).offset(MOST_BEHIND - 1).limit(1)
    return connection.scalar(query) is not None


def is_live_late(connection: Connection, destination: str, now: datetime) -> bool:
    """What was just accepted does not leave as fast as it comes."""
    late = now - LATE
    return any(lane.priority <= LIVE and lane.due_at <= late for lane in lanes(connection, destination))


def next_piece(connection: Connection, job: Job) -> Piece:
    lines, cursor = some(connection, job.selection, job.cursor, MOST)
    found = read(connection, list(lines))
    if job.kind != Kind.REPLAY:
        return Piece(tuple(found), {}, cursor)
    anew = [message.seq for message in found if job.is_current or not message.request]
    if len(anew) > MOST_RENDERED:
        cursor = anew[MOST_RENDERED - 1]
        anew = anew[:MOST_RENDERED]
        found = [message for message in found if message.seq <= cursor]
    query = sa.select(bodies.c.seq, bodies.c.payload, messages.c.inbound_key, messages.c.route).join(
        messages, messages.c.seq == bodies.c.seq
    )
    rows = connection.execute(query.where(bodies.c.seq.in_(anew))).all() if anew else []
    return Piece(tuple(found), {row.seq: payload_of(row) for row in rows}, cursor)


def work(
    connection: Connection, job: Job, piece: Piece, made: Made, now: datetime
) -> tuple[Job, list[Message]] | None:
    """Do a piece and write how far the job has gone. Returns the job as it is then, and the messages it changed.

    None: the job has been stopped, or another works on it. `made`: what is to be made anew, by `seq`.
    """
    if not leases.hold(connection, job):
        return None
    do = _replay if job.kind == Kind.REPLAY else _cancel
    done, changed = do(connection, job, piece, made, now) if piece.messages else (Work(), [])
    return leases.advance(connection, job, piece.cursor, done, now), changed


def pass_over(connection: Connection, job: Job, piece: Piece, reason: str, now: datetime) -> Job | None:
    """Leave a piece alone, which the bridge itself fails to do."""
    if not leases.hold(connection, job):
        return None
    return leases.advance(connection, job, piece.cursor, Work(failed=(reason,) * len(piece.messages)), now)


def cancelled_by(job: Job) -> str:
    return f"cancelled by {job.by}"


def _cancel(
    connection: Connection, job: Job, piece: Piece, _made: Made, now: datetime
) -> tuple[Work, list[Message]]:
    lock_keys(connection, (message.line for message in piece.messages))
    seqs, is_uncertain = [message.seq for message in piece.messages], job.wanted.state == State.UNCERTAIN
    gone = give_up(connection, seqs, cancelled_by(job), now, is_uncertain=is_uncertain)
    left = len(piece.messages) - len(gone)
    return Work(len(gone), (UNDER_WAY,) * left), gone


def _replay(
    connection: Connection, job: Job, piece: Piece, made: Made, now: datetime
) -> tuple[Work, list[Message]]:
    lock_keys(connection, _lines(piece, made))
    held = _held(connection, job, piece)
    as_stored = [message for message in held if message.seq not in made]
    sent: list[Message] = []
    if as_stored:
        sent = send_each_again(connection, as_stored, now, force=job.force, priority=BEHIND)
    skipped = [OVERTAKEN] * (len(as_stored) - len(sent))
    skipped += [CHANGED] * (len(piece.messages) - len(held))
    failed = []
    for message in held:
        anew = made.get(message.seq)
        if isinstance(anew, Refusal):
            failed.append(anew.cause)
            if anew.reason and not message.request:
                refuse_again(connection, message, anew.reason)
        elif anew is not None:
            payload = piece.payloads[message.seq]
            now_is, state, _ids = send_as(
                connection, message, anew, payload, job.request_id, now, force=job.force, priority=BEHIND
            )
            if state == State.ACCEPTED:
                sent.append(now_is)
            else:
                skipped.append(OVERTAKEN if state == State.SUPERSEDED else SKIPS)
    return Work(len(sent), tuple(skipped), tuple(failed)), sent


def _lines(piece: Piece, made: Made) -> set[int]:
    """All that the piece touches, to be locked at once: in two steps, two pieces could wait for each other."""
    lines = {message.line for message in piece.messages}
    for message in piece.messages:
        anew = made.get(message.seq)
        if anew is not None and not isinstance(anew, Refusal):
            lines.add(new_line(message, anew[0]))
            lines |= {line_of(other) for other in anew[1:] if other.line}
    return lines


def _held(connection: Connection, job: Job, piece: Piece) -> list[Message]:
    """What of a piece is as it was read, and stays so."""
    # Told beside the row, not asked for: an index of states would lead through all that ever ended so.
    is_still = sa.and_(*still(job.selection)).label("is_still")
    rows = connection.execute(
        sa.select(messages, bodies.c.request, is_still)
        .join(bodies, bodies.c.seq == messages.c.seq)
        .where(messages.c.seq.in_([m.seq for m in piece.messages]))
        .order_by(messages.c.seq)
        .with_for_update(of=messages)
    )
    line_of_read = {message.seq: message.line for message in piece.messages}
    return [
        message_of(row, row.request) for row in rows if row.is_still and row.line == line_of_read[row.seq]
    ]
