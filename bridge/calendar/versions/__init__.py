"""The template store: drafts, publication, and a history that only grows."""

from bridge.calendar.versions.drafts import discard_draft, save_draft
from bridge.calendar.versions.publishing import publish, publish_source, roll_back
from bridge.calendar.versions.reading import (
    draft,
    entries,
    history,
    no_version,
    published_numbers,
    published_source,
    published_versions,
    sources,
    unknown,
    version_source,
)
from bridge.calendar.versions.values import (
    Draft,
    DraftConflict,
    Entry,
    NotPublished,
    OtherPublished,
    Past,
    Version,
)

__all__ = [
    "Draft",
    "DraftConflict",
    "Entry",
    "NotPublished",
    "OtherPublished",
    "Past",
    "Version",
    "discard_draft",
    "draft",
    "entries",
    "history",
    "no_version",
    "publish",
    "publish_source",
    "published_numbers",
    "published_source",
    "published_versions",
    "roll_back",
    "save_draft",
    "sources",
    "unknown",
    "version_source",
]
