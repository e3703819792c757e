"""A network namespace with a name: made in this process, held by a descriptor, seen by ``ip netns``.

Responsible for creating and entering namespaces, for programs, sockets and sysctls inside them, and for letting them
go. Interfaces, addresses and routes are netlink's business. Namespaces are only made inside the private world
(world.py), whose /run is not the host's, so nothing here can leave a trace on the host.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.errors import KernelRefused, LabError
from testbed.network import programs, syscalls, world

NAMES_FOLDER = Path("/run/netns")
_OWN_NAMESPACE = "/proc/thread-self/ns/net"


class Namespace:
    """One network namespace. It lives as long as this object is open or a process runs in it."""

    def __init__(self, name: str, descriptor: int, path: Path | None) -> None:
        """``path`` is the file that holds it under its name; None for one that somebody else owns."""
        self.name = name
        self.fd = descriptor
        self._path = path

    @classmethod
    def create(cls, name: str) -> Namespace:
        """A new, empty namespace (its loopback is down), also known to ``ip netns exec NAME``.

        Raises ``LabError`` outside the private world or for a name in use, ``KernelRefused`` where the kernel will not.
        """
        if not world.inside():
            raise LabError(
                "a network namespace is only made inside the private world", node=name, hint="see testbed.network.world"
            )
        path = NAMES_FOLDER / name
        try:
            with _returning():
                path.touch(exist_ok=False)
                syscalls.unshare(syscalls.CLONE_NEWNET)
                syscalls.mount(_OWN_NAMESPACE, str(path), None, syscalls.MS_BIND)
                return cls(name, os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC), path)
        except FileExistsError:
            raise LabError("a network namespace of this name exists already", node=name) from None
        except OSError as error:
            path.unlink(missing_ok=True)
            raise KernelRefused(f"creating a network namespace: {error.strerror}", node=name) from error

    @classmethod
    def current(cls, name: str) -> Namespace:
        """The namespace of the calling thread, under a name for error messages; for the world's root namespace."""
        return cls(name, os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC), None)

    @property
    def path(self) -> Path:
        """A file that stands for the namespace, for programs that want one."""
        return self._path or Path(f"/proc/{os.getpid()}/fd/{self.fd}")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside until the block ends. Never await in the block: other tasks share the thread."""
        with _returning():
            syscalls.setns(self.fd, syscalls.CLONE_NEWNET)
            yield

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program inside, in a session of its own (a terminal's Ctrl-C does not reach it).

        Takes what ``subprocess.Popen`` takes. The program sees the world's /sys, not one of this namespace.
        """
        options.setdefault("start_new_session", True)
        with self.entered():
            return subprocess.Popen(argv, **options)

    def run(self, argv: Sequence[str], **options: Any) -> programs.Completed:
        """Run a program inside to its end; see ``programs.run`` for options and errors."""
        return programs.run(argv, node=self.name, popen=self.popen, **options)

    def socket(self, *arguments: int) -> socket.socket:
        """A socket made inside; takes what ``socket.socket`` takes. It stays there wherever it is used."""
        with self.entered():
            return socket.socket(*arguments)

    def read_sysctl(self, key: str) -> str:
        """A sysctl's value; ``key`` in slashes (``net/ipv4/conf/eth0.5/rp_filter``), since names may hold dots."""
        with self.entered():
            try:
                with open(_sysctl(key)) as file:
                    return file.read().strip()
            except OSError as error:
                raise KernelRefused(f"sysctl {key}: {error.strerror}", node=self.name) from error

    def write_sysctl(self, key: str, value: int | str) -> None:
        """Set one sysctl; see ``write_sysctls``."""
        self.write_sysctls({key: value})

    def write_sysctls(self, values: Mapping[str, int | str]) -> None:
        """Set sysctls of this namespace, in order. Raises ``KernelRefused``; only keys below ``net/`` are taken."""
        with self.entered():
            for key, value in values.items():
                try:
                    _write(_sysctl(key), str(value).encode())
                except OSError as error:
                    raise KernelRefused(f"sysctl {key}={value}: {error.strerror}", node=self.name) from error

    def close(self) -> None:
        """Let it go: the kernel removes it, with all its interfaces, when no process is left inside. Twice is once."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        if self._path is not None:
            syscalls.unmount(str(self._path), syscalls.MNT_DETACH)
            self._path.unlink()


def _sysctl(key: str) -> str:
    # Everything outside net/ belongs to the machine, not to the namespace, and must not be touched from a lab.
    if not key.startswith("net/") or "/../" in key:
        raise LabError(f"sysctl {key}: expected a key that starts with net/, written with slashes")
    return f"/proc/sys/{key}"


def _write(path: str, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _returning() -> Iterator[None]:
    """Bring the calling thread back to the network namespace that it is in now."""
    home = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
