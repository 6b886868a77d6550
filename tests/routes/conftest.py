"""What the routes' tests share with the web's."""

from __future__ import annotations

from web.conftest import bridge, rokt, start, start_on_both, stocked_sqlite, walked

__all__ = ["bridge", "rokt", "start", "start_on_both", "stocked_sqlite", "walked"]
