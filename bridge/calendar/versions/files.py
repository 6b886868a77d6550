"""The files of `templates/` come in at a start and with `migrate`: published, or as drafts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from bridge.calendar.admission import check_name, clean_source
from bridge.calendar.tables import template_versions
from bridge.calendar.versions.drafts import draft_of_file
from bridge.calendar.versions.files_seen import digest, files_seen, note_files
from bridge.calendar.versions.publishing import (
    TRIES,
    add_version,
    faults_of,
    publish_alone,
    set_published,
    warm,
)
from bridge.calendar.versions.reading import published_versions, sources
from bridge.calendar.versions.values import Version
from bridge.database import Database, clock
from bridge.errors import InvalidValue

FOLDER = Path(__file__).resolve().parents[3] / "templates"

log = structlog.get_logger()

_versions = template_versions.c


def publish_files(database: Database, folder: Path = FOLDER) -> list[str]:
    """Publish new and changed files of `templates/`; where one is broken none is, and the faults are returned.

    Where the published version was made by API or console, the file arrives as a draft; where somebody's draft
    stands already, it waits in the history.
    """
    files, faults = read_folder(folder)
    if faults:
        return faults
    for _ in range(TRIES):
        with database.read() as connection:
            arrived = _arrived(connection, files)
            standing = sources(connection)
        if not arrived.is_something:
            return []
        with warm(None, database) as previews:
            tried = faults_of(arrived.to_publish, standing, previews)
        if faults := [*_name_faults([*arrived.to_publish, *arrived.to_draft]), *map(str, tried)]:
            return list(dict.fromkeys(faults))
        try:
            with database.write() as connection:
                publish_alone(connection)
                if sources(connection) == standing:
                    take_in(connection, files)
                    return []
        except sa.exc.IntegrityError:
            log.info("template.published_elsewhere")  # a process of the release before did at the same moment
    return ["others are publishing at this moment: the files of templates/ wait for the next start"]


def read_folder(folder: Path = FOLDER) -> tuple[dict[str, str], list[str]]:
    """The templates' files by name, and what is wrong with those that cannot be read."""
    found, faults = {}, []
    for path in sorted(folder.glob("*.jinja")):
        try:
            found[path.stem] = clean_source(path.read_bytes().decode())
        except UnicodeDecodeError:
            faults.append(f"{path.name}: it is not UTF-8: save it as that")
        except (OSError, InvalidValue) as wrong:
            faults.append(f"{path.name}: {wrong}")
    return found, faults


@dataclass(frozen=True)
class _Arrived:
    """The files that differ from what they were, and what becomes of each."""

    to_publish: dict[str, str] = field(default_factory=dict)
    to_draft: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # stands in the database just so

    @property
    def is_something(self) -> bool:
        return bool(self.to_publish or self.to_draft or self.known)


def _arrived(connection: Connection, files: Mapping[str, str]) -> _Arrived:
    arrived = _Arrived()
    seen, standing = files_seen(connection), published_versions(connection)
    for name, source in files.items():
        if seen.get(name) == digest(source):
            continue
        published = standing.get(name)
        if published is not None and published.source == source:
            arrived.known[name] = source
        elif published is None or _origin_of(connection, published) == "file":
            arrived.to_publish[name] = source
        # What was written back for git, and has been changed here since, is no news.
        elif _has_version(connection, name, source):
            arrived.known[name] = source
        else:
            arrived.to_draft[name] = source
    return arrived


def take_in(connection: Connection, files: Mapping[str, str]) -> None:
    """Make versions and drafts of what is new or changed, untried."""
    now, arrived = clock(connection), _arrived(connection, files)
    for name, source in arrived.to_publish.items():
        version = add_version(connection, name, source, now, origin="file")
        set_published(connection, name, version, now, "")
        log.info("template.published", template=name, version=version, origin="file")
    for name, source in arrived.to_draft.items():
        version = add_version(connection, name, source, now, origin="file")
        if draft_of_file(connection, name, source, now):
            log.info("template.drafted", template=name, version=version, origin="file")
        else:
            log.warning("template.file_waits", template=name, version=version, reason="a draft stands")
    note_files(connection, {**arrived.to_publish, **arrived.to_draft, **arrived.known}, now)


def _name_faults(names: Iterable[str]) -> list[str]:
    faults = []
    for name in names:
        try:
            check_name(name)
        except InvalidValue as wrong:
            faults.append(f"{name}.jinja: {wrong}")
    return faults


def _origin_of(connection: Connection, version: Version) -> str | None:
    return connection.scalar(
        sa.select(_versions.origin).where(
            _versions.name == version.name, _versions.version == version.version
        )
    )


def _has_version(connection: Connection, name: str, source: str) -> bool:
    """Whether just this text stands in its history."""
    return source in connection.scalars(sa.select(_versions.source).where(_versions.name == name)).all()
