"""Many rows in one statement, whose text is the same however many there are.

PostgreSQL takes rows as one JSON value and keys as one array: a statement for each row is a round trip's work for
each, and a list of values is another text, parsed and planned anew, for each length. SQLite has no way to travel and
runs one short statement for each row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.compiler import compiles

Row = Mapping[str, Any]

_NEXT_NUMBERS = sa.text(
    "SELECT nextval(CAST(pg_get_serial_sequence(:table, 'seq') AS regclass)) FROM generate_series(1, :count)"
)
_LAST_NUMBER = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :table")


@dataclass(frozen=True, eq=False)
class Change:
    """Rows of one table, which all have the same columns."""

    table: sa.Table
    rows: Sequence[Row]


class Insert(Change):
    """Insert them."""


class Upsert(Change):
    """Insert them, replacing those whose primary key is there; in the key's order, so that no two deadlock."""


class Update(Change):
    """Give the rows with these primary keys their values, each its own."""


class Delete(Change):
    """Delete the rows with these primary keys."""


# Of a change: the text of its statement depends on nothing else.
Shape = tuple[type[Change], sa.Table, tuple[str, ...]]


def write(connection: Connection, *changes: Change) -> None:
    """Make these changes, none of which may touch a row of another: in PostgreSQL by one statement."""
    wanted = [change for change in changes if change.rows]
    if connection.dialect.name != "postgresql":
        for change in wanted:
            _one_by_one(connection, change)
    elif wanted:
        bound: dict[str, Any] = {}
        for number, change in enumerate(wanted):
            bound |= _bound(connection.dialect, change, number)
        shapes = tuple((type(change), change.table, tuple(change.rows[0])) for change in wanted)
        connection.execute(_together(shapes), bound)


def insert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    write(connection, Insert(table, rows))


def upsert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    write(connection, Upsert(table, rows))


def update(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    write(connection, Update(table, rows))


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


def _one_by_one(connection: Connection, change: Change) -> None:
    text, columns = _prepared((type(change), change.table, tuple(change.rows[0])))
    values = [
        tuple(
            to_db(row.get(name, else_)) if to_db else row.get(name, else_) for name, to_db, else_ in columns
        )
        for row in change.rows
    ]
    connection.exec_driver_sql(text, values)


@cache
def _prepared(shape: Shape) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None, Any]]]:
    """Its text for SQLite, and for each placeholder: the column, what makes its values storable, its default.

    SQLAlchemy would look for that anew for each value: a third of what storing a row costs.
    """
    kind, table, names = shape
    dialect, keys = sqlite.dialect(paramstyle="qmark"), _keys(table)
    its_row = [table.c[key] == sa.bindparam(f"its_{key}", type_=table.c[key].type) for key in keys]
    statement: Any
    if kind is Update:
        statement = sa.update(table).where(*its_row)
        names = tuple(name for name in names if name not in keys)
    elif kind is Delete:
        statement = sa.delete(table).where(*its_row)
    else:
        statement = _insert(sqlite.insert(table), table, names, is_upsert=kind is Upsert)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    columns = [table.c[name.removeprefix("its_")] for name in compiled.positiontup]
    return str(compiled), [
        (one.name, one.type.dialect_impl(dialect).bind_processor(dialect), one.default and one.default.arg)
        for one in columns
    ]


def _bound(dialect: Dialect, change: Change, number: int) -> dict[str, Any]:
    rows, keys = change.rows, _keys(change.table)
    if isinstance(change, Upsert):
        rows = sorted(rows, key=lambda row: [row[key] for key in keys])
    bound: dict[str, Any] = {}
    if isinstance(change, Update | Delete):
        bound[f"keys{number}"] = [row[keys[0]] for row in rows]
    if not isinstance(change, Delete):
        to_write = [(name, _writer(change.table, name, dialect)) for name in rows[0]]
        told = [
            {name: to_text(row[name]) if to_text else row[name] for name, to_text in to_write} for row in rows
        ]
        bound[f"rows{number}"] = json.dumps(told, default=str, separators=(",", ":"))
    return bound


@cache
def _writer(table: sa.Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    kind = table.c[name].type
    if not isinstance(kind, sa.types.TypeDecorator):
        return None
    return lambda value: kind.process_bind_param(value, dialect)


@cache
def _together(shapes: tuple[Shape, ...]) -> Any:
    """One statement for changes of these tables and columns."""
    statements = [_of_rows(*one, number) for number, one in enumerate(shapes)]
    if len(statements) == 1:
        return statements[0]
    parts = (statement.cte(f"change{number}") for number, statement in enumerate(statements))
    return sa.select(sa.literal_column("1")).add_cte(*parts)


def _of_rows(kind: type[Change], table: sa.Table, names: tuple[str, ...], number: int) -> Any:
    if kind is Delete or kind is Update:
        [key] = _keys(table)
        mine = among(table.c[key], f"keys{number}")
        if kind is Delete:
            return sa.delete(table).where(mine)
        given = _recordset(table, names, number)
        # The keys once more: a join alone reads the whole table while statistics say that there is nothing in it.
        changed = {name: given.c[name] for name in names if name != key}
        return sa.update(table).where(table.c[key] == given.c[key], mine).values(changed)
    given = _recordset(table, names, number)
    defaults = [one for one in table.c if one.default is not None and one.name not in names]
    columns = [*(given.c[name] for name in names), *(_literal(one) for one in defaults)]
    all_names = [*names, *(one.name for one in defaults)]
    statement = postgresql.insert(table).from_select(all_names, sa.select(*columns), include_defaults=False)
    return _insert(statement, table, names, is_upsert=kind is Upsert)


def _literal(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column's default in the statement's text: what SQLAlchemy binds by itself is lost within another."""
    return sa.bindparam(None, column.default.arg, type_=column.type, literal_execute=True)  # type: ignore[union-attr]


def _recordset(table: sa.Table, names: tuple[str, ...], number: int) -> Any:
    rows = sa.func.json_to_recordset(sa.cast(sa.bindparam(f"rows{number}", type_=sa.Text), sa.JSON))
    columns = [sa.column(name, table.c[name].type) for name in names]
    return rows.table_valued(*columns, name=f"given{number}").render_derived(with_types=True)


def _insert(statement: Any, table: sa.Table, names: tuple[str, ...], *, is_upsert: bool) -> Any:
    if not is_upsert:
        return statement
    keys = _keys(table)
    changed: dict[str, Any] = {name: statement.excluded[name] for name in names if name not in keys}
    if not changed:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]
