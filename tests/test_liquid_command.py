"""`python -m bridge templates import-liquid`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from routes.test_source_document import CREATE_BODY, URL

from bridge.cli import main


def test_the_template_goes_to_standard_output_and_what_to_know_of_it_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Summer Sale.liquid"
    file.write_text(CREATE_BODY.replace("Event Title", "Sale {{content_blocks.${terms}}}"), "utf-8")

    code = main(["templates", "import-liquid", str(file), "--url", URL])

    printed = capsys.readouterr()
    assert code == 0
    assert printed.out.startswith("{#\nImported from a Braze webhook.")
    assert "{% block event_id %}Event_0001{% endblock %}" in printed.out
    assert "What has no equal here, 1:\n- body, line 2: {{content_blocks.${terms}}}" in printed.err
    assert "- URL, line 1: the account code" in printed.err
    assert "1 sample users: 1 alike" in printed.err


def test_what_cannot_be_read_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n{% iff x %}"))

    code = main(["templates", "import-liquid", "-"])

    assert code == 1
    assert 'body, line 2: there is no tag "iff"; did you mean "if"?' in capsys.readouterr().err


def test_a_name_that_no_template_can_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["templates", "import-liquid", "-", "--name", "Summer Sale"]) == 1
    assert 'did you mean "summer_sale"?' in capsys.readouterr().err
