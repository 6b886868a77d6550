"""Erasure of one person: whose it is, what has to leave Rokt's calendars first, and what goes here; as a job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from bridge import hashing
from bridge.database import Database, clock
from bridge.ledger import forgetting as ledger
from bridge.ledger.forgetting import HeldEvent, Linked
from bridge.message import State
from bridge.outbox import forgetting, jobs, leases, persons, reading
from bridge.outbox.enqueue import store
from bridge.outbox.jobs import Job, JobState
from bridge.outbox.leases import Work
from bridge.outbox.lines import give_up
from bridge.outbox.persons import Marks
from bridge.outbox.tables import lock_keys
from bridge.recall import DELETE, delete_of

MOST = 256  # messages of one transaction: each has a line, whose key it holds
MOST_RECALLED = 64
MOST_EVENTS = 100_000
MOST_ERASED = 256  # events of one transaction
LOOKS_WITHIN = 1.0  # seconds; bodies are read for so long before what was found is written down
KINDS = (
    *("messages", "answers", "ended", "under_way", "list_changes", "requests"),
    *("events", "holders", "subscriptions", "profiles", "filters"),
)
NAMED = 5  # deletes that failed, in a job's reason
ROUTE = "forget"
TAKEN = (State.DELIVERED, State.SKIPPED, State.SUPERSEDED)  # it is not Rokt's any more

log = structlog.get_logger()


@dataclass(frozen=True)
class Person:
    """As somebody asked for him; what the ledgers link with that is he too."""

    user_ids: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    subscription_ids: tuple[str, ...] = ()

    def told(self) -> dict[str, list[str]]:
        return {name: list(its) for name, its in vars(self).items()}

    @classmethod
    def of(cls, told: Mapping[str, Sequence[str]]) -> Person:
        return cls(**{name: tuple(its) for name, its in told.items()})

    def linked(self, connection: Connection) -> Linked:
        return ledger.link(connection, self.user_ids, self.emails, self.subscription_ids)


@dataclass(frozen=True)
class Prepared:
    """What was read for the next step. `quiet`: messages, by `seq` their lines, that must not leave any more.

    `recalls`: events that are deleted at Rokt next. `failed`: deletes there that did not come through.
    `lines`: messages that are erased, with their lines, and `events` of the ledger; `is_last`: there are no more.
    """

    linked: Linked
    progress: dict[str, Any]
    quiet: Mapping[int, int] = field(default_factory=dict)
    recalls: Sequence[HeldEvent] = ()
    failed: Sequence[str] = ()
    lines: Mapping[int, int] = field(default_factory=dict)
    events: Sequence[HeldEvent] = ()
    is_last: bool = False


@dataclass(frozen=True)
class Forget:
    """`retention`: for how long it stays known that an event was deleted at Rokt."""

    database: Database
    retention: timedelta

    def look(self, person: Person, seconds: float) -> tuple[dict[str, int], bool]:
        """What would go, by kind, and whether that is all: looking ends when its time is up."""
        until = time.monotonic() + seconds
        with self.database.browse() as connection:
            linked = person.linked(connection)
            marks = _marks(person, linked)
            now, upto, after = clock(connection), persons.newest(connection), 0
            seqs = set(persons.by_index(connection, marks, MOST_EVENTS))
            events = ledger.events_of(connection, linked, MOST_EVENTS)
            known = ledger.counted(connection, linked)
            while after < upto and time.monotonic() < until:
                found, after = persons.read_bodies(connection, marks, after, upto)
                seqs.update(found)
            waits = persons.waiting_among(connection, seqs)
        told = {
            "users": len(linked.users),
            "addresses": len(linked.addresses),
            "messages": len(seqs),
            "waiting": waits,
            "events": len(events),
            "events_to_come": sum(one.is_to_come(now) for one in events),
        }
        return told | known, after >= upto

    def create(
        self, connection: Connection, person: Person, *, recall: bool, force: bool, by: str, request_id: str
    ) -> str:
        """Returns the job's id."""
        options = {
            "recall": recall,
            "force": force,
            "forgotten": dict.fromkeys((*KINDS, "recalled", "not_recalled") if recall else KINDS, 0),
            "person": person.told(),
            "progress": {"phase": "recall" if recall else "erase"},
        }
        return jobs.create_forget(connection, options, clock(connection), by=by, request_id=request_id)

    def is_held_up(self, connection: Connection, job: Job) -> bool:
        """Something of this person is on its way to a calendar, and what deletes it has to come behind."""
        progress = job.forgets["progress"]
        if progress["phase"] != "recall" or "users" not in progress:
            return False
        found = persons.on_the_way(connection, progress["users"], MOST)
        return bool(found) and not any(_may_be_ended(row) for row in found)

    def step(self, job: Job) -> tuple[Job | None, float]:
        """Do the next piece. Returns the job as it is then and how long the transaction took, seconds.

        None: the job has been stopped, or another works on it.
        """
        prepared = self._prepared(job)
        with self.database.write() as connection:
            began = time.monotonic()
            left = self._work(connection, job, prepared) if leases.hold(connection, job) else None
        if left is not None and left.state in (JobState.DONE, JobState.FAILED):
            _tell(left)
        return left, time.monotonic() - began

    def _prepared(self, job: Job) -> Prepared:
        person = Person.of(job.forgets["person"])
        progress = dict(job.forgets["progress"])
        with self.database.read() as connection:
            linked = person.linked(connection)
            if progress["phase"] == "recall":
                return self._to_recall(connection, linked, progress)
            return self._to_erase(connection, linked, _marks(person, linked), progress)

    def _to_recall(self, connection: Connection, linked: Linked, progress: dict[str, Any]) -> Prepared:
        progress["users"] = sorted(linked.users)
        deletes: dict[str, list[str]] = progress.setdefault("deletes", {})
        on_the_way = persons.on_the_way(connection, linked.users, MOST_RECALLED)
        if on_the_way:
            quiet = {row.seq: row.line for row in on_the_way if _may_be_ended(row)}
            return Prepared(linked, progress, quiet=quiet)
        now = clock(connection)
        tried = {tuple(place) for place in deletes.values()}
        events = ledger.events_of(connection, linked, MOST_EVENTS)
        left = [one for one in events if one.is_to_come(now) and one.place not in tried]
        if left:
            return Prepared(linked, progress, recalls=left[:MOST_RECALLED])
        ended: dict[str, State] = {}
        for some in _some(list(deletes), 500):
            ended |= reading.states(connection, some)
        failed = sorted(one for one in deletes if ended.get(one, State.DEAD) not in TAKEN)
        return Prepared(linked, progress | {"phase": "erase"}, failed=failed)

    def _to_erase(
        self, connection: Connection, linked: Linked, marks: Marks, progress: dict[str, Any]
    ) -> Prepared:
        found: list[int] = progress.setdefault("found", [])
        upto = progress.setdefault("upto", persons.newest(connection))
        after = progress.setdefault("after", 0)
        until = time.monotonic() + LOOKS_WITHIN
        while after < upto and len(found) < MOST:
            seqs, after = persons.read_bodies(connection, marks, after, upto)
            found += seqs
            if time.monotonic() >= until:
                break
        progress["after"] = after
        if after < upto and len(found) < MOST:
            return Prepared(linked, progress)
        seqs = sorted({*found, *persons.by_index(connection, marks, MOST)})
        some = seqs[:MOST]
        progress["found"] = [seq for seq in found if seq not in set(some)]
        its_lines = forgetting.lines_of(connection, some)
        is_last = len(seqs) < MOST and after >= upto
        events = ledger.events_of(connection, linked, MOST_ERASED + 1) if is_last else []
        if len(events) > MOST_ERASED:
            return Prepared(linked, progress, lines=its_lines, events=events[:MOST_ERASED])
        return Prepared(linked, progress, lines=its_lines, is_last=is_last)

    def _work(self, connection: Connection, job: Job, prepared: Prepared) -> Job:
        now = clock(connection)
        if job.forgets["progress"]["phase"] == "recall":
            return self._recall(connection, job, prepared, now)
        return self._erase(connection, job, prepared, now)

    def _recall(self, connection: Connection, job: Job, prepared: Prepared, now: datetime) -> Job:
        progress, counts = prepared.progress, dict(job.forgets["forgotten"])
        if prepared.quiet:
            lock_keys(connection, prepared.quiet.values())
            gone = give_up(connection, list(prepared.quiet), forgetting.FORGOTTEN, now)
            _add(counts, {"ended": len(gone)})
        elif prepared.recalls:
            progress["deletes"] |= self._delete(connection, job, prepared.recalls, now)
        elif progress["phase"] == "erase":
            failed = prepared.failed
            told = {"recalled": len(progress["deletes"]) - len(failed), "not_recalled": len(failed)}
            _add(counts, told)
            if failed and not job.forgets["force"]:
                return _failed(connection, _with(job, progress, counts), failed, now)
            progress = {"phase": "erase"}
        return leases.advance(connection, _with(job, progress, counts), job.cursor + 1, Work(), now)

    def _delete(
        self, connection: Connection, job: Job, events: Sequence[HeldEvent], now: datetime
    ) -> dict[str, list[str]]:
        """Through the outbox, behind whatever else there is of each event. Returns the deletes by their ids."""
        until = now + self.retention
        requests = [
            delete_of(job, one.place, one.user_id, (one.template, one.version), ROUTE, until)
            for one in events
        ]
        accepted = store(connection, requests, now)
        return {its.ids[0]: list(one.place) for its, one in zip(accepted, events, strict=True)}

    def _erase(self, connection: Connection, job: Job, prepared: Prepared, now: datetime) -> Job:
        person, linked, progress = Person.of(job.forgets["person"]), prepared.linked, prepared.progress
        counts = dict(job.forgets["forgotten"])
        forgetting.scrub(connection)
        if prepared.is_last:
            # Before any key: whoever works on a job holds its row, and then waits for keys.
            _add(counts, {"filters": forgetting.erase_filters(connection, _words(linked))})
        forgetting.lock(connection, prepared.lines.values(), linked.keys if prepared.is_last else ())
        marks = _marks(person, linked)
        erased = forgetting.erase(connection, prepared.lines, marks, now)
        _add(counts, erased.counts)
        progress["found"] += [seq for seq in erased.moved if seq not in progress["found"]]
        is_over = prepared.is_last and not erased.moved and not _came_since(connection, prepared, marks)
        if is_over:
            _add(counts, _erase_ledgers(connection, linked, now))
        elif prepared.events:
            _add(counts, _erase_events(connection, prepared.events))
        done = erased.counts.get("messages", 0)
        job = replace(_with(job, progress, counts), count=job.done + done)
        cursor = job.upto if is_over else job.cursor + 1
        job = leases.advance(connection, job, cursor, Work(done), now)
        forgetting.scrub_no_more(connection)
        return job


def _came_since(connection: Connection, prepared: Prepared, marks: Marks) -> bool:
    """Whether something of this person was accepted before all keys were held; what a call found out may be."""
    return not prepared.lines.keys() >= set(persons.by_index(connection, marks, MOST))


def _erase_ledgers(connection: Connection, linked: Linked, now: datetime) -> dict[str, int]:
    events = ledger.events_of(connection, linked, MOST_EVENTS) + ledger.events_of_nobody(connection, linked)
    told = _erase_events(connection, events)
    told["requests"] += forgetting.erase_subjects(connection, (), linked.keys)
    told["holders"] = ledger.erase_holders(connection, linked)
    return told | ledger.erase_subscriber(connection, linked, now)


def _erase_events(connection: Connection, events: Sequence[HeldEvent]) -> dict[str, int]:
    requests = forgetting.erase_subjects(connection, {one.place[1] for one in events}, ())
    return {"events": ledger.erase_events(connection, events), "requests": requests}


def _marks(person: Person, linked: Linked) -> Marks:
    users, keys, addresses = (tuple(sorted(its)) for its in (linked.users, linked.keys, linked.addresses))
    return Marks(users, keys, addresses, own=person.emails)


def _words(linked: Linked) -> set[str]:
    hashes = {hashing.hashed(one) or one for one in linked.addresses}
    return {*linked.users, *linked.keys, *linked.ids, *linked.addresses, *hashes}


def _may_be_ended(row: Any) -> bool:
    """What deletes something goes on, and so does what was asked of Rokt already."""
    return row.call_id is None and row.action != DELETE


def _with(job: Job, progress: Mapping[str, Any], counts: Mapping[str, int]) -> Job:
    return replace(job, forgets={**job.forgets, "progress": dict(progress), "forgotten": dict(counts)})


def _failed(connection: Connection, job: Job, failed: Sequence[str], now: datetime) -> Job:
    named = ", ".join(failed[:NAMED]) + (", …" if len(failed) > NAMED else "")
    reason = (
        f"{len(failed)} of {len(job.forgets['progress']['deletes'])} deletes at Rokt did not come through, so "
        f"nothing was erased here: messages {named}. Forget with force to erase all the same"
    )
    leases.fail(connection, job, reason, now)
    return replace(job, state=JobState.FAILED)


def _tell(job: Job) -> None:
    told = {"job": job.id, "request_id": job.request_id} | job.forgets["forgotten"]
    log.info("person.forgotten" if job.state == JobState.DONE else "person.not_forgotten", **told)


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count


def _some(ids: Sequence[str], most: int) -> list[Sequence[str]]:
    return [ids[start : start + most] for start in range(0, len(ids), most)]
