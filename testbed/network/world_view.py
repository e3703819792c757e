"""What a process sees inside the private world: its own /proc, /sys, /run, loopback and environment.

Responsible for the mounts and variables of a world that world.py has just made; it runs as the world's first process
and may assume a mount, pid and network namespace of its own. Nothing here writes to a file system of the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testbed.network import programs
from testbed.network.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, mount

RUN = Path("/run")
VARIABLE = "TESTBED_WORLD"

# Entries of /run that belong to each world: names of namespaces, and what mount(8) and iptables write.
_PRIVATE_ENTRIES = {"netns", "mount", "xtables.lock"}

_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def furnish() -> None:
    """Make the world's view of the machine. Raises ``OSError`` where the kernel refuses a part of it."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    kept = _mounts_below("/sys")
    mount("proc", "/proc", "proc", _QUIET)
    _own_sys(kept)
    _own_run()
    _raise_loopback()
    _own_environment()


def identity() -> str:
    """What tells this world from all others that exist now: its pid namespace."""
    return os.readlink("/proc/self/ns/pid")


def temporary_folder() -> Path:
    """Where temporary files of this world go; not hidden from worlds inside this one, which have their own."""
    return RUN / f"testbed-{os.stat('/proc/self/ns/pid').st_ino}"


def _mounts_below(folder: str) -> list[str]:
    """Mount points below a folder, without those that lie below another of them."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # Field 5 is the mount point; blanks in it are written \040 (proc(5)).
    points = {line.split()[4].encode().decode("unicode_escape") for line in lines}
    below = sorted(point for point in points if point.startswith(folder + "/"))
    return [point for point in below if not any(point.startswith(other + "/") for other in below)]


def _own_sys(kept: list[str]) -> None:
    """Mount the sysfs of the world's network namespace and bring back what was mounted inside the old one."""
    with contextlib.ExitStack() as stack:
        old = [(stack.enter_context(_held(point)), point) for point in kept if os.path.exists(point)]
        mount("sysfs", "/sys", "sysfs", _QUIET)
        for descriptor, point in old:
            if os.path.exists(point):
                mount(f"/proc/self/fd/{descriptor}", point, None, MS_BIND | MS_REC)


def _own_run() -> None:
    """An empty /run with everything of the old one bound back, except what must be each world's own.

    /run/netns must be private, and it cannot be made on the host where it does not exist. Hiding all of /run would
    hide a checkout below /run/media, sockets of databases, and a resolver's configuration.
    """
    with _same_folder(), _held(str(RUN)) as old:
        mount("testbed", str(RUN), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        with os.scandir(f"/proc/self/fd/{old}") as entries:
            for entry in entries:
                if entry.name not in _PRIVATE_ENTRIES:
                    with contextlib.suppress(FileNotFoundError):  # it went away while we looked
                        _bind_back(entry, RUN / entry.name)
    _own_names()
    folder = temporary_folder()
    folder.mkdir()
    folder.chmod(0o1777)


def _own_names() -> None:
    """A mount of its own for names of namespaces.

    Where it is none, ``ip netns add`` binds the folder over itself, and names made before could no longer be removed.
    """
    names = RUN / "netns"
    names.mkdir()
    mount("testbed", str(names), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")


def _bind_back(entry: os.DirEntry[str], place: Path) -> None:
    if entry.is_symlink():
        place.symlink_to(os.readlink(entry.path))
        return
    if entry.is_dir(follow_symlinks=False):
        place.mkdir()
    else:
        place.touch()
    mount(entry.path, str(place), None, MS_BIND | MS_REC)


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    """A descriptor that still leads to a place after something has been mounted over it."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _same_folder() -> Iterator[None]:
    """Stay where we are, but reach it through the new mounts; stay put where it has been deleted."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = "."
    yield
    os.chdir(here)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def _own_environment() -> None:
    os.environ[VARIABLE] = identity()
    os.environ["PATH"] = programs.search_path()
    # A killed run cannot remove its temporary files; these go with the world.
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary_folder())
