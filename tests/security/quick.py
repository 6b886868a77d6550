"""The web's worker with half a second where ten or thirty are."""

from __future__ import annotations

from bridge.web import server


class Worker(server.Worker):
    within = 0.5
    taken_within = 0.5
