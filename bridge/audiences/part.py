"""A message that Rokt refuses when it stands alone: its identifiers go in ever smaller parts, then in larger ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.audiences.change import AudienceChange

PLACES_TOLD = 10
REFUSED_MOST = 3  # one by one, while none was taken: then the fault is none of theirs


@dataclass(frozen=True)
class Part:
    """The next `span` of `count` identifiers from `start` on. `refused`: the places of those that were, alone, the
    last of them for this `reason`."""

    count: int
    start: int
    span: int
    refused: tuple[int, ...] = ()
    taken: int = 0
    reason: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Part:
        return cls(**{**stored, "refused": tuple(stored["refused"])})

    @classmethod
    def whole(cls, change: AudienceChange) -> Part:
        return cls(len(change.identifiers), 0, len(change.identifiers))

    @property
    def is_over(self) -> bool:
        """Nothing is left, or there is no sense in going on."""
        return self.start >= self.count or (not self.taken and len(self.refused) >= REFUSED_MOST)

    def stored(self) -> dict[str, Any]:
        return {**vars(self), "refused": list(self.refused)}

    def among(self, change: AudienceChange) -> AudienceChange:
        return replace(change, identifiers=change.identifiers[self.start : self.start + self.span])

    def after_taken(self) -> Part:
        start = self.start + self.span
        span = min(2 * self.span, self.count - start)
        return replace(self, start=start, span=span, taken=self.taken + self.span)

    def after_refused(self, reason: str) -> Part:
        if self.span > 1:
            return replace(self, span=self.span // 2)
        return replace(self, start=self.start + 1, refused=(*self.refused, self.start), reason=reason)

    def told(self) -> str:
        """What became of them, without naming anybody."""
        if self.count == 1:
            return self.reason
        if not self.taken:
            return f"{self.reason}; none of its {self.count} addresses was taken"
        places = ", ".join(str(place + 1) for place in self.refused[:PLACES_TOLD])
        places += ", …" if len(self.refused) > PLACES_TOLD else ""
        refused = f"{len(self.refused)} of its {self.count} addresses (number {places})"
        return f"{self.reason}: refused for {refused}, the others were taken"
