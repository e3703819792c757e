"""Which tunnel drivers work here, found out by making a tunnel in a network namespace that is thrown away.

Run as a program it prints one JSON line a driver; `try_drivers` runs it as a child, because namespaces belong to
threads and the caller's must not change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from testbed.errors import LabError, MachineError, TestbedError
from testbed.network import syscalls
from testbed.network.rtnetlink import RouteNetlink, add_address, add_veth, set_link
from testbed.network.waiting import scaled
from testbed.tunnels.driver import DRIVERS, ProbeResult, open_driver
from testbed.tunnels.endpoints import TunnelEndpoints

_LIMIT_S = 20.0
_LOCAL = IPv4Interface("192.0.2.1/24")
_REMOTE = IPv4Address("192.0.2.2")


def try_drivers() -> dict[str, ProbeResult]:
    """See `driver.probe`."""
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    try:
        trial = subprocess.run(
            [sys.executable, "-m", __name__],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=scaled(_LIMIT_S),
            check=False,
        )
    except subprocess.TimeoutExpired as failure:
        raise LabError(f"trying the tunnel drivers took longer than {scaled(_LIMIT_S):g} s") from failure
    if trial.returncode:
        raise LabError(f"trying the tunnel drivers failed: {trial.stderr.strip().splitlines()[-1:]}")
    results = [json.loads(line) for line in trial.stdout.splitlines()]
    return {result.pop("driver"): ProbeResult(**result) for result in results}


def _try(driver: str) -> ProbeResult:
    try:
        _enter_empty_namespace()
        with RouteNetlink() as kernel:
            kernel.request(add_veth("under", "far"), set_link("under", up=True), set_link("far", up=True))
            kernel.request(add_address(kernel.link_index("under"), _LOCAL))
        opened = open_driver(driver, underlay=["under"])
        device = opened.open(TunnelEndpoints(_LOCAL.ip, _REMOTE))
        opened.close(device)
        opened.shutdown()
    except MachineError as missing:
        return ProbeResult(False, missing.message, missing.hint)
    except TestbedError as refusal:
        return ProbeResult(False, refusal.message, refusal.hint or "report this: the kernel should be able to")
    return ProbeResult(True, "a tunnel was made and removed in a namespace of its own")


def _enter_empty_namespace() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    except PermissionError:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
        except OSError as failure:
            raise MachineError(
                f"no network namespace can be made: {failure.strerror}",
                hint="run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)",
            ) from failure


def main() -> None:
    """Print what each driver can do."""
    for driver in DRIVERS:
        print(json.dumps({"driver": driver} | asdict(_try(driver))))


if __name__ == "__main__":
    main()
