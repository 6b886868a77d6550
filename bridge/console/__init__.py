"""The console at /console/: pages for marketers and operators, rendered here, each behind a role."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import ModuleType
from urllib.parse import urlsplit

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from bridge.console import (
    coming,
    dead,
    editor,
    forget,
    imports,
    messages,
    openid,
    people,
    publishing,
    real_data,
    recall,
    signing,
    static_files,
    templates,
    test_send,
    today,
    webhook,
    words,
)
from bridge.console.roles import EVERYBODY, needs, role_needed
from bridge.console.sessions import LONGEST, Sessions
from bridge.database import UNAVAILABLE
from bridge.errors import Answerable, Forbidden, NotFound
from bridge.settings import Settings
from bridge.web.answered import note
from bridge.web.guard import check_form
from bridge.web.parts import Parts
from bridge.web.server import BROKEN_BODY
from bridge.web.signatures import SignedCookies

# The page modules, in the order of the menu. Each has `register(console, parts)`, and may have
# `NAV = (("Words", "endpoint"), …)`: what it adds to the menu.
PAGES: tuple[ModuleType, ...] = (
    today,
    templates,
    editor,
    imports,
    webhook,
    publishing,
    real_data,
    test_send,
    messages,
    dead,
    people,
    coming,
    recall,
    forget,
)

log = structlog.get_logger()
_FETCHES_FRAGMENT = "HX-Request"


def install(app: Flask, parts: Parts) -> None:
    """Put the console into the application: its pages, and what Flask has to know for sessions and forms."""
    settings = parts.settings
    is_secure = not settings.is_development
    app.secret_key = settings.secret_key.reveal()
    app.session_interface = SignedCookies()
    app.config.update(
        SECRET_KEY_FALLBACKS=settings.signing_keys[:-1],
        WTF_CSRF_SECRET_KEY=settings.signing_keys,  # a form that was open before a key changed is taken after it
        # The prefix binds the cookie to this host and to https; browsers hold to it.
        SESSION_COOKIE_NAME="__Host-bridge" if is_secure else "bridge",
        SESSION_COOKIE_SECURE=is_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=max(LONGEST.values()),
        WTF_CSRF_CHECK_DEFAULT=False,  # the API has keys, the console asks by itself
        WTF_CSRF_TIME_LIMIT=None,  # the session's end is the token's
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(words=words, static_url=static_files.static_url)
    csrf = CSRFProtect(app)
    app.register_blueprint(blueprint(parts, csrf))
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith("console.") and role_needed(view) is None:
            raise TypeError(f"{endpoint} does not say who may call it: decorate it with @needs(role)")


def blueprint(parts: Parts, csrf: CSRFProtect) -> Blueprint:
    console = Blueprint(
        "console",
        __name__,
        url_prefix="/console",
        template_folder="pages",
    )
    sessions = Sessions(parts.settings.console)
    nav = [entry for page in PAGES for entry in getattr(page, "NAV", ())]

    @console.before_request
    def guard() -> ResponseReturnValue | None:
        g.nonce = secrets.token_urlsafe(16)
        g.person = None
        if request.endpoint == "console.static":
            return None
        if not parts.settings.console.is_on:
            return make_response(render_template("off.html"), 501)
        g.person = sessions.person()
        if g.person is not None:
            # What the provider calls somebody is an address or a name; the history of each thing has it.
            note(by=g.person.name if g.person.by == "password" else g.person.by)
        role = role_needed(_view())
        if role != EVERYBODY:
            if g.person is None:
                return _to_sign_in()
            if not g.person.may(role or "publisher"):
                raise Forbidden(f"This needs the role {role}; yours is {g.person.role}.")
        if g.person is None:
            check_form(request)
        try:
            csrf.protect()
        except BROKEN_BODY:
            return _fault(400, "The form broke off", "Nothing was changed. Send it once more.")
        return None

    @console.context_processor
    def in_every_page() -> dict[str, object]:
        views = current_app.view_functions
        entries = [
            (label, url_for(f"console.{endpoint}"))
            for label, endpoint in nav
            if g.person is None or g.person.may(role_needed(views[f"console.{endpoint}"]) or "")
        ]
        here = [
            path for _, path in entries if f"{request.path.rstrip('/')}/".startswith(path.rstrip("/") + "/")
        ]
        return {
            "nav": entries,
            "here": max(here, key=len, default=""),
            "has_passwords": bool(parts.settings.console.users),
            "openid_host": urlsplit(oidc.issuer).netloc if (oidc := parts.settings.console.oidc) else "",
        }

    static_files.register(console)
    signing.register(console, parts, sessions)
    openid.register(console, parts.settings, sessions)
    for page in PAGES:
        page.register(console, parts)

    @console.get("/go")
    @needs("viewer")
    def home() -> ResponseReturnValue:
        """Where one begins: the menu's first page."""
        return redirect(url_for(f"console.{nav[0][1]}"), 303) if nav else render_template("bare.html")

    if not any("today" in entry for entry in nav):
        console.add_url_rule("/", "begin", home)

    @console.get("/token")
    @needs(EVERYBODY)
    def token() -> ResponseReturnValue:
        """The session's CSRF token, for a page that was open while somebody signed in anew beside it."""
        return {"token": generate_csrf(), "is_signed_in": g.person is not None}

    @console.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @needs("viewer")
    def nowhere(path: str) -> ResponseReturnValue:
        raise NotFound("There is no such page.")

    _answer_faults(console)
    console.after_request(_headers(parts.settings))
    return console


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _to_sign_in() -> ResponseReturnValue:
    """A page goes to sign in and comes back; a fragment and a form are told, so that nothing typed is lost."""
    if request.method in ("GET", "HEAD") and _FETCHES_FRAGMENT not in request.headers:
        here = request.full_path.removesuffix("?")
        return redirect(url_for("console.sign_in", next=here), 303)
    return _fault(401, "You are signed out", "Sign in in another tab, then do this once more.")


def _answer_faults(console: Blueprint) -> None:
    @console.errorhandler(CSRFError)
    def of_csrf(_error: CSRFError) -> ResponseReturnValue:
        return _fault(
            400,
            "This page is too old",
            "Nothing was changed. Go back, load the page again, and do it once more.",
        )

    @console.errorhandler(Answerable)
    def of_answerable(error: Answerable) -> ResponseReturnValue:
        return _fault(error.status, error.title if error.status != 403 else "Not for you", error.detail)

    @console.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> ResponseReturnValue:
        if error.code and error.code < 400:
            return error
        return _fault(error.code or 500, error.name, "The page could not be shown.")

    def of_database(error: Exception) -> ResponseReturnValue:
        log.warning("database.unavailable", error=type(error).__name__)
        return _fault(503, "The database does not answer", "Try again in a moment.")

    for kind in UNAVAILABLE:
        console.register_error_handler(kind, of_database)

    @console.errorhandler(Exception)
    def of_fault(error: Exception) -> ResponseReturnValue:
        route = request.url_rule.rule if request.url_rule else ""
        log.exception("request.failed", route=route, error=type(error).__name__)
        return _fault(
            500, "The bridge failed", f"This is the bridge's own fault; its log has it under {g.request_id}."
        )


def _fault(status: int, title: str, detail: str) -> Response:
    """A page in words; for a fragment only the words, into the place where messages stand."""
    g.setdefault("person", None)
    g.setdefault("nonce", "")
    is_fragment = _FETCHES_FRAGMENT in request.headers
    page = "_fault.html" if is_fragment else "fault.html"
    response = make_response(render_template(page, status=status, title=title, detail=detail), status)
    if is_fragment:
        response.headers["HX-Retarget"] = "#told"
        response.headers["HX-Reswap"] = "innerHTML"
    return response


def _headers(settings: Settings) -> Callable[[Response], Response]:
    def add(response: Response) -> Response:
        policy = (
            f"default-src 'self'; style-src 'self' 'nonce-{g.get('nonce', '')}'; img-src 'self' data:; "
            "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
        )
        response.headers["Content-Security-Policy"] = policy
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers.setdefault("Cache-Control", "no-store")
        if not settings.is_development:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    return add
