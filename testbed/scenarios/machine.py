"""Whether this machine can run a scenario, asked before anything is built, and which tunnel driver it will be."""

from __future__ import annotations

from testbed.errors import MissingFeature
from testbed.network import programs
from testbed.scenarios.catalogue import Scenario
from testbed.tunnels.driver import probe

DRIVERS = ("netdev", "ebpf")  # in the order of preference

_PROGRAMS = ("tcpdump", "nft")


def check_machine(scenario: Scenario, tunnel: str) -> None:
    """Refuse now what would fail later.

    :raises MissingProgram: a program is not installed.
    :raises MissingPrivilege: this user may not make network namespaces.
    :raises MissingFeature: the kernel has no way to make the tunnels.
    """
    for program in _PROGRAMS:
        programs.require(program)
    choose_driver(tunnel)


def choose_driver(tunnel: str) -> str:
    """The tunnel driver to use: the one asked for, or for ``auto`` the first that this kernel has.

    :raises MissingFeature: it is not available, or none is.
    """
    found = probe()
    wanted = DRIVERS if tunnel == "auto" else (tunnel,)
    for name in wanted:
        if found[name].available:
            return name
    reasons = "; ".join(f"{name}: {found[name].detail}" for name in wanted)
    remedies = " or ".join(filter(None, (found[name].remedy for name in wanted)))
    raise MissingFeature(f"no tunnel driver works here ({reasons})", hint=remedies or None)
