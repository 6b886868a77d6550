"""The state of each destination, the same for all workers: open, or closed while its upstream fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import upsert
from bridge.message import Delivered, Rejected, Retry, Uncertain
from bridge.outbox.settle import Result
from bridge.outbox.tables import destination_states, waiting

OPEN, CLOSED = "open", "closed"
TROUBLED_LINES = 5  # different keys whose calls failed in a row
PROBE_EVERY = timedelta(seconds=1)
PROBE_LATER_EVERY = timedelta(seconds=10)
PROBE_OFTEN_FOR = timedelta(minutes=1)


@dataclass(frozen=True)
class DestinationState:
    """`account_code` "": the whole destination. `hold_until`: the upstream asked everybody to wait."""

    destination: str
    account_code: str
    state: str
    reason: str | None
    since: datetime
    troubled_lines: tuple[int, ...] = ()
    probe_at: datetime | None = None
    hold_until: datetime | None = None


@dataclass(frozen=True)
class Gate:
    """What may leave for a destination now. `is_probe`: one call only, to see whether it answers again."""

    is_open: bool
    is_probe: bool
    closed_accounts: tuple[str, ...]
    probed_accounts: tuple[str, ...]


def read_states(connection: Connection, destination: str | None = None) -> list[DestinationState]:
    query = sa.select(destination_states).order_by("destination", "account_code")
    if destination is not None:
        query = query.where(destination_states.c.destination == destination)
    rows = connection.execute(query)
    return [DestinationState(**{**row._mapping, "troubled_lines": tuple(row.troubled_lines)}) for row in rows]


def gate(connection: Connection, destination: str, now: datetime) -> Gate:
    """Ask what may be claimed. Taking a probe moves the time of the next, so that one worker has it."""
    states = read_states(connection, destination)
    whole = next((s for s in states if not s.account_code), None)
    closed = [s for s in states if s.account_code and s.state == CLOSED]
    held = bool(whole and whole.hold_until and whole.hold_until > now)
    is_closed = bool(whole and whole.state == CLOSED)
    # Also while the whole is closed: where all that waits is of closed accounts, its own probe finds nothing.
    probed = tuple(s.account_code for s in closed if not held and _take_probe(connection, s, now))
    is_probe = bool(whole and is_closed and not held and _take_probe(connection, whole, now))
    return Gate(not held and not is_closed, is_probe, tuple(s.account_code for s in closed), probed)


def note(
    connection: Connection, destination: str, results: Sequence[Result], now: datetime
) -> list[DestinationState]:
    """Learn from what came of calls, in their order. Returns the states that changed, for the log."""
    before = {s.account_code: s for s in read_states(connection, destination)}
    if not any(_matters(r, before) for r in results):
        return []
    locked = (
        sa.select(destination_states).where(destination_states.c.destination == destination).with_for_update()
    )
    connection.execute(locked)
    before = {s.account_code: s for s in read_states(connection, destination)}
    after = dict(before)
    for result in results:
        _learn(after, destination, result, now)
    changed = [state for account, state in after.items() if before.get(account) != state]
    upsert(
        connection,
        destination_states,
        [vars(s) | {"troubled_lines": list(s.troubled_lines)} for s in changed],
    )
    for state in changed:
        was = before.get(state.account_code)
        if was and was.state == CLOSED and state.state == OPEN:
            _release(connection, destination, state.account_code, now)
    return [
        s
        for s in changed
        if (before.get(s.account_code) or _fresh(destination, s.account_code, now)).state != s.state
    ]


def _matters(result: Result, states: dict[str, DestinationState]) -> bool:
    if isinstance(result.outcome, Retry | Uncertain):
        return True
    whole, account = states.get(""), states.get(result.call.message.account_code)
    return bool(whole and (whole.state == CLOSED or whole.troubled_lines)) or bool(
        account and account.state == CLOSED
    )


def _learn(states: dict[str, DestinationState], destination: str, result: Result, now: datetime) -> None:
    outcome, message = result.outcome, result.call.message
    whole = states.get("") or _fresh(destination, "", now)
    match outcome:
        case Retry(refused_account=str(account), reason=reason, status=status):
            if account and "" in states and status is not None:
                states[""] = _answering(whole, now)  # it refused the credential, so it is there
            state = states.get(account) or _fresh(destination, account, now)
            since = state.since if state.state == CLOSED else now
            probe_at = now + PROBE_LATER_EVERY
            states[account] = replace(state, state=CLOSED, reason=reason, since=since, probe_at=probe_at)
            return
        case Retry(is_trouble=True, reason=reason) | Uncertain(reason=reason):
            lines = (*(line for line in whole.troubled_lines if line != message.line), message.line)
            whole = replace(whole, troubled_lines=lines[-TROUBLED_LINES:])
            if whole.state == OPEN and len(lines) >= TROUBLED_LINES:
                whole = replace(whole, state=CLOSED, reason=reason, since=now, probe_at=now + PROBE_EVERY)
        case Retry():
            whole = replace(whole, troubled_lines=())
        case Delivered(status=int()) | Rejected(status=int()):
            whole = _answering(whole, now)
            if message.account_code in states:
                states[message.account_code] = _answering(states[message.account_code], now)
    if isinstance(outcome, Retry) and outcome.wait:
        until = max(now + timedelta(seconds=outcome.wait), whole.hold_until or now)
        whole = replace(whole, hold_until=until)
    if "" in states or whole != _fresh(destination, "", now):
        states[""] = whole


def _answering(state: DestinationState, now: datetime) -> DestinationState:
    if state.state == OPEN:
        return replace(state, troubled_lines=())
    return replace(state, state=OPEN, reason=None, since=now, troubled_lines=(), probe_at=None)


def _take_probe(connection: Connection, state: DestinationState, now: datetime) -> bool:
    is_fresh = not state.account_code and now - state.since < PROBE_OFTEN_FOR
    every = PROBE_EVERY if is_fresh else PROBE_LATER_EVERY
    table = destination_states.c
    taken = connection.execute(
        sa.update(destination_states)
        .where(
            table.destination == state.destination,
            table.account_code == state.account_code,
            table.state == CLOSED,
            table.probe_at <= now,
        )
        .values(probe_at=now + every)
    )
    return taken.rowcount == 1


def _release(connection: Connection, destination: str, account_code: str, now: datetime) -> None:
    """What was in back-off for the upstream's sake goes now."""
    table = waiting.c
    of_account = [table.account_code == account_code] if account_code else []
    connection.execute(
        sa.update(waiting)
        .where(
            table.destination == destination,
            table.is_head,
            table.call_id.is_(None),
            table.due_at > now,
            *of_account,
        )
        .values(due_at=now)
    )


def _fresh(destination: str, account_code: str, now: datetime) -> DestinationState:
    return DestinationState(destination, account_code, OPEN, None, now)
