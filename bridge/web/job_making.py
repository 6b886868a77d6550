"""Counts what a job would be about, makes it and ends it, for the API and for the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from bridge.database import clock
from bridge.outbox import jobs
from bridge.outbox.jobs import Kind
from bridge.outbox.reading import Filter
from bridge.outbox.selection import Selection, count
from bridge.routes.incoming import plain
from bridge.web.parts import Parts

COUNT_WITHIN = 2.0  # seconds

log = structlog.get_logger()


@dataclass(frozen=True)
class Counted:
    """What a job of this moment is about. `is_whole`: False: there are more, the count was cut short."""

    kind: Kind
    of: Selection
    count: int
    is_whole: bool
    at: datetime


def counted(parts: Parts, kind: Kind, wanted: Filter) -> Counted:
    with parts.database.browse() as connection:
        now = clock(connection)
        of = jobs.selection(kind, wanted, jobs.newest(connection), now)
        return Counted(kind, of, *count(connection, of, COUNT_WITHIN), now)


def make_job(
    parts: Parts, what: Counted, *, by: str, request_id: str, force: bool = False, is_current: bool = False
) -> str:
    """Returns the job's id."""
    with parts.database.write() as connection:
        job_id = jobs.create(
            connection,
            what.kind,
            what.of,
            (what.count, what.is_whole),
            what.at,
            by=by,
            request_id=request_id,
            force=force,
            is_current=is_current,
        )
    log.info("job.created", job=job_id, kind=what.kind, count=what.count)
    return job_id


def stop_job(parts: Parts, job_id: str, *, by: str, request_id: str) -> bool:
    """False: there is none, or it had ended before."""
    with parts.database.write() as connection:
        is_stopped = jobs.stop(connection, plain(job_id), clock(connection))
    if is_stopped:
        log.info("job.cancelled", job=job_id)
    return is_stopped
