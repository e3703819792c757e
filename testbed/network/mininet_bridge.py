"""A LAN as one of Mininet's switches: a Linux bridge in the lab's root namespace, no controller, no Open vSwitch.

Responsible for the bridge device. Its ports are made with their cables (mininet_link.py) and moved between bridges by
the lab (mininet_net.py).
"""

from __future__ import annotations

import errno
from typing import Any

from mininet.node import Switch

from testbed.errors import LabError
from testbed.network import link_requests, rtnetlink
from testbed.network.mininet_node import NetlinkNode
from testbed.network.waiting import wait_until

_OLD_PORTS_GO_WITHIN_S = 5.0


class LabBridge(NetlinkNode, Switch):  # type: ignore[misc]  # Mininet has no types
    """A bridge; ``group`` is the group of devices that it and its ports are deleted with."""

    def __init__(self, name: str, group: int = 0, **params: Any) -> None:
        # Not Switch.__init__: it wants a number in the name for OpenFlow, and starts a shell to configure `lo`.
        params["inNamespace"] = False
        params.pop("listenPort", None)
        NetlinkNode.__init__(self, name, **params)
        self.dpid = self.defaultDpid()
        self.opts, self.listenPort, self.controlIntf = "", None, None
        self.group = group
        self.bridge_index = self._create()

    def defaultDpid(self, dpid: str | None = None) -> str:
        """No bridge has an OpenFlow datapath."""
        return dpid or "0" * self.dpidLen

    def _create(self) -> int:
        existing = self.rtnetlink.link(self.name)
        if existing is not None:
            raise LabError(f"a network device {self.name} exists already", node=self.name)
        self.request(link_requests.add_bridge(self.name, self.group))
        return self.index(self.name)

    def start(self, _controllers: Any = ()) -> None:
        """Raise the bridge, and plug in what other link classes have left beside it."""
        if self.rtnetlink.link(self.name) is None:
            self.bridge_index = self._create()
        for interface in self.intfList():
            if (port := self.rtnetlink.link(interface.name)) is not None:
                self.request(link_requests.set_master(port.index, self.bridge_index))
        self.request(rtnetlink.set_link(self.bridge_index, up=True))

    def stop(self, deleteIntfs: bool = True) -> None:
        """Lower the bridge: its LAN is dead. With ``deleteIntfs``, delete it and its ports."""
        self.request(rtnetlink.set_link(self.bridge_index, up=False), ignore=(errno.ENODEV,))
        if deleteIntfs:
            self.deleteIntfs()
            self.request(rtnetlink.delete_link(self.bridge_index), ignore=(errno.ENODEV,))

    def plugged_in(self) -> list[str]:
        """Names of the interfaces that are plugged in, as the lab knows it."""
        return [interface.name for interface in self.intfList()]

    def delete_all(self) -> None:
        """Delete every bridge and port of the group in one request, and see them gone."""
        self.request(link_requests.delete_group(self.group))
        wait_until(
            lambda: self.rtnetlink.link(self.name) is None,
            what=f"bridge {self.name} to be deleted",
            timeout_s=_OLD_PORTS_GO_WITHIN_S,
        )
