"""Takes requests into the outbox: group commit, repeats, order. Nothing is answered before its commit."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.database import UNAVAILABLE, Database
from bridge.errors import DatabaseUnavailable
from bridge.groups import Groups
from bridge.message import Json, Message, NewMessage, State
from bridge.metrics import counted
from bridge.outbox.forgetting import erased_among, lines_of
from bridge.outbox.lines import LIVE, rise
from bridge.outbox.tables import bodies, key_of, latest, lock_keys, messages, repeats, waiting
from bridge.rows import Insert, Upsert, among, draw, write

GROUP_ROWS = 64
GROUP_BYTES = 4 * 1024 * 1024
GROUP_EVERY = 0.01  # seconds; a commit costs nearly the same for one as for ten
REPEAT_KNOWN_FOR = timedelta(days=7)
SAME_AGAIN_WITHIN = timedelta(hours=1)
ITS_PERSON_FORGOTTEN = "whose it was is forgotten"


def _told(kind: str, table: sa.Table, **columns: sa.Column[Any]) -> sa.Select[Any]:
    """What one table knows, in the columns that all share."""
    shared = (
        repeats.c.key,
        latest.c.subject,
        latest.c.ids,
        *latest.c["digest", "accepted_at", "as_of", "content"],
    )
    its = (columns.get(one.name, sa.cast(sa.null(), one.type)).label(one.name) for one in shared)
    priority = columns.get("priority", sa.cast(sa.null(), waiting.c.priority.type)).label("priority")
    return sa.select(sa.literal_column(f"'{kind}'").label("kind"), *its, priority)


# All that is asked about a group's keys, at once: each statement of PostgreSQL is a journey.
_KNOWN = sa.union_all(
    # By the key alone: with the time PostgreSQL may go by its index, and read all that is kept.
    _told("repeat", repeats, key=repeats.c.key, ids=repeats.c.ids, accepted_at=repeats.c.expires_at).where(
        among(repeats.c.key, "keys")
    ),
    _told("latest", latest, **{c.name: c for c in latest.c if c.name != "keep_until"}).where(
        among(latest.c.subject, "subjects")
    ),
    _told("head", waiting, subject=waiting.c.line, priority=waiting.c.priority).where(
        among(waiting.c.line, "lines"), waiting.c.is_head
    ),
)
# By the id alone: SQLite would read all that ever died, by the index on states.
_DEAD = sa.select(messages.c.id).where(
    among(messages.c.id, "ids"), sa.func.coalesce(messages.c.state, "") == State.DEAD
)


@dataclass(frozen=True)
class Subject:
    """The event that a request is about, across its accounts.

    `digest`: of the request byte for byte. `as_of`: the caller's own order. `content`: the event as it will
    stand when this has left, None for a delete. `keep_until`: when it may be forgotten.
    """

    key: int
    digest: str
    keep_until: datetime
    as_of: float | None = None
    content: Json | None = None


@dataclass(frozen=True)
class Request:
    """What one HTTP request asks for: its messages, and how a repeat of it is known.

    `change`: what it says of something that a ledger knows, and the ledger makes the messages of it. `found_by`: the
    `seq` of the message whose call found it out: once that is erased, what was found is nobody's.
    """

    messages: tuple[NewMessage, ...]
    request_id: str
    inbound_key: str
    route: str
    payload: Json
    size: int = 0
    repeat_key: str | None = None
    subject: Subject | None = None
    change: Any = None
    found_by: int | None = None


@dataclass(frozen=True)
class Accepted:
    """What became of a request. `state`: as its first message was stored, for that `reason`; `is_repeat`: nothing
    new was."""

    ids: tuple[str, ...]
    state: State
    is_repeat: bool = False
    reason: str | None = None


class Applied(Protocol):
    """A ledger while a group of requests changes it."""

    def apply(self, change: Any, now: datetime) -> tuple[NewMessage, ...]:
        """Take the next change, in the order of acceptance. Returns the messages that follow from it."""

    def write(self, connection: Connection, now: datetime) -> None:
        """Write what was changed."""


class Ledger(Protocol):
    """What requests change in the transaction that accepts them. The keys of their subjects are held."""

    def load(self, connection: Connection, changes: Sequence[Any]) -> Applied: ...


class Inbox:
    """Takes requests of many threads into groups, each with one commit."""

    def __init__(self, database: Database, ledger: Ledger | None = None) -> None:
        self._database = database
        self._ledger = ledger
        self._groups = Groups(
            "inbox",
            self._store,
            _weight,
            (GROUP_ROWS, GROUP_BYTES),
            GROUP_EVERY,
            heard_at=lambda: database.wrote_at,
            again_on=UNAVAILABLE,
        )

    def accept(self, request: Request, since: float | None = None) -> Accepted:
        """Store a request; returns after its commit. `since`: when its caller came, by the monotonic clock.

        Errors: DatabaseUnavailable when that took too long (see `Groups.ask`) or could not be done. An unknown
        commit is one too: the caller's repeat is recognised.
        """
        [answer] = self.accept_all([request], since)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def accept_all(
        self, requests: Sequence[Request], since: float | None = None
    ) -> list[Accepted | BaseException]:
        """The same for many, in their order: an answer for each, or why there is none."""
        return [_translated(answer) for answer in self._groups.ask_all(requests, since)]

    def accept_found(self, change: Any, found: Json, message: Message) -> None:
        """Take in the change that the call of a message found out, once, however often the call is made.

        `found`: what it was told, kept as what the caller sent. Errors: as `accept`.
        """
        key = hashlib.blake2b(f"found\x1f{message.id}".encode(), digest_size=16).hexdigest()
        payload = {"body": found, "rest": "", "idempotency_key": None}
        self.accept(
            Request(
                (),
                message.request_id,
                inbound_key="",
                route=f"{message.destination}.{message.action}",
                payload=payload,
                repeat_key=key,
                change=change,
                found_by=message.seq,
            )
        )

    def close(self) -> None:
        """Write what was asked for, then end the writer."""
        self._groups.close()

    def _store(self, group: Sequence[Request]) -> Sequence[Accepted | BaseException]:
        is_made = False
        try:
            with self._database.write() as connection:
                answers = store(connection, group, ledger=self._ledger)
                is_made = True
            counted.stored(len(group))
            return answers
        except UNAVAILABLE as gone:
            if is_made:  # the commit may have worked; only who asked knows whether that may be done twice
                raise _gone() from gone
            raise
        except Exception:  # of one row, maybe: that must not be its neighbours' 503
            if len(group) == 1:
                raise
            return [self._alone(request) for request in group]

    def _alone(self, request: Request) -> Accepted | BaseException:
        try:
            return self._store([request])[0]
        except Exception as wrong:  # noqa: BLE001  it is of who asked for this
            return wrong


def _weight(request: Request) -> tuple[int, int]:
    return len(request.messages) or 1, request.size


def _translated(answer: Accepted | BaseException) -> Accepted | BaseException:
    if not isinstance(answer, UNAVAILABLE):
        return answer
    gone = _gone()
    gone.__cause__ = answer
    return gone


def _gone() -> DatabaseUnavailable:
    return DatabaseUnavailable("The database is not reachable; please send this again.")


def store(
    connection: Connection,
    requests: Sequence[Request],
    now: datetime | None = None,
    ledger: Ledger | None = None,
) -> list[Accepted]:
    """Store a group of requests in one transaction, in their order; one answer for each. `now`: the database's.

    `ledger`: makes the messages of requests that have a change.
    """
    subjects = {r.subject.key for r in requests if r.subject}
    lines = {line_of(m) for r in requests for m in r.messages if m.line and m.state == State.ACCEPTED}
    again = {key_of("repeat", r.repeat_key) for r in requests if r.repeat_key}
    found_by = [r.found_by for r in requests if r.found_by is not None]
    # Whoever erases a message holds the key of its line.
    theirs = set(lines_of(connection, found_by).values())
    told = lock_keys(connection, subjects | lines | again | theirs)
    if gone := erased_among(connection, found_by):
        return _without(connection, requests, gone, now, ledger)
    known = _Known(connection, requests, subjects, lines, now or told)
    changes = [request.change for request in requests if request.change is not None]
    applied = ledger.load(connection, changes) if changes and ledger is not None else None
    answers = [known.take(request, applied) for request in requests]
    known.write(connection, has_changes=applied is not None)
    if applied is not None:
        applied.write(connection, now or told)
    return answers


def _without(
    connection: Connection,
    requests: Sequence[Request],
    gone: set[int],
    now: datetime | None,
    ledger: Ledger | None,
) -> list[Accepted]:
    """Store the requests but for those that these messages found out."""
    others = [request for request in requests if request.found_by not in gone]
    stored = iter(store(connection, others, now, ledger))
    nothing = Accepted((), State.SKIPPED, reason=ITS_PERSON_FORGOTTEN)
    return [nothing if request.found_by in gone else next(stored) for request in requests]


def accepted_content(connection: Connection, subject: int) -> Json | None:
    """A subject as it will stand when everything that was accepted has left."""
    content: Json | None = connection.scalar(sa.select(latest.c.content).where(latest.c.subject == subject))
    return content


def line_of(message: NewMessage) -> int:
    return key_of(message.destination, message.line) if message.line else 0


class _Known:
    """What the database knows of a group's keys, carried forward request by request."""

    def __init__(
        self,
        connection: Connection,
        requests: Sequence[Request],
        subjects: set[int],
        lines: set[int],
        now: datetime,
    ) -> None:
        self._now = now
        self._repeats: dict[str, list[str]] = {}
        self._latest: dict[int, dict[str, object]] = {}
        self._lines: set[int] = set()
        self._behind: set[int] = set()  # lines in which only what jobs sent again waits
        keys = [r.repeat_key for r in requests if r.repeat_key]
        asked = {"keys": keys, "subjects": list(subjects), "lines": list(lines)}
        for row in connection.execute(_KNOWN, asked) if keys or subjects or lines else ():
            if row.kind == "repeat":
                if row.accepted_at > now:  # until when it is known
                    self._repeats[row.key] = row.ids
            elif row.kind == "latest":
                self._latest[row.subject] = dict(row._mapping)
            else:
                self._add_head(row)
        self._dead = self._dead_among(connection, requests)
        self._asked = lines
        self._rows: list[dict[str, object]] = []
        self._bodies: list[dict[str, object]] = []
        self._new_repeats: list[dict[str, object]] = []
        self._new_latest: dict[int, dict[str, object]] = {}

    def take(self, request: Request, applied: Applied | None) -> Accepted:
        if request.repeat_key and request.repeat_key in self._repeats:
            return Accepted(tuple(self._repeats[request.repeat_key]), State.ACCEPTED, is_repeat=True)
        subject = request.subject
        before = self._latest.get(subject.key) if subject else None
        if subject and before and not request.repeat_key and self._is_same_again(subject, before):
            return Accepted(tuple(before["ids"]), State.ACCEPTED, is_repeat=True)  # type: ignore[arg-type]
        is_older = bool(
            subject
            and before
            and subject.as_of is not None
            and before["as_of"] is not None
            and subject.as_of < before["as_of"]  # type: ignore[operator]
        )
        made = request.messages
        if request.change is not None and not is_older:
            assert applied is not None, "a change needs its ledger"
            made = applied.apply(request.change, self._now)
        ids = [self._add(request, message, is_older) for message in made]
        state = State.SUPERSEDED if is_older else made[0].state
        if request.repeat_key and state != State.DEAD:
            self._repeats[request.repeat_key] = ids
            expires_at = self._now + REPEAT_KNOWN_FOR
            self._new_repeats.append({"key": request.repeat_key, "ids": ids, "expires_at": expires_at})
        if subject and (state == State.ACCEPTED or request.change is not None):
            self._remember(subject, ids, before)
        return Accepted(tuple(ids), state, reason=made[0].reason)

    def _dead_among(self, connection: Connection, requests: Sequence[Request]) -> set[str]:
        """Of the messages that these requests may be repeats of: what died stands for nothing."""
        ids: list[str] = []
        for subject in (request.subject for request in requests if request.subject):
            before = self._latest.get(subject.key)
            if before and before["digest"] == subject.digest:
                ids += before["ids"]  # type: ignore[arg-type]
        return set(connection.scalars(_DEAD, {"ids": ids})) if ids else set()

    def _is_same_again(self, subject: Subject, before: dict[str, object]) -> bool:
        is_recent = self._now - before["accepted_at"] < SAME_AGAIN_WITHIN  # type: ignore[operator]
        is_alive = self._dead.isdisjoint(before["ids"])  # type: ignore[arg-type]
        return bool(before["digest"] == subject.digest and is_recent and is_alive)

    def _remember(self, subject: Subject, ids: list[str], before: dict[str, object] | None) -> None:
        row: dict[str, object] = {
            "subject": subject.key,
            "digest": subject.digest,
            "ids": ids,
            "accepted_at": self._now,
            "as_of": subject.as_of if subject.as_of is not None else (before or {}).get("as_of"),
            "content": subject.content,
            "keep_until": subject.keep_until,
        }
        self._latest[subject.key] = self._new_latest[subject.key] = row

    def _add(self, request: Request, message: NewMessage, is_older: bool) -> str:
        state = State.SUPERSEDED if is_older else message.state
        message_id = str(uuid.uuid4())
        self._rows.append(
            {
                "id": message_id,
                "state": state,
                "destination": message.destination,
                "action": message.action,
                # A message without a key has a line of its own.
                "line": line_of(message) or key_of(message.destination, message_id),
                "user_id": message.user_id,
                "event_id": message.event_id,
                "account_code": message.account_code,
                "template": message.template,
                "version": message.version,
                "request_id": request.request_id,
                "inbound_key": request.inbound_key,
                "route": request.route,
                "is_test": message.is_test,
                "received_at": self._now,
                "expires_at": message.expires_at,
                "settled_at": None if state == State.ACCEPTED else self._now,
                "reason": "an event with a newer as_of was accepted before" if is_older else message.reason,
            }
        )
        self._bodies.append({"request": message.request or None, "payload": request.payload})
        return message_id

    def _add_head(self, row: Any) -> None:
        self._lines.add(row.subject)
        if row.priority > LIVE:
            self._behind.add(row.subject)

    def _ask_heads(self, connection: Connection) -> None:
        """Of lines that were not known before the ledger was asked. Whoever holds lines holds the subjects first."""
        queued = [row["line"] for row in self._rows if row["state"] == State.ACCEPTED]
        lines = {line for line in queued if isinstance(line, int)}
        if further := lines - self._asked:
            lock_keys(connection, further)
            asked = {"keys": [], "subjects": [], "lines": list(further)}
            for row in connection.execute(_KNOWN, asked):
                self._add_head(row)

    def write(self, connection: Connection, *, has_changes: bool) -> None:
        if has_changes:
            self._ask_heads(connection)
        # The database draws the order, inside this transaction and under the keys' locks.
        order = draw(connection, messages, len(self._rows)) if self._rows else []
        stored = list(zip(order, self._rows, self._bodies, strict=True))
        queued = [self._wait(seq, row) for seq, row, _ in stored if row["state"] == State.ACCEPTED]
        write(
            connection,
            Insert(messages, [{"seq": seq, **row} for seq, row, _ in stored]),
            Insert(bodies, [{"seq": seq, **body} for seq, _, body in stored]),
            Insert(waiting, queued),
            Upsert(repeats, self._new_repeats),
            Upsert(latest, list(self._new_latest.values())),
        )
        if self._behind:
            rise(connection, self._behind & {row["line"] for row in queued})

    def _wait(self, seq: int, row: dict[str, object]) -> dict[str, object]:
        line = row["line"]
        assert isinstance(line, int)
        is_head = line not in self._lines
        self._lines.add(line)
        return {
            "seq": seq,
            "destination": row["destination"],
            "account_code": row["account_code"],
            "line": line,
            "is_head": is_head,
            "priority": 0 if row["is_test"] else LIVE,  # somebody waits for a test at the other end
            "due_at": self._now,
            "expires_at": row["expires_at"],
        }
