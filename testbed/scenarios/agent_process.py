"""An agent as the lab sees it: a process with a configuration file, an event stream and a log.

Nothing here knows what kind of program runs: ours or a user's. It is given ``ROLE --config FILE``, writes JSON lines
to standard output (the first is ``ready``), and obeys SIGHUP (read the configuration again), SIGTERM (leave cleanly),
SIGSTOP and SIGCONT (the lab's way to silence it).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import testbed
from testbed.errors import AgentDied, DeadlinePassed
from testbed.network.waiting import scaled, wait_for

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0

Config = dict[str, Any]
OUR_AGENT = (sys.executable, "-m", "testbed.agents")


class Starter(Protocol):
    """Starts programs inside a node; a :class:`testbed.network.netns.Namespace` does."""

    def popen(self, argv: list[str], **popen: Any) -> subprocess.Popen[Any]: ...


class AgentProcess:
    """One agent of a lab: ``role`` is home, foreign or mobile; files are written below ``folder``.

    ``program`` is started with ``ROLE --config FILE`` behind it.
    """

    def __init__(
        self,
        node: str,
        role: str,
        starter: Starter,
        config: Config,
        folder: Path,
        program: Sequence[str] = OUR_AGENT,
    ) -> None:
        self.node = node
        self.role = role
        self.config = config
        self.config_path = folder / f"{node}.json"
        self.events_path = folder / f"{node}.events.jsonl"
        self.log_path = folder / f"{node}.log"
        self.paused = False
        self.program = program
        self._starter = starter
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start the program; :meth:`ready` waits until it says that it is.

        :raises AgentDied: there is no such program, or it may not be run.
        """
        self._write_config()
        environment = dict(os.environ, PYTHONPATH=str(Path(testbed.__file__).parents[1]), PYTHONUNBUFFERED="1")
        argv = [*self.program, self.role, "--config", str(self.config_path)]
        with self.events_path.open("ab") as events, self.log_path.open("ab") as log:
            try:
                self._process = self._starter.popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=events,
                    stderr=log,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in the terminal is for us, and a pause is for all of its processes
                )
            except OSError as error:
                reason = f"{self.program[0]}: {error.strerror}"
                raise AgentDied(f"{self.role} agent could not be started: {reason}", node=self.node) from error

    async def ready(self) -> None:
        """Wait for the event ``ready``.

        :raises AgentDied: it ended first, or said nothing in time.
        """
        try:
            await wait_for(self._said_ready, what=f"{self.role} agent ready", timeout_s=READY_TIMEOUT_S)
        except DeadlinePassed as late:
            raise AgentDied(f"{self.role} agent did not become ready; {self._last_words()}", node=self.node) from late

    def reload(self, **changes: Any) -> None:
        """Change the configuration and have the agent read it again."""
        self.config = {**self.config, **changes}
        self._write_config()
        self.require_alive()
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def pause(self) -> None:
        """Silence the agent: it neither hears nor says anything until :meth:`resume`."""
        self.require_alive()
        self._signal_all(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let the agent go on.

        :raises AgentDied: it has ended meanwhile.
        """
        self.require_alive()
        self._signal_all(signal.SIGCONT)
        self.paused = False

    def ask_to_stop(self) -> None:
        """Tell the agent to leave, without waiting for it; one that has ended already is left alone."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._signal_all(signal.SIGCONT)
            self.paused = False

    def stop(self) -> int | None:
        """End the agent and wait for it; returns its exit status, negative for a signal, None if it never ran."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            self.ask_to_stop()
            try:
                process.wait(scaled(STOP_TIMEOUT_S))
            except subprocess.TimeoutExpired:
                self._signal_all(signal.SIGKILL)
                process.wait()
        return process.returncode

    def require_alive(self) -> None:
        """:raises AgentDied: the agent has ended on its own."""
        if self._process is not None and self._process.poll() is not None:
            status = self._process.returncode
            raise AgentDied(f"{self.role} agent ended with status {status}; {self._last_words()}", node=self.node)

    def events(self) -> list[dict[str, Any]]:
        """What the agent has told so far: for logs and reports, never for verdicts.

        Lines that are no JSON objects are left out: a program that stands in for ours may print what it likes.
        """
        if not self.events_path.exists():
            return []
        complete_lines = self.events_path.read_bytes().split(b"\n")[:-1]
        return [event for event in map(_json_object, complete_lines) if event is not None]

    def _said_ready(self) -> bool:
        self.require_alive()
        return any(event.get("event") == "ready" for event in self.events())

    def _write_config(self) -> None:
        written = self.config_path.with_suffix(".json.new")
        written.write_text(json.dumps(self.config, indent=2) + "\n")
        written.chmod(0o600)  # it holds keys
        written.replace(self.config_path)

    def _signal_all(self, number: signal.Signals) -> None:
        """To the program and to whatever it has started: it leads a session, and so a process group, of its own."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        words = self.log_path.read_text(errors="replace").strip() if self.log_path.exists() else ""
        return f"its last line: {words.splitlines()[-1]}" if words else f"nothing in {self.log_path}"


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
