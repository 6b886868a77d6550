"""What the template store is made of, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.calendar.engine import TemplateFault
from bridge.errors import Conflict, FieldError, TemplateRefused

MOST_TOLD = 12  # faults in one answer, which a person reads


@dataclass(frozen=True)
class Version:
    """What is published under a name."""

    name: str
    version: int
    source: str
    is_suspended: bool = False

    @property
    def number(self) -> tuple[int, bool]:
        """What is another one once anything was published or suspended."""
        return self.version, self.is_suspended


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
            told = f"the draft of {name} that you saw was published or discarded since; nothing was changed"
        else:
            who = f"{draft.edited_by} changed" if draft.edited_by else "a new file of templates/ has become"
            told = (
                f"{who} the draft of {name} at {draft.edited_at:%Y-%m-%d %H:%M} UTC, and you have not seen that; "
                f"nothing was overwritten: look at revision {draft.revision}, and make your change in it"
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
