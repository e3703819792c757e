"""The one place that runs programs: where they are, which package has them, and what they said when they failed.

Responsible for finding programs and for turning a non-zero exit status into an error that carries everything. In
which namespace a program runs is decided by the ``popen`` that is handed in (see netns.py).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.errors import CommandFailed, MissingProgram
from testbed.network.waiting import scaled

# Where Debian keeps what an ordinary user's PATH leaves out.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")

# Debian and Ubuntu package of each program that the testbed may call.
PACKAGES = {
    "bpftool": "bpftool",
    "brctl": "bridge-utils",
    "bridge": "iproute2",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "mnexec": "mininet",
    "nft": "nftables",
    "ping": "iputils-ping",
    "sysctl": "procps",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "vng": "virtme-ng",
}


@dataclass(frozen=True)
class Completed:
    """A program that ended with status 0."""

    argv: tuple[str, ...]
    stdout: str
    stderr: str


def search_path() -> str:
    """PATH with the system folders at its end, each folder once."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return os.pathsep.join(dict.fromkeys([*folders, *SYSTEM_FOLDERS]))


def find(name: str) -> str | None:
    """The path of a program, None where it is not installed."""
    return shutil.which(name, path=search_path())


def remedy(name: str) -> str:
    """What to type to get a program."""
    return f"sudo apt-get install {PACKAGES.get(name, name)}"


def require(name: str) -> str:
    """The path of a program; raises ``MissingProgram`` with the package to install."""
    path = find(name)
    if path is None:
        raise MissingProgram(f"the program {name} is not installed", hint=remedy(name))
    return path


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 30.0,
    node: str | None = None,
    popen: Callable[..., subprocess.Popen[Any]] = subprocess.Popen,
    **popen_options: Any,
) -> Completed:
    """Run a program to its end and return what it printed.

    ``stdin`` is its whole input; ``timeout_s`` is scaled, and a program that is still running then is killed. Raises
    ``MissingProgram``, or ``CommandFailed`` with command, status, stdout and stderr.
    """
    command = [require(argv[0]), *argv[1:]]
    limit_s = scaled(timeout_s)
    pipe = subprocess.PIPE
    with popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **popen_options) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise _failed(argv, f"was still running after {limit_s:g} s", stdout, stderr, node) from None
        except BaseException:
            process.kill()  # Ctrl-C while waiting: nothing may outlive the block that started it
            raise
    if process.returncode:
        raise _failed(argv, _ending(process.returncode), stdout, stderr, node)
    return Completed(tuple(argv), stdout, stderr)


def _ending(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _failed(argv: Sequence[str], ending: str, stdout: str, stderr: str, node: str | None) -> CommandFailed:
    said = [f"{kind}: {' / '.join(text.split(chr(10)))}" for kind, text in _spoken(stdout, stderr)]
    return CommandFailed("; ".join([f"`{shlex.join(argv)}` {ending}", *said]), node=node)


def _spoken(stdout: str, stderr: str) -> list[tuple[str, str]]:
    return [(kind, text.strip()) for kind, text in (("stderr", stderr), ("stdout", stdout)) if text.strip()]
