"""Boot a distribution's kernel with virtme-ng over this machine's files, run commands in it, and take it down.

Responsible for the virtual machine's whole life. It stands in a private world of its own, so that QEMU and every
file made for it end with this process, however it ends. What runs inside is the caller's choice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.errors import DeadlinePassed, LabError, MissingProgram
from testbed.fullkernel import guest
from testbed.fullkernel.acceleration import kvm_works
from testbed.fullkernel.kernels import Kernel, find_kernel
from testbed.network import programs
from testbed.network.world import run_in_world

MEMORY = "3G"
# Deadlines inside stretch by this much: a virtual CPU that shares its core, and one that is emulated.
KVM_TIME_FACTOR = 2
EMULATION_TIME_FACTOR = 20

# Drivers for emulated hardware that nobody uses here. Loading them takes a third of the boot under emulation.
_UNUSED_DRIVERS = (
    "aesni_intel,ahci,bochs,ccp,i2c_i801,i6300esb,iTCO_wdt,kvm,kvm_amd,kvm_intel,libahci,lpc_ich,pcspkr,powernow_k8,"
    "psmouse,sg,snd_pcsp,sr_mod"
)
_KERNEL_ARGUMENTS = ("mitigations=off", "tsc=reliable", f"module_blacklist={_UNUSED_DRIVERS}")
_HOST_FILES = f"-virtfs local,path=/,mount_tag={guest.ROOT_TAG},readonly=on,security_model=none,multidevs=remap"
_SIMPLE_CPU = "-cpu qemu64"  # under emulation, vector instructions cost more than they save

_DEADLINE_PASSED = 124  # as timeout(1) has it
_NO_STATUS = 125


@dataclass(frozen=True)
class VirtualMachine:
    """How to boot: the kernel, and whether KVM helps."""

    kernel: Kernel
    kvm: bool

    @property
    def time_factor(self) -> int:
        """What TESTBED_TIME_FACTOR is inside."""
        return KVM_TIME_FACTOR if self.kvm else EMULATION_TIME_FACTOR

    def __str__(self) -> str:
        return f"Linux {self.kernel.version}, {'KVM' if self.kvm else 'emulated without KVM'}"


@dataclass(frozen=True)
class Order:
    """Commands for a virtual machine; they see this machine's files, read-only but for the folders ``writable``.

    ``deadline_s`` is for everything, the boot included. Commands run in ``directory`` with ``environment`` and PATH.
    """

    commands: Sequence[Sequence[str]]
    directory: Path
    deadline_s: float
    writable: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def prepare() -> VirtualMachine:
    """What can be booted here, found out by trying KVM.

    Raises ``MissingFeature`` without a kernel, ``MissingProgram`` without virtme-ng or QEMU.
    """
    _virtme_ng()
    kernel = find_kernel()
    return VirtualMachine(kernel, kvm_works(kernel))


def run(machine: VirtualMachine, order: Order) -> int:
    """Boot, run the commands with their output on our stdout, power off; the largest of their exit statuses.

    Raises ``DeadlinePassed``, and ``LabError`` where the machine went down without having run them all.
    """
    status = run_in_world(lambda: _boot(machine, order))
    if status == _DEADLINE_PASSED:
        raise DeadlinePassed(f"the virtual machine ({machine}) was not done after {order.deadline_s:g} s")
    if status == _NO_STATUS:
        raise LabError(f"the virtual machine ({machine}) ended before its commands did; its last words are above")
    return status


def _boot(machine: VirtualMachine, order: Order) -> int:
    """In the private world: everything is a child of ours, and temporary files are the world's own."""
    control = Path(tempfile.mkdtemp(prefix="vm-"))
    (control / "script").write_text(guest.script(_job(machine, order), control))
    _run_to_the_end(_command(machine, order, control), order.deadline_s)
    return _status(control / "status", len(order.commands))


def _run_to_the_end(command: list[str], deadline_s: float) -> None:
    """Run a program with its output on our stdout; past the deadline the whole world ends."""
    # Through a pipe: QEMU would truncate a file that is our stdout, and take the terminal that is our stdin.
    pipe = subprocess.PIPE
    environment = dict(os.environ, PATH=_program_path())  # vng calls its own parts by name
    alarm = threading.Timer(deadline_s, lambda: os._exit(_DEADLINE_PASSED))
    alarm.daemon = True
    alarm.start()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, env=environment
    ) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 65536):
            os.write(sys.stdout.fileno(), chunk)
    alarm.cancel()


def _job(machine: VirtualMachine, order: Order) -> guest.Job:
    environment = {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PATH": _program_path(),
        "PYTHONUNBUFFERED": "1",
        "TESTBED_TIME_FACTOR": str(machine.time_factor),
        "TERM": "dumb",
        **order.environment,
    }
    return guest.Job(order.commands, order.directory, order.writable, environment)


def _command(machine: VirtualMachine, order: Order, control: Path) -> list[str]:
    command = [_virtme_ng(), "--run", str(machine.kernel.image), "--user", "root", "--memory", MEMORY]
    command += ["--cpus", str(os.cpu_count() or 1), "--cwd", "/"]
    command += [f"--rwdir={folder}" for folder in (*order.writable, control)]
    command += [f"--append={argument}" for argument in _KERNEL_ARGUMENTS]
    command += [] if machine.kvm else ["--disable-kvm"]
    command += [f"--qemu-opts={_HOST_FILES if machine.kvm else f'{_SIMPLE_CPU} {_HOST_FILES}'}"]
    return [*command, "--exec", f"sh {control}/script"]


def _status(file: Path, commands: int) -> int:
    statuses = [int(line) for line in file.read_text().split()] if file.exists() else []
    return max(statuses, default=0) if len(statuses) == commands else _NO_STATUS


def _virtme_ng() -> str:
    """The path of ``vng``, which the environment of this very Python has."""
    path = shutil.which("vng", path=_program_path())
    if path is None:
        raise MissingProgram("virtme-ng is not installed", hint="run: make test-vm")
    return path


def _program_path() -> str:
    """PATH with the programs of this Python's environment first."""
    return os.pathsep.join([str(Path(sys.executable).parent), programs.search_path()])
