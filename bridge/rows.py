"""Many rows in one statement, whose text is the same however many there are.

PostgreSQL takes rows as one JSON value and keys as one array: a statement for each row is a round trip's work for
each, and a list of values is another text, parsed and planned anew, for each length. SQLite has no way to travel and
runs one short statement for each row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.compiler import compiles

Row = Mapping[str, Any]

_NEXT_NUMBERS = sa.text(
    "SELECT nextval(CAST(pg_get_serial_sequence(:table, 'seq') AS regclass)) FROM generate_series(1, :count)"
)
_LAST_NUMBER = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")


def insert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, which all have the same columns."""
    if rows:
        _write(connection, table, _insert(table, connection.dialect.name, tuple(rows[0])), rows)


def upsert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, replacing those whose primary key is there; in the key's order, so that no two deadlock."""
    if rows:
        keys = _keys(table)
        ordered = sorted(rows, key=lambda row: [row[key] for key in keys])
        _write(connection, table, _upsert(table, connection.dialect.name, tuple(rows[0])), ordered)


def update(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Give the rows with these primary keys their values, each its own."""
    if not rows:
        return
    names, dialect = tuple(rows[0]), connection.dialect
    if dialect.name == "postgresql":
        [key] = _keys(table)
        connection.execute(
            _update_from(table, names), _bound(dialect, table, rows) | {"keys": [row[key] for row in rows]}
        )
    else:
        its = [{f"its_{name}": row[name] for name in names} for row in rows]
        connection.execute(_update(table, names), its)


def draw(connection: Connection, table: sa.Table, count: int) -> list[int]:
    """The next numbers of a table's own order, ascending. They are gone even if they are not used."""
    if connection.dialect.name == "postgresql":
        return list(connection.scalars(_NEXT_NUMBERS, {"table": table.name, "count": count}))
    last = connection.scalar(_LAST_NUMBER, {"table": table.name}) or 0
    return list(range(last + 1, last + 1 + count))


def among(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """`column` is one of the values that are bound as a list to `name`."""
    values = sa.bindparam(name, type_=_Values(isinstance(column.type, sa.Integer)))
    return _Among(column, values)


def each(name: str) -> sa.ColumnElement[Any]:
    """A table of the whole numbers that are bound as a list to `name`, as its one column."""
    # PostgreSQL names the column of such a table as the table itself.
    return (
        _Each(sa.bindparam(name, type_=_Values(are_numbers=True))).table_valued("value", name="value").c.value
    )


class _Values(sa.types.TypeDecorator[Sequence[Any]]):
    """A list of keys: an array, or JSON where there are none."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, are_numbers: bool) -> None:
        super().__init__()
        self.are_numbers = are_numbers

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.Text())
        return dialect.type_descriptor(sa.ARRAY(sa.BigInteger() if self.are_numbers else sa.Text()))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        return list(value or ()) if dialect.name == "postgresql" else json.dumps(list(value or ()))


class _Among(sa.sql.functions.FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _Among:
        return self  # else SQLite gets `… IN (…) = 1`, for which it reads the whole table


class _Each(sa.sql.functions.FunctionElement[Any]):
    inherit_cache = True


@compiles(_Each)
def _json_each(element: _Each, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Each, "postgresql")
def _unnest(element: _Each, compiler: Any, **options: Any) -> str:
    return f"unnest({compiler.process(element.clauses, **options)})"


@compiles(_Among)
def _among_json(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  a column and a placeholder


@compiles(_Among, "postgresql")
def _among_array(element: _Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"{column} = ANY ({values})"


def _write(connection: Connection, table: sa.Table, statement: Any, rows: Sequence[Row]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(statement, _bound(connection.dialect, table, rows))
    else:
        text, columns = _prepared(statement, connection.dialect, tuple(rows[0]))
        values = [
            tuple(
                to_db(row.get(name, else_)) if to_db else row.get(name, else_)
                for name, to_db, else_ in columns
            )
            for row in rows
        ]
        connection.exec_driver_sql(text, values)


@cache
def _prepared(
    statement: Any, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None, Any]]]:
    """Its text, and for each placeholder: the column, what makes its values storable, its default.

    SQLAlchemy would look for that anew for each value: a third of what storing a row costs.
    """
    compiled = statement.compile(dialect=dialect, column_keys=names)
    columns = [statement.table.c[name] for name in compiled.positiontup]
    return str(compiled), [
        (one.name, one.type.dialect_impl(dialect).bind_processor(dialect), one.default and one.default.arg)
        for one in columns
    ]


def _bound(dialect: Dialect, table: sa.Table, rows: Sequence[Row]) -> dict[str, str]:
    write = [(name, _writer(table, name, dialect)) for name in rows[0]]
    told = [{name: to_text(row[name]) if to_text else row[name] for name, to_text in write} for row in rows]
    return {"rows": json.dumps(told, default=str, separators=(",", ":"))}


@cache
def _writer(table: sa.Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    kind = table.c[name].type
    if not isinstance(kind, sa.types.TypeDecorator):
        return None
    return lambda value: kind.process_bind_param(value, dialect)


def _recordset(table: sa.Table, names: tuple[str, ...]) -> Any:
    rows = sa.func.json_to_recordset(sa.cast(sa.bindparam("rows", type_=sa.Text), sa.JSON))
    columns = [sa.column(name, table.c[name].type) for name in names]
    return rows.table_valued(*columns, name="given").render_derived(with_types=True)


@cache
def _insert(table: sa.Table, dialect: str, names: tuple[str, ...]) -> Any:
    statement = (postgresql_insert if dialect == "postgresql" else sqlite_insert)(table)
    if dialect != "postgresql":
        return statement
    given = _recordset(table, names)
    return statement.from_select(list(names), sa.select(*(given.c[name] for name in names)))


@cache
def _upsert(table: sa.Table, dialect: str, names: tuple[str, ...]) -> Any:
    statement, keys = _insert(table, dialect, names), _keys(table)
    changed: dict[str, Any] = {name: statement.excluded[name] for name in names if name not in keys}
    if not changed:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


@cache
def _update(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    keys = _keys(table)
    its_row = (table.c[key] == sa.bindparam(f"its_{key}") for key in keys)
    changed: dict[str, Any] = {name: sa.bindparam(f"its_{name}") for name in names if name not in keys}
    return sa.update(table).where(*its_row).values(changed)


@cache
def _update_from(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    given, [key] = _recordset(table, names), _keys(table)
    # The keys once more: a join alone reads the whole table while statistics say that there is nothing in it.
    its_row = (table.c[key] == given.c[key], among(table.c[key], "keys"))
    return sa.update(table).where(*its_row).values({name: given.c[name] for name in names if name != key})


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]
