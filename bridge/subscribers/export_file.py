"""The users of an export's file, one by one: JSON lines, a JSON array, or CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TextIO

from bridge.errors import InvalidValue
from bridge.subscribers.export import USER_IDS
from bridge.subscribers.facts import ATTRIBUTE_PREFIX

CHUNK = 65_536  # characters
LONGEST = 16_000_000  # characters of one user in an array
OTHER_MARKS = {";": '";"', "\t": "tabs", "|": '"|"'}  # that a spreadsheet writes between cells

_BETWEEN = re.compile(r"[\s,]*")

Record = dict[str, Any]
Numbered = tuple[
    int, Record | InvalidValue
]  # the line that it begins in, and what it is or why it is nothing


def records(file: TextIO) -> Iterator[Numbered]:
    """Each user with the number of its line, never more than one in memory.

    `file`: opened with `newline=""`; bytes that are no UTF-8 as surrogates, so that they are found in their line.
    """
    start = file.read(CHUNK)
    if start.lstrip("\ufeff \t\r\n").startswith("["):
        return _array(start, file)
    lines = chain(io.StringIO((start + file.readline()).removeprefix("\ufeff"), newline=""), file)
    return _json_lines(lines) if start.lstrip("\ufeff \t\r\n").startswith("{") else _csv(lines)


def _json_lines(lines: Iterable[str]) -> Iterator[Numbered]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, _object(json.loads(line))
            except (ValueError, RecursionError):
                yield number, InvalidValue("this is not JSON")


def _array(start: str, file: TextIO) -> Iterator[Numbered]:
    """Read piece by piece: an export of a million users may be one line."""
    decode = json.JSONDecoder().raw_decode
    text, at, number = start, start.index("[") + 1, 1 + start[: start.index("[")].count("\n")
    while True:
        between = _BETWEEN.match(text, at)
        begin = between.end() if between else at
        try:
            if text[begin : begin + 1] == "]":
                return
            value, end = decode(text, begin)
        except (ValueError, RecursionError):
            # Twice as much each time: whoever reads on by the chunk begins anew for each.
            more = file.read(max(CHUNK, len(text) - at)) if len(text) - at < LONGEST else ""
            if not more:
                yield number + text.count("\n", at, begin), InvalidValue("from here on this is not JSON")
                return
            text, at = text[at:] + more, 0
            continue
        number += text.count("\n", at, begin)
        yield number, _object(value)
        number += text.count("\n", begin, end)
        at = end


def _csv(lines: Iterator[str]) -> Iterator[Numbered]:
    first = next(lines, "")
    if shown := _other_mark(first):
        yield 1, InvalidValue(f"its cells are separated by {shown}, and have to be by commas")
        return
    rows = csv.reader(chain([first] if first else [], lines), strict=True)
    header: list[str] | None = None
    number = 1
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
            if header is None:
                header = _header(row)
            elif any(cell.strip() for cell in row):
                yield number, _row(header, row)
        except StopIteration:
            return
        except csv.Error:
            yield number, InvalidValue("this is not CSV")
        except InvalidValue as wrong:
            yield number, wrong
            if header is None:
                return


def _other_mark(header: str) -> str | None:
    if _has_user_ids(header.split(",")):
        return None
    return next((shown for mark, shown in OTHER_MARKS.items() if _has_user_ids(header.split(mark))), None)


def _has_user_ids(cells: Iterable[str]) -> bool:
    return any(cell.strip(' "\r\n') in USER_IDS for cell in cells)


def _header(row: list[str]) -> list[str]:
    names = [cell.strip() for cell in row]
    if not set(names) & set(USER_IDS):
        raise InvalidValue("this is neither JSON nor CSV with a column external_id or user_id")
    if not any(name.startswith(ATTRIBUTE_PREFIX) for name in names):
        raise InvalidValue(f"there is no column whose name begins with {ATTRIBUTE_PREFIX}")
    return names


def _row(header: list[str], row: list[str]) -> Record:
    if len(row) != len(header):
        raise InvalidValue(f"the header has {len(header)} cells, this line {len(row)}")
    return {
        name: _array_of(name, cell.strip()) if name.startswith(ATTRIBUTE_PREFIX) else cell.strip()
        for name, cell in zip(header, row, strict=True)
    }


def _array_of(name: str, cell: str) -> object:
    """A JSON array, or texts joined by commas: what has no slash is the beginning of a text with a comma."""
    if cell.startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            raise InvalidValue(f"{name}: it begins with [ and is no JSON array") from None
    texts, begun = [], ""
    for piece in cell.split(","):
        begun += piece
        if "/" in begun or name == f"{ATTRIBUTE_PREFIX}subscription_id":
            texts.append(begun.strip())
            begun = ""
        else:
            begun += ","
    return [*texts, begun.strip(" ,")]


def _object(value: object) -> Record | InvalidValue:
    return value if isinstance(value, dict) else InvalidValue("this is no object")
