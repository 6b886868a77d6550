"""Durable jobs over many messages: one row says how far each has gone, written with each piece of its work."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.message import State
from bridge.outbox.reading import Filter, iso
from bridge.outbox.selection import Selection
from bridge.outbox.tables import jobs, messages

LEASE = timedelta(seconds=5)  # after the last piece of its work, a job is anybody's
MOST_REASONS = 20  # different ones that a job counts
MOST_LISTED = 100
OTHER_REASONS = "other reasons"
CHANGED = "it was replayed, settled or forgotten by others before its turn came"


class Kind(StrEnum):
    REPLAY = "replay"
    CANCEL = "cancel"


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
    Kind.CANCEL: STATES[Kind.CANCEL],
}


@dataclass(frozen=True)
class Job:
    """`force`, `is_current`: how messages are replayed. `runner_id`: who works on it, until its lease ends."""

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

    @property
    def selection(self) -> Selection:
        return selection(self.kind, self.wanted, self.upto, self.created_at)


@dataclass(frozen=True)
class Work:
    """What came of a piece: `done` messages, and why the others were left alone."""

    done: int = 0
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


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
    job_id = str(uuid.uuid4())
    connection.execute(
        sa.insert(jobs).values(
            id=job_id,
            kind=kind,
            state=JobState.WAITING,
            wanted=told(of.wanted),
            options={"force": force, "is_current": is_current},
            made_by=by,
            request_id=request_id,
            count=counted[0],
            is_count_whole=counted[1],
            cursor=0,
            upto=of.upto,
            done=0,
            skipped={},
            failed={},
            created_at=now,
        )
    )
    return job_id


def stop(connection: Connection, job_id: str, now: datetime) -> bool:
    """End a job where it is; what was done stays done. False: it had ended before."""
    ended = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(OPEN))
        .values(state=JobState.CANCELLED, finished_at=now)
    )
    return ended.rowcount == 1


def free(connection: Connection, runner_id: str, now: datetime) -> list[Job]:
    """The jobs that this runner may work on, those first that waited longest for it."""
    rows = connection.execute(
        sa.select(jobs)
        .where(jobs.c.state.in_(OPEN), _is_free(runner_id, now))
        .order_by(jobs.c.worked_at.is_not(None), jobs.c.worked_at, jobs.c.seq)
    )
    return [_job(row) for row in rows]


def lease(connection: Connection, job: Job, runner_id: str, now: datetime) -> Job | None:
    """Take a job over; None: another was faster, or it has ended."""
    row = connection.execute(
        sa.select(jobs)
        .where(jobs.c.id == job.id, jobs.c.state.in_(OPEN), _is_free(runner_id, now))
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id)
        .values(state=JobState.RUNNING, started_at=row.started_at or now, runner_id=runner_id, worked_at=now)
    )
    return replace(_job(row), state=JobState.RUNNING, runner_id=runner_id, worked_at=now)


def hold(connection: Connection, job: Job) -> bool:
    """Whether the job is still ours and where we left it; it is then, until the transaction ends."""
    row = connection.execute(
        sa.select(jobs.c.cursor, jobs.c.state, jobs.c.runner_id).where(jobs.c.id == job.id).with_for_update()
    ).one()
    return (row.cursor, row.state, row.runner_id) == (job.cursor, JobState.RUNNING, job.runner_id)


def advance(connection: Connection, job: Job, cursor: int, work: Work, now: datetime) -> Job:
    """Write how far a job has gone, in the transaction of its work. At its end it is done."""
    skipped, failed = _added(job.skipped, work.skipped), _added(job.failed, work.failed)
    job = replace(
        job, cursor=cursor, done=job.done + work.done, skipped=skipped, failed=failed, worked_at=now
    )
    if is_over := cursor >= job.upto:
        others = job.count - job.done - sum(skipped.values()) - sum(failed.values())
        if others > 0:
            job = replace(job, skipped=_added(skipped, [CHANGED] * others))
        job = replace(job, state=JobState.DONE)
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id)
        .values(
            state=job.state,
            cursor=cursor,
            done=job.done,
            skipped=job.skipped,
            failed=job.failed,
            worked_at=now,
            finished_at=now if is_over else None,
        )
    )
    return job


def fail(connection: Connection, job: Job, reason: str, now: datetime) -> None:
    """The job cannot go on."""
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, jobs.c.state.in_(OPEN))
        .values(state=JobState.FAILED, reason=reason, finished_at=now)
    )


def one(connection: Connection, job_id: str) -> dict[str, Any] | None:
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).first()
    return None if row is None else _shown(row)


def listed(connection: Connection) -> list[dict[str, Any]]:
    """The newest first."""
    rows = connection.execute(sa.select(jobs).order_by(jobs.c.seq.desc()).limit(MOST_LISTED))
    return [_shown(row) for row in rows]


def told(wanted: Filter) -> dict[str, Any]:
    """A filter as JSON, without what is not asked for."""
    given = {name: value for name, value in asdict(wanted).items() if name not in ("before", "limit")}
    shown = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in given.items()}
    return {name: value for name, value in shown.items() if value is not None}


def _wanted(told: Mapping[str, Any]) -> Filter:
    given = dict(told)
    for name in {"since", "until"} & given.keys():
        given[name] = datetime.fromisoformat(given[name])
    if "state" in given:
        given["state"] = State(given["state"])
    return Filter(**given)


def _is_free(runner_id: str, now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(jobs.c.runner_id.is_(None), jobs.c.runner_id == runner_id, jobs.c.worked_at <= now - LEASE)


def _added(counted: Mapping[str, int], reasons: Iterable[str]) -> dict[str, int]:
    total = dict(counted)
    for reason, times in Counter(reasons).items():
        name = reason if reason in total or len(total) < MOST_REASONS else OTHER_REASONS
        total[name] = total.get(name, 0) + times
    return total


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        kind=Kind(row.kind),
        state=JobState(row.state),
        wanted=_wanted(row.wanted),
        force=row.options["force"],
        is_current=row.options["is_current"],
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
    )


def _shown(row: Any) -> dict[str, Any]:
    options = {"force": row.options["force"], "render": "current" if row.options["is_current"] else None}
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "filter": row.wanted,
        **(options if row.kind == Kind.REPLAY else {}),
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
