"""The seam between an agent and the kernel: what a state machine asks to hold is made to hold, or is refused whole.

One class a role (:mod:`testbed.agents.kernel_home` and its siblings). Each remembers what it did and can undo it all.
"""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from testbed.agents.actions import KernelAction
from testbed.errors import KernelRefused
from testbed.network.rtnetlink import Message, RouteNetlink

GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO)
"""Errors that mean: what was to be deleted is not there any more."""

# linux/ip.h: the number of a net.ipv4.conf setting
RP_FILTER = 8
RP_FILTER_OFF, RP_FILTER_STRICT = 0, 1


class Kernel(Protocol):
    """What the shell needs of it."""

    def apply(self, action: KernelAction) -> None:
        """Do what ``action`` asks for.

        :raises KernelRefused: it could not be done; what held before still holds.
        """

    def close(self) -> None:
        """Undo everything."""


class Sysctls:
    """Settings below /proc/sys that are put back in the end."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def set(self, key: str, value: int) -> None:
        """Set for example ``net/ipv4/conf/all/accept_redirects``.

        :raises KernelRefused: there is no such setting, or no right to change it.
        """
        path = Path("/proc/sys", key)
        try:
            before = path.read_text()
            if before.strip() == str(value):
                return
            path.write_text(str(value))
        except OSError as failure:
            raise KernelRefused(f"cannot set {key} to {value}: {failure.strerror}") from failure
        self._undo.callback(_write_if_there, path, before)

    def close(self) -> None:
        self._undo.close()


def _write_if_there(path: Path, value: str) -> None:
    if path.exists():  # an interface may be gone, and its settings with it
        path.write_text(value)


def undo(netlink: RouteNetlink, *messages: Message) -> None:
    """Delete what is to be deleted; that some of it is gone already is no failure."""
    netlink.request(*messages, ignore=GONE)
