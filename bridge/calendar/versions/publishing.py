"""Publication: what works is made the next version, or an earlier one again, by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from bridge.calendar.engine import TemplateFault
from bridge.calendar.previews import Fault, Previews
from bridge.calendar.tables import template_publications, template_versions
from bridge.calendar.versions.drafts import checked, end_draft
from bridge.calendar.versions.reading import (
    draft,
    no_version,
    published_numbers,
    published_versions,
    unknown,
    version_source,
)
from bridge.calendar.versions.values import DraftConflict, NotPublished, OtherPublished
from bridge.database import Database, clock
from bridge.errors import Conflict, FieldError, InvalidPayload, NotFound
from bridge.rows import upsert

TRIES = 5  # to publish while others publish

log = structlog.get_logger()

_versions = template_versions.c


def publish(
    database: Database,
    name: str,
    *,
    by: str,
    origin: str,
    revision: int | None = None,
    note: str = "",
    over: int | None = None,
    previews: Previews | None = None,
) -> int:
    """Try the draft out in a child process and publish it as the next version. Returns that version.

    What is suspended is published anew where no draft stands. `revision`: the draft that was seen, else whichever
    stands. `over`: the published version that was seen, where that is not the one the draft was begun from.
    `previews`: this process's, which are warm. Errors: NotPublished with every fault, DraftConflict,
    OtherPublished, InvalidPayload where there is no draft.
    """

    def read(connection: Connection) -> str:
        return _to_publish(connection, name, revision, over)

    def make(connection: Connection, source: str, now: datetime) -> int:
        end_draft(connection, name, source)
        version = add_version(connection, name, source, now, origin=origin, by=by, note=note)
        set_published(connection, name, version, now, by)
        return version

    version = _tried(database, previews, name, read, make)
    log.info("template.published", template=name, version=version, origin=origin)
    return version


def publish_source(
    database: Database, name: str, source: str, *, by: str, origin: str, note: str = ""
) -> int:
    """Publish this text as the next version, whatever draft stands, which stays. Errors: as `publish`."""
    source = checked(name, source)

    def make(connection: Connection, source: str, now: datetime) -> int:
        version = add_version(connection, name, source, now, origin=origin, by=by, note=note)
        set_published(connection, name, version, now, by)
        return version

    version = _tried(database, None, name, lambda _connection: source, make)
    log.info("template.published", template=name, version=version, origin=origin)
    return version


def roll_back(
    database: Database, name: str, version: int, *, by: str, previews: Previews | None = None
) -> int:
    """Publish an earlier version again, as that same version; one that was suspended is so no more.

    A draft stays as it is. Errors: NotFound, NotPublished where it does not work with today's shared pieces.
    """

    with database.read() as connection:
        stands = published_versions(connection).get(name)
    if stands is not None and stands.version == version and not stands.is_suspended:
        return version

    def read(connection: Connection) -> str:
        source = version_source(connection, name, version)
        if source is None:
            raise NotFound(no_version(connection, name, version))
        return source

    def make(connection: Connection, _source: str, now: datetime) -> int:
        set_published(connection, name, version, now, by)
        return version

    _tried(database, previews, name, read, make)
    log.info("template.rolled_back", template=name, version=version)
    return version


def faults_of(
    changed: Mapping[str, str], standing: Mapping[str, str], previews: Previews
) -> list[TemplateFault]:
    """What does not work once `changed` is published: of itself, and of every template that uses a changed piece.

    What uses a piece and does not work today either is nobody's reason to keep the piece back.
    """
    after = {**standing, **changed}
    faults = [fault for name in changed for fault in _try_out(name, after, previews)]
    for name in sorted(_using(changed, after) - changed.keys()):
        found = _try_out(name, after, previews)
        if found and not _try_out(name, standing, previews):
            faults += found
    told = {str(fault): fault for fault in faults}  # a piece's mistake is one, in however many it shows
    return list(told.values())


def _try_out(name: str, texts: Mapping[str, str], previews: Previews) -> list[TemplateFault]:
    """Twice, if time was up: a busy machine is no fault of the template's."""
    faults = _faults(name, texts, previews)
    if any(fault.cause == "preview stopped" for fault in faults):
        faults = _faults(name, texts, previews)
    return [_told(fault) for fault in faults]


def _faults(name: str, texts: Mapping[str, str], previews: Previews) -> list[Fault]:
    """Render a template with its own examples, or compile a shared piece."""
    if name.startswith("_"):
        fault = previews.shape(name, texts).fault
        return [fault] if fault else []
    return [fault for case in previews.render(name, texts, [], datetime.now(UTC)) for fault in case.faults]


def _told(fault: Fault) -> TemplateFault:
    words = f"with its examples, {fault.words}" if fault.cause == "wrong event" else fault.words
    return TemplateFault(fault.template, fault.line, fault.field, fault.cause, words)


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


def publish_alone(connection: Connection) -> None:
    """Until the end of the transaction nobody else publishes: SQLite's writers are alone anyway."""
    if connection.dialect.name == "postgresql":
        # The release before does not ask for it, but its writes wait for it.
        connection.execute(sa.text("LOCK TABLE template_publications IN SHARE ROW EXCLUSIVE MODE"))


def _tried(
    database: Database,
    previews: Previews | None,
    name: str,
    read: Callable[[Connection], str],
    make: Callable[[Connection, str, datetime], int],
) -> int:
    """Read what is to be published, try it out, and make it so, if all is still as it was when it was tried."""
    for _ in range(TRIES):
        with database.read() as connection:
            source = read(connection)
            standing = published_versions(connection)
        with warm(previews, database) as trying:
            faults = faults_of({name: source}, {n: v.source for n, v in standing.items()}, trying)
        if faults:
            raise NotPublished(faults)
        try:
            with database.write() as connection:
                publish_alone(connection)
                is_same = published_numbers(connection) == {n: v.number for n, v in standing.items()}
                if is_same and read(connection) == source:
                    return make(connection, source, clock(connection))
        except sa.exc.IntegrityError:  # a process of the release before made a version at the same moment
            continue
    raise Conflict(f"others are publishing too: {name} was not published; please try again")


@contextmanager
def warm(previews: Previews | None, database: Database) -> Iterator[Previews]:
    """These, or some of one's own."""
    if previews is not None:
        yield previews
        return
    own = Previews(database.aside)
    try:
        yield own
    finally:
        own.close()


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
