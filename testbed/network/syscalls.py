"""The few Linux system calls that Python 3.11 does not have, with errors as exceptions.

Responsible for calling the C library rightly, and for nothing else: what a call is for is its caller's business.
Every function raises ``OSError`` with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """unshare(2): give the calling thread namespaces of its own."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """setns(2): move the calling thread into the namespace behind ``descriptor``; ``kind`` 0 accepts any."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2); ``kind`` is the file system type, None for binds and changes of propagation."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _check(result, target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), target)


def die_with_parent(signal_number: int) -> None:
    """prctl(PR_SET_PDEATHSIG): the kernel sends this signal to the caller when its parent *thread* ends.

    The kernel forgets it when the caller's credentials change (unshare of a user namespace, kernel/cred.c), so ask
    after that; and a parent that is already dead sends nothing, so check for it afterwards.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
