"""The web process with production's logs: a stand-in's plain HTTP needs development, whose logs cost more."""

from __future__ import annotations

from flask import Flask

from bridge import app, log


def create_app() -> Flask:
    application = app.create_app()
    log.set_up(is_development=False)
    return application
