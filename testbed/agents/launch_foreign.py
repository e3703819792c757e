"""Puts a foreign agent together: state machine, sockets, tunnels and kernel state."""

from __future__ import annotations

from contextlib import ExitStack

from testbed.agents.event_log import EventLog
from testbed.agents.foreign import ForeignAgent
from testbed.agents.frames import LinkAddress
from testbed.agents.kernel_foreign import ForeignKernel
from testbed.agents.launching import (
    Launched,
    Reload,
    address_of,
    agents_link,
    on_same_ground,
    open_registrations,
    open_tunnels,
    own_addresses,
)
from testbed.agents.process import Process
from testbed.agents.settings import ForeignSettings
from testbed.errors import KernelRefused

FIXED = ("care_of_address", "interface", "underlay", "tunnel_driver")
"""What its sockets and its kernel state are built on; a change needs a new start."""


def launch(settings: ForeignSettings, reload: Reload, log: EventLog, undo: ExitStack) -> Launched:
    """A foreign agent that has only to be run; what is opened, ``undo`` closes.

    :raises KernelRefused: the node is not as the settings say.
    :raises MissingFeature: no tunnel driver works here.
    """
    link = agents_link(settings.interface, undo)
    registrations = open_registrations(undo)
    access = address_of(link.index, settings.interface)
    accepted = own_addresses()
    if settings.care_of_address not in accepted:
        raise KernelRefused(f"care-of address {settings.care_of_address} is on no interface of this node")
    tunnels = open_tunnels(settings.tunnel_driver, settings.underlay, undo)
    kernel = ForeignKernel(settings.interface, tunnels)
    undo.callback(kernel.close)
    own = LinkAddress(link.mac, access.ip, accepted)
    agent = ForeignAgent(settings, access)
    process = Process(
        agent,
        kernel,
        link,
        own,
        log,
        on_same_ground(settings, FIXED, reload),
        registrations=registrations,
        tunnels=tunnels.driver,
    )
    return process, {"role": "foreign", "name": settings.name, "tunnel_driver": tunnels.driver.name}
