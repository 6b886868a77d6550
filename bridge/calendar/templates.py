"""The templates' versions: files and drafts come in, what is published is compiled once and shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from bridge.calendar.engine import Template, TemplateFault, check_piece, compile_template
from bridge.calendar.tables import template_publications, template_versions
from bridge.calendar.trial import try_out
from bridge.database import Database, clock
from bridge.errors import FieldError, TemplateRefused, nearest
from bridge.rows import upsert

FOLDER = Path(__file__).resolve().parent.parent.parent / "templates"
LOOK_EVERY = 1.0  # seconds; a publication reaches every process within two
CUT_OFFS_TO_SUSPEND = 3
CUT_OFFS_WITHIN = 60.0  # seconds

log = structlog.get_logger()


@dataclass(frozen=True)
class Version:
    name: str
    version: int
    source: str
    is_suspended: bool = False


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


def published_versions(connection: Connection) -> dict[str, Version]:
    joined = template_versions.join(
        template_publications,
        sa.and_(
            template_publications.c.name == template_versions.c.name,
            template_publications.c.version == template_versions.c.version,
        ),
    )
    rows = connection.execute(sa.select(template_versions).select_from(joined))
    return {r.name: Version(r.name, r.version, r.source, r.suspended_at is not None) for r in rows}


def publish_files(database: Database, folder: Path = FOLDER) -> list[str]:
    """Publish new and changed files of `templates/`; where one is broken none is, and the faults are returned.

    Where the published version was made by API or console, the file arrives as a draft.
    """
    sources = {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.jinja"))}
    with database.read() as connection:
        changed = _changed(connection, sources)
    faults = [
        str(fault) for name in changed if name.startswith("_") and (fault := _piece_fault(name, sources))
    ]
    # A changed shared piece may break a template that did not change: then all are tried.
    has_changed_piece = any(name.startswith("_") for name in changed)
    tried = [name for name in (sources if has_changed_piece else changed) if not name.startswith("_")]
    faults += try_out(tried, sources).values()
    if faults:
        return list(dict.fromkeys(faults))
    try:
        with database.write() as connection:
            _publish(connection, {name: sources[name] for name in _changed(connection, sources)})
    except sa.exc.IntegrityError:
        log.info("template.published_elsewhere")  # another process started at the same moment
    return []


def _changed(connection: Connection, sources: Mapping[str, str]) -> list[str]:
    return [name for name, source in sources.items() if source != _last_file(connection, name)]


def _publish(connection: Connection, sources: Mapping[str, str]) -> None:
    now = clock(connection)
    standing = published_versions(connection)
    for name, source in sources.items():
        version = _add(connection, name, source, now)
        origin = _origin(connection, standing.get(name))
        if origin not in (None, "file"):
            log.info("template.drafted", template=name, version=version, published_origin=origin)
            continue
        upsert(connection, template_publications, [{"name": name, "version": version, "published_at": now}])
        log.info("template.published", template=name, version=version, origin="file")


def _piece_fault(name: str, sources: Mapping[str, str]) -> TemplateFault | None:
    try:
        check_piece(name, sources)
    except TemplateFault as fault:
        return fault
    return None


def _compile(name: str, versions: Mapping[str, Version]) -> Template | TemplateFault:
    try:
        return compile_template(name, {n: v.source for n, v in versions.items()})
    except TemplateFault as fault:
        return fault


def _last_file(connection: Connection, name: str) -> str | None:
    table = template_versions.c
    query = sa.select(table.source).where(table.name == name, table.origin == "file")
    return connection.scalar(query.order_by(table.version.desc()).limit(1))


def _origin(connection: Connection, version: Version | None) -> str | None:
    if version is None:
        return None
    table = template_versions.c
    query = sa.select(table.origin).where(table.name == version.name, table.version == version.version)
    return connection.scalar(query)


def _add(connection: Connection, name: str, source: str, now: datetime) -> int:
    table = template_versions.c
    last = connection.scalar(sa.select(sa.func.max(table.version)).where(table.name == name)) or 0
    row = {
        "name": name,
        "version": last + 1,
        "source": source,
        "origin": "file",
        "made_by": "",
        "made_at": now,
    }
    connection.execute(sa.insert(template_versions), [row])
    return last + 1


def _unknown(name: str, versions: Mapping[str, Version]) -> str:
    known = sorted(n for n in versions if not n.startswith("_"))
    near = nearest(name, known, 1)
    if near:
        return f'there is no published template "{name[:60]}"; did you mean "{near[0]}"?'
    return f'there is no published template "{name[:60]}"; there are {", ".join(known) or "none yet"}'
