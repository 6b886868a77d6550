"""How much may leave in a second, and how that is cut into cells: one call takes one cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

USED = 0.98
"""Of the limit. Calls that leave up to 20 ms after their time are then never more than it allows in a second,
wherever that second begins."""

CELLS_A_SECOND = 10  # at least, under a rate per item
FILLED = 0.97  # of the limit, at least, that whole cells come to


@dataclass(frozen=True)
class Rate:
    """`a_second`: calls or items, 0 for as many as go.

    Under a rate per item the size of a call is bounded and its cell costs the same however full it is: so no mix
    of sizes comes to more than the limit, and a cell that is not full costs nothing, as nobody waits then.
    """

    a_second: int = 0
    per: Literal["call", "item"] = "call"

    @property
    def is_limited(self) -> bool:
        return self.a_second > 0

    @property
    def most_items(self) -> int | None:
        """Of one call. A tenth of a second's, less where that comes nearer to the limit; None: any number."""
        if self.per == "call" or not self.is_limited:
            return None
        sizes = range(max(1, self.a_second // CELLS_A_SECOND), 0, -1)
        return next(size for size in sizes if self.a_second // size * size >= FILLED * self.a_second)

    @property
    def cells_a_second(self) -> int:
        return self.a_second // (self.most_items or 1)

    @property
    def spacing(self) -> timedelta:
        """From one cell to the next."""
        return timedelta(microseconds=math.ceil(1_000_000 / (USED * self.cells_a_second)))
