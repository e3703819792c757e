"""Whether KVM runs a kernel here, found out by booting one.

That /dev/kvm can be opened says little: on some machines the first instruction never ends.
"""

from __future__ import annotations

import os
import subprocess

from testbed.fullkernel.kernels import Kernel
from testbed.network import programs

_DEVICE = "/dev/kvm"
# A kernel without a root file system panics, the panic reboots, and QEMU ends instead: 1 to 2 s where KVM works.
_DEADLINE_S = 10.0
_KERNEL_ARGUMENTS = "panic=-1 console=ttyS0 quiet"


def kvm_works(kernel: Kernel, *, deadline_s: float = _DEADLINE_S) -> bool:
    """Boot ``kernel`` under KVM as far as its panic; False where that does not end well within ``deadline_s``."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    qemu = [programs.require("qemu-system-x86_64"), "-accel", "kvm", "-nodefaults", "-display", "none", "-no-reboot"]
    qemu += ["-m", "512", "-serial", "stdio", "-kernel", str(kernel.image), "-append", _KERNEL_ARGUMENTS]
    try:
        done = subprocess.run(qemu, stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"Kernel panic" in done.stdout
