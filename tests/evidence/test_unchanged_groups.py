from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from testbed.evidence import unchanged_groups
from testbed.evidence.unchanged_groups import call_with_fixed_groups, groups_are_fixed

needs_a_known_machine = pytest.mark.skipif(
    platform.machine() not in unchanged_groups._SETGROUPS, reason=f"no filter for {platform.machine()}"
)
PROGRAM = [sys.executable, "-c", "import os; os.setgroups([4242]); print(4242 in os.getgroups(), os.getppid() > 0)"]


def run() -> str:
    return subprocess.run(PROGRAM, capture_output=True, text=True, check=True).stdout


@needs_a_known_machine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install the filter and change groups")
def test_changing_groups_is_ignored_in_programs_that_are_started_so_and_nowhere_else() -> None:
    assert call_with_fixed_groups(run) == "False True\n"
    if not groups_are_fixed():
        assert run() == "True True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install the filter")
def test_what_the_action_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        call_with_fixed_groups(lambda: 1 // 0)
