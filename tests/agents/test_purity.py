"""The state machines do no input or output, and an agent that starts loads nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.agents.config import ROLES

AGENTS = Path(__file__).parents[2] / "testbed" / "agents"
SHELL = {
    "__main__", "carrier", "config", "config_reader", "event_log", "kernel", "kernel_foreign", "kernel_home",
    "kernel_mobile", "launch_foreign", "launch_home", "launch_mobile", "launching", "link_socket", "process",
    "registration_socket",
}  # fmt: skip
PURE = sorted(module.stem for module in AGENTS.glob("*.py") if module.stem not in SHELL)
DOING_IO = {
    "asyncio",
    "json",
    "logging",
    "os",
    "pathlib",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "time",
}
HEAVY = {"asyncio", "logging", "mininet", "multiprocessing", "pyroute2", "rich", "scapy", "typer", "unittest"}


def imported(module: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((AGENTS / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_shell_is_what_it_is_said_to_be() -> None:
    assert {module.stem for module in AGENTS.glob("*.py")} >= SHELL
    assert {"home", "foreign", "mobile"} <= set(PURE)


@pytest.mark.parametrize("module", PURE)
def test_a_state_machine_imports_no_input_or_output(module: str) -> None:
    names = imported(module)
    own = {name for name in names if name.startswith("testbed.")}
    allowed = ("testbed.errors", "testbed.protocol.", "testbed.tunnels.endpoints", "testbed.agents.")
    assert all(name.startswith(allowed) for name in own)
    assert not {name.removeprefix("testbed.agents.") for name in own} & SHELL
    assert not {name.partition(".")[0] for name in names} & DOING_IO


@pytest.mark.parametrize("role", ROLES)
def test_an_agent_loads_nothing_heavy(role: str) -> None:
    script = (
        f"import testbed.agents.__main__, testbed.agents.launch_{role}, sys, json; print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=AGENTS.parents[1]
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & HEAVY
    other_roles = {f"testbed.agents.launch_{other}" for other in ROLES if other != role}
    assert not loaded & other_roles
