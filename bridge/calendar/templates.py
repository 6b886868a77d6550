"""The published templates of a process: compiled once and shared by threads, looked for anew every second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog

from bridge.calendar.engine import Template, TemplateFault, compile_template
from bridge.calendar.tables import template_versions
from bridge.calendar.versions import Version, published_numbers, published_versions
from bridge.calendar.versions.files import FOLDER, publish_files
from bridge.database import Database, clock
from bridge.errors import FieldError, TemplateRefused, nearest

__all__ = ["FOLDER", "Templates", "publish_files"]

LOOK_EVERY = 1.0  # seconds; a publication reaches every process within two
CUT_OFFS_TO_SUSPEND = 3
CUT_OFFS_WITHIN = 60.0  # seconds

log = structlog.get_logger()


@dataclass
class _Edition:
    """All published versions as they stood at one look, compiled when first asked for."""

    versions: Mapping[str, Version]
    compiled: dict[str, Template | TemplateFault] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {name: version.number for name, version in self.versions.items()}


def _at_once(call: Callable[..., Any], *given: Any) -> Any:
    return call(*given)


class Templates:
    """The published templates of one process.

    `in_turn`: how a call is made that would hold up all other work: compiling the longest takes seconds.
    """

    def __init__(self, database: Database, in_turn: Callable[..., Any] = _at_once) -> None:
        self._database = database
        self._in_turn = in_turn
        self._edition = _Edition({})
        self._looked_at = float("-inf")
        self._looking = threading.Lock()
        self._compiling = threading.Lock()
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
            compiled = self._compiled(edition, name)
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

    def _compiled(self, edition: _Edition, name: str) -> Template | TemplateFault:
        """Once, however many ask for it at a time."""
        with self._compiling:
            if name not in edition.compiled:
                edition.compiled[name] = self._in_turn(_compile, name, edition.versions)
        return edition.compiled[name]

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
            if published_numbers(connection) != self._edition.numbers:
                self._edition = _Edition(published_versions(connection))
        self._looked_at = time.monotonic()


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
