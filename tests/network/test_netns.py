from __future__ import annotations

import os
import socket
import subprocess
import threading

import pytest

from testbed.errors import CommandFailed, KernelRefused, LabError
from testbed.network import world
from testbed.network.netns import NAMES_FOLDER, Namespace
from tests.network.private import in_world


def _network() -> str:
    return os.readlink("/proc/thread-self/ns/net")


@in_world
def test_a_namespace_is_new_and_known_to_ip_netns() -> None:
    created = Namespace.create("here")
    assert created.path == NAMES_FOLDER / "here"
    assert subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.split() == ["here"]
    assert created.run(["ip", "-br", "link"]).stdout.split()[:2] == ["lo", "DOWN"]


@in_world
def test_entering_ends_with_the_block_even_by_an_error() -> None:
    outside = _network()
    inner, outer = Namespace.create("inner"), Namespace.create("outer")
    with outer.entered():
        between = _network()
        with inner.entered():
            assert _network() not in (outside, between)
        with pytest.raises(ZeroDivisionError), inner.entered():
            1 // 0  # noqa: B018 - the error is what it is for
        assert _network() == between != outside
    assert _network() == outside


@in_world
def test_only_the_calling_thread_enters() -> None:
    outside, seen = _network(), []
    with Namespace.create("mine").entered():
        thread = threading.Thread(target=lambda: seen.append(os.readlink(f"/proc/{os.getpid()}/ns/net")))
        thread.start()
        thread.join()
        assert _network() != outside
    assert len(seen) == 1


@in_world
def test_programs_and_sockets_are_inside() -> None:
    created = Namespace.create("inside")
    with created.entered():
        inside = _network()
    assert created.run(["readlink", "/proc/self/ns/net"]).stdout.strip() == inside != _network()
    with created.popen(["sleep", "600"]) as process:
        assert os.getsid(process.pid) == process.pid
        process.kill()
    with created.socket(socket.AF_INET, socket.SOCK_DGRAM) as made, pytest.raises(OSError, match="unreachable"):
        made.connect(("127.0.0.1", 9))  # its loopback is down, ours is up


@in_world
def test_a_program_that_fails_inside_names_the_namespace() -> None:
    with pytest.raises(CommandFailed, match=r"^inside: `ip link show nothing` ended with status 1"):
        Namespace.create("inside").run(["ip", "link", "show", "nothing"])


@in_world
def test_sysctls_belong_to_the_namespace() -> None:
    first, second = Namespace.create("first"), Namespace.create("second")
    first.write_sysctls({"net/ipv4/ip_forward": 1, "net/ipv4/conf/default/rp_filter": 2})
    second.write_sysctl("net/ipv4/ip_forward", 0)
    assert first.read_sysctl("net/ipv4/ip_forward") == "1"
    assert first.read_sysctl("net/ipv4/conf/default/rp_filter") == "2"
    assert second.read_sysctl("net/ipv4/ip_forward") == "0"


@in_world
def test_a_sysctl_that_is_refused_is_named() -> None:
    created = Namespace.create("mn")
    with pytest.raises(KernelRefused, match=r"mn: sysctl net/ipv4/conf/eth9/rp_filter=1: No such file"):
        created.write_sysctl("net/ipv4/conf/eth9/rp_filter", 1)
    with pytest.raises(KernelRefused, match="mn: sysctl net/ipv4/ip_forward=many: Invalid argument"):
        created.write_sysctl("net/ipv4/ip_forward", "many")
    with pytest.raises(KernelRefused, match="mn: sysctl net/nothing: No such file"):
        created.read_sysctl("net/nothing")


@pytest.mark.parametrize("key", ["fs/file-max", "net.ipv4.ip_forward", "net/../kernel/pty/max"])
@in_world
def test_sysctls_of_the_machine_are_out_of_reach(key: str) -> None:
    with pytest.raises(LabError, match="expected a key that starts with net/"):
        Namespace.create("mn").write_sysctl(key, 1)


@in_world
def test_a_name_in_use_is_refused_and_its_owner_unharmed() -> None:
    owner = Namespace.create("mn")
    with pytest.raises(LabError, match="mn: a network namespace of this name exists already"):
        Namespace.create("mn")
    owner.run(["true"])


@in_world
def test_closing_frees_the_name() -> None:
    first = Namespace.create("mn")
    first.close()
    first.close()
    assert not first.path.exists()
    Namespace.create("mn").close()


@in_world
def test_names_given_by_ip_netns_live_beside_ours() -> None:
    first = Namespace.create("first")
    subprocess.run(["ip", "netns", "add", "theirs"], check=True)
    second = Namespace.create("second")
    first.close()
    second.close()
    assert subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.split() == ["theirs"]
    subprocess.run(["ip", "netns", "del", "theirs"], check=True)


def test_no_namespace_is_made_outside_the_private_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "inside", lambda: False)
    with pytest.raises(LabError, match="only made inside the private world"):
        Namespace.create("mn")
