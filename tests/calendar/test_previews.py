"""Previews: what a template makes, where its mistakes are, and that none of it harms the process that asks."""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge.calendar import previews as previews_module
from bridge.calendar.engine import Template, compile_template
from bridge.calendar.event import CalendarEvent
from bridge.calendar.previews import Case, Fault, Previews
from bridge.errors import Answerable
from bridge.routes import calendar_events

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHIPPED = {path.stem: path.read_text("utf-8") for path in Path("templates").glob("*.jinja")}
EVENTS = sorted(name for name in SHIPPED if not name.startswith("_"))


@pytest.fixture(scope="module")
def previews() -> Iterator[Previews]:
    previews = Previews()
    yield previews
    previews.close()


@dataclass(frozen=True)
class Alone:
    """Previews of its own, and the processes that belong to them."""

    previews: Previews
    others: frozenset[int]

    def children(self) -> list[psutil.Process]:
        return [one for one in running() if one.pid not in self.others]

    def child(self) -> psutil.Process:
        """The one child, warm."""
        self.previews.render("flash_sale", SHIPPED, [], NOW)
        [child] = self.children()
        return child


@pytest.fixture
def alone() -> Iterator[Alone]:
    alone = Alone(Previews(), frozenset(one.pid for one in running()))
    yield alone
    alone.previews.close()


def running() -> list[psutil.Process]:
    return [
        one
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE and "bridge.calendar.preview_process" in one.cmdline()
    ]


def source(head: str = "", **blocks: str) -> str:
    given = {
        "event_id": "e1",
        "title": "Hello",
        "start": "2026-12-04T09:00",
        "timezone": "Europe/Berlin",
    } | blocks
    written = "".join(f"{{% block {name} %}}{body}{{% endblock %}}\n" for name, body in given.items())
    return (f"{{#\nA test.\n\n{head}\n#}}\n" if head else "") + written


def render(previews: Previews, text: str, **variables: Any) -> Case:
    [case] = previews.render("one", {"one": text}, [variables], NOW)
    return case


class Catalogue:
    """As if every template were published."""

    def published(self, name: str) -> tuple[Template, int]:
        return compile_template(name, SHIPPED), 1

    def cut_off(self, name: str, version: int) -> None:
        raise AssertionError(name)


def accept(name: str, catalogue: Catalogue) -> CalendarEvent:
    """What is made of a template's event before it is accepted. Errors: Answerable."""
    call = calendar_events.read({"template": name, "user_id": "u"}, catalogue, NOW, None)
    event = CalendarEvent.of(call.event(None), None)
    call.expires_at(event.timezone)
    return event


# What a preview shows


@pytest.mark.parametrize("name", EVENTS)
def test_a_preview_shows_what_acceptance_makes_of_it(previews: Previews, name: str) -> None:
    [case] = previews.render(name, SHIPPED, [], NOW)

    body = {"template": name, "user_id": previews_module.USER, "variables": dict(case.variables)}
    call = calendar_events.read(body, Catalogue(), NOW, None)
    event = CalendarEvent.of(call.event(None), None)
    assert case.fault is None
    assert case.request == {
        "method": "POST",
        "path": f"/v1/subscriptionevent/{previews_module.ACCOUNT}",
        "body": {
            "event": event.rokt(call.rokt_event_id),
            "subscriptionIds": [previews_module.SUBSCRIPTION],
        },
    }


def test_an_event_is_told_for_people(previews: Previews) -> None:
    text = source(
        end="2026-12-04T10:30",
        notify_before="none",
        visible_from="2026-12-01T00:00",
        expires="2026-12-03T00:00",
        calendar="a, b",
        description="One\nTwo",
    )

    case = render(previews, text)

    assert case.event == {
        "event_id": "e1",
        "title": "Hello",
        "description": "One\nTwo",
        "location": "",
        "start": "2026-12-04T09:00:00",
        "end": "2026-12-04T10:30:00",
        "timezone": "W. Europe Standard Time",
        "zone": "Europe/Berlin",
        "start_utc": "2026-12-04T08:00:00Z",
        "end_utc": "2026-12-04T09:30:00Z",
        "notify_before": None,
        "all_day": False,
        "visible_from": "2026-11-30T23:00:00Z",
        "calendar": ["a", "b"],
        "expires": "2026-12-02T23:00:00Z",
        "warnings": [],
    }


def test_a_time_that_exists_twice_is_warned_of(previews: Previews) -> None:
    case = render(previews, source(start="2026-10-25T02:30"))

    assert case.event is not None
    assert [warning.partition(":")[0] for warning in case.event["warnings"]] == ["start", "end"]


def test_what_is_skipped_has_its_reason_and_no_event(previews: Previews) -> None:
    case = render(previews, source(skip="too late"))

    assert (case.skip, case.event, case.request, case.fault) == ("too late", None, None, None)


def test_cases_come_back_in_their_order_each_with_its_own_mistake(previews: Previews) -> None:
    text = source("n required, number e.g. 1", title="{{ 10 / n }}")
    given = [{"n": 2}, {"n": 0}, {"n": "many"}, {"n": 5}]

    cases = previews.render("one", {"one": text}, given, NOW)

    assert [dict(case.variables) for case in cases] == given
    assert [case.fields and case.fields["title"] for case in cases] == ["5", None, None, "2"]
    assert [case.fault and case.fault.field for case in cases] == [None, "title", "variables.n", None]


def test_values_of_strangers_come_through_as_they_are(previews: Previews) -> None:
    name = "<script>alert('1')</script> \ud800 \x00 {{ 7 * 7 }} \u2028 ⚡"

    case = render(previews, source(description="{{ name }}"), name=name)
    harmless = render(
        previews, source(description="{{ name }}"), name=name.replace("\ud800", "").replace("\x00", "")
    )

    assert case.fault is not None
    assert case.fault.field == "description"
    assert case.fields is not None
    assert case.fields["description"] == name.replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    assert harmless.event is not None
    assert harmless.event["description"].startswith("<script>alert('1')</script>")
    assert "{{ 7 * 7 }}" in harmless.event["description"]


def test_a_shape_tells_what_is_declared_and_what_the_event_id_depends_on(previews: Previews) -> None:
    shape = previews.shape("flash_sale", SHIPPED)

    names = [one["name"] for one in shape.variables]
    assert names == ["sale_id", "starts", "discount", "first_name", "vip", "time_zone"]
    assert shape.variables[2] | {"note": ""} == {
        "name": "discount",
        "type": "number",
        "required": True,
        "default": None,
        "choices": [],
        "example": "50",
        "note": "",
        "template": "flash_sale",
        "line": 6,
        "is_declared": True,
    }
    assert (shape.pieces, shape.key, shape.fault, shape.hints) == (["_brand"], ("sale_id",), None, ())
    assert shape.purpose.startswith("A two-day sale")


def test_a_shape_with_a_mistake_still_tells_what_is_declared(previews: Previews) -> None:
    text = source("name required e.g. Ada", title="{{ name")

    shape = previews.shape("one", {"one": text})

    assert [one["name"] for one in shape.variables] == ["name"]
    assert shape.fault is not None


def test_a_slip_in_a_name_is_hinted_at(previews: Previews) -> None:
    text = source("discount required, number e.g. 50", title="{{ discont }} % off")

    [hint] = previews.shape("one", {"one": text}).hints

    assert 'did you mean "discount"?' in hint.words
    assert (hint.field, underlined(text, hint)) == ("title", "discont")


def test_a_shared_piece_has_a_shape(previews: Previews) -> None:
    good = previews.shape("_brand", SHIPPED)
    bad = previews.shape("_brand", {"_brand": "{% block location %}{{ x | uper }}{% endblock %}"})

    assert [one["name"] for one in good.variables] == ["time_zone"]
    assert good.fault is None
    assert bad.fault is not None
    assert 'did you mean "upper"?' in bad.fault.words


# Where a mistake is


def underlined(text: str, fault: Fault) -> str | None:
    if fault.line is None or fault.start is None:
        return None
    return text.split("\n")[fault.line - 1][fault.start : fault.end]


@pytest.mark.parametrize(
    ("block", "body", "cause", "wrong"),
    [
        ("title", "A {{ first_name | uper }} B", "unknown filter", "uper"),
        ("title", "A {% elsif x %} B", "template syntax", "elsif"),
        ("title", "{{ a b }}", "template syntax", "b"),
        ("title", "A {{ a {% if %}", "template syntax", None),
        ("description", '{{ "www.x.y" | link }}', "wrong value", "www.x.y"),
        ("description", "{% if vip %}x{% endif %}{% include 'foot' %}", "unknown piece", "foot"),
        ("title", "{{ upper(name) }}", "unknown name", "upper"),
        ("end", "2026-12-04T08:00", "wrong event", "2026-12-04T08:00"),
        ("start", "2027-03-28T02:30", "wrong event", "2027-03-28T02:30"),
        ("notify_before", "an hour", "wrong event", "an hour"),
        ("all_day", "perhaps", "wrong event", "perhaps"),
        ("expires", "soon", "wrong event", "soon"),
        ("visible_from", "soon", "wrong event", "soon"),
        ("timezone", "EST", "wrong value", "EST"),
    ],
)
def test_a_mistake_is_told_with_its_block_its_line_and_its_letters(
    previews: Previews, block: str, body: str, cause: str, wrong: str | None
) -> None:
    text = source("vip yes/no", **{block: body})

    [case] = previews.render("one", {"one": text}, [], NOW)

    assert case.fault is not None
    assert (case.fault.template, case.fault.field, case.fault.cause) == ("one", block, cause)
    assert case.fault.line is not None
    assert f"block {block} " in text.split("\n")[case.fault.line - 1]
    if wrong is not None:
        assert underlined(text, case.fault) == wrong


def test_a_mistake_in_a_shared_piece_is_told_as_the_pieces(previews: Previews) -> None:
    sources = {
        "_base": "{# #}\n\n{% block timezone %}{{ zone | uper }}{% endblock %}",
        "one": '{% extends "_base" %}\n'
        + source().replace("{% block timezone %}Europe/Berlin{% endblock %}\n", ""),
    }

    [case] = previews.render("one", sources, [], NOW)

    assert case.fault is not None
    assert (case.fault.template, case.fault.line) == ("_base", 3)
    assert underlined(sources["_base"], case.fault) == "uper"


@pytest.mark.parametrize(
    "blocks",
    [
        {"start": "2027-03-28T02:30"},
        {"end": "2026-12-01T00:00"},
        {"notify_before": "50000"},
        {"notify_before": "x", "all_day": "x", "end": "x"},
        {"event_id": "a\nb"},
        {"event_id": "x" * 256},
        {"title": "a\x07b"},
        {"expires": "never"},
        {"timezone": "Atlantis"},
    ],
)
def test_acceptance_refuses_the_same_in_the_same_words(previews: Previews, blocks: dict[str, str]) -> None:
    text = source(**blocks)
    catalogue = Catalogue()
    catalogue.published = lambda name: (compile_template("one", {"one": text}), 1)  # type: ignore[method-assign]

    case = render(previews, text)

    with pytest.raises(Answerable) as refused:
        accept("one", catalogue)
    assert case.event is None
    assert [fault.field for fault in case.faults] == [
        error.field.removeprefix("event.") for error in refused.value.errors
    ]
    for fault, error in zip(case.faults, refused.value.errors, strict=True):
        assert fault.words in error.message
        assert fault.line is not None


# Both sides of each condition

CONDITIONS = source(
    "\n".join(
        (
            "kind   one of gold, silver, tin; default tin",
            "price  required, number e.g. 5",
            "old    default 7, number",
            'name   default "" e.g. Ada',
            "city   required e.g. Rome",
            "starts required, time e.g. 2026-12-04T09:00",
            "items  required e.g. [1, 2]",
            "vip    yes/no, default no",
        )
    ),
    title="{% if kind == 'gold' %}G{% elif kind == 'silver' %}S{% elif vip and name %}V{% else %}-{% endif %}",
    location="{{ 'cheap' if price < old else 'dear' }}{% if city in ('Bonn', 'Kiel') %}North{% endif %}",
    description=(
        "{% set long = name | length > 20 %}{% if long %}{{ name | shorten(20) }}{% endif %}"
        "{% if vip %}{% if price >= 100 %}{% if name %}deep{% endif %}{% endif %}{% endif %}"
        "{% for one in items %}{% if one == 2 %}two{% endif %}{% endfor %}"
        "{{ 'many' if items | length > 3 }}"
        "{% if starts < now %}past{% endif %}{% if starts.hour >= 18 %}evening{% endif %}"
    ),
)


def test_both_sides_of_every_condition_are_seen(previews: Previews) -> None:
    found = previews.every_branch("one", {"one": CONDITIONS}, NOW)

    assert found.unseen == []
    assert len(found.cases) <= 40
    assert not found.cases[0].words
    printed = "\n".join(str(case.fields and [*case.fields.values()]) for case in found.cases)
    for text in ("'G'", "'S'", "'V'", "cheap", "dear", "North", "deep", "two", "many", "past", "evening"):
        assert text in printed
    assert previews.branches("one", {"one": CONDITIONS}, NOW)[1].words


def test_a_case_says_what_is_different(previews: Previews) -> None:
    cases = previews.branches("flash_sale", SHIPPED, NOW)

    words = [case.words for case in cases]
    assert words[0] == ""
    assert {"vip = yes", "first_name blank", "discount = 4"} <= set(words)
    assert cases[words.index("discount = 4")].skip == "discount under 5 %"


def test_each_choice_is_shown_though_no_condition_asks_for_it(previews: Previews) -> None:
    text = source(
        "size required, one of small, large e.g. small\nvip required, yes/no e.g. no",
        title="{{ size }} {{ vip }}",
    )

    cases = previews.branches("one", {"one": text}, NOW)

    assert [case.words for case in cases] == ["", "size = large", "vip = yes"]


def test_what_cannot_be_seen_is_named(previews: Previews) -> None:
    text = source("n required, number e.g. 1", title="A{% if n > 5 and n < 3 %}never{% endif %}")

    [unseen] = previews.every_branch("one", {"one": text}, NOW).unseen

    assert unseen.words == "no values were found for which {% if n > 5 and n < 3 %} came out true"
    assert (unseen.field, unseen.line) == ("title", 7)


def test_of_two_in_one_line_the_one_that_was_not_seen_is_named(previews: Previews) -> None:
    text = source(
        "n number, default 1", title="A{% if n > 1 %}B{% endif %}{% if now.year < 2000 %}C{% endif %}"
    )

    [unseen] = previews.every_branch("one", {"one": text}, NOW).unseen

    assert "{% if now.year < 2000 %} came out true" in unseen.words


def test_what_stands_in_lists_is_varied_too(previews: Previews) -> None:
    text = source(
        'legs required e.g. [{"to": "Oslo", "stops": 1}]',
        title="A{% for leg in legs %}{% if leg.to == 'Rome' %}R{% elif leg.stops > 3 %}S{% endif %}{% endfor %}",
    )

    found = previews.every_branch("one", {"one": text}, NOW)

    assert found.unseen == []
    assert 'legs = [{"to": "Rome", "stops": 1}]' in [case.words for case in found.cases]


@pytest.mark.parametrize("name", EVENTS)
def test_every_branch_of_a_shipped_template_is_seen_and_works(previews: Previews, name: str) -> None:
    found = previews.every_branch(name, SHIPPED, NOW)

    assert found.unseen == []
    assert [case.fault for case in found.cases if case.fault] == []


def test_a_value_that_breaks_the_event_is_one_of_the_cases(previews: Previews) -> None:
    text = source('name default "" e.g. Ada', title="{{ name }}")

    cases = previews.branches("one", {"one": text}, NOW)

    assert {case.words: case.fault and case.fault.cause for case in cases} == {
        "": None,
        "name blank": "no title",
    }


# The child


def test_one_warm_child_does_job_after_job_and_goes_with_its_previews(alone: Alone) -> None:
    pids = {alone.child().pid for _ in range(3)}

    alone.previews.close()

    assert len(pids) == 1
    assert alone.children() == []


def test_previews_that_nobody_holds_any_more_leave_no_process(alone: Alone) -> None:
    forgotten = Previews()
    forgotten.render("flash_sale", SHIPPED, [], NOW)
    assert len(alone.children()) == 1

    del forgotten
    gc.collect()

    assert alone.children() == []


def test_nothing_is_started_before_it_is_needed(alone: Alone) -> None:
    assert alone.children() == []


def test_the_child_knows_no_secret_and_has_its_limits(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not-for-templates")

    child = alone.child()

    assert child.environ().keys() == {"PATH", "PYTHONPATH", "PYTHONUTF8", "LC_ALL"}
    assert resource.prlimit(child.pid, resource.RLIMIT_AS)[0] == 512 * 1024 * 1024


LOOP = "{% for a in range(9999) %}"
ENDLESS = LOOP * 3 + "{% endfor %}" * 3


def test_an_endless_loop_is_told_of_at_once_in_all_cases(previews: Previews) -> None:
    text = source(title="{{ n }}" + ENDLESS)

    cases = previews.render("one", {"one": text}, [{"n": n} for n in range(100)], NOW)

    assert {case.fault.cause for case in cases if case.fault} == {"rendering took too long"}
    assert [case.variables["n"] for case in cases] == list(range(100))


def test_a_child_that_takes_too_long_is_ended_and_the_next_preview_works(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone.child()

    with monkeypatch.context() as patch:
        patch.setattr(previews_module, "SECONDS", 0.05)
        [slow] = alone.previews.render("one", {"one": source(title="x" + ENDLESS)}, [], NOW)
    left = alone.children()
    [again] = alone.previews.render("flash_sale", SHIPPED, [], NOW)

    assert slow.fault is not None
    assert "was stopped: a loop in it goes round too often" in slow.fault.words
    assert left == []
    assert again.fault is None


def test_a_child_without_memory_gives_an_answer_and_the_next_preview_works(alone: Alone) -> None:
    child = alone.child()
    most = child.memory_info().vms + 1024 * 1024
    resource.prlimit(child.pid, resource.RLIMIT_AS, (most, most))
    texts = "".join(f"{{% set t{n} = 'x' | center(99990 + {n}) %}}{{{{ t{n} }}}}" for n in range(45))

    [case] = alone.previews.render("one", {"one": source(skip=texts)}, [{}], NOW)
    [again] = alone.previews.render("flash_sale", SHIPPED, [], NOW)

    assert case.fault is not None
    assert again.fault is None


def test_a_child_that_somebody_killed_is_replaced(alone: Alone) -> None:
    child = alone.child()
    child.kill()
    child.wait(timeout=10)

    [case] = alone.previews.render("flash_sale", SHIPPED, [], NOW)

    assert case.fault is None


def test_the_time_of_one_job_is_not_taken_from_the_next(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = alone.child()
    monkeypatch.setattr(previews_module, "SECONDS", 0.6)

    # Each takes a quarter of a second and is cut off by the engine: the child lives.
    found = [alone.previews.render("one", {"one": source(title="x" + ENDLESS)}, [], NOW)[0] for _ in range(5)]

    assert {case.fault.cause for case in found if case.fault} == {"rendering took too long"}
    assert [one.pid for one in alone.children()] == [child.pid]


def test_a_preview_that_cannot_be_started_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    [case] = Previews().render("flash_sale", SHIPPED, [], NOW)

    assert case.fault is not None
    assert "could not be started" in case.fault.words


def test_more_text_than_anybody_reads_is_not_shown(previews: Previews) -> None:
    text = source(description="{{ '' | center(90000) | replace(' ', n) }}")

    cases = previews.render("one", {"one": text}, [{"n": str(n % 10)} for n in range(40)], NOW)

    assert cases[0].fault is None
    assert cases[-1].fault is not None
    assert "look at fewer" in cases[-1].fault.words


def test_more_values_than_anybody_reads_are_not_rendered(previews: Previews) -> None:
    given = [{"n": "x" * 90_000} for _ in range(50)]

    cases = previews.render("one", {"one": source(location="{{ n | shorten(9) }}")}, given, NOW)

    assert len(cases) == 50
    assert cases[0].fault is None
    assert cases[-1].fault is not None
    assert cases[-1].fault.cause == "too much at once"
    assert cases[-1].variables == given[-1]
    [alone] = previews.render("one", {"one": source()}, [{"n": "x" * 5_000_000}], NOW)
    assert alone.fault is not None
    assert alone.fault.cause == "too much at once"


def test_many_ask_at_once_and_each_gets_its_own_answer(alone: Alone) -> None:
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        case = render(alone.previews, source(title="Number {{ n }}"), n=number)
        found[number] = (case.fields or {})["title"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {number: f"Number {number}" for number in range(12)}
    assert len(alone.children()) <= 2


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import json, sys, gevent
from datetime import UTC, datetime
from bridge.calendar.previews import Previews
from bridge.web.server import aside

previews, sources = Previews(aside), json.load(sys.stdin)
ticks, is_done = 0, False

def tick():
    global ticks
    while not is_done:
        ticks += 1
        gevent.sleep(0.001)

ticker = gevent.spawn(tick)
[slow] = previews.render("slow", sources, [], datetime.now(UTC))
while_slow = ticks
jobs = [gevent.spawn(previews.render, "fast", sources, [{"n": n}], datetime.now(UTC)) for n in range(8)]
# Whoever puts the whole call aside does no harm either.
jobs.append(gevent.spawn(aside, previews.render, "fast", sources, [{"n": 8}], datetime.now(UTC)))
gevent.joinall(jobs, raise_error=True)
is_done = True
previews.close()
print(json.dumps([slow.fault.cause, while_slow, [job.value[0].fields["title"] for job in jobs]]))
"""


def test_a_preview_holds_up_no_other_greenlet() -> None:
    sources = {"slow": source(title="x" + ENDLESS), "fast": source(title="{{ n }}")}

    done = subprocess.run(
        [sys.executable, "-c", GREENLETS],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=True,
    )

    cause, ticks, titles = json.loads(done.stdout)
    assert cause == "rendering took too long"
    assert ticks > 1
    assert titles == [str(n) for n in range(9)]


ORPHAN = """
import json, os, sys
from datetime import UTC, datetime
from bridge.calendar.previews import Previews
previews = Previews()
previews.render("fast", json.load(sys.stdin), [], datetime.now(UTC))
print(previews._idle[0]._pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    sources = {"fast": source()}

    done = subprocess.run(
        [sys.executable, "-c", ORPHAN], input=json.dumps(sources), capture_output=True, text=True, check=False
    )

    pid = int(done.stdout)
    if psutil.pid_exists(pid):
        gone, _ = psutil.wait_procs([psutil.Process(pid)], timeout=10)
        assert gone
