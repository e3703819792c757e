"""Writing words: readers that went away, encodings that lack a sign."""

from __future__ import annotations

import io
import os

import pytest

from testbed.cli import output


def test_a_run_goes_on_when_the_reader_of_its_lines_has_gone_away() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        for _ in range(3):
            output.say("step 1: At home", stream)
        stream.write("nor does what others write there fail")


def test_a_sign_that_the_encoding_lacks_is_escaped() -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="latin-1")
    output.say("cn → mn", stream)
    assert written.getvalue() == b"cn \\u2192 mn\n"


@pytest.mark.parametrize("message", ["one\ntwo", "one \t two\n", "  one two"])
def test_a_complaint_is_one_line(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(message)
    assert capsys.readouterr().err == "testbed: error: one two\n"


def test_columns_limits_the_width_of_a_pipe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.terminal_width(io.StringIO()) >= 1000
    monkeypatch.setenv("COLUMNS", "72")
    assert output.terminal_width(io.StringIO()) == 72
