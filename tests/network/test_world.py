from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import MissingFeature, MissingPrivilege
from testbed.network import syscalls, world, world_view
from testbed.network.waiting import scaled, wait_until
from testbed.network.world import run_in_world
from tests.network.host_state import host_state
from tests.network.private import in_world

CHECKOUT = Path(__file__).parents[2]
WORLD = [sys.executable, "-m", "testbed.network.world"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
AS_USER = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]


def run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout to its end."""
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=scaled(60), env=env)


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_passes_through(status: int) -> None:
    assert run_in_world(lambda: status) == status


def test_death_by_signal_passes_through_as_128_and_its_number() -> None:
    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert run_in_world(die) == 128 + signal.SIGKILL


def test_an_exception_is_status_1_and_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_in_world(lambda: 1 // 0) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_leaving_by_sys_exit_works_as_everywhere(capfd: pytest.CaptureFixture[str]) -> None:
    def leave(code: object) -> Callable[[], int]:
        return lambda: sys.exit(code)  # type: ignore[arg-type]

    assert [run_in_world(leave(code)) for code in (None, 5, "no such thing")] == [0, 5, 1]
    assert capfd.readouterr().err == "no such thing\n"


def test_what_was_printed_before_and_inside_comes_out_once() -> None:
    script = (
        "from testbed.network.world import *; print('before'); run_in_world(lambda: print('in') or 0); print('after')"
    )
    assert run([sys.executable, "-c", script]).stdout == "before\nin\nafter\n"


@in_world  # where nobody else changes anything while we look
def test_the_caller_stays_as_it_was() -> None:
    def view() -> object:
        kinds = ("user", "mnt", "pid", "net")
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        descriptors = sorted(os.listdir("/proc/self/fd"))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds], handlers, descriptors, mask, dict(os.environ)

    before, host = view(), host_state()
    run_in_world(lambda: 0)
    assert (view(), host_state()) == (before, host)


@in_world
def test_inside_there_is_nothing_but_a_raised_loopback() -> None:
    assert os.listdir("/sys/class/net") == ["lo"]
    assert "UP" in run(["ip", "-br", "link"]).stdout
    assert os.listdir("/run/netns") == []
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    assert sorted(pids) == [1, os.getpid()]


def test_one_is_inside_only_inside() -> None:
    inherited = dict(os.environ)
    assert run_in_world(lambda: 0 if world.inside() else 1) == 0
    nodes_program = [
        *WORLD,
        "unshare",
        "--net",
        sys.executable,
        "-c",
        "from testbed.network import world; print(world.inside())",
    ]
    assert run(nodes_program).stdout == "True\n"
    assert os.environ == inherited
    leaked = {**os.environ, "TESTBED_WORLD": "pid:[1]"}
    assert run(nodes_program[-3:], env=leaked).stdout == "False\n"


@in_world
def test_everything_else_below_run_is_still_there() -> None:
    """Run in a world inside, whose /run gets one of each kind of entry first."""
    Path("/run/media/user").mkdir(parents=True)
    Path("/run/media/user/checkout").write_text("work")
    Path("/run/a-file").write_text("content")
    Path("/run/a-link").symlink_to("/run/a-file")
    os.mkfifo("/run/a-fifo")
    Path("/run/netns/theirs").touch()

    def look() -> int:
        assert Path("/run/media/user/checkout").read_text() == "work"
        assert (Path("/run/a-file").read_text(), os.readlink("/run/a-link")) == ("content", "/run/a-file")
        assert Path("/run/a-fifo").is_fifo()
        assert os.listdir("/run/netns") == []
        Path("/run/netns/mine").touch()
        Path("/run/new").touch()
        Path("/run/media/user/result").write_text("kept")
        return 0

    os.chdir("/run/media/user")
    assert run_in_world(lambda: look() or 0 if Path("checkout").exists() else 1) == 0
    assert os.listdir("/run/netns") == ["theirs"]
    assert not Path("/run/new").exists()
    assert Path("/run/media/user/result").read_text() == "kept"


@in_world
def test_temporary_files_go_with_the_world() -> None:
    folder = tempfile.gettempdir()
    assert folder.startswith("/run/testbed-")
    assert run(["mktemp"]).stdout.startswith(f"{folder}/")
    Path(folder, "file").touch()

    def inner() -> int:
        assert Path(folder, "file").exists()  # results may be wanted there
        assert tempfile.gettempdir() != folder
        Path(tempfile.gettempdir(), "more").touch()
        return 0

    names = os.listdir("/run")
    assert run_in_world(inner) == 0
    assert os.listdir("/run") == names


def test_a_deleted_working_folder_is_no_obstacle(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
    script += "from testbed.network.world import *; raise SystemExit(run_in_world(lambda: 4))"
    assert run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}).returncode == 4


def test_orphans_are_reaped_and_die_with_the_program() -> None:
    script = (
        "(sleep 600 &); (true &); for look in $(seq 200); do ps -eo stat | grep -q Z || break; done; ps -eo stat,args"
    )
    done = run([*WORLD, "sh", "-c", script])
    assert "sleep 600" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("Z")]
    assert done.returncode == 0  # and it came back, though the sleeper held our pipe: it is dead


def test_worlds_nest() -> None:
    def outer() -> int:
        assert subprocess.run(["ip", "link", "add", "outer-only", "type", "bridge"]).returncode == 0
        return run_in_world(lambda: 10 + len(os.listdir("/sys/class/net")))

    assert run_in_world(outer) == 11


def test_two_worlds_at_once_do_not_see_each_other() -> None:
    look = "ls /run/netns /sys/class/net; ps -e | wc -l"
    script = f"ip netns add same; ip link add same type bridge; echo ready; read go; {look}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [*WORLD, "sh", "-ec", script]
    with (
        subprocess.Popen(command, cwd=CHECKOUT, text=True, **pipes) as one,  # type: ignore[call-overload]
        subprocess.Popen(command, cwd=CHECKOUT, text=True, **pipes) as two,  # type: ignore[call-overload]
    ):
        assert [one.stdout.readline(), two.stdout.readline()] == ["ready\n", "ready\n"]
        seen = [process.communicate("go\n")[0] for process in (one, two)]
    assert seen[0] == seen[1] == "/run/netns:\nsame\n\n/sys/class/net:\nlo\nsame\n5\n"
    assert not Path("/sys/class/net/same").exists()


@needs_root
@pytest.mark.needs("user namespaces", "open checkout")
def test_an_ordinary_user_gets_a_world_by_a_user_namespace() -> None:
    script = (
        "id -u; ip link add a-bridge type bridge; ls /sys/class/net; ip netns add n; cat /proc/sys/net/ipv4/ip_forward"
    )
    done = run([*AS_USER, *WORLD, "sh", "-ec", script])
    assert (done.stdout.split()[:3], done.returncode) == (["0", "a-bridge", "lo"], 0), done.stderr


@needs_root
@pytest.mark.needs("user namespaces", "open checkout")
def test_root_without_capabilities_gets_a_world_or_a_remedy() -> None:
    """As in a container: without CAP_SYS_ADMIN by a user namespace, without any capability not at all."""
    without_admin = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"]
    assert run([*without_admin, *WORLD, "true"]).returncode == 0
    without_any = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = run([*without_any, *WORLD, "true"])
    assert (done.returncode, done.stdout) == (3, "")
    words = "creating the private world's namespaces: Operation not permitted (start the container with --privileged)\n"
    assert done.stderr == words


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.EPERM, MissingPrivilege, "namespaces: Operation not permitted"),
        (errno.ENOSPC, MissingPrivilege, "No space left on device .*user.max_user_namespaces"),
        (errno.EINVAL, MissingFeature, "no mount, pid, network or user namespaces .*CONFIG_NAMESPACES"),
    ],
)
def test_a_kernel_that_refuses_namespaces_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], words: str
) -> None:
    def refuse(_flags: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "unshare", refuse)
    with pytest.raises(error, match=words):
        run_in_world(lambda: 0)


def test_a_kernel_that_refuses_a_mount_is_named_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: str, target: str, *_rest: object) -> None:
        if target == "/sys":
            raise PermissionError(errno.EPERM, "Operation not permitted", target)

    monkeypatch.setattr(world_view, "mount", refuse)
    with pytest.raises(MissingPrivilege, match=r"furnishing the private world: Operation not permitted \(/sys\)"):
        run_in_world(lambda: 0)


def test_a_command_that_does_not_exist_is_status_127() -> None:
    done = run([*WORLD, "no-such-command"])
    assert (done.returncode, done.stderr) == (127, "no-such-command: No such file or directory\n")
    assert run(WORLD).returncode == 2


class Signalled:
    """A world whose program says what reached it."""

    SCRIPT = (
        "import signal, sys, time\n"
        "for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):\n"
        "    signal.signal(getattr(signal, name), lambda number, _: print(signal.Signals(number).name, flush=True))\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin: break\n"
        "sys.exit(9)"
    )

    def __enter__(self) -> Signalled:
        pipe = subprocess.PIPE
        command = [*WORLD, sys.executable, "-c", self.SCRIPT]
        self.process = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        assert self.line() == "ready"
        return self

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *_exception: object) -> None:
        self.process.communicate("end\n", timeout=scaled(30))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_outer_process_reaches_the_program(number: signal.Signals) -> None:
    with Signalled() as signalled:
        os.kill(signalled.process.pid, number)
        assert signalled.line() == number.name
    assert signalled.process.returncode == 9


def test_ctrl_c_is_for_the_program_to_heed() -> None:
    with Signalled() as signalled:
        os.killpg(signalled.process.pid, signal.SIGINT)
        assert signalled.line() == "SIGINT"
    assert signalled.process.returncode == 9


def test_a_program_that_does_not_heed_a_signal_dies_of_it() -> None:
    with subprocess.Popen(
        [*WORLD, "sh", "-c", "echo ready; exec sleep 600"], cwd=CHECKOUT, stdout=-1, text=True
    ) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "ready\n"
        outer.send_signal(signal.SIGTERM)
        assert outer.wait(scaled(30)) == 128 + signal.SIGTERM


def test_an_interruption_of_the_waiting_caller_ends_the_world() -> None:
    """pytest-timeout and others raise from their own signal handlers."""

    def interrupt(_number: int, _frame: object) -> None:
        raise InterruptedError("too late")

    before = signal.signal(signal.SIGUSR1, interrupt)
    pid = os.getpid()
    try:
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder, "pid")

            def main() -> int:
                note.write_text("here")
                time.sleep(scaled(600))
                return 0

            killer = subprocess.Popen(["sh", "-c", f"while [ ! -s {note} ]; do sleep 0.01; done; kill -USR1 {pid}"])
            with pytest.raises(InterruptedError, match="too late"):
                run_in_world(main)
            assert killer.wait() == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    wait_until(lambda: not _children(), what="the world's processes to be gone", timeout_s=10)


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
