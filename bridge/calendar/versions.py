"""The template store: drafts, publication, and a history that only grows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bridge.calendar.admission import check_name, clean_source
from bridge.calendar.engine import TemplateFault
from bridge.calendar.engine.declarations import read_declaration
from bridge.calendar.tables import template_drafts, template_files, template_publications, template_versions
from bridge.calendar.trial import try_out
from bridge.database import Database, clock
from bridge.errors import (
    Conflict,
    FieldError,
    InvalidPayload,
    InvalidValue,
    NotFound,
    TemplateRefused,
    nearest,
)
from bridge.rows import upsert

TRIES = 5  # to publish while others publish
MOST_TOLD = 12  # faults in one answer, which a person reads

Row = sa.Row[*tuple[Any, ...]]

log = structlog.get_logger()

_versions, _drafts, _publications = template_versions.c, template_drafts.c, template_publications.c


@dataclass(frozen=True)
class Version:
    """What is published under a name."""

    name: str
    version: int
    source: str
    is_suspended: bool = False


@dataclass(frozen=True)
class Draft:
    """What somebody is at. `based_on`: the version that was published when it was begun."""

    name: str
    source: str
    revision: int
    based_on: int | None
    edited_by: str
    edited_at: datetime
    origin: str  # file, api, console


@dataclass(frozen=True)
class Past:
    """One version. `published_at`: the last time; None for a file that arrived and was not published."""

    name: str
    version: int
    origin: str
    made_by: str
    made_at: datetime
    published_at: datetime | None
    is_published: bool
    is_suspended: bool
    note: str
    published_by: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the list. `file_version`: a file that arrived while a draft stood, and waits in the history."""

    name: str
    is_piece: bool
    purpose: str
    version: int | None
    published_at: datetime | None
    is_suspended: bool
    draft: Draft | None
    last_by: str
    last_at: datetime
    file_version: int | None = None


class DraftConflict(Conflict):
    """Another draft stands than the one that was seen. `draft`: what stands; None: it was published or discarded."""

    def __init__(self, name: str, draft: Draft | None) -> None:
        if draft is None:
            told = f"the draft of {name} that you saw was published or discarded; nothing was changed"
        else:
            at = f"{draft.edited_at:%Y-%m-%d %H:%M} UTC"
            told = (
                f"{draft.edited_by or 'a file of templates/'} changed the draft of {name} at {at}; "
                "nothing was overwritten"
            )
        super().__init__(told, [FieldError("revision", told)])
        self.draft = draft


class OtherPublished(Conflict):
    """What is published is not what the draft was begun from. `version`: what is published now."""

    def __init__(self, name: str, based_on: int | None, version: int | None) -> None:
        begun = "before anything was" if based_on is None else f"from version {based_on}"
        told = (
            f"version {version} of {name} is published, and the draft was begun {begun}: "
            f"look at what differs, then publish over version {version}"
        )
        super().__init__(told, [FieldError("over", told)])
        self.version = version


class NotPublished(TemplateRefused):
    """What was tried does not work. `faults`: each with its template, its line and its field."""

    title = "It was not published"

    def __init__(self, faults: Sequence[TemplateFault]) -> None:
        told = [FieldError(fault.field, str(fault)) for fault in faults[:MOST_TOLD]]
        if (untold := len(faults) - MOST_TOLD) > 0:
            told.append(FieldError("template", f"and {untold} more"))
        super().__init__(faults[0].cause, told)
        self.faults = tuple(faults)


def published_versions(connection: Connection) -> dict[str, Version]:
    rows = connection.execute(
        sa.select(_versions.name, _versions.version, _versions.source, _versions.suspended_at).select_from(
            _published()
        )
    )
    return {r.name: Version(r.name, r.version, r.source, r.suspended_at is not None) for r in rows}


def entries(connection: Connection) -> list[Entry]:
    """Every template and shared piece that is published or begun, by name."""
    columns = (*template_versions.c, _publications.published_at.label("stands_since"))
    published = {r.name: r for r in connection.execute(sa.select(*columns).select_from(_published()))}
    drafts = {
        r.name: _draft(r) for r in connection.execute(sa.select(template_drafts)) if r.source is not None
    }
    waiting = _waiting_files(connection)
    return [
        _entry(name, published.get(name), drafts.get(name), waiting.get(name))
        for name in sorted({*published, *drafts}, key=lambda name: (name.startswith("_"), name))
    ]


def draft(connection: Connection, name: str) -> Draft | None:
    row = _draft_row(connection, name)
    return _draft(row) if row is not None and row.source is not None else None


def version_source(connection: Connection, name: str, version: int) -> str | None:
    return connection.scalar(
        sa.select(_versions.source).where(_versions.name == name, _versions.version == version)
    )


def published_source(connection: Connection, name: str) -> tuple[str, int] | None:
    query = sa.select(_versions.source, _versions.version).select_from(_published())
    row = connection.execute(query.where(_versions.name == name)).one_or_none()
    return (row.source, row.version) if row else None


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
    source = _checked(name, source)
    row = _draft_row(connection, name)
    stands = _draft(row) if row is not None and row.source is not None else None
    if stands is not None and stands.source == source:
        return stands  # saved twice, as when the first answer was lost
    if (stands.revision if stands else None) != revision:
        raise DraftConflict(name, stands)
    values: dict[str, Any] = {
        "source": source,
        "revision": row.revision + 1 if row is not None else 1,
        "based_on": stands.based_on if stands else _published_number(connection, name),
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


def publish(
    database: Database,
    name: str,
    *,
    by: str,
    origin: str,
    revision: int | None = None,
    note: str = "",
    over: int | None = None,
) -> int:
    """Try the draft out in a child process and publish it as the next version. Returns that version.

    What is suspended is published anew where no draft stands. `revision`: the draft that was seen, else whichever
    stands. `over`: the published version that was seen, where that is not the one the draft was begun from.
    Errors: TemplateRefused with every fault, DraftConflict, OtherPublished, InvalidPayload where there is no draft.
    """

    def read(connection: Connection) -> str:
        return _to_publish(connection, name, revision, over)

    def make(connection: Connection, source: str, now: datetime) -> int:
        _end_draft(connection, name, source)
        version = add_version(connection, name, source, now, origin=origin, by=by, note=note)
        set_published(connection, name, version, now, by)
        return version

    version = _tried(database, name, read, make)
    log.info("template.published", template=name, version=version, origin=origin, by=by)
    return version


def publish_source(
    database: Database, name: str, source: str, *, by: str, origin: str, note: str = ""
) -> int:
    """Publish this text as the next version, whatever draft stands, which stays. Errors: as `publish`."""
    source = _checked(name, source)

    def make(connection: Connection, source: str, now: datetime) -> int:
        version = add_version(connection, name, source, now, origin=origin, by=by, note=note)
        set_published(connection, name, version, now, by)
        if origin == "file":
            note_files(connection, {name: source}, now)
        return version

    version = _tried(database, name, lambda _connection: source, make)
    log.info("template.published", template=name, version=version, origin=origin, by=by)
    return version


def roll_back(database: Database, name: str, version: int, *, by: str) -> int:
    """Publish an earlier version again, as that same version; one that was suspended is so no more.

    A draft stays as it is. Errors: NotFound, TemplateRefused where it does not work with today's shared pieces.
    """

    with database.read() as connection:
        stands = published_versions(connection).get(name)
    if stands is not None and stands.version == version and not stands.is_suspended:
        return version

    def read(connection: Connection) -> str:
        source = version_source(connection, name, version)
        if source is None:
            raise NotFound(_no_version(connection, name, version))
        return source

    def make(connection: Connection, _source: str, now: datetime) -> int:
        set_published(connection, name, version, now, by)
        return version

    _tried(database, name, read, make)
    log.info("template.rolled_back", template=name, version=version, by=by)
    return version


def faults_of(changed: Mapping[str, str], standing: Mapping[str, str]) -> list[TemplateFault]:
    """What does not work once `changed` is published: of itself, and of every template that uses a changed piece.

    What uses a piece and does not work today either is nobody's reason to keep the piece back.
    """
    after = {**standing, **changed}
    others = sorted(_using(changed, after) - changed.keys())
    faults = try_out([*changed, *others], after)
    if broken := [name for name in others if name in faults]:
        before = try_out(broken, standing)
        faults = {name: fault for name, fault in faults.items() if name not in before}
    told = {
        str(fault): fault for fault in faults.values()
    }  # a piece's mistake is one, in however many it shows
    return list(told.values())


def add_version(
    connection: Connection,
    name: str,
    source: str,
    now: datetime,
    *,
    origin: str,
    by: str = "",
    note: str = "",
) -> int:
    """The next version, which is not published by that."""
    last = connection.scalar(sa.select(sa.func.max(_versions.version)).where(_versions.name == name)) or 0
    row = {"name": name, "version": last + 1, "source": source, "origin": origin, "made_by": by}
    connection.execute(sa.insert(template_versions), [row | {"made_at": now, "note": note or None}])
    return last + 1


def set_published(connection: Connection, name: str, version: int, now: datetime, by: str) -> None:
    connection.execute(
        sa.update(template_versions)
        .where(_versions.name == name, _versions.version == version)
        .values(published_at=now, published_by=by, suspended_at=None)
    )
    upsert(connection, template_publications, [{"name": name, "version": version, "published_at": now}])


def draft_of_file(connection: Connection, name: str, source: str, now: datetime) -> bool:
    """A file's text as a draft; False, and nothing is done, where somebody's draft stands."""
    if draft(connection, name) is not None:
        return False
    save_draft(connection, name, source, now, by="", origin="file", revision=None)
    return True


def publish_alone(connection: Connection) -> None:
    """Until the end of the transaction nobody else publishes: SQLite's writers are alone anyway."""
    if connection.dialect.name == "postgresql":
        # The release before does not ask for it, but its writes wait for it.
        connection.execute(sa.text("LOCK TABLE template_publications IN SHARE ROW EXCLUSIVE MODE"))


def origin_of(connection: Connection, version: Version) -> str | None:
    return connection.scalar(
        sa.select(_versions.origin).where(
            _versions.name == version.name, _versions.version == version.version
        )
    )


def has_version(connection: Connection, name: str, source: str) -> bool:
    """Whether just this text stands in its history."""
    return source in connection.scalars(sa.select(_versions.source).where(_versions.name == name)).all()


def files_seen(connection: Connection) -> dict[str, str]:
    """The digest of each file as it was last read, by this release or by one that only made versions of them."""
    newest = (
        sa.select(_versions.name, sa.func.max(_versions.version).label("version"))
        .where(_versions.origin == "file")
        .group_by(_versions.name)
        .subquery()
    )
    of_versions = connection.execute(
        sa.select(_versions.name, _versions.source, _versions.made_at).join(
            newest, sa.and_(newest.c.name == _versions.name, newest.c.version == _versions.version)
        )
    )
    made = {row.name: row for row in of_versions}
    seen = {row.name: row for row in connection.execute(sa.select(template_files))}
    return {name: digest(row.source) for name, row in made.items()} | {
        name: row.digest
        for name, row in seen.items()
        if name not in made or row.seen_at >= made[name].made_at
    }


def note_files(connection: Connection, files: Mapping[str, str], now: datetime) -> None:
    rows = [{"name": name, "digest": digest(source), "seen_at": now} for name, source in files.items()]
    upsert(connection, template_files, rows)


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _tried(
    database: Database,
    name: str,
    read: Callable[[Connection], str],
    make: Callable[[Connection, str, datetime], int],
) -> int:
    """Read what is to be published, try it out, and make it so, if all is still as it was when it was tried."""
    for _ in range(TRIES):
        with database.read() as connection:
            source = read(connection)
            standing = published_versions(connection)
        if faults := faults_of({name: source}, {n: v.source for n, v in standing.items()}):
            raise NotPublished(faults)
        try:
            with database.write() as connection:
                publish_alone(connection)
                is_same = _numbers(connection) == {n: v.version for n, v in standing.items()}
                if is_same and read(connection) == source:
                    return make(connection, source, clock(connection))
        except sa.exc.IntegrityError:  # a process of the release before made a version at the same moment
            continue
    raise Conflict(f"others are publishing too: {name} was not published; please try again")


def _to_publish(connection: Connection, name: str, revision: int | None, over: int | None) -> str:
    stands = draft(connection, name)
    published = published_versions(connection).get(name)
    if stands is None:
        if revision is not None:
            raise DraftConflict(name, None)
        if published is None:
            raise NotFound(unknown(connection, name))
        if not published.is_suspended:
            told = f"there is no draft of {name}: version {published.version} is published as it is"
            raise InvalidPayload.of(FieldError("template", told))
        return published.source
    if revision not in (None, stands.revision):
        raise DraftConflict(name, stands)
    version = published.version if published else None
    if version not in (stands.based_on, over):
        raise OtherPublished(name, stands.based_on, version)
    return stands.source


def _end_draft(connection: Connection, name: str, source: str) -> None:
    """What was published is no draft any more. Errors: DraftConflict if it was written to at this very moment."""
    ended = connection.execute(
        sa.update(template_drafts).where(_drafts.name == name, _drafts.source == source).values(source=None)
    )
    if ended.rowcount != 1 and (stands := draft(connection, name)) is not None:
        raise DraftConflict(name, stands)


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


_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def _draft_row(connection: Connection, name: str) -> Row | None:
    return connection.execute(sa.select(template_drafts).where(_drafts.name == name)).one_or_none()


def _draft(row: Row) -> Draft:
    return Draft(row.name, row.source, row.revision, row.based_on, row.edited_by, row.edited_at, row.origin)


def _published() -> sa.FromClause:
    return template_versions.join(
        template_publications,
        sa.and_(_publications.name == _versions.name, _publications.version == _versions.version),
    )


def _published_number(connection: Connection, name: str) -> int | None:
    return connection.scalar(sa.select(_publications.version).where(_publications.name == name))


def _numbers(connection: Connection) -> dict[str, int]:
    rows = connection.execute(sa.select(_publications.name, _publications.version))
    return {row.name: row.version for row in rows}


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
    is_news = waiting is not None and not (stands and stands.source == waiting.source)
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
        file_version=waiting.version if waiting is not None and is_news else None,
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


def _using(changed: Iterable[str], texts: Mapping[str, str]) -> set[str]:
    """What may use a changed piece, directly or by another piece: whatever holds its name."""
    found = {name for name in changed if name.startswith("_")}
    while more := {
        name
        for name, text in texts.items()
        if name not in found and any(piece in text for piece in found if piece.startswith("_"))
    }:
        found |= more
    return found


def _checked(name: str, source: str) -> str:
    """Errors: InvalidPayload."""
    field = "name"
    try:
        check_name(name)
        field = "source"
        return clean_source(source)
    except InvalidValue as wrong:
        raise InvalidPayload.of(FieldError(field, str(wrong))) from wrong


def _no_version(connection: Connection, name: str, version: int) -> str:
    last = connection.scalar(sa.select(sa.func.max(_versions.version)).where(_versions.name == name))
    if last is None:
        return unknown(connection, name)
    return f"{name} has no version {version}; its versions are 1 to {last}"


def unknown(connection: Connection, name: str) -> str:
    """Words for a name under which there is nothing, with the nearest that there is."""
    names = {*connection.scalars(sa.select(_publications.name))}
    names |= {*connection.scalars(sa.select(_drafts.name).where(_drafts.source.is_not(None)))}
    near = nearest(name, sorted(names), 1)
    meant = (
        f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(sorted(names)) or 'none yet'}"
    )
    return f'there is no template "{name[:60]}"{meant}'
