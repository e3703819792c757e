"""Puts a mobile node together: state machine, sockets and kernel state."""

from __future__ import annotations

import time
from contextlib import ExitStack

from testbed.agents.carrier import Carrier
from testbed.agents.event_log import EventLog
from testbed.agents.frames import LinkAddress
from testbed.agents.kernel_mobile import MobileKernel
from testbed.agents.launching import Launched, Reload, on_same_ground
from testbed.agents.link_socket import ROUTER_ADVERTISEMENT, LinkSocket
from testbed.agents.mobile import MobileNode
from testbed.agents.process import Process
from testbed.agents.registration_socket import reserve_port
from testbed.agents.settings import MobileSettings

FIXED = ("home_address", "home_network", "home_agent", "home_gateway", "interface")
"""What its sockets and its kernel state are built on; a change needs a new start."""


def launch(settings: MobileSettings, reload: Reload, log: EventLog, undo: ExitStack) -> Launched:
    """A mobile node that has only to be run; what is opened, ``undo`` closes.

    :raises KernelRefused: the node is not as the settings say.
    """
    link = LinkSocket(settings.interface, icmp_type=ROUTER_ADVERTISEMENT, arp=True)
    undo.callback(link.close)
    undo.callback(reserve_port().close)
    carrier = Carrier(settings.interface)
    undo.callback(carrier.close)
    kernel = MobileKernel(settings)
    undo.callback(kernel.close)
    own = LinkAddress(link.mac, settings.home_address, {settings.home_address})
    agent = MobileNode(settings, wall_clock=time.time, left_away=kernel.away)
    process = Process(agent, kernel, link, own, log, on_same_ground(settings, FIXED, reload), carrier=carrier)
    return process, {"role": "mobile", "name": settings.name}
