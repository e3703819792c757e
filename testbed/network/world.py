"""The private world: everything a run does happens in namespaces that die with the run's first process.

Responsible for making the namespaces, for the chain of processes that ties their life to ours, and for passing
signals and exit status through. What the world looks like from inside is world_view.py's business.

How it works, from outside in; each process only waits for the next::

    outer      the process that called: keeps its own namespaces, forwards SIGTERM and SIGHUP
    └─ doorway     unshares user (unless root), mount, pid and network namespaces
       └─ init         pid 1 of the new pid namespace: furnishes the world, reaps orphans
          └─ program       runs main()

When outer dies, by any signal, the kernel kills the doorway (PR_SET_PDEATHSIG), then init, and with the first process
of a pid namespace it kills all others in it. With the last process go the mount and network namespaces and all that
is in them. So nothing is cleaned up by name, and nothing is left to clean up.

PR_SET_PDEATHSIG says nothing when the parent is dead already. Therefore each child also holds the reading end of a
pipe, its *lifeline*, whose writing end only its parent has: end of file on it means that it came too late.

Ctrl-C on a terminal reaches all four; only the program heeds it. ``kill -TERM`` of the outer process reaches the
program too, which may then end in its own way.

Run ``python -m testbed.network.world CMD ARGS…`` to start any program inside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

from testbed.errors import MachineError, MissingFeature, MissingPrivilege
from testbed.network import syscalls, world_view

_FORWARDED = (signal.SIGTERM, signal.SIGHUP)
_Mask = set[signal.Signals | int]
_HELD = (signal.SIGINT, *_FORWARDED)
_DIED_OF_SIGNAL = 128  # a shell's way to write "killed by signal N" as an exit status
_REFUSED = 3  # the world could not be made: the report says why


def inside() -> bool:
    """Is this process in a private world? True in every process of it, in whichever node's namespace."""
    return os.environ.get(world_view.VARIABLE) == world_view.identity()


def run_in_world(main: Callable[[], int]) -> int:
    """Call ``main`` in a new private world and return its exit status; 128 + N where it died of signal N.

    ``main`` runs in a forked process: what it changes in memory is not seen here, and functions registered with
    ``atexit`` are not called. Call it from the main thread. Worlds nest. Raises ``MissingPrivilege`` or
    ``MissingFeature`` where the kernel refuses one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        doorway, lifeline = _fork(lambda line: _doorway(main, writer, mask, line))
        os.close(writer)
        try:
            with _handlers_restored():
                status = _stand_by(doorway, doorway)
        except BaseException:  # somebody's own signal handler raised while we waited
            os.kill(doorway, signal.SIGKILL)
            os.waitpid(doorway, 0)
            raise
        finally:
            os.close(lifeline)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    with os.fdopen(reader) as report:
        kind, _, message = report.read().partition("\n")
    if message:
        raise _refusal(kind, message)
    return status


def _doorway(main: Callable[[], int], report: int, mask: _Mask, lifeline: int) -> int:
    try:
        _unshare()
    except MachineError as error:
        _tell(report, error)
        return _REFUSED
    _tie(lifeline)
    init, own_lifeline = _fork(lambda line: _init(main, report, mask, line))
    os.close(report)
    status = _stand_by(init, init)
    os.close(own_lifeline)
    return status


def _init(main: Callable[[], int], report: int, mask: _Mask, lifeline: int) -> int:
    _tie(lifeline)
    try:
        world_view.furnish()
    except OSError as error:
        _tell(report, _cannot_furnish(error))
        return _REFUSED
    os.close(report)
    program, _ = _fork(lambda line: _program(main, mask, line))
    # Any child: whoever loses its parent in this pid namespace becomes ours.
    return _stand_by(program, -1)


def _program(main: Callable[[], int], mask: _Mask, lifeline: int) -> int:
    os.close(lifeline)  # pid 1 cannot end without us
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        return main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return int(leaving.code or 0)
    except KeyboardInterrupt:
        return _DIED_OF_SIGNAL + signal.SIGINT


def _fork(child: Callable[[int], int]) -> tuple[int, int]:
    """Run ``child(lifeline)`` in a new process; its pid, and the end of the lifeline to keep open while we live."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reader)
        return pid, writer
    status = 1
    try:
        os.close(writer)
        status = child(reader)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - a forked copy must never return into the caller's code
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _tie(lifeline: int) -> None:
    """Die with the parent from now on, and at once if it is dead already."""
    syscalls.die_with_parent(signal.SIGKILL)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(_DIED_OF_SIGNAL + signal.SIGKILL)


def _stand_by(child: int, awaited: int) -> int:
    """Wait for ``child``, passing signals on to it; ``awaited`` -1 reaps everybody else's orphans meanwhile."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    while True:
        pid, status = os.waitpid(awaited, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _DIED_OF_SIGNAL - code


@contextlib.contextmanager
def _handlers_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _HELD}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unshare() -> None:
    """New mount, pid and network namespaces; below a new user namespace unless we may make them as we are."""
    kinds = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET
    try:
        if os.geteuid() == 0:
            try:
                syscalls.unshare(kinds)
            except PermissionError:  # root of a container without CAP_SYS_ADMIN
                _unshare_as_user(kinds)
        else:
            _unshare_as_user(kinds)
    except OSError as error:
        raise _cannot_unshare(error) from error


def _unshare_as_user(kinds: int) -> None:
    user, group = os.geteuid(), os.getegid()
    syscalls.unshare(kinds | syscalls.CLONE_NEWUSER)
    # user_namespaces(7): without privilege, only our own ids can be mapped, and setgroups must be given up first.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


_USER_REMEDY = (
    "run it with sudo, or let users make namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian) or "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
)
_CONTAINER_REMEDY = "start the container with --privileged"


def _cannot_unshare(error: OSError) -> MachineError:
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return MissingFeature(
            "this kernel has no mount, pid, network or user namespaces", hint="boot a kernel that has CONFIG_NAMESPACES"
        )
    limits = "raise the limits: sysctl user.max_user_namespaces, max_net_namespaces, max_pid_namespaces"
    hint = limits if error.errno == errno.ENOSPC else None
    return MissingPrivilege(f"creating the private world's namespaces: {error.strerror}", hint=hint)


def _cannot_furnish(error: OSError) -> MachineError:
    what = f" ({error.filename})" if error.filename else ""
    return MissingPrivilege(f"furnishing the private world: {error.strerror}{what}")


def _tell(report: int, error: MachineError) -> None:
    """Send an error to the outer process, the only one that may raise it; a pipe takes these few bytes at once."""
    os.write(report, "\n".join([type(error).__name__, error.message, error.hint or ""]).encode())


def _refusal(kind: str, text: str) -> MachineError:
    message, _, hint = text.partition("\n")
    error = MissingFeature if kind == MissingFeature.__name__ else MissingPrivilege
    # Only out here are we who we are: inside, everybody is root.
    return error(message, hint=hint or (_CONTAINER_REMEDY if os.geteuid() == 0 else _USER_REMEDY))


def _run_program(argv: list[str]) -> int:
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        return 127 if error.errno == errno.ENOENT else 126


def _command_line(argv: list[str]) -> int:
    if not argv:
        print("usage: python -m testbed.network.world CMD [ARGS…]", file=sys.stderr)
        return 2
    try:
        return run_in_world(lambda: _run_program(argv))
    except MachineError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_command_line(sys.argv[1:]))
