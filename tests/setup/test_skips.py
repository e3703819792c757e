"""The suite's own rule: a skip that does not say why is a failure. Tried in a pytest of its own, with our conftest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CONFTEST = Path(__file__).parent.parent / "conftest.py"

_WITHOUT_A_REASON = {
    "call": "def test_x():\n    pytest.skip()",
    "mark": "@pytest.mark.skip\ndef test_x(): ...",
    "blank": "@pytest.mark.skip(reason=' ')\ndef test_x(): ...",
    "xfail": "@pytest.mark.xfail\ndef test_x():\n    assert False",
    "module": "pytest.skip(allow_module_level=True)",
}
_WITH_A_REASON = {
    "call": "def test_x():\n    pytest.skip('no tshark here')",
    "mark": "@pytest.mark.skipif(True, reason='no tshark here')\ndef test_x(): ...",
    "xfail": "@pytest.mark.xfail(reason='no tshark here')\ndef test_x():\n    assert False",
    "module": "pytest.skip('no tshark here', allow_module_level=True)",
}


def _outcome(folder: Path, tests: dict[str, str]) -> tuple[int, str]:
    """Exit status and output of a pytest run over these files."""
    (folder / "conftest.py").write_text(_CONFTEST.read_text())
    for name, body in tests.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{body}\n")
    environment = {name: value for name, value in os.environ.items() if name != "TESTBED_STAGE"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rfE",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
        ".",
    ]
    command += ["--continue-on-collection-errors"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_skip_without_a_reason_fails_the_run(tmp_path: Path) -> None:
    status, said = _outcome(tmp_path, _WITHOUT_A_REASON)
    assert status == 1
    said = said.replace("::test_x", "")
    assert [name for name in _WITHOUT_A_REASON if f"test_{name}.py: skipped without a reason" not in said] == []
    assert "2 failed, 3 errors" in said  # a mark is seen while the test is set up: pytest calls that an error


def test_a_skip_with_a_reason_is_fine(tmp_path: Path) -> None:
    status, said = _outcome(tmp_path, _WITH_A_REASON)
    assert status == 0
    assert "3 skipped, 1 xfailed" in said
