from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from time import thread_time

import pytest
from security.escapes import FRAME, PIECES

from bridge.calendar.engine import TemplateFault, budget, compile_template

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(trick: str, **variables: object) -> str:
    """What a trick prints where a description should stand."""
    template = compile_template("tricky", {"tricky": FRAME.replace("@@", trick), **PIECES})
    return template.render(variables, NOW).fields["description"]


LOOP = "{% for a in range(5000) %}{% for b in range(5000) %}@@{% endfor %}{% endfor %}"

RECURSIONS = [
    "{{ self.description() }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}",
    "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
    "{% for x in range(10) recursive %}{{ loop(range(10)) }}{% endfor %}",
]


@pytest.mark.parametrize("tag", ['{% include "_a0" %}', '{% import "_a0" as m %}'])
def test_pieces_that_multiply_are_cut_off(tag: str) -> None:
    both = '{{% include "_a{0}" %}}{{% include "_b{0}" %}}'
    pieces = {f"_{side}{n}": both.format(n + 1) * 3 for n in range(9) for side in "ab"} | {
        "_a9": "x",
        "_b9": "x",
    }
    template = compile_template("tricky", {"tricky": FRAME.replace("@@", tag), **pieces})
    start = thread_time()

    with pytest.raises(TemplateFault) as cut_off:
        template.render({}, NOW)

    assert cut_off.value.cause in ("rendering took too long", "result too large")
    assert thread_time() - start < 5  # seconds of work, where ten million pieces would take thirty


@pytest.mark.parametrize("trick", RECURSIONS)
def test_a_call_that_calls_itself_is_told_so(trick: str) -> None:
    with pytest.raises(TemplateFault, match="calls itself"):
        run(trick)


def test_a_loop_cannot_hold_on_to_more_than_its_share_of_memory() -> None:
    hoard = "{% set ns = namespace(all=[]) %}{% for i in range(999) %}{% set ns.all = ns.all + [i ~ first_name] %}"

    with pytest.raises(TemplateFault, match="together"):
        run(hoard + "{% endfor %}", first_name="x" * 99_000)


def test_what_cannot_be_called_is_told_so() -> None:
    with pytest.raises(TemplateFault, match="a number is nothing that can be called"):
        run("{{ 5() }}")


@pytest.mark.parametrize("tag", ["include", "extends"])
def test_a_chain_of_pieces_has_an_end(tag: str) -> None:
    pieces = {f"_{n}": f'{{% {tag} "_{n + 1}" %}}' for n in range(2000)} | {"_2000": ""}
    start = FRAME if tag == "extends" else FRAME.replace("@@", '{% include "_0" %}')

    with pytest.raises(TemplateFault) as refused:
        compile_template("tricky", {"tricky": '{% extends "_0" %}' * (tag == "extends") + start, **pieces})

    assert refused.value.cause == "shared piece"


def test_an_endless_rendering_is_cut_off() -> None:
    with pytest.raises(TemplateFault) as cut_off:
        run(LOOP.replace("@@", ""))

    assert cut_off.value.cause == "rendering took too long"
    assert cut_off.value.field == "description"
    assert "250 ms" in str(cut_off.value)


def test_a_rendering_that_waits_for_other_threads_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter(range(0, 1_000_000, 10))
    monkeypatch.setattr(budget, "monotonic", lambda: next(wall))
    monkeypatch.setattr(budget, "thread_time", lambda: 0.001)

    assert run("{% for x in range(3) %}{{ x }}{% endfor %}") == "012"


@pytest.mark.parametrize(
    "value",
    [
        "{{ 7 * 7 }}",
        "{% include '/etc/passwd' %}",
        "{# gone? #}",
        "{{ self }}{{ ''.__class__ }}",
        "${jndi:ldap://x}",
        "<script>alert('x')</script>",
    ],
)
def test_a_value_is_data_and_never_evaluated(value: str) -> None:
    assert run("[{{ first_name }}]", first_name=value) == f"[{value}]"
    assert run("[{{ first_name ~ '' }}{% set x %}{{ first_name }}{% endset %}{{ x }}]", first_name=value) == (
        f"[{value}{value}]"
    )


def test_a_large_list_can_be_sent_but_not_sorted() -> None:
    numbers = list(range(50_000))

    assert run("{{ first_name | length }}", first_name=numbers) == "50000"
    with pytest.raises(TemplateFault) as refused:
        run("{{ first_name | sort | first }}", first_name=numbers)

    assert refused.value.cause == "result too large"


@pytest.mark.parametrize(
    ("use", "value"),
    [
        ("link(campaign='x')", "https://" + "a" * 90_000 + " b"),
        ("strip_html", "<!--" * 24_000),
        ("strip_html", "<!--" + "-" * 90_000),
        ("strip_html", "<" * 99_000),
        ("title", "a'" * 49_000),
        ("wordwrap(90000)", "x " * 49_000),
        ("date('%A')", "1" * 99_000),
        ("round", "9" * 99_000),
        ("round", "1," * 49_000),
        ("shorten(50000)", "\u200d" * 99_000),
        ("shorten(98000)", "a" + "\u0301" * 98_500),
        ("in_zone(first_name)", "Europe/" + "x" * 99_000),
    ],
)
def test_no_filter_loses_itself_in_a_long_text(use: str, value: str) -> None:
    start = thread_time()

    with suppress(TemplateFault):
        run(f"{{{{ first_name | {use} | length }}}}", first_name=value)

    assert thread_time() - start < 2  # seconds of work, where the square of the length would take ten


def test_a_template_cannot_change_the_values_that_it_was_given() -> None:
    given = {"first_name": {"a": [1, 2, 3]}}
    before = repr(given)

    run("{% set x = first_name.a + [4] %}{{ x | reverse | join }}{{ first_name.a | sort | join }}", **given)

    assert repr(given) == before
