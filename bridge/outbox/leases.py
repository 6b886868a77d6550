"""Who works on a job, and how far it has gone: one row, written in the transaction of each piece of its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.outbox.jobs import OPEN, Job, JobState, ended, is_known, job_of
from bridge.outbox.tables import jobs

LEASE = timedelta(seconds=5)  # after the last piece of its work, a job is anybody's
MOST_REASONS = 20  # different ones that a job counts
OTHER_REASONS = "other reasons"
CHANGED = "it was replayed, settled or forgotten by others before its turn came"


@dataclass(frozen=True)
class Work:
    """What came of a piece: `done` messages, and why the others were left alone."""

    done: int = 0
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def free(connection: Connection, runner_id: str, now: datetime) -> list[Job]:
    """The jobs that this runner may work on, those first that waited longest for it.

    What only a newer version of the bridge knows is left to that.
    """
    rows = connection.execute(
        sa.select(jobs)
        .where(jobs.c.state.in_(OPEN), _is_free(runner_id, now))
        .order_by(jobs.c.worked_at.is_not(None), jobs.c.worked_at, jobs.c.seq)
    )
    return [job_of(row) for row in rows if is_known(row)]


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
    return replace(job_of(row), state=JobState.RUNNING, runner_id=runner_id, worked_at=now)


def let_go(connection: Connection, job: Job) -> None:
    """Whoever comes next may go on at once."""
    its = (jobs.c.id == job.id, jobs.c.runner_id == job.runner_id, jobs.c.state.in_(OPEN))
    connection.execute(sa.update(jobs).where(*its).values(runner_id=None))


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
            options=ended(job.options) if is_over else job.options,
            count=job.count,
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
        .values(state=JobState.FAILED, reason=reason, finished_at=now, options=ended(job.options))
    )


def _is_free(runner_id: str, now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(jobs.c.runner_id.is_(None), jobs.c.runner_id == runner_id, jobs.c.worked_at <= now - LEASE)


def _added(counted: Mapping[str, int], reasons: Iterable[str]) -> dict[str, int]:
    total = dict(counted)
    for reason, times in Counter(reasons).items():
        name = reason if reason in total or len(total) < MOST_REASONS else OTHER_REASONS
        total[name] = total.get(name, 0) + times
    return total
