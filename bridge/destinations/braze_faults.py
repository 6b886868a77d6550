"""Which objects of a `/users/track` call Braze did not take, as far as its answer tells.

Its page shows `errors[]` without their fields; measured are `type`, `input_array` and `index` (within that array),
of which either of the last two may be missing. What is named is held against how many were processed.
https://www.braze.com/docs/api/endpoints/user_data/post_user_track
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

UNNAMED = "Braze processed fewer objects and named none"


@dataclass
class Faults:
    """Of one array with `total` objects. `doubt`: some further ones failed, nobody knows which."""

    total: int
    processed: int | None
    located: dict[int, str] = field(default_factory=dict)
    doubt: str | None = None

    def of(self, index: int) -> str | None:
        return self.located.get(index)

    def may_have_failed(self, index: int) -> bool:
        return self.doubt is not None and index not in self.located

    @property
    def are_all_located(self) -> bool:
        return len(self.located) == self.total

    @property
    def are_contradicted(self) -> bool:
        """Of those that are named some were processed."""
        return self.processed is not None and self.total - self.processed < len(self.located)

    @property
    def may_be_more(self) -> bool:
        if self.processed is None:
            return len(self.located) < self.total
        return self.total - self.processed > len(self.located)

    def add(self, index: int, words: str) -> None:
        known = self.located.get(index)
        self.located[index] = words if known in (None, words) else f"{known}; {words}"


@dataclass(frozen=True)
class _Error:
    words: str
    array: str | None
    index: int | None


def faults_of(
    body: Mapping[str, Any], totals: Mapping[str, int], *, is_counted: bool = True
) -> dict[str, Faults]:
    """By array. `is_counted`: the counts of the answer decide what is not named."""
    faults = {
        name: Faults(total, _processed(body, name, total) if is_counted else None)
        for name, total in totals.items()
    }
    vague = [error for error in _errors(body, totals) if not _locate(error, faults, faults)]
    for error in vague:
        possible = {name: its for name, its in faults.items() if its.may_be_more}
        if not _locate(error, faults, possible):
            for its in _candidates(error, possible).values():
                its.doubt = error.words
    if is_counted:
        for its in faults.values():
            _count(its)
    return faults


def _locate(error: _Error, faults: Mapping[str, Faults], possible: Mapping[str, Faults]) -> bool:
    its = _candidates(error, possible)
    if len(its) != 1:
        return False
    [array] = its.values()
    index = 0 if array.total == 1 else error.index
    if index is None or index >= array.total:
        return False
    array.add(index, error.words)
    return True


def _candidates(error: _Error, possible: Mapping[str, Faults]) -> dict[str, Faults]:
    """The arrays that an error may be about. An index that none of them has says nothing."""
    arrays = {name: its for name, its in possible.items() if its.total and error.array in (name, None)}
    index = error.index or 0
    return {name: its for name, its in arrays.items() if index < its.total} or arrays


def _count(its: Faults) -> None:
    """What is not named, by how many were processed."""
    if its.processed is None:
        return
    unnamed = its.total - its.processed - len(its.located)
    if unnamed <= 0:
        its.doubt = None
    elif its.processed == 0:
        words = its.doubt or UNNAMED
        for index in range(its.total):
            if index not in its.located:
                its.add(index, words)
        its.doubt = None
    else:
        its.doubt = its.doubt or UNNAMED


def _errors(body: Mapping[str, Any], names: Collection[str]) -> list[_Error]:
    given = body.get("errors")
    return [_error(one, names) for one in (given if isinstance(given, list) else [given]) if one]


def _error(given: Any, names: Collection[str]) -> _Error:
    if not isinstance(given, dict):
        return _Error(str(given), None, None)
    words = next(
        (str(given[key]) for key in ("type", "message", "error") if given.get(key)), "no reason given"
    )
    array, index = given.get("input_array"), given.get("index")
    is_index = isinstance(index, int) and not isinstance(index, bool) and index >= 0
    return _Error(
        words, array if isinstance(array, str) and array in names else None, index if is_index else None
    )


def _processed(body: Mapping[str, Any], name: str, total: int) -> int | None:
    count = body.get(f"{name}_processed")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= total:
        return None
    return count
