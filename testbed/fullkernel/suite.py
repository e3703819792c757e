"""The second stage of the tests (``make test-vm``): what depends on the kernel, on one that has ``ipip``.

Everything that does not depend on the kernel has been tested by ``make test``; here programs start 10 to 40 times
slower where KVM does not work, so only the rest runs: tunnels of the kernel's own, filters, and the main job on top.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from testbed.fullkernel import machine

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "build" / "full-kernel"
STAGE = "a distribution's kernel in a virtual machine"
DEADLINE_S = 1500.0

# Paths and a name filter for pytest: the filters, and the netdev driver's tests but for the many variants of two.
TESTS = ("tests/tunnels", "tests/network/test_ingress.py")
NAMES = "(netdev or ingress) and not congestion and not broken_packet"
SETTINGS = ("stream_rate=10",)  # twenty captures of a faster stream keep an emulated processor busy


def run() -> int:
    """Boot, test, run the main job, and bring its folder back to ``build/full-kernel``; the exit status."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "900", *TESTS, "-k", NAMES]
    _compile_ahead(pytest)
    booted = machine.prepare()
    print(f"booting {booted}; deadlines are {booted.time_factor} times as long", flush=True)
    world = [sys.executable, "-m", "testbed.network.world"]
    roam = [sys.executable, "-m", "testbed", "run", "roam", "--tunnel", "netdev", "--out", str(RESULTS / "roam")]
    roam += [word for setting in SETTINGS for word in ("--set", setting)]
    order = machine.Order(
        [["uname", "-a"], roam, [*world, *pytest]],
        directory=CHECKOUT,
        deadline_s=DEADLINE_S,
        writable=[RESULTS],
        environment={"TESTBED_STAGE": STAGE},
    )
    began_s = time.monotonic()
    status = machine.run(booted, order)
    print(f"virtual machine up for {time.monotonic() - began_s:.0f} s; the run's files are in {RESULTS}", flush=True)
    return status


def _compile_ahead(pytest: list[str]) -> None:
    """Leave bytecode in the checkout, which is read-only inside: compiling is what emulation is worst at."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", "testbed"], cwd=CHECKOUT, check=False)
    # pytest has bytecode of its own, with the asserts rewritten
    subprocess.run([*pytest, "--collect-only", "-q"], cwd=CHECKOUT, check=False, capture_output=True)
