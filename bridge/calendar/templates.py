"""The templates' versions: files and drafts come in, what is published is compiled once and shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from bridge.calendar.admission import check_name, clean_source
from bridge.calendar.engine import Template, TemplateFault, compile_template
from bridge.calendar.tables import template_versions
from bridge.calendar.versions import (
    TRIES,
    Version,
    add_version,
    digest,
    draft_of_file,
    faults_of,
    files_seen,
    has_version,
    note_files,
    origin_of,
    publish_alone,
    published_versions,
    set_published,
    sources,
)
from bridge.database import Database, clock
from bridge.errors import FieldError, InvalidValue, TemplateRefused, nearest

FOLDER = Path(__file__).resolve().parent.parent.parent / "templates"
LOOK_EVERY = 1.0  # seconds; a publication reaches every process within two
CUT_OFFS_TO_SUSPEND = 3
CUT_OFFS_WITHIN = 60.0  # seconds

log = structlog.get_logger()


@dataclass
class _Edition:
    """All published versions as they stood at one look, compiled when first asked for."""

    versions: Mapping[str, Version]
    compiled: dict[str, Template | TemplateFault] = field(default_factory=dict)


class Templates:
    """The published templates of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._edition = _Edition({})
        self._looked_at = float("-inf")
        self._looking = threading.Lock()
        self._cut_offs: dict[tuple[str, int], list[float]] = {}

    def published(self, name: str) -> tuple[Template, int]:
        """A template and its version. Errors: TemplateRefused: unknown, unpublished, suspended or broken."""
        edition = self._current()
        version = edition.versions.get(name)
        if version is None or name.startswith("_"):
            raise TemplateRefused(
                "unknown template", [FieldError("template", _unknown(name, edition.versions))]
            )
        if version.is_suspended:
            told = f"{name}.jinja, version {version.version}, is suspended: it took too long three times in a minute"
            raise TemplateRefused("template suspended", [FieldError("template", told)])
        compiled = edition.compiled.get(name)
        if compiled is None:
            compiled = edition.compiled[name] = _compile(name, edition.versions)
        if isinstance(compiled, TemplateFault):
            raise TemplateRefused(compiled.cause, [FieldError("template", str(compiled))])
        return compiled, version.version

    def cut_off(self, name: str, version: int) -> None:
        """A rendering took too long; the third within a minute suspends the version everywhere."""
        now = time.monotonic()
        recent = [at for at in self._cut_offs.get((name, version), []) if now - at < CUT_OFFS_WITHIN]
        self._cut_offs[name, version] = recent = [*recent, now]
        if len(recent) < CUT_OFFS_TO_SUSPEND:
            return
        log.warning("template.suspended", template=name, version=version)
        table = template_versions.c
        with self._database.write() as connection:
            connection.execute(
                sa.update(template_versions)
                .where(table.name == name, table.version == version)
                .values(suspended_at=clock(connection))
            )
        self._looked_at = float("-inf")

    def _current(self) -> _Edition:
        if time.monotonic() - self._looked_at > LOOK_EVERY and self._looking.acquire(
            blocking=not self._edition.versions
        ):
            try:
                if time.monotonic() - self._looked_at > LOOK_EVERY:
                    self._look()
            finally:
                self._looking.release()
        return self._edition

    def _look(self) -> None:
        with self._database.read() as connection:
            versions = published_versions(connection)
        if versions != self._edition.versions:
            self._edition = _Edition(versions)
        self._looked_at = time.monotonic()


def publish_files(database: Database, folder: Path = FOLDER) -> list[str]:
    """Publish new and changed files of `templates/`; where one is broken none is, and the faults are returned.

    Where the published version was made by API or console, the file arrives as a draft; where somebody's draft
    stands already, it waits in the history.
    """
    files, faults = read_folder(folder)
    for _ in range(TRIES if not faults else 0):
        with database.read() as connection:
            arrived = _arrived(connection, files)
            standing = {name: version.source for name, version in published_versions(connection).items()}
        faults += _name_faults([*arrived.to_publish, *arrived.to_draft])
        faults += map(str, faults_of(arrived.to_publish, standing))
        if faults:
            break
        try:
            with database.write() as connection:
                publish_alone(connection)
                if sources(connection) == standing:
                    _publish(connection, files)
                    break
        except sa.exc.IntegrityError:
            log.info("template.published_elsewhere")  # a process of the release before did at the same moment
    return list(dict.fromkeys(faults))


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


def _arrived(connection: Connection, files: Mapping[str, str]) -> _Arrived:
    arrived = _Arrived()
    seen, standing = files_seen(connection), published_versions(connection)
    for name, source in files.items():
        if seen.get(name) == digest(source):
            continue
        published = standing.get(name)
        if published is not None and published.source == source:
            arrived.known[name] = source
        elif published is None or origin_of(connection, published) == "file":
            arrived.to_publish[name] = source
        # What was written back for git, and has been changed here since, is no news.
        elif has_version(connection, name, source):
            arrived.known[name] = source
        else:
            arrived.to_draft[name] = source
    return arrived


def _publish(connection: Connection, files: Mapping[str, str]) -> None:
    now, arrived = clock(connection), _arrived(connection, files)
    for name, source in arrived.to_publish.items():
        version = add_version(connection, name, source, now, origin="file")
        set_published(connection, name, version, now, "")
        log.info("template.published", template=name, version=version, origin="file")
    for name, source in arrived.to_draft.items():
        version = add_version(connection, name, source, now, origin="file")
        is_draft = draft_of_file(connection, name, source, now)
        log.info("template.drafted" if is_draft else "template.waits", template=name, version=version)
    note_files(connection, {**arrived.to_publish, **arrived.to_draft, **arrived.known}, now)


def _name_faults(names: Iterable[str]) -> list[str]:
    faults = []
    for name in names:
        try:
            check_name(name)
        except InvalidValue as wrong:
            faults.append(f"{name}.jinja: {wrong}")
    return faults


def _compile(name: str, versions: Mapping[str, Version]) -> Template | TemplateFault:
    try:
        return compile_template(name, {n: v.source for n, v in versions.items()})
    except TemplateFault as fault:
        return fault


def _unknown(name: str, versions: Mapping[str, Version]) -> str:
    known = sorted(n for n in versions if not n.startswith("_"))
    near = nearest(name, known, 1)
    if near:
        return f'there is no published template "{name[:60]}"; did you mean "{near[0]}"?'
    return f'there is no published template "{name[:60]}"; there are {", ".join(known) or "none yet"}'
