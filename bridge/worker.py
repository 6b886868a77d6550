"""The worker: claim, deliver, settle. Any worker takes any work; none holds a transaction across a call."""

from __future__ import annotations

import queue
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from bridge.counting import Counting
from bridge.database import UNAVAILABLE, Database, clock
from bridge.destinations import Destination
from bridge.errors import SlotMissed
from bridge.filling import Claimed
from bridge.message import Delivered, Message, Outcome, Rejected, State, Uncertain
from bridge.metrics import causes
from bridge.metrics import counted as metrics
from bridge.outbox import claim, forgetting, retention, set_back, settle, states, tally, upkeep
from bridge.outbox.claim import Call
from bridge.outbox.counters import Carried
from bridge.outbox.settle import Result
from bridge.outbox.tables import lock_keys
from bridge.sending import Sender

HEARTBEAT_EVERY = 5.0  # seconds
SENDS_NOTHING_AFTER = 15.0  # seconds without a heartbeat: others take over at twenty
FORGET_EVERY = 60.0  # seconds
FORGET_NEXT = 0.25  # seconds; between two pieces while there is more, so that what is live goes on meanwhile
COUNT_FIRST = 2.0  # seconds after the start
COUNT_LATER = 60.0  # seconds; if counting failed
CYCLE_LEAST = 0.01  # seconds; a cycle costs much the same for one call that came back as for ten
POLL_EVERY = 0.1  # seconds; what lies between acceptance and claim when nothing else happens
DATABASE_GONE_WAIT = 1.0  # seconds
STOPS_WITHIN = 25.0  # seconds; Heroku kills five later. What is then unsettled is taken over

_ANSWERED = re.compile(r"(?s)(answered [0-9]+).*")

log = structlog.get_logger()


@dataclass(frozen=True)
class _Done:
    """A call that came back, with what came of each of its messages; `outcomes` None: it was never sent."""

    destination: Destination
    calls: Sequence[Call]
    standings: Sequence[Any]
    outcomes: Sequence[Outcome] | None

    def each(self) -> list[_Done]:
        """Its messages one by one."""
        outcomes = [None] * len(self.calls) if self.outcomes is None else [[one] for one in self.outcomes]
        return [
            _Done(self.destination, [call], [standing], its)
            for call, standing, its in zip(self.calls, self.standings, outcomes, strict=True)
        ]


class Worker:
    """One process's worker. `run` returns once `stop` was called and what was in flight is settled."""

    def __init__(
        self,
        database: Database,
        destinations: Sequence[Destination],
        retry_for: timedelta,
        keep: timedelta = timedelta(days=30),
    ) -> None:
        self._database = database
        self._destinations = list(destinations)
        self._senders = {d.name: Sender(d, database) for d in destinations}
        self._retry_for = retry_for
        self._retention = keep
        self._forgets_at = time.monotonic() + FORGET_EVERY
        self._counts_at = time.monotonic() + COUNT_FIRST
        self._id = str(uuid.uuid4())
        self._counting = Counting(self._id)
        self._carried = Carried(metrics.of_workers())
        self._started_at: datetime | None = None
        self._is_stopping = False  # an Event's lock would hang a second signal within the first
        self._ends_at = float("inf")
        self._done: queue.SimpleQueue[_Done | None] = queue.SimpleQueue()
        self._beat_at = float("-inf")
        self._cycled_at = float("-inf")
        self._is_house_untidy = False

    def stop(self) -> None:
        """Stop claiming; safe to call from a signal handler or another thread."""
        self._ends_at = min(self._ends_at, time.monotonic() + STOPS_WITHIN)
        self._is_stopping = True
        self._done.put(None)

    def run(self) -> None:
        log.info("worker.started", worker=self._id, destinations=[d.name for d in self._destinations])
        unsettled: list[_Done] = []
        while not self._is_over(unsettled):
            unsettled += self._collect(wait=not unsettled)
            try:
                if self._is_beat_due():
                    # First what came back: after an outage our own calls look like those of a silent worker.
                    self._settle_all(unsettled)
                    unsettled = []
                    self._keep_house()
                self._cycle(unsettled)
                unsettled = []
                self._forget()
                self._count()
            except UNAVAILABLE as down:
                self._lose_database(down)
            except Exception:  # a fault of ours in one message must not stop the others
                log.exception("worker.failed", worker=self._id)
                unsettled = self._settle_one_by_one(unsettled)
        self._leave()
        for sender in self._senders.values():
            sender.close()
        log.info("worker.stopped", worker=self._id)

    def _is_over(self, unsettled: Sequence[_Done]) -> bool:
        if not self._is_stopping:
            return False
        is_all_settled = not unsettled and not any(s.in_flight for s in self._senders.values())
        return is_all_settled or time.monotonic() >= self._ends_at

    def _is_beat_due(self) -> bool:
        return self._is_house_untidy or time.monotonic() - self._beat_at >= HEARTBEAT_EVERY

    def _collect(self, *, wait: bool) -> list[_Done]:
        """What came back since the last look; waits a moment when nothing did."""
        came: list[_Done] = []
        if (rest := self._cycled_at + CYCLE_LEAST - time.monotonic()) > 0:
            time.sleep(rest)
        try:
            while True:
                waits = wait and not came
                done = self._done.get(timeout=self._until_next_look()) if waits else self._done.get_nowait()
                if done is not None:
                    came.append(done)
                    self._senders[done.destination.name].in_flight -= 1
                else:
                    wait = False
        except queue.Empty:
            return came

    def _until_next_look(self) -> float:
        """Seconds, at most POLL_EVERY: the next slots of a destination may be worth a look before."""
        wakes = [sender.wakes_at for sender in self._senders.values() if sender.wakes_at is not None]
        return min([POLL_EVERY, *(max(at - time.monotonic(), 0.001) for at in wakes)])

    def _cycle(self, done: Sequence[_Done]) -> None:
        """Settle what came back and claim what may leave, in one transaction; skipped while there is neither."""
        if not done and not self._is_any_due():
            return
        self._cycled_at = time.monotonic()
        claimed: list[Claimed] = []
        with self._database.write() as connection:
            now = clock(connection)
            self._settle_each(connection, done, now)
            if not self._is_stopping:
                for sender in self._senders.values():
                    claimed += sender.claim(connection, self._id, now)
        try:
            self._send(claimed, now)
        except RuntimeError:  # no thread could be started
            self._leave_claims_to_others()
            raise

    def _is_any_due(self) -> bool:
        if self._is_stopping:
            return False
        with self._database.read() as connection:
            return any(sender.may_claim(connection) for sender in self._senders.values())

    def _send(self, claimed: Sequence[Claimed], now: datetime) -> None:
        for one in claimed:
            sender = self._senders[one.destination.name]
            sender.in_flight += 1
            if all(_is_too_late(call, now) for call in one.calls):
                late = [Rejected(upkeep.TOO_LATE)] * len(one.calls)
                self._done.put(_Done(one.destination, one.calls, one.standings, late))
            else:
                sender.submit(self._deliver, one)

    def _settle_all(self, done: Sequence[_Done]) -> None:
        if done:
            with self._database.write() as connection:
                self._settle_each(connection, done, clock(connection))

    def _settle_each(self, connection: Connection, done: Sequence[_Done], now: datetime) -> None:
        if len(self._destinations) > 1:
            # The lines of all at once: two pieces could each hold a key that another waits for.
            lock_keys(connection, (call.message.line for d in done for call in d.calls))
        for destination in self._destinations:
            self._settle(connection, destination, [d for d in done if d.destination is destination], now)

    def _settle_one_by_one(self, unsettled: Sequence[_Done]) -> list[_Done]:
        """What cannot be settled even alone is dead, and may be replayed. Returns what is left to settle."""
        left = list(unsettled)
        try:
            while left:
                try:
                    self._settle_all(left[:1])
                except UNAVAILABLE:
                    raise
                except Exception as wrong:
                    log.exception("settling.failed", **_of(left[0].calls[0].message), of=len(left[0].calls))
                    if len(left[0].calls) > 1:
                        left[:1] = left[0].each()
                        continue
                    self._give_up(left[0], wrong)
                del left[0]
        except UNAVAILABLE as down:
            self._lose_database(down)
        else:
            time.sleep(POLL_EVERY)  # if it was no message's fault it comes again at once
        return left

    def _give_up(self, done: _Done, wrong: Exception) -> None:
        reason = f"the bridge failed to settle this: {type(wrong).__name__}"
        [call], outcome = done.calls, done.outcomes[0] if done.outcomes else None
        status, answer = getattr(outcome, "status", None), getattr(outcome, "answer", "")
        result = Result(call, Rejected(reason, status, answer))
        with self._database.write() as connection:
            settle.settle(connection, [result], clock(connection), self._retry_for)

    def _settle(
        self, connection: Connection, destination: Destination, done: Sequence[_Done], now: datetime
    ) -> None:
        unsent = [call for d in done if d.outcomes is None for call in d.calls]
        if unsent:
            claim.give_back(connection, unsent)
        sent = [
            (standing, Result(call, outcome))
            for d in done
            if d.outcomes is not None
            for call, standing, outcome in zip(d.calls, d.standings, d.outcomes, strict=True)
        ]
        if not sent:
            return
        known = cache(lambda: states.read_states(connection, destination.name))
        settled = settle.settle(
            connection,
            [result for _, result in sent],
            now,
            self._retry_for,
            lambda message: states.shut_seconds(known(), message, destination.credential_of, now),
        )
        endings = {result.call.message.seq: state for result, state in settled.final}
        late = {id(result) for result in settled.late}
        kept = [(standing, result) for standing, result in sent if id(result) not in late]
        destination.record(
            connection,
            [(r.call.message, standing, r.outcome, endings.get(r.call.message.seq)) for standing, r in kept],
            now,
        )
        noted = [result for _, result in kept]
        changed = states.note(connection, destination.name, noted, now, destination.credential_of)
        self._mend(connection, destination, [one for one in sent if id(one[1]) in late], now)
        for result in noted:
            ending = endings.get(result.call.message.seq)
            _tell(result, ending, settled.due.get(result.call.message.seq), now)
            if ending is None and (cause := causes.of_retry(result.outcome)):
                metrics.goes_again(destination.name, cause)
        for state in changed:
            _tell_state(state)

    def _mend(
        self,
        connection: Connection,
        destination: Destination,
        late: Sequence[tuple[Any, Result]],
        now: datetime,
    ) -> None:
        """A call that others took over was answered after all, maybe after a newer one of its line.

        Of whom is forgotten meanwhile no ledger shall know anything anew.
        """
        overtaken = {r.call.message.line for _, r in late if isinstance(r.outcome, Delivered | Uncertain)}
        if not destination.batch.undoes:
            overtaken = set()
        erased = forgetting.erased_among(connection, [result.call.message.seq for _, result in late])
        doubted = [(r.call.message, standing) for standing, r in late if r.call.message.seq not in erased]
        if doubted:
            destination.doubt(connection, doubted)
        for _, result in late:
            log.warning("call.late", **_of(result.call.message))
        for message in upkeep.send_last_again(connection, overtaken, now):
            log.warning("message.sent_again", **_of(message))

    def _keep_house(self) -> None:
        self._follow_clock()
        began = time.monotonic()
        with self._database.write() as connection:
            now = clock(connection)
            self._started_at = self._started_at or now
            row = {"id": self._id, "started_at": self._started_at, "heartbeat_at": now}
            counted = metrics.of_workers()
            before = self._carried.beat(connection, self._id, row, counted)
            lost = upkeep.take_over(connection, now)
        self._beat_at = began
        self._carried.is_written(before, counted)
        if lost:
            metrics.taken_over(lost)
            log.warning("calls.taken_over", calls=lost)
        # A transaction of its own: it locks keys, and others hold keys while they wait for rows taken over here.
        with self._database.write() as connection:
            expired = self._expire(connection, clock(connection))
        self._is_house_untidy = len(expired) == upkeep.SWEEP_ROWS

    def _follow_clock(self) -> None:
        """Before the own row is written, which is the last to tell that the clock was set back."""
        with self._database.read() as connection:
            if not set_back.is_so(connection, clock(connection)):
                return
        log.warning("clock.set_back", worker=self._id)
        set_back.mend(self._database)

    def _expire(self, connection: Connection, now: datetime) -> list[Message]:
        by_name = {d.name: d for d in self._destinations}
        expired = upkeep.expire(connection, now)
        for message in expired:
            log.info("message.expired", **_of(message))
            if destination := by_name.get(message.destination):
                self._record_expired(connection, destination, message, now)
        return expired

    def _forget(self) -> None:
        """One small piece a minute; the next soon while there is more."""
        if time.monotonic() < self._forgets_at or self._is_stopping:
            return
        with self._database.write() as connection:
            now = clock(connection)
            gone = retention.forget_old(connection, now, self._retention)
            gone += tally.forget_old(connection, now)
            gone += sum(d.forget_old(connection, now) for d in self._destinations)
        is_more = gone >= retention.MOST_ROWS
        self._forgets_at = time.monotonic() + (FORGET_NEXT if is_more else FORGET_EVERY)
        if gone:
            log.info("rows.forgotten", rows=gone)

    def _count(self) -> None:
        """A small piece, if this worker is the one that counts. What fails here keeps nothing else up."""
        if time.monotonic() < self._counts_at or self._is_stopping:
            return
        self._counts_at = time.monotonic() + COUNT_LATER
        try:
            self._counts_at = time.monotonic() + self._counting.step(self._database)
        except UNAVAILABLE as down:  # one slow statement is no reason to leave calls to others
            log.warning("counting.failed", worker=self._id, error=type(down).__name__)
        except Exception:  # a fault of ours in what people look at
            log.exception("counting.failed", worker=self._id)

    def _record_expired(
        self, connection: Connection, destination: Destination, message: Message, now: datetime
    ) -> None:
        try:
            with connection.begin_nested():
                [standing] = destination.look_up(connection, [message])
                done = (message, standing, Rejected(upkeep.TOO_LATE), State.DEAD)
                destination.record(connection, [done], now)
        except UNAVAILABLE:
            raise
        except Exception:  # a fault of ours in one message must not keep the others from expiring
            log.exception("record.failed", **_of(message))

    def _deliver(self, claimed: Claimed) -> None:
        destination, calls, standings = claimed.destination, claimed.calls, claimed.standings
        outcomes: Sequence[Outcome] | None
        if self._is_stopping or time.monotonic() - self._beat_at > SENDS_NOTHING_AFTER:
            outcomes = None
        else:
            try:
                outcomes = destination.deliver([call.message for call in calls], standings, claimed.turn)
            except SlotMissed:
                outcomes = None
            except Exception as wrong:  # a fault of ours must not lose a message or stop a thread
                log.exception("delivery.failed", **_of(calls[0].message), call=calls[0].id, of=len(calls))
                outcomes = [Uncertain(f"the bridge failed: {type(wrong).__name__}")] * len(calls)
        self._done.put(_Done(destination, calls, standings, outcomes))

    def _leave_claims_to_others(self) -> None:
        """There may be call rows that nobody makes: under a new id, the old ones go stale."""
        self._id = str(uuid.uuid4())
        self._is_house_untidy = True

    def _lose_database(self, down: Exception) -> None:
        log.warning("database.unavailable", worker=self._id, error=type(down).__name__)
        self._leave_claims_to_others()
        time.sleep(DATABASE_GONE_WAIT)  # not an Event: a signal's handler that sets it could wait for itself

    def _leave(self) -> None:
        try:
            with self._database.write() as connection:
                self._carried.leave(connection, self._id, metrics.of_workers())
            self._counting.stop(self._database)
        except UNAVAILABLE:
            log.warning("database.unavailable", worker=self._id)


def _is_too_late(call: Call, now: datetime) -> bool:
    return call.message.expires_at is not None and call.message.expires_at <= now


def _tell(result: Result, state: State | None, due_at: datetime | None, now: datetime) -> None:
    outcome, message = result.outcome, result.call.message
    log.info(
        "delivery.attempted",
        **_of(message),
        account=message.account_code,
        call=result.call.id,
        of=result.call.messages,
        attempt=message.tries + 1,
        outcome=type(outcome).__name__.lower(),
        status=getattr(outcome, "status", None),
        ms=getattr(outcome, "ms", 0),
        state=state or "retrying",
        due_in=None if due_at is None else round((due_at - now).total_seconds(), 3),
        age=round((now - message.received_at).total_seconds(), 3),
    )


def _of(message: Message) -> dict[str, str]:
    return {"message": message.id, "request_id": message.request_id, "destination": message.destination}


def _tell_state(state: states.DestinationState) -> None:
    """Without the upstream's own words: it may repeat what it was sent. The API and the console show them."""
    place = {"destination": state.destination, "account": state.account_code}
    if state.state == states.CLOSED:
        log.warning("destination.closed", **place, reason=_ANSWERED.sub(r"\1", state.reason or ""))
    else:
        log.info("destination.open", **place)
