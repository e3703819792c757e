"""``python -m testbed`` with a Python that lacks the dependencies, with and without a ``.venv`` beside the package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from testbed import __main__ as front_door

_CHECKOUT = Path(__file__).parents[2]
_BARE_PYTHON = [sys.executable, "-S", "-E"]  # no site-packages


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that holds the package's front door and nothing else."""
    package = tmp_path / "checkout" / "testbed"
    package.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        (package / name).write_text((_CHECKOUT / "testbed" / name).read_text())
    return package.parent


def _run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*_BARE_PYTHON, "-m", "testbed", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def _fake_venv(checkout: Path, script: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_without_dependencies_and_venv_one_line_says_what_to_run(checkout: Path) -> None:
    done = _run(checkout, "run", "roam")
    assert done.returncode == 3
    assert done.stdout == ""
    assert re.fullmatch(
        rf"testbed: \S+ lacks mininet, pyroute2, rich, scapy, typer; run this first: make -C {checkout} setup\n",
        done.stderr,
    )


def test_without_dependencies_the_command_goes_on_in_the_venv_with_its_arguments_and_status(checkout: Path) -> None:
    _fake_venv(checkout, 'echo "$@"; exit 41')
    done = _run(checkout, "run", "roam", "--set", "ingress=acl strict")
    assert (done.returncode, done.stdout) == (41, "-m testbed run roam --set ingress=acl strict\n")


def test_a_venv_that_was_never_finished_does_not_call_itself_for_ever(checkout: Path) -> None:
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    done = _run(checkout, "list")
    assert done.returncode == 3
    assert "lacks mininet" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_front_door_asks_for_what_pyproject_asks_for() -> None:
    project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = dict(line.split(">=") for line in project["dependencies"] if ";" not in line)
    assert {name: front_door._numbers(oldest) for name, oldest in wanted.items()} == {
        name: front_door._numbers(oldest) for name, oldest in front_door.DEPENDENCIES.items()
    }
    assert project["requires-python"] == ">=" + ".".join(map(str, front_door.OLDEST_PYTHON))


def test_old_pythons_can_read_the_front_door() -> None:
    for name in ("__init__.py", "__main__.py"):
        ast.parse((_CHECKOUT / "testbed" / name).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("installed", "oldest", "enough"),
    [("2.3.0.dev6", "2.3.0", True), ("0.10.0", "0.9.5", True), ("0.7.2", "0.9.5", False), ("13", "13", True)],
)
def test_versions_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, installed: str, oldest: str, enough: bool
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: installed)
    assert front_door._is_installed("some-distribution", oldest) is enough
