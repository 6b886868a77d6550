"""What one call to mParticle carries: batches, each of one user, and whose each stretch of its text is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from bridge.conversions.batches import Batch, Part, text_of
from bridge.rate import Rate

MOST_BATCHES = 100  # of one call
MOST_CALL = 256_000  # bytes


@dataclass(frozen=True)
class Limits:
    """Of one call. `size`: bytes."""

    batches: int = MOST_BATCHES
    messages: int = MOST_BATCHES
    size: int = MOST_CALL

    @classmethod
    def of(cls, rate: Rate, messages: int, size: int) -> Limits:
        return cls(min(MOST_BATCHES, rate.most_items or MOST_BATCHES), messages, min(MOST_CALL, size))


@dataclass(frozen=True)
class Call:
    """`places`: for each message in it, that of its batch."""

    batches: tuple[Batch, ...] = ()
    places: tuple[int, ...] = ()
    size: int = field(default=1)  # bytes: a bracket and what follows each batch

    def with_part(self, part: Part, *, is_same_user: bool) -> Call:
        """`is_same_user`: as of the last one."""
        if is_same_user and self.batches and (grown := self.batches[-1].with_part(part)) is not None:
            batches = (*self.batches[:-1], grown)
            return Call(
                batches, (*self.places, len(batches) - 1), self.size - self.batches[-1].size + grown.size
            )
        batch = Batch.of(part)
        return Call((*self.batches, batch), (*self.places, len(self.batches)), self.size + batch.size + 1)

    def fits(self, limits: Limits) -> bool:
        return (
            len(self.batches) <= limits.batches
            and len(self.places) <= limits.messages
            and self.size <= limits.size
        )

    def has_room(self, limits: Limits) -> bool:
        """For one more user like these."""
        its_size = self.size // max(1, len(self.batches))
        return (
            len(self.batches) < limits.batches
            and len(self.places) < limits.messages
            and self.size + its_size <= limits.size
        )

    @property
    def path(self) -> str:
        return "/events" if len(self.batches) == 1 else "/bulkevents"

    def body(self) -> Any:
        """One batch goes as an object, more as an array."""
        bodies = [batch.body() for batch in self.batches]
        return bodies[0] if len(bodies) == 1 else bodies

    def batch_at(self, position: int) -> int | None:
        """Whose a character of the text is, counted from 1; None where that cannot be told.

        Whether what lies beyond U+FFFF is one character or two depends on who counts: then both must agree.
        """
        texts = [text_of(batch.body()) for batch in self.batches]
        wide = [len(text.encode("utf-16-le", "replace")) // 2 for text in texts]
        [one, other] = (_place(lengths, position - 1) for lengths in (list(map(len, texts)), wide))
        return one if one == other else None


def calls_of(users: Iterable[Sequence[Part]], limits: Limits) -> list[Call]:
    """The calls for users in their order, each with what it does."""
    calls: list[Call] = []
    call = Call()
    for parts in users:
        for number, part in enumerate(parts):
            grown = call.with_part(part, is_same_user=number > 0)
            if call.places and not grown.fits(limits):
                calls.append(call)
                grown = Call().with_part(part, is_same_user=False)
            call = grown
    return [*calls, call] if call.places else calls


def _place(lengths: Sequence[int], index: int) -> int | None:
    """Behind an opening bracket, with a comma between two. One alone has neither."""
    is_list = len(lengths) > 1
    starts = accumulate((length + 1 for length in lengths[:-1]), initial=int(is_list))
    spans = zip(starts, lengths, strict=True)
    return next((n for n, (start, length) in enumerate(spans) if start <= index < start + length), None)
