"""Recall: what one version of a template has put into calendars is deleted there, or made as it is made now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from bridge.calendar.plan import CalendarRequest
from bridge.database import Database
from bridge.ledger import made_by
from bridge.ledger.events import Place
from bridge.ledger.made_by import Look, Made
from bridge.message import Message, NewMessage, State
from bridge.outbox import leases, recalling
from bridge.outbox.enqueue import Request, Subject, line_of, store
from bridge.outbox.jobs import Job
from bridge.outbox.leases import CHANGED, Work
from bridge.outbox.lines import BEHIND, fall_behind
from bridge.outbox.pieces import Refusal
from bridge.outbox.replay import new_line, send_as
from bridge.outbox.tables import key_of, lock_keys
from bridge.routes.calendar_messages import DESTINATION, line

Render = Callable[[Message, dict[str, Any]], tuple[NewMessage, ...] | Refusal]

DELETE, UPDATE = "delete", "update"
ACTIONS = (DELETE, UPDATE)
MOST = {DELETE: 64, UPDATE: 16}  # events of a piece; those to be updated are rendered
ROUTE = "recall"
PAST = "the event is over"
WAITS = "something newer of this event waits to leave"
FORGOTTEN = "the request that made it is not kept any more, so it cannot be made anew"
SAME = "its template makes nothing else of it now"


@dataclass(frozen=True)
class Prepared:
    """`last`: the message that made each event. `anew`: what that becomes now."""

    look: Look
    last: Mapping[int, tuple[Message, dict[str, Any]]]
    anew: Mapping[int, tuple[NewMessage, ...] | Refusal]


@dataclass(frozen=True)
class Recall:
    """`retention`: for how long it stays known that an event was deleted."""

    database: Database
    retention: timedelta

    def prepare(self, job: Job, render: Render) -> Prepared:
        """`render`: makes a message anew from what its caller sent."""
        template, version = _of(job)
        with self.database.read() as connection:
            look = made_by.look(connection, template, version, job.after, MOST[job.action])
            lines = [line_of_event(made) for made in look.found] if job.action == UPDATE else []
            last = recalling.last_words(connection, lines)
        anew = {its_line: render(*one) for its_line, one in last.items() if _is_of(one[0], job)}
        return Prepared(look, last, anew)

    def work(self, connection: Connection, job: Job, prepared: Prepared, now: datetime) -> Job | None:
        if not leases.hold(connection, job):
            return None
        work = self._work(connection, job, prepared, now) if prepared.look.found else Work()
        after = prepared.look.after
        cursor = job.upto if after is None else job.cursor + 1
        return leases.advance(connection, replace(job, after=after), cursor, work, now)

    def _work(self, connection: Connection, job: Job, prepared: Prepared, now: datetime) -> Work:
        found = prepared.look.found
        lines = {line_of_event(made) for made in found}
        # All at once: in two steps, two transactions could wait for each other.
        subjects = {_subject(made.place) for made in found}
        lock_keys(connection, lines | subjects | _further(prepared))
        stand = {made.place: made for made in made_by.made(connection, [m.place for m in found], *_of(job))}
        waits = recalling.that_wait(connection, lines)
        goes, skipped, failed = [], [], []
        for made in found:
            if made.place not in stand:
                skipped.append(CHANGED)
            elif line_of_event(made) in waits:
                skipped.append(WAITS)
            elif datetime.fromisoformat(stand[made.place].content["end"]) <= now:
                skipped.append(PAST)
            else:
                goes.append(stand[made.place])
        if job.action == DELETE:
            accepted = store(connection, [self._delete(made, job, now) for made in goes], now)
            fall_behind(connection, [one for its in accepted for one in its.ids], BEHIND)
            return Work(len(goes), tuple(skipped))
        done = 0
        for made in goes:
            why = self._update(connection, job, made, prepared, now)
            if why is None:
                done += 1
            elif isinstance(why, Refusal):
                failed.append(why.cause)
            else:
                skipped.append(why)
        return Work(done, tuple(skipped), tuple(failed))

    def _delete(self, made: Made, job: Job, now: datetime) -> Request:
        template, version = _of(job)
        return delete_of(job, made.place, made.user_id, (template, version), ROUTE, now + self.retention)

    def _update(
        self, connection: Connection, job: Job, made: Made, prepared: Prepared, now: datetime
    ) -> Refusal | str | None:
        """None: it goes. Otherwise why it does not."""
        its_line = line_of_event(made)
        anew = prepared.anew.get(its_line)
        if anew is None or isinstance(anew, Refusal):
            return anew or FORGOTTEN
        message, payload = prepared.last[its_line]
        _, state, _ = send_as(
            connection, message, anew, payload, job.request_id, now, force=False, priority=BEHIND
        )
        return None if state == State.ACCEPTED else anew[0].reason or SAME


def _of(job: Job) -> tuple[str, int]:
    assert job.wanted.template is not None
    assert job.wanted.version is not None
    return job.wanted.template, job.wanted.version


def delete_of(
    job: Job,
    place: Place,
    user_id: str | None,
    version_of: tuple[str | None, int | None],
    route: str,
    keep_until: datetime,
) -> Request:
    """What takes an event out of the calendars of one account. `version_of`: its template, and which version."""
    account_code, rokt_event_id = place
    template, version = version_of
    message = NewMessage(
        DESTINATION,
        DELETE,
        CalendarRequest(DELETE, account_code, rokt_event_id, (), {}).stored(),
        line=line(*place),
        user_id=user_id,
        event_id=rokt_event_id.removesuffix(f"_{user_id}") if user_id else rokt_event_id,
        account_code=account_code,
        template=template,
        version=version,
    )
    # Of an event in two accounts neither is the other's repeat.
    digest = hashlib.blake2b(f"{job.id} {account_code}".encode(), digest_size=16).hexdigest()
    subject = Subject(_subject(place), digest, keep_until)
    payload = {"body": {route: job.id}, "rest": "", "idempotency_key": None}
    return Request((message,), job.request_id, job.by, route, payload, subject=subject)


def _is_of(message: Message, job: Job) -> bool:
    return (message.template, message.version) == _of(job)


def line_of_event(made: Made) -> int:
    return key_of(DESTINATION, line(*made.place))


def _subject(place: Place) -> int:
    return key_of("calendar_event", place[1])


def _further(prepared: Prepared) -> set[int]:
    """What else the messages that are made anew touch."""
    lines = set()
    for its_line, anew in prepared.anew.items():
        if not isinstance(anew, Refusal):
            lines.add(new_line(prepared.last[its_line][0], anew[0]))
            lines |= {line_of(other) for other in anew[1:] if other.line}
    return lines
