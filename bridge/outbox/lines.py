"""Lines and their heads: how a message enters its line, leaves it, and what becomes the head instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Json, Message, State
from bridge.outbox.tables import HELD, bodies, messages, waiting
from bridge.rows import among, each, insert, update

OVERTAKEN = "a later message of the same event was delivered; replay with force to send this all the same"
STANDS = (
    "event",
)  # in a message's progress: what its upstream has taken though it died, which no replay repeats
FORCED = "forced"  # in a message's progress: it goes even if a later one was delivered
IN_PLACE = (State.DELIVERED, State.SKIPPED)  # Rokt holds what the message says
LIVE, BEHIND = 1, 2  # priorities: what was just accepted, and what a job sends again; 0 is a test's


def enter(
    connection: Connection,
    seqs: Sequence[int],
    now: datetime,
    values: Mapping[str, Any],
    *,
    priority: int = LIVE,
) -> None:
    """Put stored messages back into their places in their lines, whose keys must be held.

    A line has one priority: who enters one that waits already gets its, and what is live makes it live.
    """
    table = messages.c
    changed = sa.update(messages).where(table.seq.in_(seqs)).values(settled_at=None, **values)
    connection.execute(changed)
    entering = sa.select(table.seq, table.line, table.destination, table.account_code, table.expires_at)
    rows = connection.execute(entering.where(table.seq.in_(seqs)).order_by(table.seq)).all()
    firsts: dict[int, int] = {}
    for row in rows:
        firsts.setdefault(row.line, row.seq)
    # A claim holds no key: without its row's lock the head could be in flight by the time it is set back.
    heads = connection.execute(
        sa.select(waiting.c.seq, waiting.c.line, waiting.c.call_id, waiting.c.priority)
        .where(waiting.c.line.in_(firsts), waiting.c.is_head)
        .order_by(waiting.c.seq)
        .with_for_update()
    ).all()
    set_back = {head.line for head in heads if head.call_id in (None, HELD) and firsts[head.line] < head.seq}
    if set_back:
        its_heads = sa.update(waiting).where(waiting.c.line.in_(set_back), waiting.c.is_head)
        connection.execute(its_heads.values(is_head=False))
    its_priority = {head.line: min(head.priority, priority) for head in heads}
    rise(connection, {head.line for head in heads if its_priority[head.line] < head.priority})
    goes_first = firsts.keys() - {head.line for head in heads} | set_back
    insert(
        connection,
        waiting,
        [
            {
                "seq": row.seq,
                "destination": row.destination,
                "account_code": row.account_code,
                "line": row.line,
                "is_head": row.line in goes_first and row.seq == firsts[row.line],
                "priority": its_priority.get(row.line, priority),
                "due_at": now,
                "expires_at": row.expires_at,
            }
            for row in rows
        ],
    )


def let_go(connection: Connection, seqs: Sequence[int]) -> None:
    """A person has decided about these, of which some may be held; their lines' keys must be."""
    held = sa.delete(waiting).where(waiting.c.seq.in_(seqs), waiting.c.call_id == HELD)
    promote(connection, set(connection.scalars(held.returning(waiting.c.line))))


def rise(connection: Connection, lines: Collection[int]) -> None:
    """What jobs sent again in these lines, whose keys must be held, goes as what is live, which waits for it."""
    if lines:
        behind = sa.select(waiting.c.seq).where(waiting.c.line.in_(lines), waiting.c.priority > LIVE)
        # Who has locked one holds no key: it is about to leave, and to wait for it could be mutual.
        risen = waiting.c.seq.in_(behind.with_for_update(skip_locked=True))
        connection.execute(sa.update(waiting).where(risen).values(priority=LIVE))


def fall_behind(connection: Connection, ids: Sequence[str], priority: int) -> None:
    """Let messages that were just stored wait behind live ones, where they stand alone in their lines."""
    stored = sa.select(messages.c.seq).where(messages.c.id.in_(ids))
    alone = sa.and_(waiting.c.seq.in_(stored), waiting.c.is_head)
    connection.execute(sa.update(waiting).where(alone).values(priority=priority))


def give_up(
    connection: Connection,
    overdue: Sequence[int],
    reason: str,
    now: datetime,
    *conditions: Any,
    is_uncertain: bool = False,
) -> list[Message]:
    """End what waits and is not under way, or what waits for a person, as dead; the lines' keys must be held.

    Returns what ended.
    """
    still = sa.select(waiting.c.seq).where(
        waiting.c.seq.in_(overdue), waiting.c.call_id.is_(None), *conditions
    )
    if is_uncertain:  # an earlier release held none of them
        is_so = messages.c.state == State.UNCERTAIN
        still = sa.select(messages.c.seq).where(messages.c.seq.in_(overdue), is_so)
    gone = read(connection, list(connection.scalars(still.with_for_update(skip_locked=True))))
    connection.execute(
        sa.update(messages)
        .where(messages.c.seq.in_([m.seq for m in gone]))
        .values(state=State.DEAD, settled_at=now, reason=reason)
    )
    leave(connection, gone)
    return gone


def leave(connection: Connection, gone: Sequence[Message]) -> list[tuple[int, int]]:
    """Returns what became the head of its line instead, with the line."""
    if not gone:
        return []
    connection.execute(_LEAVE, {"seqs": [m.seq for m in gone]})
    return promote(connection, {m.line for m in gone})


def promote(connection: Connection, lines: set[int]) -> list[tuple[int, int]]:
    """Make the first of each line that has no head its head."""
    rows = connection.execute(_FIRST_AND_HEAD, {"lines": sorted(lines)})
    promoted = [(row.first, row.line) for row in rows if row.first is not None and row.head is None]
    update(connection, waiting, [{"seq": seq, "is_head": True} for seq, _ in promoted])
    return promoted


def _first_and_head() -> sa.Select[Any]:
    """Two steps of an index for each line, however many wait in it; grouping would read them all."""
    line = each("lines")
    first = sa.select(sa.func.min(waiting.c.seq)).where(waiting.c.line == line).scalar_subquery()
    head = sa.select(waiting.c.seq).where(waiting.c.line == line, waiting.c.is_head).scalar_subquery()
    return sa.select(line.label("line"), first.label("first"), head.label("head"))


_FIRST_AND_HEAD = _first_and_head()
_LEAVE = sa.delete(waiting).where(among(waiting.c.seq, "seqs"))
_READ = (
    sa.select(messages, bodies.c.request)
    .join(bodies, bodies.c.seq == messages.c.seq)
    .where(among(messages.c.seq, "seqs"), among(bodies.c.seq, "seqs"))
    .order_by(messages.c.seq)
)


def read(connection: Connection, seqs: Sequence[int]) -> list[Message]:
    rows = connection.execute(_READ, {"seqs": list(seqs)}) if seqs else ()
    return [message_of(row, row.request) for row in rows]


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
        shut_before=row.shut_before or 0.0,
    )
