"""Drafts: one for each template, of which nobody overwrites what another wrote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bridge.calendar.admission import check_name, clean_source
from bridge.calendar.tables import template_drafts
from bridge.calendar.versions.reading import draft, draft_of, draft_row, published_number
from bridge.calendar.versions.values import Draft, DraftConflict
from bridge.errors import FieldError, InvalidPayload, InvalidValue

_drafts = template_drafts.c
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def save_draft(
    connection: Connection,
    name: str,
    source: str,
    now: datetime,
    *,
    by: str,
    origin: str,
    revision: int | None,
) -> Draft:
    """Write a draft where the one stands that its editor saw; `revision` None: none stood.

    A draft may be broken. Errors: InvalidPayload for a name or a text that cannot be stored, DraftConflict.
    """
    source = checked(name, source)
    row = draft_row(connection, name)
    stands = draft_of(row) if row is not None and row.source is not None else None
    if stands is not None and stands.source == source:
        return stands  # saved twice, as when the first answer was lost
    if (stands.revision if stands else None) != revision:
        raise DraftConflict(name, stands)
    values: dict[str, Any] = {
        "source": source,
        "revision": row.revision + 1 if row is not None else 1,
        "based_on": stands.based_on if stands else published_number(connection, name),
        "edited_by": by,
        "edited_at": now,
        "origin": origin,
    }
    if not _write_draft(connection, name, values, row.revision if row is not None else None):
        raise DraftConflict(name, draft(connection, name))  # written between our look and our write
    return Draft(name, **values)


def discard_draft(connection: Connection, name: str, revision: int) -> bool:
    """False where another revision stands, or none."""
    gone = connection.execute(
        sa.update(template_drafts)
        .where(_drafts.name == name, _drafts.revision == revision, _drafts.source.is_not(None))
        .values(source=None)
    )
    return gone.rowcount == 1


def end_draft(connection: Connection, name: str, source: str) -> None:
    """What was published is no draft any more. Errors: DraftConflict if it was written to at this very moment."""
    ended = connection.execute(
        sa.update(template_drafts).where(_drafts.name == name, _drafts.source == source).values(source=None)
    )
    if ended.rowcount != 1 and (stands := draft(connection, name)) is not None:
        raise DraftConflict(name, stands)


def draft_of_file(connection: Connection, name: str, source: str, now: datetime) -> bool:
    """A file's text as a draft, in the place of an earlier file's; False where somebody's own draft stands."""
    stands = draft(connection, name)
    if stands is not None and stands.origin != "file":
        return False
    revision = stands.revision if stands else None
    save_draft(connection, name, source, now, by="", origin="file", revision=revision)
    return True


def checked(name: str, source: str) -> str:
    """Errors: InvalidPayload."""
    field = "name"
    try:
        check_name(name)
        field = "source"
        return clean_source(source)
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError(field, str(wrong))) from wrong


def _write_draft(
    connection: Connection, name: str, values: Mapping[str, object], revision: int | None
) -> bool:
    """`revision`: that of the row that was read; None: there was no row."""
    if revision is None:
        insert = _INSERTS[connection.dialect.name](template_drafts).values(name=name, **values)
        made = insert.on_conflict_do_nothing().returning(_drafts.name)
        return connection.scalar(made) is not None
    written = connection.execute(
        sa.update(template_drafts).where(_drafts.name == name, _drafts.revision == revision).values(**values)
    )
    return written.rowcount == 1
