"""Works on jobs beside a worker: piece by piece, with rests, so that live traffic goes first."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy.engine import Connection

from bridge.database import UNAVAILABLE, Database, clock
from bridge.destinations import Destination
from bridge.message import Message, NewMessage, Rejected, State
from bridge.outbox import leases, pieces
from bridge.outbox.jobs import Job, JobState, Kind
from bridge.outbox.pieces import Made, Piece, Refusal

LOOK_EVERY = 1.0  # seconds; whether there is a job
HELD_UP_WAIT = 0.2  # seconds; what was sent again has to leave first
REST = 3.0  # times as long as its transaction took: jobs have a quarter of the writer's time at most
LEAST_REST = 0.02  # seconds
LIVE_LATE_REST = 1.0  # seconds; a replay while live messages wait would only make them wait longer
DATABASE_GONE_WAIT = 1.0  # seconds

Render = Callable[[Message, dict[str, Any]], tuple[NewMessage, ...] | Refusal]


class Recaller(Protocol):
    """Does the pieces of a recall."""

    def prepare(self, job: Job, render: Render) -> Any:
        """What is read and rendered before the transaction of the next piece."""

    def work(self, connection: Connection, job: Job, prepared: Any, now: datetime) -> Job | None:
        """Do it, and write how far the job has gone. None: it was stopped, or another works on it."""


class Forgetter(Protocol):
    """Does the pieces of an erasure."""

    def is_held_up(self, connection: Connection, job: Job) -> bool:
        """Whether it waits for something that has to leave first."""

    def step(self, job: Job) -> tuple[Job | None, float]:
        """Do one in a transaction of its own. Returns for how long that lasted too, seconds."""


log = structlog.get_logger()


class JobRunner:
    """One for each worker process, in a thread of its own. Several may run: each piece is done by one of them.

    `render`: makes a message anew from what its caller sent.
    """

    def __init__(
        self,
        database: Database,
        destinations: Sequence[Destination],
        render: Render,
        recaller: Recaller | None = None,
        forgetter: Forgetter | None = None,
    ) -> None:
        self._database = database
        self._recaller = recaller
        self._forgetter = forgetter
        self._destinations = {destination.name: destination for destination in destinations}
        self._render = render
        self._id = str(uuid.uuid4())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once the piece under way is done."""
        self._stopping.set()
        self._thread.join()

    def step(self) -> float:
        """Do a piece of the job that waited longest for it. Returns for how long to rest, seconds."""
        with self._database.read() as connection:
            now = clock(connection)
            free = leases.free(connection, self._id, now)
            job = next((one for one in free if not self._is_held_up(connection, one, now)), None)
            least = LIVE_LATE_REST if job and self._is_live_late(connection, job, now) else LEAST_REST
        if job is None:
            return HELD_UP_WAIT if free else LOOK_EVERY
        if (leased := self._leased(job, now)) is None:
            return LEAST_REST
        try:
            return max(least, REST * self._do_piece(leased))
        except UNAVAILABLE:
            raise
        except Exception as wrong:  # a fault of ours: with the next step it would come again
            log.exception("job.failed", job=job.id)
            with self._database.write() as connection:
                leases.fail(connection, job, _fault(wrong), clock(connection))
            return LEAST_REST

    def _run(self) -> None:
        rest = 0.0
        while not self._stopping.wait(rest):
            try:
                rest = self.step()
            except UNAVAILABLE as down:
                log.warning("database.unavailable", runner=self._id, error=type(down).__name__)
                rest = DATABASE_GONE_WAIT
            except Exception:  # a fault of ours must not end the thread
                log.exception("jobs.failed", runner=self._id)
                rest = LOOK_EVERY

    def _is_held_up(self, connection: Connection, job: Job, now: datetime) -> bool:
        if job.kind == Kind.FORGET:
            assert self._forgetter is not None, "a worker forgets"
            return self._forgetter.is_held_up(connection, job)
        return any(pieces.is_full(connection, name, now) for name in self._names(job))

    def _is_live_late(self, connection: Connection, job: Job, now: datetime) -> bool:
        return any(pieces.is_live_late(connection, name, now) for name in self._names(job))

    def _names(self, job: Job) -> list[str]:
        """Where a job may send something. A cancel sends nothing, and what waits is what it is about."""
        if job.kind in (Kind.CANCEL, Kind.FORGET):
            return []
        return [job.wanted.destination] if job.wanted.destination else list(self._destinations)

    def _leased(self, job: Job, now: datetime) -> Job | None:
        is_ours = job.runner_id == self._id and job.worked_at is not None
        if is_ours and job.worked_at is not None and now - job.worked_at < leases.LEASE / 2:
            return job
        with self._database.write() as connection:
            leased = leases.lease(connection, job, self._id, clock(connection))
        if leased and not is_ours:
            log.info("job.taken", job=job.id, kind=job.kind, cursor=leased.cursor)
        return leased

    def _do_piece(self, job: Job) -> float:
        """Returns how long the transaction took, seconds."""
        if job.kind == Kind.RECALL:
            return self._recall(job)
        if job.kind == Kind.FORGET:
            assert self._forgetter is not None, "a worker forgets"
            left, seconds = self._forgetter.step(job)
            _tell_end(left)
            return seconds
        with self._database.read() as connection:
            piece = pieces.next_piece(connection, job)
        made: Made = {
            message.seq: self._made(message, piece.payloads[message.seq])
            for message in piece.messages
            if message.seq in piece.payloads
        }
        began = time.monotonic()
        try:
            began = self._write(job, piece, made)
        except UNAVAILABLE:
            raise
        except Exception:  # one message's fault must not be that of the others
            if not piece.messages:
                raise
            log.exception("job.piece_failed", job=job.id)
            self._do_each(job, piece, made)
        return time.monotonic() - began

    def _recall(self, job: Job) -> float:
        assert self._recaller is not None, "a worker recalls"
        prepared = self._recaller.prepare(job, self._made)
        with self._database.write() as connection:
            began = time.monotonic()
            left = self._recaller.work(connection, job, prepared, clock(connection))
        _tell_end(left)
        return time.monotonic() - began

    def _made(self, message: Message, payload: dict[str, Any]) -> tuple[NewMessage, ...] | Refusal:
        try:
            return self._render(message, payload)
        except UNAVAILABLE:
            raise
        except Exception as wrong:  # a fault of ours in one message must not end the job
            log.exception("job.message_failed", message=message.id)
            return Refusal(_fault(wrong))

    def _do_each(self, job: Job, piece: Piece, made: Made) -> None:
        for one in piece.each():
            try:
                with self._database.write() as connection:
                    left = self._work(connection, job, one, made, clock(connection))
            except UNAVAILABLE:
                raise
            except Exception as wrong:
                log.exception("job.message_failed", job=job.id, message=one.messages[0].id)
                with self._database.write() as connection:
                    left = pieces.pass_over(connection, job, one, _fault(wrong), clock(connection))
            if left is None:
                return
            job = left

    def _write(self, job: Job, piece: Piece, made: Made) -> float:
        """Returns when it had its turn to write."""
        with self._database.write() as connection:
            began = time.monotonic()
            self._work(connection, job, piece, made, clock(connection))
        return began

    def _work(self, connection: Connection, job: Job, piece: Piece, made: Made, now: datetime) -> Job | None:
        worked = pieces.work(connection, job, piece, made, now)
        if worked is None:
            return None
        job, changed = worked
        if job.kind == Kind.CANCEL:
            self._record(connection, job, changed, now)
        else:
            self._doubt(connection, changed)
        _tell_end(job)
        return job

    def _doubt(self, connection: Connection, sent: Sequence[Message]) -> None:
        """What is sent again leaves even where the ledger says that just this is held there."""
        for name, destination in self._destinations.items():
            # A test is never held for the event's state.
            its_own = [(m, None) for m in sent if m.destination == name and not m.is_test]
            if its_own:
                destination.doubt(connection, its_own)

    def _record(self, connection: Connection, job: Job, gone: Sequence[Message], now: datetime) -> None:
        """The ledger learns of what was cancelled as of any other that died."""
        outcome = Rejected(pieces.cancelled_by(job))
        for some in _one_of_each_line(gone):
            for name, destination in self._destinations.items():
                its_own = [message for message in some if message.destination == name]
                if its_own:
                    standings = destination.look_up(connection, its_own)
                    done = [(m, s, outcome, State.DEAD) for m, s in zip(its_own, standings, strict=True)]
                    destination.record(connection, done, now)


def _tell_end(job: Job | None) -> None:
    if job is not None and job.state == JobState.DONE:
        log.info(
            "job.done",
            job=job.id,
            kind=job.kind,
            done=job.done,
            skipped=sum(job.skipped.values()),
            failed=sum(job.failed.values()),
        )


def _fault(wrong: Exception) -> str:
    return f"the bridge failed: {type(wrong).__name__}"


def _one_of_each_line(gone: Sequence[Message]) -> Iterator[list[Message]]:
    """The second of a line stands on what the first has left in the ledger."""
    before: Counter[int] = Counter()
    rounds: list[list[Message]] = []
    for message in gone:
        if before[message.line] == len(rounds):
            rounds.append([])
        rounds[before[message.line]].append(message)
        before[message.line] += 1
    yield from rounds
