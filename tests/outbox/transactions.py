"""Each transaction of the bridge, with what the model says to its result: who knows the bridge's functions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from factories import NOON, a_message, a_request, a_subject, an_event
from outbox.fake_rokt import FakeRokt
from outbox.model import Model, Word
from outbox.steps import DESTINATION
from sqlalchemy.engine import Connection

from bridge.database import Database, metadata
from bridge.destinations.rokt_calendar import RoktCalendar
from bridge.errors import InvalidPayload
from bridge.message import Delivered, Message, Outcome, Rejected, State, Uncertain
from bridge.outbox import claim, enqueue, lines, replay, retention, settle, states, upkeep
from bridge.outbox.claim import Call
from bridge.outbox.settle import Result
from bridge.outbox.tables import calls, key_of, lock_keys, messages, waiting, workers
from bridge.rows import upsert
from bridge.sending import Sender
from bridge.settings import CalendarSettings, Credential, Secret

TICK = timedelta(milliseconds=1)
RETRY_FOR = timedelta(hours=1)
RETENTION = timedelta(days=30)
LINES = [("first", "u-1"), ("second", "u-1"), ("first", "u-2")]

MOST_AT_ONCE = 4  # calls of a worker: more than there are lines, too few to claim further ones ahead


@dataclass
class Harness:
    """What all examples of one run share: the database as two processes have it, and a thread for the second."""

    database: Database
    other: Database
    thread: ThreadPoolExecutor

    def empty(self) -> None:
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(sa.delete(table))

    def do(self, step: Callable[[Connection], Any], *, elsewhere: bool = False) -> Any:
        with (self.other if elsewhere else self.database).write() as connection:
            return step(connection)

    def overlap(self, first: Callable[[Connection], Any], second: Callable[[Connection], Any]) -> list[Any]:
        """Two transactions, the second begun when the first has done all but commit.

        The first commits once the second is through or waits for a lock: which of both is the bridge's doing and
        not the clock's. SQLite has one writer at a time: there the second always waits for its turn.
        """
        if self.database.is_sqlite:
            return [self.do(first), self.do(second, elsewhere=True)]
        backend: Future[int] = Future()

        def run_second(connection: Connection) -> Any:
            backend.set_result(connection.scalar(sa.select(sa.func.pg_backend_pid())))
            return second(connection)

        with self.database.write() as connection:
            done = first(connection)
            running = self.thread.submit(self.do, run_second, elsewhere=True)
            wait([running, backend], return_when="FIRST_COMPLETED")
            while not running.done() and not self._is_locked_out(backend.result()):
                wait([running], 0.002)
        return [done, running.result(10)]

    def _is_locked_out(self, backend: int) -> bool:
        query = sa.text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")
        with self.database.read() as connection:
            return bool(connection.scalar(query, {"pid": backend}))


@dataclass(frozen=True)
class Step:
    """One transaction, and what the model must say to its result."""

    run: Callable[[Connection], Any]
    compare: Callable[[Any], None]


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for."""

    line: int
    action: str
    title: str | None
    to: tuple[str, ...]
    lives: timedelta | None


def wanted(line: int, action: str, title: str, to: tuple[str, ...], lives: timedelta | None) -> Wanted:
    """As far as the action goes: an update reaches who has the event, and a delete says nothing."""
    said = None if action == "delete" else title
    return Wanted(line, action, said, to if action in ("create", "upsert") else (), lives)


@dataclass(eq=False)
class Held:
    """A call that a worker has. It has an outcome once it was made."""

    call: Call
    word: Word
    standing: Any
    claimed_at: datetime
    outcome: Outcome | None = None
    is_taken_over: bool = False

    @property
    def may_have_come_late(self) -> bool:
        return self.is_taken_over and isinstance(self.outcome, Delivered | Uncertain)


@dataclass(eq=False)
class Hand:
    """A worker: it claims, makes its calls and settles them, unless it is silent."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    beat_at: datetime = NOON
    is_silent: bool = False
    held: list[Held] = field(default_factory=list)

    def made(self) -> list[Held]:
        return [one for one in self.held if one.outcome is not None]

    def unmade(self) -> list[Held]:
        return [one for one in self.held if one.outcome is None]


class Transactions:
    """`now` is the machine's clock: it goes on by a moment with every transaction."""

    def __init__(self, rokt: FakeRokt, database: Database) -> None:
        self.now = NOON
        self.model = Model(RETRY_FOR)
        self.hands = [Hand() for _ in range(3)]
        self.killed: list[Hand] = []
        self.is_paused = False
        settings = CalendarSettings(
            "https://rokt.invalid", {"": Credential("id", Secret("secret"))}, "wrapped"
        )
        self.calendar = RoktCalendar(settings, RETENTION, allow_http=False)
        self.calendar._upstreams = {"": rokt}  # type: ignore[dict-item]
        self.calendar.in_flight = MOST_AT_ONCE
        self._sender = Sender(self.calendar, database)

    def held(self) -> list[Held]:
        return [one for hand in self.hands + self.killed for one in hand.held]

    def store(self, *wanted: Wanted) -> Step:
        now = self._tick()
        requests = [_request(one, now) for one in wanted]

        def compare(answers: list[enqueue.Accepted]) -> None:
            for one, request, answer in zip(wanted, requests, answers, strict=True):
                assert request.subject is not None
                digest = request.subject.digest
                repeated = self.model.repeated(one.line, digest, now)
                assert answer.is_repeat == (repeated is not None), (
                    f"{one} is the last word, or a repeat of it"
                )
                if repeated is not None:
                    assert answer.ids == (repeated.id,)
                    continue
                word = Word(len(self.model.words), answer.ids[0], one.line, one.action, one.title, now)
                word.expires_at = request.messages[0].expires_at
                self.model.accept(word, digest)

        return Step(lambda connection: enqueue.store(connection, requests, now), compare)

    def claim(self, hand: Hand, most: int, *, is_alone: bool = True) -> Step:
        """`is_alone`: nothing else is under way that could keep back what is due."""
        now = self._tick()

        def run(connection: Connection) -> tuple[list[Any], bool]:
            gate = states.gate(states.read_states(connection, DESTINATION), now)
            self._sender.in_flight = MOST_AT_ONCE - most
            claimed = self._sender.claim(connection, hand.id, now)
            return claimed, gate.is_open and not gate.closed and not gate.is_halved

        def compare(result: tuple[list[Any], bool]) -> None:
            claimed, is_all_open = result
            due = [w for w in self.model.heads() if not w.call and w.due_at and w.due_at <= now]
            assert not (claimed and self.is_paused), "what is paused does not leave"
            if is_all_open and is_alone and not self.is_paused:
                assert len(claimed) == min(most, len(due)), "what is due is not left"
            for one in claimed:
                [call], [standing] = one.calls, one.standings
                word = self.model.word(call.message.id)
                assert word.is_head, f"{word} left before its turn"
                assert word.call is None, f"{word} left twice"
                assert word in due or one.is_probe or not is_alone, f"{word} left too early"
                assert call.message.was_uncertain == word.was_uncertain
                word.call = call.id
                hand.held.append(Held(call, word, standing, now))

        return Step(run, compare)

    def settle(self, hand: Hand, made: Sequence[Held]) -> Step:
        """As the worker does: what came of calls, then what Rokt holds, then the destination's state."""
        now = self._tick()
        results = [(one, Result(one.call, one.outcome)) for one in made if one.outcome is not None]

        def run(connection: Connection) -> settle.Settled:
            lock_keys(connection, (one.call.message.line for one in made))
            settled = settle.settle(connection, [result for _, result in results], now, RETRY_FOR)
            endings = {result.call.id: state for result, state in settled.final}
            late = {result.call.id for result in settled.late}
            kept = [(one, r) for one, r in results if r.call.id not in late]
            told = [(o.call.message, o.standing, r.outcome, endings.get(o.call.id)) for o, r in kept]
            self.calendar.record(connection, told, now)
            states.note(connection, DESTINATION, [r for _, r in kept], now, self.calendar.credential_of)
            came_late = [r for r in settled.late if isinstance(r.outcome, Delivered | Uncertain)]
            for result in settled.late:
                self.calendar.doubt(connection, [(result.call.message, None)])
            upkeep.send_last_again(connection, {r.call.message.line for r in came_late}, now)
            return settled

        def compare(settled: settle.Settled) -> None:
            late = [one for one in made if one.is_taken_over]
            assert {r.call.id for r in settled.late} == {one.call.id for one in late}, "a call settles once"
            for one in made:
                if not one.is_taken_over and one.outcome:
                    self.model.settle(one.word, one.outcome, now)
            for line in sorted({one.word.line for one in late if one.may_have_come_late}):
                spoilt = self.model.answered_late(line)
                for one in self.held():
                    one.is_taken_over |= one.call.id == spoilt
            hand.held = [one for one in hand.held if one not in made]

        return Step(run, compare)

    def give_back(self, hand: Hand) -> Step:
        unmade = hand.unmade()

        def compare(_: None) -> None:
            for one in unmade:
                one.word.call = one.word.call if one.is_taken_over else None
            hand.held = hand.made()

        return Step(lambda connection: claim.give_back(connection, [o.call for o in unmade]), compare)

    def take_over(self) -> Step:
        now = self._tick()

        def compare(_: int) -> None:
            for hand in self.hands + self.killed:
                silent_for = now - hand.beat_at
                for one in hand.held:
                    if silent_for > upkeep.STALE_AFTER and not one.is_taken_over:
                        one.is_taken_over = True
                        self.model.lose(one.word, now)
            self.killed = [hand for hand in self.killed if not all(one.is_taken_over for one in hand.held)]

        return Step(lambda connection: upkeep.take_over(connection, now), compare)

    def expire(self) -> Step:
        now = self._tick()

        def run(connection: Connection) -> set[str]:
            return self._ended(connection, upkeep.expire(connection, now), upkeep.TOO_LATE, now)

        return Step(run, lambda expired: _is_same(expired, self.model.expire(now)))

    def cancel(self, words: Collection[Word]) -> Step:
        now, reason = self._tick(), "cancelled"

        def run(connection: Connection) -> set[str]:
            found = lines.read(connection, _seqs(connection, words))
            lock_keys(connection, (message.line for message in found))
            gone = lines.give_up(connection, [message.seq for message in found], reason, now)
            return self._ended(connection, gone, reason, now)

        return Step(run, lambda gone: _is_same(gone, self.model.give_up(words, now)))

    def replay(self, word: Word, *, force: bool) -> Step:
        now = self._tick()

        def run(connection: Connection) -> State | None:
            try:
                found = replay.settled(connection, word.id)
            except InvalidPayload:
                return None
            assert found is not None, f"{word} is gone"
            return replay.send_again(connection, found[0], now, force=force)

        def compare(state: State | None) -> None:
            assert word.waits if state is None else state == self.model.replay([word], now, force=force)[0]

        return Step(run, compare)

    def replay_all(self, words: Sequence[Word]) -> Step:
        """As a job does, behind what is live."""
        now = self._tick()

        def run(connection: Connection) -> set[str]:
            found = lines.read(connection, _seqs(connection, words))
            lock_keys(connection, (message.line for message in found))
            goes = replay.send_each_again(connection, found, now, force=False, priority=lines.BEHIND)
            return {message.id for message in goes}

        def compare(goes: set[str]) -> None:
            told = self.model.replay(words, now, force=False)
            expected = {w.id for w, state in zip(words, told, strict=True) if state == State.ACCEPTED}
            assert goes == expected

        return Step(run, compare)

    def pause(self) -> Step:
        now = self._tick()
        self.is_paused = True
        return Step(lambda connection: states.pause(connection, DESTINATION, "told so", now), _nothing)

    def resume(self) -> Step:
        now = self._tick()
        self.is_paused = False
        return Step(lambda connection: states.resume(connection, DESTINATION, now), _nothing)

    def forget(self) -> Step:
        now = self._tick()

        def run(connection: Connection) -> None:
            retention.forget_old(connection, now, RETENTION)
            self.calendar.forget_old(connection, now)

        return Step(run, lambda _: self.model.forget(now, RETENTION, retention.LONGER))

    def beat(self) -> Step:
        alive = [hand for hand in self.hands if not hand.is_silent]
        rows = [{"id": hand.id, "started_at": self.now, "heartbeat_at": self.now} for hand in alive]
        for hand in alive:
            hand.beat_at = self.now
        return Step(lambda connection: upsert(connection, workers, rows), _nothing)

    def check(self, connection: Connection) -> None:
        """The rows are as the model has them: nothing is lost, each line has its head, each call is known."""
        its, row_of = messages.c, waiting.c
        columns = (
            its.id,
            its.state,
            its.was_uncertain,
            its.reason,
            row_of.is_head,
            row_of.call_id,
            row_of.due_at,
        )
        joined = messages.outerjoin(waiting, row_of.seq == its.seq)
        heads: dict[int, list[bool]] = {}
        rows = connection.execute(sa.select(*columns).select_from(joined).order_by(its.seq)).all()
        for row in rows:
            word = self.model.word(row.id)
            word.due_at = row.due_at
            does_wait = row.is_head is not None
            assert does_wait == (row.state in (State.ACCEPTED, State.RETRYING)), f"{word} is lost"
            told = (row.state, bool(row.is_head), row.call_id, row.was_uncertain)
            known = (word.state, word.is_head, word.call, word.was_uncertain)
            assert told == known, f"{word} is stored as {told}"
            assert row.reason or row.state not in (State.DEAD, State.SKIPPED, State.SUPERSEDED), word
            if does_wait:
                heads.setdefault(word.line, []).append(row.is_head)
        assert all(sum(of_line) == 1 for of_line in heads.values()), "a line has one head"
        assert {row.id for row in rows} == {word.id for word in self.model.words if not word.is_forgotten}
        open_calls = set(connection.scalars(sa.select(calls.c.id)))
        assert open_calls == {one.call.id for one in self.held() if not one.is_taken_over}

    def _ended(self, connection: Connection, gone: Sequence[Message], reason: str, now: datetime) -> set[str]:
        for message in gone:
            [standing] = self.calendar.look_up(connection, [message])
            self.calendar.record(connection, [(message, standing, Rejected(reason), State.DEAD)], now)
        return {message.id for message in gone}

    def _tick(self) -> datetime:
        self.now += TICK
        return self.now


def _request(wanted: Wanted, now: datetime) -> enqueue.Request:
    account, user = LINES[wanted.line]
    message = a_message(
        action=wanted.action,
        user_id=user,
        account_code=account,
        subscription_ids=wanted.to,
        event=an_event(title=wanted.title) if wanted.title else {},
        expires_at=now + wanted.lives if wanted.lives else None,
    )
    digest = f"{key_of(wanted.action, str(wanted.title), *wanted.to, str(wanted.lives)):x}"
    return a_request(message, subject=a_subject(f"{account} {user}", digest=digest))


def _seqs(connection: Connection, words: Collection[Word]) -> list[int]:
    its_ids = messages.c.id.in_([word.id for word in words])
    return list(connection.scalars(sa.select(messages.c.seq).where(its_ids)))


def _is_same(told: object, expected: object) -> None:
    assert told == expected


def _nothing(_: object) -> None: ...
