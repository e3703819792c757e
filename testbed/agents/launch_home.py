"""Puts a home agent together: state machine, sockets, tunnels and kernel state."""

from __future__ import annotations

import time
from contextlib import ExitStack

from testbed.agents.event_log import EventLog
from testbed.agents.frames import LinkAddress
from testbed.agents.home import HomeAgent
from testbed.agents.kernel_home import HomeKernel
from testbed.agents.launching import (
    Launched,
    Reload,
    agents_link,
    on_same_ground,
    open_registrations,
    open_tunnels,
    own_addresses,
)
from testbed.agents.process import Process
from testbed.agents.settings import HomeSettings
from testbed.errors import KernelRefused

FIXED = ("home_agent", "home_network", "interface", "underlay", "tunnel_driver")
"""What its sockets and its kernel state are built on; a change needs a new start."""


def launch(settings: HomeSettings, reload: Reload, log: EventLog, undo: ExitStack) -> Launched:
    """A home agent that has only to be run; what is opened, ``undo`` closes.

    :raises KernelRefused: the node is not as the settings say.
    :raises MissingFeature: no tunnel driver works here.
    """
    link = agents_link(settings.interface, undo)
    registrations = open_registrations(undo)
    accepted = {settings.home_network.broadcast_address, *own_addresses()}  # H5
    if settings.home_agent not in accepted:
        raise KernelRefused(f"home agent address {settings.home_agent} is on no interface of this node")
    tunnels = open_tunnels(settings.tunnel_driver, settings.underlay, undo)
    kernel = HomeKernel(settings.interface, tunnels, settings.mobile_nodes)
    undo.callback(kernel.close)
    own = LinkAddress(link.mac, settings.home_agent, accepted)
    agent = HomeAgent(settings, wall_clock=time.time)
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
    return process, {"role": "home", "name": settings.name, "tunnel_driver": tunnels.driver.name}
