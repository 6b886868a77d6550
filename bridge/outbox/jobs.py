"""Durable jobs over many messages: what they are about, made, shown, stopped. Who works on them: leases.py."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import Json, State
from bridge.outbox.reading import Filter, iso
from bridge.outbox.selection import Selection
from bridge.outbox.tables import jobs, messages

MOST_LISTED = 100
ENDLESS = 2**62  # `upto` of a job that goes by something else than the order of acceptance


class Kind(StrEnum):
    REPLAY = "replay"
    CANCEL = "cancel"
    RECALL = "recall"
    FORGET = "forget"


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


OPEN = (JobState.WAITING, JobState.RUNNING)

# Which messages a job is about when its filter names no state, and which it can be asked for.
STATES = {Kind.REPLAY: (State.DEAD, State.UNCERTAIN), Kind.CANCEL: (State.ACCEPTED, State.RETRYING)}
POSSIBLE = {
    Kind.REPLAY: (*STATES[Kind.REPLAY], State.DELIVERED, State.SKIPPED, State.SUPERSEDED),
    Kind.CANCEL: (*STATES[Kind.CANCEL], State.UNCERTAIN),
}


@dataclass(frozen=True)
class Job:
    """`force`, `is_current`: how messages are replayed. `action`, `after`: what a recall does, and where it goes on.
    `forgets`: who is forgotten, how, and how far that is.

    `runner_id`: who works on it, until its lease ends.
    """

    id: str
    kind: Kind
    state: JobState
    wanted: Filter
    force: bool
    is_current: bool
    by: str
    request_id: str
    count: int
    is_count_whole: bool
    cursor: int
    upto: int
    done: int
    skipped: Mapping[str, int]
    failed: Mapping[str, int]
    created_at: datetime
    runner_id: str | None
    worked_at: datetime | None
    action: str = ""
    after: tuple[str, str] | None = None
    forgets: Json = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        if self.kind == Kind.FORGET:
            return dict(self.forgets)
        if self.kind == Kind.RECALL:
            return {"action": self.action, "after": list(self.after) if self.after else None}
        return {"force": self.force, "is_current": self.is_current}

    @property
    def selection(self) -> Selection:
        return selection(self.kind, self.wanted, self.upto, self.created_at)


def selection(kind: Kind, wanted: Filter, upto: int, now: datetime) -> Selection:
    """What a job made now is about. A replay leaves alone what was settled later: it would go again and again."""
    states = (wanted.state,) if wanted.state else STATES[kind]
    return Selection(wanted, states, upto, now if kind == Kind.REPLAY else None)


def newest(connection: Connection) -> int:
    """The last `seq` there is: what comes later is no job's made now."""
    return connection.scalar(sa.select(sa.func.max(messages.c.seq))) or 0


def create(
    connection: Connection,
    kind: Kind,
    of: Selection,
    counted: tuple[int, bool],
    now: datetime,
    *,
    by: str,
    request_id: str,
    force: bool = False,
    is_current: bool = False,
) -> str:
    """Returns the job's id."""
    options = {"force": force, "is_current": is_current}
    return _insert(connection, kind, of.wanted, options, of.upto, counted, now, (by, request_id))


def create_recall(
    connection: Connection,
    wanted: Filter,
    action: str,
    counted: tuple[int, bool],
    now: datetime,
    *,
    by: str,
    request_id: str,
) -> str:
    """Of what one version of a template has put into calendars. Returns the job's id."""
    options = {"action": action, "after": None}
    return _insert(connection, Kind.RECALL, wanted, options, ENDLESS, counted, now, (by, request_id))


def create_forget(
    connection: Connection, options: Mapping[str, Any], now: datetime, *, by: str, request_id: str
) -> str:
    """Of one person, who stands in the options alone, and only until the job has ended. Returns the job's id."""
    return _insert(connection, Kind.FORGET, Filter(), options, ENDLESS, (0, True), now, (by, request_id))


def ended(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a job that is over: they name nobody."""
    return {name: its for name, its in options.items() if name not in ("person", "progress")}


def _insert(
    connection: Connection,
    kind: Kind,
    wanted: Filter,
    options: Mapping[str, Any],
    upto: int,
    counted: tuple[int, bool],
    now: datetime,
    asked_by: tuple[str, str],
) -> str:
    job_id = str(uuid.uuid4())
    connection.execute(
        sa.insert(jobs).values(
            id=job_id,
            kind=kind,
            state=JobState.WAITING,
            wanted=told(wanted),
            options=options,
            made_by=asked_by[0],
            request_id=asked_by[1],
            count=counted[0],
            is_count_whole=counted[1],
            cursor=0,
            upto=upto,
            done=0,
            skipped={},
            failed={},
            created_at=now,
        )
    )
    return job_id


def stop(connection: Connection, job_id: str, now: datetime) -> bool:
    """End a job where it is; what was done stays done. False: it had ended before."""
    its = (jobs.c.id == job_id, jobs.c.state.in_(OPEN))
    row = connection.execute(sa.select(jobs.c.options).where(*its).with_for_update()).first()
    if row is not None:
        values = {"state": JobState.CANCELLED, "finished_at": now, "options": ended(row.options)}
        connection.execute(sa.update(jobs).where(*its).values(values))
    return row is not None


def one(connection: Connection, job_id: str) -> dict[str, Any] | None:
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).first()
    return None if row is None else _shown(row)


def read(connection: Connection, job_id: str) -> Job:
    return job_of(connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one())


def listed(connection: Connection) -> list[dict[str, Any]]:
    """The newest first."""
    rows = connection.execute(sa.select(jobs).order_by(jobs.c.seq.desc()).limit(MOST_LISTED))
    return [_shown(row) for row in rows]


def told(wanted: Filter) -> dict[str, Any]:
    """A filter as JSON, without what is not asked for."""
    given = {
        name: value for name, value in asdict(wanted).items() if name not in ("after", "before", "limit")
    }
    shown = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in given.items()}
    return {name: value for name, value in shown.items() if value is not None}


def _wanted(told: Mapping[str, Any]) -> Filter:
    given = dict(told)
    for name in {"since", "until"} & given.keys():
        given[name] = datetime.fromisoformat(given[name])
    if "state" in given:
        given["state"] = State(given["state"])
    return Filter(**given)


def is_known(row: Any) -> bool:
    """Whether this version of the bridge can do such a job."""
    return row.kind in set(Kind) and row.wanted.keys() <= {one.name for one in fields(Filter)}


def job_of(row: Any) -> Job:
    return Job(
        id=row.id,
        kind=Kind(row.kind),
        state=JobState(row.state),
        wanted=_wanted(row.wanted),
        force=row.options.get("force", False),
        is_current=row.options.get("is_current", False),
        by=row.made_by,
        request_id=row.request_id,
        count=row.count,
        is_count_whole=row.is_count_whole,
        cursor=row.cursor,
        upto=row.upto,
        done=row.done,
        skipped=row.skipped,
        failed=row.failed,
        created_at=row.created_at,
        runner_id=row.runner_id,
        worked_at=row.worked_at,
        action=row.options.get("action", ""),
        after=tuple(row.options["after"]) if row.options.get("after") else None,
        forgets=row.options if row.kind == Kind.FORGET else {},
    )


def _shown(row: Any) -> dict[str, Any]:
    options = {}
    if row.kind == Kind.REPLAY:
        render = "current" if row.options["is_current"] else None
        options = {"force": row.options["force"], "render": render}
    elif row.kind == Kind.RECALL:
        options = {"action": row.options["action"]}
    elif row.kind == Kind.FORGET:
        options = {name: row.options[name] for name in ("recall", "force", "forgotten")}
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "filter": row.wanted,
        **options,
        "count": row.count,
        "is_count_whole": row.is_count_whole,
        "done": row.done,
        "skipped": sum(row.skipped.values()),
        "failed": sum(row.failed.values()),
        "reasons": {**row.skipped, **row.failed},
        "reason": row.reason,
        "by": row.made_by,
        "request_id": row.request_id,
        "created_at": iso(row.created_at),
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
    }
