"""``scripts/setup.sh``, with stand-ins for apt, dpkg and Python: what it installs, when, and when nothing at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.sh"
_TOOLS = "basename bash cat cut cp date dirname env flock grep head mkdir mv printf rm sed sha256sum sh sleep tr uname"

# Logs how it was called. As `-m venv DIR` it makes DIR with itself inside; as `-m pip` it fails where told to.
_PYTHON = """#!/bin/sh
echo "python $*" >>"$LOG"
case "$1 $2" in
    "-V ") echo "Python 3.11.9" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") [ -z "$BROKEN_PIP" ] ;;
esac
"""
_OLD_PYTHON = '#!/bin/sh\n[ "$1" != -V ] || echo Python 3.9.2\n[ "$1" != -c ]\n'
_APT = '#!/bin/sh\necho "$(basename "$0") $*" >>"$LOG"\n'
_DPKG_QUERY = '#!/bin/sh\nfor name; do :; done\n[ "$name" != "$NOT_INSTALLED" ] && printf "install ok installed"\n'


class Machine:
    """A checkout and a PATH of stand-ins; ``log`` tells what was called."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.programs = folder / "programs"
        self._log = folder / "log"
        (self.checkout / "scripts").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(_SCRIPT, self.checkout / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            (self.checkout / name).write_text("as it was\n")
        for tool in _TOOLS.split():
            (self.programs / tool).symlink_to(shutil.which(tool) or tool)
        for name, text in {"dpkg-query": _DPKG_QUERY, "apt-get": _APT, "dpkg": _APT, "python3": _PYTHON}.items():
            self.program(name, text)
        self.user(0)

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.program("id", f"#!/bin/sh\necho {number}\n")

    def start(self, *groups: str, **environment: str) -> subprocess.Popen[str]:
        """Begin a set-up; the fake Python stands in the place of the system's."""
        variables = {
            "PATH": str(self.programs),
            "LOG": str(self._log),
            "TESTBED_PYTHON": "python3",
            **environment,
        }
        pipe = subprocess.PIPE
        bash = str(self.programs / "bash")
        script = str(self.checkout / "scripts" / "setup.sh")
        return subprocess.Popen([bash, script, *groups], env=variables, stdout=pipe, stderr=pipe, text=True)

    def set_up(self, *groups: str, **environment: str) -> tuple[int, str]:
        """Exit status and everything that was said."""
        process = self.start(*(groups or ("run",)), **environment)
        out, err = process.communicate()
        return process.returncode, out + err

    def calls(self, containing: str) -> list[str]:
        """The logged calls with this text in them."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if containing in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_second_set_up_installs_nothing_and_says_nothing(machine: Machine) -> None:
    assert machine.set_up()[0] == 0
    assert len(machine.calls("-m venv")) == 1
    assert machine.set_up() == (0, "")
    assert len(machine.calls("-m venv")) == 1
    assert machine.calls("apt-get") == []


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_another_lock_makes_the_environment_anew(machine: Machine, changed: str) -> None:
    machine.set_up()
    (machine.checkout / changed).write_text("changed\n")
    (machine.checkout / ".venv" / "left-over").touch()
    assert machine.set_up()[0] == 0
    assert len(machine.calls("-m venv")) == 2
    assert not (machine.checkout / ".venv" / "left-over").exists()


def test_an_installation_that_broke_off_is_not_taken_for_good(machine: Machine) -> None:
    status, _ = machine.set_up(BROKEN_PIP="yes")
    assert status != 0
    assert machine.set_up()[0] == 0
    assert len(machine.calls("-m venv")) == 2


def test_a_python_environment_that_no_longer_starts_is_made_anew(machine: Machine) -> None:
    machine.set_up()
    (machine.checkout / ".venv" / "bin" / "python").unlink()
    assert machine.set_up()[0] == 0
    assert len(machine.calls("-m venv")) == 2


def test_two_set_ups_at_once_make_one_environment(machine: Machine) -> None:
    both = [machine.start("run"), machine.start("run")]
    assert [(process.communicate(), process.returncode)[1] for process in both] == [0, 0]
    assert len(machine.calls("-m venv")) == 1


def test_only_the_missing_packages_are_installed_without_recommended_ones(machine: Machine) -> None:
    status, _ = machine.set_up(NOT_INSTALLED="nftables")
    assert status == 0
    assert len(machine.calls("update")) == 1
    assert [line.rsplit("--no-install-recommends ")[1:] for line in machine.calls("apt-get")] == [[], ["nftables"]]


def test_an_ordinary_user_without_sudo_is_told_what_to_install(machine: Machine) -> None:
    machine.user(1000)
    status, said = machine.set_up(NOT_INSTALLED="nftables")
    assert status == 3
    assert said == (
        "setup: neither root nor sudo is here; as root, run: apt-get install --no-install-recommends nftables\n"
    )
    assert machine.calls("apt-get") == []


def test_an_ordinary_user_with_everything_installed_needs_no_sudo(machine: Machine) -> None:
    machine.user(1000)
    assert machine.set_up()[0] == 0


def test_an_ordinary_user_installs_through_sudo(machine: Machine) -> None:
    machine.user(1000)
    machine.program("sudo", '#!/bin/sh\necho "sudo $*" >>"$LOG"\nexec "$@"\n')
    assert machine.set_up(NOT_INSTALLED="tshark")[0] == 0
    assert [line.split()[0] for line in machine.calls("install -y")] == ["sudo", "apt-get"]


def test_a_python_that_is_too_old_is_named(machine: Machine) -> None:
    machine.program("python3", _OLD_PYTHON)
    status, said = machine.set_up()
    assert status == 3
    assert "Python 3.11 or newer is needed" in said
    assert "Python 3.9.2" in said
    assert said.count("\n") == 1


def test_other_distributions_are_told_the_names_of_the_packages(machine: Machine) -> None:
    (machine.programs / "dpkg-query").unlink()
    status, said = machine.set_up("run", "test")
    assert status == 3
    assert "only Debian and Ubuntu are set up automatically" in said
    assert "nftables" in said
    assert "clang" in said


def test_the_lock_names_every_version_and_hash_and_no_place_to_fetch_from() -> None:
    lock = (_SCRIPT.parents[1] / "requirements.lock").read_text()
    entries = [entry for entry in lock.replace("\\\n", "").splitlines() if entry and not entry.startswith("#")]
    assert len(entries) > 20
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert not any(word in lock for word in ("://", "--index-url", "--find-links", os.sep + "opt"))
