"""What stands in the template store: what is published, the list, the history."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.calendar.engine import TemplateFault
from bridge.calendar.engine.declarations import read_declaration
from bridge.calendar.tables import template_drafts, template_publications, template_versions
from bridge.calendar.versions.values import Draft, Entry, Past, Version
from bridge.errors import nearest

Row = sa.Row[*tuple[Any, ...]]

_versions, _drafts, _publications = template_versions.c, template_drafts.c, template_publications.c


def published_versions(connection: Connection) -> dict[str, Version]:
    rows = connection.execute(
        sa.select(_versions.name, _versions.version, _versions.source, _versions.suspended_at).select_from(
            _published()
        )
    )
    return {r.name: Version(r.name, r.version, r.source, r.suspended_at is not None) for r in rows}


def published_numbers(connection: Connection) -> dict[str, tuple[int, bool]]:
    """(version, whether it is suspended) by name: what tells whether anything changed, without the texts."""
    rows = connection.execute(
        sa.select(_versions.name, _versions.version, _versions.suspended_at).select_from(_published())
    )
    return {r.name: (r.version, r.suspended_at is not None) for r in rows}


def entries(connection: Connection) -> list[Entry]:
    """Every template and shared piece that is published or begun, by name."""
    columns = (*template_versions.c, _publications.published_at.label("stands_since"))
    published = {r.name: r for r in connection.execute(sa.select(*columns).select_from(_published()))}
    drafts = {
        r.name: draft_of(r) for r in connection.execute(sa.select(template_drafts)) if r.source is not None
    }
    waiting = _waiting_files(connection)
    return [
        _entry(name, published.get(name), drafts.get(name), waiting.get(name))
        for name in sorted({*published, *drafts}, key=lambda name: (name.startswith("_"), name))
    ]


def draft(connection: Connection, name: str) -> Draft | None:
    row = draft_row(connection, name)
    return draft_of(row) if row is not None and row.source is not None else None


def version_source(connection: Connection, name: str, version: int) -> str | None:
    return connection.scalar(
        sa.select(_versions.source).where(_versions.name == name, _versions.version == version)
    )


def published_source(connection: Connection, name: str) -> tuple[str, int] | None:
    query = sa.select(_versions.source, _versions.version).select_from(_published())
    row = connection.execute(query.where(_versions.name == name)).one_or_none()
    return (row.source, row.version) if row else None


def published_number(connection: Connection, name: str) -> int | None:
    return connection.scalar(sa.select(_publications.version).where(_publications.name == name))


def sources(connection: Connection, **over: str) -> dict[str, str]:
    """All published sources by name, with some replaced or added."""
    return {name: version.source for name, version in published_versions(connection).items()} | over


def history(connection: Connection, name: str) -> list[Past]:
    """Every version that was ever made, the newest first. None is ever deleted: messages name them."""
    stands = connection.execute(
        sa.select(template_publications).where(_publications.name == name)
    ).one_or_none()
    rows = connection.execute(
        sa.select(*(column for column in template_versions.c if column.name != "source"))
        .where(_versions.name == name)
        .order_by(_versions.version.desc())
    )
    return [_past(row, stands) for row in rows]


def unknown(connection: Connection, name: str) -> str:
    """Words for a name under which there is nothing, with the nearest that there is."""
    names = {*connection.scalars(sa.select(_publications.name))}
    names |= {*connection.scalars(sa.select(_drafts.name).where(_drafts.source.is_not(None)))}
    near = nearest(name, sorted(names), 1)
    meant = (
        f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(sorted(names)) or 'none yet'}"
    )
    return f'there is no template "{name[:60]}"{meant}'


def no_version(connection: Connection, name: str, version: int) -> str:
    last = connection.scalar(sa.select(sa.func.max(_versions.version)).where(_versions.name == name))
    if last is None:
        return unknown(connection, name)
    return f"{name} has no version {version}; its versions are 1 to {last}"


def draft_row(connection: Connection, name: str) -> Row | None:
    return connection.execute(sa.select(template_drafts).where(_drafts.name == name)).one_or_none()


def draft_of(row: Row) -> Draft:
    return Draft(row.name, row.source, row.revision, row.based_on, row.edited_by, row.edited_at, row.origin)


def _published() -> sa.FromClause:
    return template_versions.join(
        template_publications,
        sa.and_(_publications.name == _versions.name, _publications.version == _versions.version),
    )


def _waiting_files(connection: Connection) -> dict[str, Row]:
    """The newest version of each name, where it is a file's that nobody has published."""
    newest = (
        sa.select(_versions.name, sa.func.max(_versions.version).label("version"))
        .group_by(_versions.name)
        .subquery()
    )
    rows = connection.execute(
        sa.select(_versions.name, _versions.version, _versions.source)
        .join(newest, sa.and_(newest.c.name == _versions.name, newest.c.version == _versions.version))
        .where(_versions.origin == "file", _versions.published_at.is_(None))
    )
    return {row.name: row for row in rows}


def _entry(name: str, published: Row | None, stands: Draft | None, waiting: Row | None) -> Entry:
    """One of `published` and `stands` at least is there."""
    last = stands or published
    assert last is not None
    news = waiting
    if news is not None and published is not None and news.version == published.version:
        news = None  # published by the release before, which does not note when
    if news is not None and stands is not None and news.source == stands.source:
        news = None
    return Entry(
        name=name,
        is_piece=name.startswith("_"),
        purpose=_purpose(name, last.source if published is None else published.source),
        version=published.version if published is not None else None,
        published_at=published.stands_since if published is not None else None,
        is_suspended=published is not None and published.suspended_at is not None,
        draft=stands,
        last_by=last.edited_by if isinstance(last, Draft) else last.published_by or last.made_by,
        last_at=last.edited_at if isinstance(last, Draft) else last.stands_since,
        file_version=news.version if news is not None else None,
    )


def _past(row: Row, stands: Row | None) -> Past:
    of_this = stands if stands is not None and stands.version == row.version else None
    return Past(
        name=row.name,
        version=row.version,
        origin=row.origin,
        made_by=row.made_by,
        made_at=row.made_at,
        published_at=of_this.published_at if of_this is not None else row.published_at,
        is_published=of_this is not None,
        is_suspended=row.suspended_at is not None,
        note=row.note or "",
        published_by=row.published_by or "",
    )


def _purpose(name: str, source: str) -> str:
    try:
        return read_declaration(name, source).purpose
    except TemplateFault:  # a draft may be broken
        return ""
