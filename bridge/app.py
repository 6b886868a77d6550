"""create_app: builds the web process's parts and hands them to the blueprints."""

from __future__ import annotations

import os
from typing import Any

import structlog
from flask import Flask
from flask.json.provider import DefaultJSONProvider

from bridge import console, log, schema
from bridge.calendar.previews import Previews
from bridge.calendar.templates import Templates, publish_files
from bridge.calendar.zones import use_pinned_tzdata
from bridge.database import UNAVAILABLE, Database
from bridge.errors import DatabaseMoved, SettingsInvalid
from bridge.groups import CALLER_WAITS
from bridge.ledger import addressees
from bridge.ledger.subscribers import SubscriberLedger
from bridge.offers import Offers
from bridge.outbox.enqueue import Inbox
from bridge.places import Places
from bridge.settings import Settings
from bridge.web import (
    answered,
    api_events,
    audiences,
    conversions,
    destinations,
    event_dropin,
    forgetting,
    guard,
    hooks,
    interface,
    jobs,
    messages,
    metrics,
    offers,
    problems,
    recalls,
    rokt_webhooks,
    subscriber_lists,
    subscribers,
    templates,
    unguarded,
)
from bridge.web.parts import MOST_WAITING, Parts
from bridge.web.server import aside, compiling

MOST_BYTES = 1024 * 1024  # of a request's body


class _Json(DefaultJSONProvider):
    """Answers begin with what matters, in letters that people can read."""

    sort_keys = False
    ensure_ascii = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        text = super().dumps(obj, **kwargs)
        try:
            text.encode()
        except UnicodeEncodeError:  # what a caller sent may hold half of a character, which has no UTF-8
            return super().dumps(obj, **{**kwargs, "ensure_ascii": True})
        return text


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application; nothing is opened before the first request, so it may be loaded before a fork.

    Errors: SettingsInvalid with every fault of the environment.
    """
    settings = settings or Settings.from_env(os.environ, is_web=True)
    use_pinned_tzdata()
    log.set_up(is_development=settings.is_development)
    database = Database(settings.database_url, aside=aside, patience=CALLER_WAITS)
    ledger = SubscriberLedger(
        settings.subscribers.rule,
        syncs=settings.subscribers.syncs,
        looks_up=settings.calendar is not None,
        sends_unsubscribe=settings.subscribers.sends_unsubscribe,
    )
    parts = Parts(
        settings=settings,
        database=database,
        inbox=Inbox(database, ledger),
        ledger=ledger,
        addressees=addressees.in_groups(database),
        templates=Templates(database, compiling),
        previews=Previews(aside),
        guard=guard.Guard(settings),
        waiters=Places(MOST_WAITING),
        offers=Offers(settings.offers, allow_http=settings.is_development) if settings.offers else None,
    )
    app = Flask("bridge", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json = _Json(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = hooks.Rest
    app.extensions["bridge"] = parts
    metrics.register(app)
    answered.register(app)
    problems.register(app)
    for blueprint in (
        unguarded.blueprint(parts),
        metrics.blueprint(parts),
        guard.token_blueprint(parts.guard),
        hooks.blueprint(parts),
        rokt_webhooks.blueprint(parts),
        subscribers.blueprint(parts),
        subscriber_lists.blueprint(parts),
        audiences.blueprint(parts),
        conversions.blueprint(parts),
        event_dropin.blueprint(parts),
        api_events.blueprint(parts),
        messages.read_blueprint(parts),
        messages.replay_blueprint(parts),
        jobs.read_blueprint(parts),
        jobs.operate_blueprint(parts),
        destinations.read_blueprint(parts),
        destinations.operate_blueprint(parts),
        offers.blueprint(parts),
        recalls.blueprint(parts),
        forgetting.blueprint(parts),
        templates.read_blueprint(parts),
        templates.write_blueprint(parts),
        interface.blueprint(app),
    ):
        app.register_blueprint(blueprint)
    console.install(app, parts)
    return app


def prepare_start() -> None:
    """Refuse an older schema, then publish what changed in `templates/`; nothing stays open over the fork.

    Errors: SettingsInvalid. A database that cannot be reached now is no reason not to start.
    """
    settings = Settings.from_env(os.environ, is_web=True)
    log.set_up(is_development=settings.is_development)
    if not settings.is_development:
        log.warn_of_root()
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                raise SettingsInvalid([schema.OLDER])
        faults = publish_files(database)
    except DatabaseMoved as moved:
        raise SettingsInvalid([str(moved)]) from moved
    except UNAVAILABLE as down:
        faults = [f"the database is not reachable ({type(down).__name__})"]
    finally:
        database.close()
    for fault in faults:
        structlog.get_logger().warning("template.not_published", fault=fault)
