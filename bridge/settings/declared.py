"""What a destination's file says of the destination: its variables, how it is made from them, words for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bridge.rate import Rate
from bridge.settings.variables import Variables

if TYPE_CHECKING:
    from bridge.destinations import Destination
    from bridge.destinations.rokt_lookup import Accept
    from bridge.settings.environment import Settings

S = TypeVar("S")


@dataclass(frozen=True)
class Setup(Generic[S]):
    """A destination whose variables are set. `settings`: what it is made from, in a type of its own.

    `carries`: messages that leave for each call that the rate allows, over all credentials.
    """

    settings: S
    rate: Rate = field(default_factory=Rate)
    carries: int = 1


@dataclass(frozen=True)
class Words:
    """For people. `name`: of the destination; `upstream`: of whom it speaks to; `credential`: the variables in which
    its credential stands; `by_account`: an account may have one of its own, under names with `__ACCOUNT` behind.
    """

    name: str
    upstream: str
    credential: str
    by_account: bool = False


@dataclass(frozen=True)
class Declared(Generic[S]):
    """`DECLARED` of a destination's file. `read`: None where its variables are not set; what is half set or wrong
    becomes a fault of the variables. `make`: from its own settings, all settings, and what takes in what it finds.
    """

    words: Words
    read: Callable[[Variables], Setup[S] | None]
    make: Callable[[S, Settings, Accept], Destination]


def declared() -> Mapping[str, Declared[Any]]:
    """Every destination, by name, whether its variables are set or not."""
    # Their files are loaded when they are first asked for, as they import what is here.
    from bridge import destinations

    return destinations.declared()


def words_for(destination: str) -> Words:
    """Of none, or of one that is no more and still stands with an old message: the name is all that is known."""
    known = declared().get(destination)
    return known.words if known else Words(destination, "Rokt", "its variables")
