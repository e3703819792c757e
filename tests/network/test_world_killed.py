"""``kill -9`` of a run's first process, at any moment: nothing of it may be left on the host."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.network.waiting import wait_until
from tests.network.host_state import host_state, processes_with
from tests.network.private import in_world

CHECKOUT = Path(__file__).parents[2]
_marks = (f"TESTBED_KILL_TEST={os.getpid()}-{number}-" for number in itertools.count())

# Builds and takes down labs for ever, with programs in the nodes, a daemon, a shell, and temporary files.
BUSY = """
import subprocess, tempfile
from testbed.network.world import run_in_world
def main():
    print("inside", flush=True)
    from testbed.topologies.lab import build_lab
    from testbed.topologies.two_visited import PLAN
    while True:
        net = build_lab(PLAN)
        net["mn"].popen(["sleep", "600"])
        net["core"].cmd("sleep 600 &")
        subprocess.run(["sh", "-c", "setsid sleep 600 & ip netns add extra; ip link add extra type bridge"])
        kept = tempfile.NamedTemporaryFile()
        net.move_cable("mn", "lan-home", "lan-a")
        print("built", flush=True)
        net.stop()
        subprocess.run(["sh", "-c", "ip netns del extra; ip link del extra"])
raise SystemExit(run_in_world(main))
"""


class Run:
    """A run, recognisable by a mark in its environment, which all its descendants inherit."""

    def __init__(self, prefix: tuple[str, ...] = (), script: str = BUSY) -> None:
        self.mark = next(_marks)
        name, _, value = self.mark.partition("=")
        environment = {**os.environ, name: value, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", script],
            cwd="/",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_for_line(self, expected: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == expected:
                return
        pytest.fail(f"the run ended before it said {expected}")

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def expect_gone(self) -> None:
        # Our end of the pipe stays open meanwhile: nobody may end for want of a reader.
        wait_until(
            lambda: not processes_with(self.mark),
            what="all processes of the killed run to be gone",
            timeout_s=20,
            on_timeout=lambda: str(processes_with(self.mark)),
        )
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def untouched_host(folder: Path) -> Iterator[None]:
    """The host looks the same before and after the block, the folder for temporary files included.

    The host is a private world here, so that nobody else changes anything while we look.
    """
    folder.chmod(0o777)
    os.environ["TMPDIR"] = str(folder)
    before = host_state()
    yield
    after = host_state()
    for what, value in before.items():
        assert after[what] == value, what
    assert list(folder.iterdir()) == []


@in_world
def test_killed_while_building_or_running_a_lab_nothing_is_left(tmp_path: Path) -> None:
    with untouched_host(tmp_path):
        run = Run()
        for _ in range(3):  # it does go on
            run.wait_for_line("built")
        assert len(processes_with(run.mark)) >= 6  # outer, doorway, init, program, and what runs in the nodes
        run.kill()
        run.expect_gone()


@in_world
def test_killed_at_any_moment_nothing_is_left(tmp_path: Path) -> None:
    """From the first instants of Python to labs being taken down: twenty moments, different ones in every run."""
    with untouched_host(tmp_path):
        seed = random.randrange(1 << 30)
        print(f"seed {seed}")
        moments = random.Random(seed)
        for number in range(20):
            run = Run()
            if number % 2:
                run.wait_for_line("inside")
            with pytest.raises(subprocess.TimeoutExpired):
                run.process.wait(moments.uniform(0, 0.5))
            run.kill()
            run.expect_gone()


@pytest.mark.parametrize("generation", [1, 2, 3])
@in_world
def test_killing_any_process_of_the_chain_ends_all(tmp_path: Path, generation: int) -> None:
    """Doorway, init or program: the rest goes too, and the outer process comes back with a status."""
    with untouched_host(tmp_path):
        run = Run()
        run.wait_for_line("built")
        victim = run.process.pid
        for _ in range(generation):
            victim = int(Path(f"/proc/{victim}/task/{victim}/children").read_text().split()[0])
        os.kill(victim, signal.SIGKILL)
        assert run.process.wait(60) == 128 + signal.SIGKILL
        run.expect_gone()


@pytest.mark.needs("user namespaces", "open checkout")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@in_world
def test_a_killed_run_of_an_ordinary_user_leaves_nothing_either(tmp_path: Path) -> None:
    with untouched_host(tmp_path):
        run = Run(("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"))
        run.wait_for_line("built")
        run.kill()
        run.expect_gone()


# A child that asks to die with its parent only when the parent is dead: the kernel will never tell it.
LATE = """
import os, sys, time
from testbed.network import syscalls, world
ask, asked = syscalls.die_with_parent, []
def ask_late(number):
    asked.append(os.getpid())
    if len(asked) == {call}:
        parent = os.getppid() or asked[0]  # from a new pid namespace, the parent's pid reads 0
        print("late", flush=True)
        while os.path.exists(f"/proc/{{parent}}"):
            time.sleep(0.001)
    ask(number)
syscalls.die_with_parent = ask_late
world.run_in_world(lambda: time.sleep(600))
"""


@pytest.mark.parametrize("call", [1, 2])
@in_world
def test_a_child_that_comes_too_late_to_be_told_dies_by_its_lifeline(tmp_path: Path, call: int) -> None:
    with untouched_host(tmp_path):
        run = Run(script=LATE.format(call=call))
        run.wait_for_line("late")
        run.kill()
        run.expect_gone()
