"""What the outbox should do, without a database: messages as words of a line, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.message import Delivered, Outcome, Rejected, Retry, Skipped, State, Uncertain

IN_PLACE = (State.DELIVERED, State.SKIPPED)
SAME_AGAIN_WITHIN = timedelta(hours=1)


@dataclass(eq=False, repr=False)
class Word:
    """One message: what it says of its event. `number`: the order of acceptance."""

    number: int
    id: str
    line: int
    action: str
    title: str | None
    received_at: datetime
    expires_at: datetime | None = None
    state: State = State.ACCEPTED
    is_head: bool = False
    call: str | None = None
    due_at: datetime | None = None
    first_failed_at: datetime | None = None
    settled_at: datetime | None = None
    was_uncertain: bool = False
    is_forced: bool = False
    is_forgotten: bool = False
    is_once_more: bool = False  # was delivered, and goes again for a late answer's sake
    has_died_again: bool = False  # of that
    replays: int = 0

    def __repr__(self) -> str:
        flags = [name for name in ("is_head", "call", "was_uncertain", "is_once_more") if getattr(self, name)]
        return f"#{self.number} {self.line}:{self.action} {self.title} {self.state} {' '.join(flags)}"

    @property
    def waits(self) -> bool:
        return self.state in (State.ACCEPTED, State.RETRYING)


@dataclass
class Model:
    retry_for: timedelta
    words: list[Word] = field(default_factory=list)
    _latest: dict[int, tuple[str, datetime, Word]] = field(default_factory=dict)

    def word(self, message_id: str) -> Word:
        [found] = [word for word in self.words if word.id == message_id]
        return found

    def waiting(self, line: int | None = None) -> list[Word]:
        return [word for word in self.words if word.waits and line in (None, word.line)]

    def heads(self) -> list[Word]:
        return [word for word in self.words if word.is_head]

    def settled(self) -> list[Word]:
        return [word for word in self.words if not word.waits and not word.is_forgotten]

    def head(self, line: int) -> Word | None:
        return next((word for word in self.heads() if word.line == line), None)

    def repeated(self, line: int, digest: str, now: datetime) -> Word | None:
        """The message that this request repeats. One that died stands for nothing: it may be asked for again."""
        digest_before, accepted_at, word = self._latest.get(line, ("", now, None))
        is_same = digest == digest_before and now - accepted_at < SAME_AGAIN_WITHIN
        return word if word and is_same and word.state != State.DEAD else None

    def accept(self, word: Word, digest: str) -> None:
        word.is_head = self.head(word.line) is None
        self.words.append(word)
        self._latest[word.line] = (digest, word.received_at, word)

    def settle(self, word: Word, outcome: Outcome, now: datetime) -> None:
        word.call = None
        match outcome:
            case Delivered(progress=None):
                self._end(word, State.DELIVERED, now)
            case Delivered():
                word.state = State.RETRYING if word.first_failed_at else State.ACCEPTED
            case Skipped():
                self._end(word, State.SKIPPED, now)
            case Rejected():
                self._end(word, State.DEAD, now)
            case Retry() | Uncertain():
                word.was_uncertain |= isinstance(outcome, Uncertain)
                word.first_failed_at = word.first_failed_at or now
                word.state = State.RETRYING
                if now - word.first_failed_at >= self.retry_for:
                    self._end(word, State.DEAD, now)

    def answered_late(self, line: int) -> str | None:
        """A call that was taken over reached its upstream after all, maybe last. Returns the call that it spoils."""
        head = self.head(line)
        spoilt = head.call if head else None
        if head and spoilt:
            self.free(head)
            head.expires_at = None
        delivered = [w for w in self.words if w.line == line and w.state == State.DELIVERED]
        if delivered and not any(word.is_once_more for word in self.waiting(line)):
            last = max(delivered, key=_when_settled)
            last.state, last.was_uncertain, last.is_once_more = State.RETRYING, True, True
            last.expires_at = last.first_failed_at = last.settled_at = None
            self._enter(last)
        return spoilt

    def last_in_place(self, line: int) -> Word | None:
        in_place = [word for word in self.words if word.line == line and word.state in IN_PLACE]
        return max(in_place, key=_when_settled, default=None)

    def free(self, word: Word) -> None:
        """Nobody knows what became of its call."""
        word.call, word.state, word.was_uncertain = None, State.RETRYING, True

    def lose(self, word: Word, now: datetime) -> None:
        self.free(word)
        word.first_failed_at = word.first_failed_at or now

    def expire(self, now: datetime) -> set[str]:
        return self.give_up([w for w in self.waiting() if w.expires_at and w.expires_at <= now], now)

    def give_up(self, words: Iterable[Word], now: datetime) -> set[str]:
        """What is not under way is dead."""
        gone = [word for word in words if word.waits and not word.call]
        for word in gone:
            self._end(word, State.DEAD, now)
        return {word.id for word in gone}

    def replay(self, words: Sequence[Word], now: datetime, *, force: bool) -> list[State]:
        overtaken = [not force and any(self._is_in_place_after(word)) for word in words]
        for word, is_overtaken in zip(words, overtaken, strict=True):
            if word.waits:
                continue
            if is_overtaken:
                word.state, word.settled_at = State.SUPERSEDED, now
                continue
            word.state, word.is_forced, word.is_once_more = State.ACCEPTED, force, False
            word.first_failed_at = word.expires_at = word.settled_at = None
            word.replays += 1
            self._enter(word)
        return [word.state for word in words]

    def forget(self, now: datetime, retention: timedelta, longer: int) -> None:
        for word in self.settled():
            keep = retention * (longer if word.state == State.DEAD else 1)
            word.is_forgotten = word.settled_at is not None and word.settled_at < now - keep

    def _is_in_place_after(self, word: Word) -> Iterator[bool]:
        return (w.state in IN_PLACE for w in self.words if w.line == word.line and w.number > word.number)

    def _enter(self, word: Word) -> None:
        head = self.head(word.line)
        word.is_head = head is None or (head.call is None and word.number < head.number)
        if head and word.is_head:
            head.is_head = False

    def _end(self, word: Word, state: State, now: datetime) -> None:
        word.has_died_again |= word.is_once_more and state == State.DEAD
        word.state, word.settled_at, word.call = state, now, None
        word.is_head = word.is_once_more = False
        promoted = self._promote(word.line)
        while state in IN_PLACE and promoted and promoted.number < word.number and not promoted.is_forced:
            promoted.state, promoted.settled_at, promoted.is_head = State.SUPERSEDED, now, False
            promoted = self._promote(word.line)

    def _promote(self, line: int) -> Word | None:
        rest = self.waiting(line)
        if self.head(line) is not None or not rest:
            return None
        first = min(rest, key=lambda word: word.number)
        first.is_head = True
        return first


def _when_settled(word: Word) -> tuple[datetime, int]:
    assert word.settled_at is not None
    return word.settled_at, word.number
