"""A row on its way: the text that COPY takes, and the sum that both databases come to."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from bridge.database import UtcDateTime

BETWEEN, NOTHING = "\x1f", "\x1e"  # two fields; a field without a value
COPY_OPTIONS = r"(DELIMITER E'\x1f', NULL E'\x1e', ENCODING 'UTF8')"
BLOCK = 256 * 1024  # characters; a body may have a megabyte, so blocks are not counted in rows
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\n": r"\n", "\r": r"\r", BETWEEN: f"\\{BETWEEN}", NOTHING: f"\\{NOTHING}"}
)
_REPLACED = "\N{REPLACEMENT CHARACTER}"  # in the place of a NUL, as in all that people read


class Outgoing:
    """The rows of one table on their way out. What left so far: `count` rows, their `sum`, and `nuls`."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self._floats = [n for n, column in enumerate(table.c) if isinstance(column.type, sa.Float)]
        self.count = 0
        self.sum = 0
        self.nuls: Counter[str] = Counter()  # column: values in which a NUL was replaced

    def blocks(self, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
        """Text for COPY in pieces, of values as SQLite holds them."""
        lines: list[str] = []
        size = 0
        for row in rows:
            line = self._line(row)
            lines.append(line)
            size += len(line)
            if size >= BLOCK:
                yield "".join(lines)
                lines, size = [], 0
        if lines:
            yield "".join(lines)

    def _line(self, row: Sequence[Any]) -> str:
        # Times are text in SQLite, in the form in which they are compared; booleans are 0 and 1.
        fields = [one if one.__class__ is str else NOTHING if one is None else repr(one) for one in row]
        line = BETWEEN.join(fields)
        if "\0" in line:
            fields = self._without_nul(fields)
            line = BETWEEN.join(fields)
        self._add(line, fields, row)
        if line.count(BETWEEN) >= len(fields) or line.count(NOTHING) != row.count(None):
            line = BETWEEN.join(
                NOTHING if given is None else one.translate(_ESCAPES)
                for one, given in zip(fields, row, strict=True)
            )
        else:  # nearly always: no value holds what stands between them
            line = line.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
        return line + "\n"

    def _add(self, line: str, fields: Sequence[str], row: Sequence[Any]) -> None:
        if any(row[n] is not None for n in self._floats):  # the same number may be written in two ways
            bits = list(fields)
            for n in self._floats:
                bits[n] = NOTHING if row[n] is None else struct.pack(">d", row[n]).hex()
            line = BETWEEN.join(bits)
        self.count += 1
        self.sum += int.from_bytes(hashlib.sha256(line.encode()).digest()[:8], signed=True)

    def _without_nul(self, fields: Sequence[str]) -> list[str]:
        for column, one in zip(self.table.c, fields, strict=True):
            if "\0" in one:
                self.nuls[column.name] += 1
        return [one.replace("\0", _REPLACED) for one in fields]


def sum_in_postgresql(table: sa.Table) -> str:
    """The statement that counts a table's rows and sums them, from what the server itself reads of them."""
    fields = ", ".join(f"coalesce({_as_text(column)}, E'\\x1e')" for column in table.c)
    line = f"concat_ws(E'\\x1f', {fields})"
    first = f"substring(sha256(convert_to({line}, 'UTF8')) from 1 for 8)"
    number = f"CAST(CAST('x' || encode({first}, 'hex') AS bit(64)) AS bigint)"
    return f'SELECT count(*), coalesce(sum(CAST({number} AS numeric)), 0) FROM "{table.name}"'  # noqa: S608


def _as_text(column: sa.Column[Any]) -> str:
    name = f'"{column.name}"'
    if isinstance(column.type, UtcDateTime):
        return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    if isinstance(column.type, sa.Boolean):
        return f"CAST(CAST({name} AS integer) AS text)"
    if isinstance(column.type, sa.Float):
        return f"encode(float8send({name}), 'hex')"
    return f"CAST({name} AS text)"
