"""Choosing the kernel that a virtual machine boots, and the script that it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from testbed.errors import MissingFeature
from testbed.fullkernel import guest
from testbed.fullkernel.acceleration import kvm_works
from testbed.fullkernel.kernels import Kernel, find_kernel


class Machine:
    """A /boot and a /lib/modules."""

    def __init__(self, folder: Path) -> None:
        self.boot, self.modules = folder / "boot", folder / "modules"
        self.boot.mkdir()
        self.modules.mkdir()

    def install(self, version: str, *, module: str | None = "kernel/net/ipv4/ipip.ko") -> None:
        (self.boot / f"vmlinuz-{version}").touch()
        if module:
            file = self.modules / version / module
            file.parent.mkdir(parents=True)
            file.touch()

    def found(self, running: str = "6.18.0-none") -> str:
        return find_kernel(boot=self.boot, modules=self.modules, running=running).version


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_kernel_is_chosen_by_number_and_not_by_spelling(machine: Machine) -> None:
    for version in ("6.1.0-9-amd64", "6.1.0-56-amd64", "5.10.0-99-amd64"):
        machine.install(version)
    assert machine.found() == "6.1.0-56-amd64"


def test_the_running_kernel_is_preferred(machine: Machine) -> None:
    for version in ("6.8.0-41-generic", "6.8.0-50-generic"):
        machine.install(version, module="kernel/net/ipv4/ipip.ko.zst")
    assert machine.found(running="6.8.0-41-generic") == "6.8.0-41-generic"


def test_a_kernel_without_its_modules_or_without_ipip_is_passed_over(machine: Machine) -> None:
    machine.install("6.1.0-56-amd64")
    machine.install("6.9.0-1-amd64", module=None)
    machine.install("6.9.0-2-amd64", module="kernel/net/ipv4/ip_gre.ko")
    assert machine.found() == "6.1.0-56-amd64"


def test_without_a_kernel_the_package_to_install_is_named(machine: Machine) -> None:
    with pytest.raises(MissingFeature, match="linux-image-amd64"):
        machine.found()


def test_a_kernel_that_does_not_come_to_its_end_under_kvm_counts_as_no_kvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = tmp_path / "qemu-system-x86_64"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("testbed.fullkernel.acceleration._DEVICE", os.devnull)
    assert not kvm_works(Kernel("6.1", Path("vmlinuz")), deadline_s=0.2)


def test_every_command_runs_with_its_words_its_environment_and_its_status_kept(tmp_path: Path) -> None:
    job = guest.Job(
        commands=[["sh", "-c", 'echo "$NAME|$0|$HOME"; exit 7', "two words"], ["pwd"]],
        directory=tmp_path,
        writable=[],
        environment={"PATH": os.environ["PATH"], "NAME": "it's $HOME"},
    )
    _, commands = guest.script(job, tmp_path).split("set +e\n")  # what comes before needs a virtual machine
    done = subprocess.run(["sh"], input=f"cd {tmp_path}\n{commands}", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["it's $HOME|two words|", str(tmp_path)]
    assert (tmp_path / "status").read_text().split() == ["7", "0"]
