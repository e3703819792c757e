"""An agent is any program that says ``ready``: started, silenced, told to read again, stopped, missed when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import AgentDied
from testbed.network.waiting import wait_until
from testbed.scenarios.agent_process import AgentProcess

_PROGRAM = """
import json, signal, sys
def tell(event, **facts): print(json.dumps({"monotonic_ns": 1, "event": event, **facts}), flush=True)
config = sys.argv[-1]
signal.signal(signal.SIGHUP, lambda *_: tell("read", value=json.load(open(config))["value"]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
tell("ready")
while True: signal.pause()
"""


class _Starter:
    """Starts a program of the test's instead of the one that it is asked for."""

    def __init__(self, program: str) -> None:
        self._program = program

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([sys.executable, "-c", self._program, *argv[1:]], **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def _agent(program: str, folder: Path) -> AgentProcess:
    return AgentProcess("fa", "foreign", _Starter(program), {"value": 1}, folder)


@pytest.fixture
def agent(folder: Path) -> Iterator[AgentProcess]:
    agent = _agent(_PROGRAM, folder)
    agent.start()
    asyncio.run(agent.ready())
    yield agent
    agent.stop()


def test_a_changed_configuration_is_written_before_the_agent_is_told_to_read_it(agent: AgentProcess) -> None:
    agent.reload(value=2)
    wait_until(lambda: {"monotonic_ns": 1, "event": "read", "value": 2} in agent.events(), what="news", timeout_s=5)


def test_keys_are_for_the_owner_s_eyes_only(agent: AgentProcess) -> None:
    assert agent.config_path.stat().st_mode & 0o077 == 0
    assert json.loads(agent.config_path.read_text()) == {"value": 1}


def test_a_paused_agent_says_nothing_until_it_is_resumed(agent: AgentProcess) -> None:
    agent.pause()
    wait_until(lambda: _state(agent) == "T", what="the agent to be stopped", timeout_s=5)
    agent.reload(value=3)
    assert [event["event"] for event in agent.events()] == ["ready"]
    agent.resume()
    wait_until(lambda: len(agent.events()) == 2, what="the answer", timeout_s=5)


def test_a_paused_agent_can_be_stopped(agent: AgentProcess) -> None:
    agent.pause()
    assert agent.stop() == 0


def test_an_agent_that_dies_is_missed_with_its_last_words(folder: Path) -> None:
    agent = _agent("import sys; sys.exit('no such interface: eth7')", folder)
    agent.start()
    with pytest.raises(AgentDied, match="ended with status 1; its last line: no such interface: eth7"):
        asyncio.run(agent.ready())


def test_an_agent_killed_while_it_works_is_missed(agent: AgentProcess) -> None:
    os.kill(_pid(agent), 9)
    assert agent.stop() == -9
    with pytest.raises(AgentDied, match="status -9"):
        agent.require_alive()


def _pid(agent: AgentProcess) -> int:
    process = agent._process
    assert process is not None
    return int(process.pid)


def _state(agent: AgentProcess) -> str:
    return _state_of(_pid(agent))


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_program_that_is_not_there_is_named(folder: Path) -> None:
    class Shell:
        def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
            return subprocess.Popen(argv, **options)

    agent = AgentProcess("fa", "foreign", Shell(), {}, folder, program=("/nowhere/agent",))
    with pytest.raises(AgentDied, match="could not be started: /nowhere/agent: No such file"):
        agent.start()


def test_words_that_are_no_events_keep_no_agent_from_being_ready(folder: Path) -> None:
    agent = _agent('print("{hello\\n[1]")\n' + _PROGRAM, folder)
    agent.start()
    asyncio.run(agent.ready())
    assert agent.stop() == 0


def test_a_pause_silences_what_the_program_has_started_too(folder: Path) -> None:
    agent = _agent(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_PROGRAM!r}, *sys.argv[1:]])", folder
    )
    agent.start()
    asyncio.run(agent.ready())
    (child,) = Path(f"/proc/{_pid(agent)}/task/{_pid(agent)}/children").read_text().split()
    agent.pause()
    wait_until(lambda: _state_of(int(child)) == "T", what="the child to be stopped", timeout_s=5)
    os.kill(int(child), 15)
    agent.resume()
    agent.stop()
