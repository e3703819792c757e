from __future__ import annotations

import os
import sys

import pytest

from testbed.errors import CommandFailed, MissingProgram
from testbed.network import programs


def test_what_a_program_printed_comes_back() -> None:
    done = programs.run(["sh", "-c", "cat; echo oops >&2"], stdin="in\n")
    assert (done.stdout, done.stderr) == ("in\n", "oops\n")


def test_a_failed_program_is_an_error_that_carries_everything() -> None:
    with pytest.raises(CommandFailed) as failure:
        programs.run(["sh", "-c", "echo out; echo one >&2; echo two >&2; exit 3"], node="mn")
    expected = "ended with status 3; stderr: one / two; stdout: out"
    assert str(failure.value) == f"mn: `sh -c 'echo out; echo one >&2; echo two >&2; exit 3'` {expected}"


def test_a_killed_program_is_named_by_its_signal() -> None:
    with pytest.raises(CommandFailed, match="was killed by signal 9"):
        programs.run(["sh", "-c", "kill -9 $$"])


def test_a_program_that_hangs_is_killed_and_what_it_said_is_kept() -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(CommandFailed, match="was still running after") as failure:
        programs.run([sys.executable, "-c", script], timeout_s=0.5)
    said = str(failure.value).rpartition("stdout: ")[2]
    assert not os.path.exists(f"/proc/{int(said)}")


def test_a_missing_program_names_the_package() -> None:
    with pytest.raises(
        MissingProgram, match=r"no-such-program is not installed \(sudo apt-get install no-such-program\)"
    ):
        programs.run(["no-such-program"])
    assert programs.remedy("brctl") == "sudo apt-get install bridge-utils"


def test_system_folders_are_searched_though_they_are_not_in_the_users_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere:/usr/bin")
    assert programs.search_path() == "/nowhere:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/bin"
    monkeypatch.setenv("PATH", "")
    assert programs.find("ip") is not None
