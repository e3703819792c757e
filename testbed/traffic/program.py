"""A traffic program as the lab sees it: a process inside a node that writes JSON lines to a file.

The file stays in the run's folder as an artifact; what it says is for people and for pacing a scenario, while verdicts
rest on captures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import testbed
from testbed.errors import LabError
from testbed.evidence.place import Place
from testbed.network.waiting import scaled, wait_for

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

Line = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """One end of a stream or connection: where it is, and the address and port that it uses there."""

    place: Place
    address: IPv4Address
    port: int

    @property
    def node(self) -> str:
        return self.place.name

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


class TrafficProgram:
    """``python -m testbed.traffic`` with ``arguments``; writes ``NAME.jsonl`` and ``NAME.log`` below ``folder``."""

    def __init__(self, place: Place, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.node = place.name
        self.name = name
        self.output_path = folder / f"{name}.jsonl"
        self.log_path = folder / f"{name}.log"
        self._place = place
        self._arguments = arguments
        self._process: subprocess.Popen[Any] | None = None
        self._position = 0
        self._latest: dict[str, Line] = {}

    def start(self) -> None:
        self.output_path.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ, PYTHONPATH=str(Path(testbed.__file__).parents[1]))
        argv = [sys.executable, "-m", "testbed.traffic", *self._arguments]
        with self.output_path.open("wb") as output, self.log_path.open("wb") as log:
            self._process = self._place.popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=environment, start_new_session=True
            )

    def latest(self, event: str) -> Line | None:
        """The last line of that kind, None before there is one."""
        if self.output_path.exists():
            with self.output_path.open("rb") as output:
                output.seek(self._position)
                complete, newline, _ = output.read().rpartition(b"\n")
            self._position += len(complete) + len(newline)
            for text in complete.splitlines():
                line: Line = json.loads(text)
                self._latest[line["event"]] = line
        return self._latest.get(event)

    async def told(self, event: str) -> Line:
        """Wait until it has told ``event``.

        :raises LabError: it ended first.
        :raises DeadlinePassed: it did not in time.
        """

        def seen() -> Line | None:
            line = self.latest(event)
            if line is None:
                self.require_alive()
            return line

        line = await wait_for(seen, what=f"{self.name} in {self.node}: {event}", timeout_s=READY_TIMEOUT_S)
        assert line is not None, "wait_for returns what is true"
        return line

    def require_alive(self) -> None:
        """:raises LabError: it was not started, or ended on its own."""
        if self._process is None or self._process.poll() is not None:
            raise LabError(f"{self.name} {self._ending()}; {self._last_words()}", node=self.node)

    def go(self) -> None:
        """Have a UDP end begin to send."""
        self._signal(signal.SIGUSR1)

    def terminate(self) -> None:
        """Ask it to end; :meth:`finish` waits until it has."""
        self._signal(signal.SIGTERM)

    def finish(self) -> Line | None:
        """Wait for its end, forcing it after a while, and return its last ``summary``, None where it gave none."""
        if self._process is not None:
            try:
                self._process.wait(scaled(STOP_TIMEOUT_S))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self.latest("summary")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _ending(self) -> str:
        return "was not started" if self._process is None else f"ended with status {self._process.returncode}"

    def _last_words(self) -> str:
        failed = self.latest("failed")
        if failed is not None:
            return str(failed["reason"])
        words = self.log_path.read_text(errors="replace").strip() if self.log_path.exists() else ""
        return words.splitlines()[-1] if words else "it said nothing"
