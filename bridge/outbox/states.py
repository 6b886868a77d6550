"""The state of each destination, the same for all workers: open, or closed while its upstream fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Delivered, Divided, Message, Rejected, Retry, Uncertain
from bridge.outbox import claim
from bridge.outbox.settle import Result
from bridge.outbox.tables import destination_states
from bridge.rows import upsert

OPEN, CLOSED = "open", "closed"
WHOLE = ""  # in an account's place: the whole destination
COMMON = "(common)"  # the credential of all accounts that have none of their own
PAUSED = "(paused)"  # closed by a person, for as long as the person likes
TROUBLED_LINES = 5  # different keys whose calls failed in a row
PROBE_EVERY = timedelta(seconds=1)
PROBE_LATER_EVERY = timedelta(seconds=10)
PROBE_OFTEN_FOR = timedelta(minutes=1)
HALVED_FOR = timedelta(minutes=1)  # after a 429 that does not say for how long
EASED_FOR = timedelta(seconds=2)  # after an answer that little more is allowed

_STATES = sa.select(destination_states).order_by("destination", "account_code")
_STATES_OF = _STATES.where(destination_states.c.destination == sa.bindparam("destination"))

CredentialOf = Callable[[str], str]  # an account's own credential, "" for the common one


@dataclass(frozen=True)
class DestinationState:
    """`hold_until`: the upstream asked everybody to wait; `halved_until`: it was too much, or nearly.

    `shut_for`: seconds for which it had ever been closed before `since`.
    """

    destination: str
    account_code: str
    state: str
    reason: str | None
    since: datetime
    troubled_lines: tuple[int, ...] = ()
    probe_at: datetime | None = None
    hold_until: datetime | None = None
    halved_until: datetime | None = None
    shut_for: float = 0.0


@dataclass(frozen=True)
class Gate:
    """What may leave for a destination. `probes_due`: of what is closed, by its place in `account_code`."""

    is_open: bool
    is_halved: bool = False
    closed: frozenset[str] = frozenset()
    probes_due: tuple[str, ...] = ()

    def lets(self, account_code: str, credential: str) -> bool:
        """Whether this account's messages may leave; `credential`: its own one, "" when it has none.

        A blank account is no place of its own, though the whole destination is written like that.
        """
        is_shut = bool(account_code) and account_code in self.closed
        return not is_shut and (bool(credential) or COMMON not in self.closed)


def read_states(connection: Connection, destination: str | None = None) -> list[DestinationState]:
    query, bound = (_STATES, {}) if destination is None else (_STATES_OF, {"destination": destination})
    return [
        DestinationState(
            **{
                **row._mapping,
                "troubled_lines": tuple(row.troubled_lines),
                "shut_for": row.shut_for or 0.0,
            }
        )
        for row in connection.execute(query, bound)
    ]


def gate(known: Sequence[DestinationState], now: datetime) -> Gate:
    """What the states of one destination let through now. Nothing is taken: see `take_probe`."""
    whole = next((s for s in known if s.account_code == WHOLE), None)
    closed = frozenset(s.account_code for s in known if s.state == CLOSED)
    is_held = bool(whole and whole.hold_until and whole.hold_until > now)
    # Those of accounts also while the whole is closed: where all that waits is of closed accounts, its own probe
    # finds nothing.
    due = tuple(s.account_code for s in known if s.state == CLOSED and s.probe_at and s.probe_at <= now)
    return Gate(
        is_open=not is_held and not closed & {WHOLE, PAUSED},
        is_halved=bool(whole and whole.halved_until and whole.halved_until > now),
        closed=closed,
        probes_due=() if is_held or PAUSED in closed else due,
    )


def take_probe(connection: Connection, destination: str, account_code: str, now: datetime) -> bool:
    """Move the time of the next probe, so that one worker has this one."""
    table = destination_states.c
    is_fresh = table.since > now - PROBE_OFTEN_FOR if account_code == WHOLE else sa.false()
    every = sa.case((is_fresh, now + PROBE_EVERY), else_=now + PROBE_LATER_EVERY)
    taken = connection.execute(
        sa.update(destination_states)
        .where(
            table.destination == destination,
            table.account_code == account_code,
            table.state == CLOSED,
            table.probe_at <= now,
        )
        .values(probe_at=every)
    )
    return taken.rowcount == 1


def pause(connection: Connection, destination: str, reason: str, now: datetime) -> bool:
    """Let nothing out until `resume`. False: it was paused already."""
    return _set_pause(connection, destination, CLOSED, reason, now)


def resume(connection: Connection, destination: str, now: datetime) -> bool:
    """False: it was not paused."""
    return _set_pause(connection, destination, OPEN, None, now)


def shut_seconds(
    known: Sequence[DestinationState], message: Message, credential_of: CredentialOf, now: datetime
) -> float:
    """For how long what keeps this message back was ever closed. Where two did at once, both count."""
    account = message.account_code
    places = {WHOLE, PAUSED, account} | (set() if credential_of(account) else {COMMON})
    return sum(
        s.shut_for + ((now - s.since).total_seconds() if s.state == CLOSED else 0.0)
        for s in known
        if s.account_code in places
    )


def note(
    connection: Connection,
    destination: str,
    results: Sequence[Result],
    now: datetime,
    credential_of: CredentialOf = lambda account_code: "",
) -> list[DestinationState]:
    """Learn from what came of calls, in their order. Returns the states that changed, for the log."""
    before = {s.account_code: s for s in read_states(connection, destination)}
    if not any(_matters(r, before) for r in results):
        return []
    before = _held(connection, destination)
    after = dict(before)
    for result in _one_of_each_call(results):
        _learn(after, destination, result, now, credential_of(result.call.message.account_code))
    changed = [state for account, state in after.items() if before.get(account) != state]
    _write(connection, changed)
    turned = []
    for state in changed:
        was = before.get(state.account_code) or _fresh(destination, state.account_code, now)
        if was.state != state.state:
            turned.append(state)
        if (was.state, state.state) == (CLOSED, OPEN):
            of_account = None if state.account_code in (WHOLE, COMMON) else state.account_code
            claim.bring_forward(connection, destination, now, of_account)
    return turned


def _one_of_each_call(results: Sequence[Result]) -> list[Result]:
    """A call of many messages that fails is one failure. Of what it says of its messages an answer counts."""
    found: dict[str, Result] = {}
    for result in results:
        first = found.setdefault(result.call.id, result)
        if getattr(first.outcome, "status", None) is None:
            found[result.call.id] = result
    return list(found.values())


def _matters(result: Result, states: dict[str, DestinationState]) -> bool:
    if isinstance(result.outcome, Retry | Uncertain) or _is_nearly_too_much(result):
        return True
    whole = states.get(WHOLE)
    places = (WHOLE, COMMON, result.call.message.account_code)
    return bool(whole and whole.troubled_lines) or any(
        place in states and states[place].state == CLOSED for place in places
    )


def _learn(
    states: dict[str, DestinationState], destination: str, result: Result, now: datetime, credential: str
) -> None:
    outcome, message = result.outcome, result.call.message
    status = getattr(outcome, "status", None)
    if status is not None and not credential and getattr(outcome, "refused_account", None) != "":
        _answer(states, COMMON, now)  # it was good enough for an answer
    whole = states.get(WHOLE) or _fresh(destination, WHOLE, now)
    match outcome:
        case Retry(refused_account=str(refused), reason=reason):
            if refused and status is not None:
                _answer(states, WHOLE, now)  # it refused the credential, so it is there
            place = refused or COMMON
            closed = _closed(states.get(place) or _fresh(destination, place, now), reason, now)
            states[place] = replace(closed, probe_at=now + PROBE_LATER_EVERY)
            return
        case Retry(is_trouble=True, reason=reason) | Uncertain(reason=reason):
            lines = (*(line for line in whole.troubled_lines if line != message.line), message.line)
            whole = replace(whole, troubled_lines=lines[-TROUBLED_LINES:])
            if whole.state == OPEN and len(lines) >= TROUBLED_LINES:
                whole = replace(_closed(whole, reason, now), probe_at=now + PROBE_EVERY)
        case Retry():
            whole = replace(whole, troubled_lines=())
        case Delivered(status=int()) | Rejected(status=int()) | Divided(status=int()):
            whole = _answering(whole, now)
            _answer(states, message.account_code, now)
    if isinstance(outcome, Retry) and outcome.wait:
        until = max(now + timedelta(seconds=outcome.wait), whole.hold_until or now)
        whole = replace(whole, hold_until=until)
    elif status == 429:
        whole = replace(whole, halved_until=now + HALVED_FOR)
    elif _is_nearly_too_much(result):
        until = whole.halved_until or now
        # Each answer says so while it lasts; the row need not be written for each.
        if until - now < EASED_FOR / 2:
            whole = replace(whole, halved_until=now + EASED_FOR)
    if WHOLE in states or whole != _fresh(destination, WHOLE, now):
        states[WHOLE] = whole


def _is_nearly_too_much(result: Result) -> bool:
    return isinstance(result.outcome, Delivered) and result.outcome.is_nearly_too_much


def _answer(states: dict[str, DestinationState], place: str, now: datetime) -> None:
    if place in states:
        states[place] = _answering(states[place], now)


def _answering(state: DestinationState, now: datetime) -> DestinationState:
    if state.state == OPEN:
        return replace(state, troubled_lines=())
    shut_for = state.shut_for + (now - state.since).total_seconds()
    return replace(
        state, state=OPEN, reason=None, since=now, troubled_lines=(), probe_at=None, shut_for=shut_for
    )


def _closed(state: DestinationState, reason: str | None, now: datetime) -> DestinationState:
    since = state.since if state.state == CLOSED else now
    return replace(state, state=CLOSED, reason=reason, since=since)


def _set_pause(
    connection: Connection, destination: str, wanted: str, reason: str | None, now: datetime
) -> bool:
    stands = _held(connection, destination).get(PAUSED) or _fresh(destination, PAUSED, now)
    if stands.state == wanted:
        return False
    changed = _closed(stands, reason, now) if wanted == CLOSED else _answering(stands, now)
    _write(connection, [changed])
    return True


def _held(connection: Connection, destination: str) -> dict[str, DestinationState]:
    """The states, locked until the transaction ends."""
    of_it = destination_states.c.destination == destination
    connection.execute(sa.select(destination_states).where(of_it).with_for_update())
    return {s.account_code: s for s in read_states(connection, destination)}


def _write(connection: Connection, changed: Sequence[DestinationState]) -> None:
    rows = [vars(s) | {"troubled_lines": list(s.troubled_lines)} for s in changed]
    upsert(connection, destination_states, rows)


def _fresh(destination: str, account_code: str, now: datetime) -> DestinationState:
    return DestinationState(destination, account_code, OPEN, None, now)
