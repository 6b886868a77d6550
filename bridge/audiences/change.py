"""A change of a list: people who are put on it or taken off, named by their addresses or by the hashes of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from bridge import hashing
from bridge.message import Json

Action = Literal["include", "exclude"]
Kind = Literal["emails", "sha256s"]

DEFAULT_LIST = "AdvertiserDatabase"  # where Rokt puts whom no list is named for
ACTIONS: tuple[Action, ...] = ("include", "exclude")
KINDS: tuple[Kind, ...] = ("emails", "sha256s")
# Of one message. A hundred of them, as a batch has by default, are the most that one call carries; what waits is
# read in pieces that stay small; and no message fails for more than so many people.
MOST_IDENTIFIERS = 100


@dataclass(frozen=True)
class AudienceChange:
    """What one message says. `identifiers`: addresses or hashes, by `kind`, never both."""

    list_name: str
    action: Action
    kind: Kind
    identifiers: tuple[str, ...]

    @classmethod
    def of(cls, stored: Json) -> AudienceChange:
        kind: Kind = "emails" if "emails" in stored else "sha256s"
        return cls(stored["list"], stored["action"], kind, tuple(stored[kind]))

    def stored(self) -> dict[str, object]:
        return {"list": self.list_name, "action": self.action, self.kind: list(self.identifiers)}

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Whom each identifier names: the same for an address and for its hash."""
        if self.kind == "sha256s":
            return self.identifiers
        return tuple(hashing.hashed(one) or one for one in self.identifiers)


def changes_of(list_name: str, action: Action, identifiers: Iterable[str]) -> tuple[AudienceChange, ...]:
    """Addresses and hashes in any order, as changes of one kind each; who is named twice is so once."""
    by_kind: dict[Kind, dict[str, None]] = {kind: {} for kind in KINDS}
    for one in identifiers:
        by_kind["emails" if hashing.hash_of(one) is None else "sha256s"][one] = None
    return tuple(
        AudienceChange(list_name, action, kind, tuple(some))
        for kind, its in by_kind.items()
        for some in _pieces(list(its))
    )


def _pieces(identifiers: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(identifiers), MOST_IDENTIFIERS):
        yield identifiers[start : start + MOST_IDENTIFIERS]
