"""Lets a program of root's run as an ordinary user's root: setgroups(2) succeeds without doing anything.

tcpdump always gives its groups up when it is root, even with ``-Z root``, and ends if it cannot. In a user namespace
that an ordinary user made, the kernel lets nobody change groups (user_namespaces(7)), so that there is no way to start
it. A seccomp filter answers that one call with "done"; everything else goes to the kernel as ever.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from testbed.errors import KernelRefused

T = TypeVar("T")

# Machine -> AUDIT_ARCH_… (linux/audit.h) and the number of setgroups there.
_SETGROUPS = {
    "x86_64": (0xC000003E, 116),
    "aarch64": (0xC00000B7, 159),
    "riscv64": (0xC00000F3, 159),
}

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _DONE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with errno 0
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # classic BPF, linux/bpf_common.h
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def groups_are_fixed() -> bool:
    """Whether this process may not change its groups because of the user namespace it is in."""
    try:
        return Path("/proc/self/setgroups").read_text().strip() == "deny"
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def call_with_fixed_groups(action: Callable[[], T]) -> T:
    """Call ``action`` in a thread of its own; programs that it starts may ask to change groups, and stay as they are.

    On machines whose numbers are not known here it is called just so.

    :raises KernelRefused: the kernel has no seccomp filters. Errors of ``action`` go through.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            _ignore_setgroups()
            outcome.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    # A filter is for the rest of a thread's life, and for all that it starts.
    thread = threading.Thread(target=run, name="fixed groups")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _ignore_setgroups() -> None:
    if platform.machine() not in _SETGROUPS:
        return
    architecture, setgroups = _SETGROUPS[platform.machine()]
    instructions = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, _ARCHITECTURE_AT),
            (_JUMP_IF_EQUAL, 0, 3, architecture),
            (_LOAD, 0, 0, _NUMBER_AT),
            (_JUMP_IF_EQUAL, 0, 1, setgroups),
            (_RETURN, 0, 0, _DONE),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)) != 0:
        number = ctypes.get_errno()
        hint = "boot a kernel that has CONFIG_SECCOMP_FILTER, or use sudo" if number == errno.EINVAL else None
        raise KernelRefused(f"seccomp filter for captures as an ordinary user: {os.strerror(number)}", hint=hint)
