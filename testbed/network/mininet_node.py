"""Mininet's nodes without a shell each: a namespace held by a descriptor, configured over netlink.

Responsible for being a ``mininet.node.Node`` in everything that scripts and Mininet's CLI use - ``cmd``, ``popen``,
``IP``, ``setIP`` … - while a shell is only started when somebody asks for one, by ``cmd``, ``sendCmd``, ``pid`` or
``shell``. Bridges are in mininet_bridge.py, interfaces and cables in mininet_link.py.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from mininet.node import Host, Node

from testbed.errors import KernelRefused, LabError
from testbed.network import link_requests, programs, rtnetlink
from testbed.network.netns import Namespace
from testbed.network.rtnetlink import Message, RouteNetlink

if TYPE_CHECKING:
    from testbed.network.threaded_iproute import ThreadedIPRoute

_ANYWHERE = IPv4Network("0.0.0.0/0")
_NO_IPV6 = {"net/ipv6/conf/all/disable_ipv6": 1, "net/ipv6/conf/default/disable_ipv6": 1}

# The shell gets a mount namespace of its own, in which /sys shows the node's devices; exec keeps the process the same.
_WITH_OWN_SYS = ("unshare", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && exec "$0" "$@"')


class NetlinkNode(Node):  # type: ignore[misc]  # Mininet has no types
    """What our hosts and bridges have in common. ``namespace`` is where the node's interfaces are."""

    name: str
    inNamespace: bool  # noqa: N815 - Mininet's name
    namespace: Namespace

    def __init__(self, name: str, inNamespace: bool = True, **params: Any) -> None:
        self._shell: Any = None
        self._pid: int | None = None
        self._stdout: Any = None
        self._starting_shell = True  # Node.__init__ looks at shell and pid, and must not start one
        self._rtnetlink: RouteNetlink | None = None
        self._netlink: ThreadedIPRoute | None = None
        self.namespace = Namespace.create(name) if inNamespace else Namespace.current(name)
        Node.__init__(self, name, inNamespace=inNamespace, **params)  # not Switch's: see LabBridge
        self._starting_shell = False
        self.mountPrivateDirs()
        if inNamespace:
            if os.path.exists("/proc/sys/net/ipv6"):
                self.namespace.write_sysctls(_NO_IPV6)
            self.request(rtnetlink.set_link("lo", up=True))

    @classmethod
    def setup(cls) -> None:
        """Mininet looks for mnexec and ifconfig here; only the shell needs mnexec, and asks for it itself."""

    # Netlink

    @property
    def rtnetlink(self) -> RouteNetlink:
        """A light routing socket in the node's namespace, opened when first used and kept."""
        if self._rtnetlink is None:
            self._rtnetlink = RouteNetlink(self.namespace.fd)
        return self._rtnetlink

    @property
    def netlink(self) -> ThreadedIPRoute:
        """pyroute2's IPRoute in the node's namespace, opened when first used and kept; coroutines may use it too."""
        if self._netlink is None:
            from testbed.network.threaded_iproute import ThreadedIPRoute  # pyroute2 takes 0.2 s to import

            self._netlink = ThreadedIPRoute(self.namespace)
        return self._netlink

    def request(self, *messages: Message, ignore: tuple[int, ...] = ()) -> None:
        """Have the kernel do something in the node's namespace; raises ``KernelRefused`` that names the node."""
        try:
            self.rtnetlink.request(*messages, ignore=ignore)
        except KernelRefused as refusal:
            raise KernelRefused(refusal.message, node=self.name, hint=refusal.hint) from refusal.__cause__

    def index(self, interface: str) -> int:
        """The kernel's index of an interface; raises ``LabError``."""
        link = self.rtnetlink.link(interface)
        if link is None:
            names = ", ".join(link.name for link in self.rtnetlink.links())
            raise LabError(f"no interface {interface}; there are: {names}", node=self.name)
        return link.index

    def add_route(self, destination: IPv4Network, gateway: IPv4Address | None, interface: str | None = None) -> None:
        """Route ``destination`` via a gateway, or straight out of an interface; takes the place of an older route."""
        device = self.index(interface) if interface else None
        self.request(rtnetlink.replace_route(destination, gateway=gateway, device=device))

    # Mininet's own names for the same

    def setARP(self, ip: str, mac: str) -> None:
        """A permanent neighbour entry on the interface whose network holds ``ip``."""
        address = IPv4Address(ip)
        device = self.rtnetlink.route_to(address).device
        self.request(rtnetlink.set_neighbour(address, bytes.fromhex(mac.replace(":", "")), device))

    def setHostRoute(self, ip: str, intf: Any) -> None:
        """Route one address straight out of an interface."""
        self.add_route(IPv4Network(ip), None, str(intf))

    def setDefaultRoute(self, intf: Any = None) -> None:
        """``intf``: an interface, its name, or words of ``ip route``: ``via 10.0.0.1``, ``dev eth0 via 10.0.0.1``."""
        words = str(intf if intf is not None else self.defaultIntf()).split()
        if len(words) == 1:
            words = ["dev", *words]
        known = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 or not known.keys() <= {"dev", "via"}:
            raise LabError(f"default route {intf}: expected an interface or `[dev NAME] via ADDRESS`", node=self.name)
        gateway = IPv4Address(known["via"]) if "via" in known else None
        self.add_route(_ANYWHERE, gateway, known.get("dev"))

    def config(
        self, mac: Any = None, ip: Any = None, defaultRoute: Any = None, lo: str = "up", **_params: Any
    ) -> dict[str, Any]:
        """Mininet's hook after all cables are laid: MAC and address of the default interface, default route."""
        results: dict[str, Any] = {}
        self.setParam(results, "setMAC", mac=mac)
        self.setParam(results, "setIP", ip=ip)
        self.setParam(results, "setDefaultRoute", defaultRoute=defaultRoute)
        if lo == "down":  # it is up since the beginning
            self.request(rtnetlink.set_link("lo", up=False))
        return results

    def deleteIntfs(self, checkName: bool = True) -> None:
        """Delete all cables; in a namespace of one's own there is no hardware to be careful with."""
        for interface in self.intfList():
            if interface.name != "lo":
                interface.delete()

    def disable_offloads(self, interface: str) -> None:
        """Have packets leave an interface with checksums filled in and in one piece, as captures should show them."""
        with self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            try:
                link_requests.disable_offloads(control, interface)
            except OSError as error:
                raise KernelRefused(f"offloads of {interface} off: {error.strerror}", node=self.name) from error

    # Programs and the shell

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in the node; takes what Mininet's ``popen`` takes: a list, a string, or separate words."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        # Private folders are mounted in the shell's mount namespace, which a program must then join.
        prefix = options.pop("mncmd", ["mnexec", "-da", str(self.pid)] if self.privateDirs else [])
        words = list(args[0]) if len(args) == 1 and isinstance(args[0], list | tuple) else [str(word) for word in args]
        if options.pop("shell", False):
            command = [os.environ.get("SHELL", "/bin/sh"), "-c", " ".join(words)]
        else:
            command = shlex.split(words[0]) if len(args) == 1 and isinstance(args[0], str) else words
        return self.namespace.popen([*prefix, *command], **options)

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[Any]:
        with self.namespace.entered():
            return subprocess.Popen(cmd, **params)

    def startShell(self, mnopts: str | None = None) -> None:
        """Start the shell now; Mininet's constructor calls this too, and then it waits until it is needed."""
        if self._starting_shell or self._shell is not None:
            return
        programs.require("mnexec")
        if self.namespace.fd < 0:
            return  # stopped: nothing to run a shell in
        self._starting_shell = True
        wanted, self.inNamespace = self.inNamespace, False  # mnexec must not make another namespace
        try:
            super().startShell(mnopts)
        finally:
            self.inNamespace = wanted
            self._starting_shell = False

    def mountPrivateDirs(self) -> None:
        """Mount the folders that a node wants for itself, in its shell's mount namespace."""
        if self.privateDirs and not self._starting_shell:
            super().mountPrivateDirs()

    @property
    def shell(self) -> Any:
        """The shell's process, started when first asked for."""
        self.startShell()
        return self._shell

    @shell.setter
    def shell(self, process: Any) -> None:
        self._shell = process

    @property
    def pid(self) -> int | None:
        """The shell's pid, for programs that join a node by pid; starts the shell."""
        self.startShell()
        return self._pid

    @pid.setter
    def pid(self, pid: int | None) -> None:
        self._pid = pid

    @property
    def stdout(self) -> Any:
        """What the shell prints; starts the shell."""
        self.startShell()
        return self._stdout

    @stdout.setter
    def stdout(self, stream: Any) -> None:
        self._stdout = stream

    def terminate(self) -> None:
        """Hang up the shell, if there ever was one, and let the namespace go."""
        if self._shell is not None:
            super().terminate()
        for resource in (self._rtnetlink, self._netlink):
            if resource is not None:
                resource.close()
        self._rtnetlink = self._netlink = None
        self.namespace.close()

    def __repr__(self) -> str:
        interfaces = ",".join(f"{interface.name}:{interface.IP()}" for interface in self.intfList())
        return f"<{type(self).__name__} {self.name}: {interfaces} pid={self._pid}> "


class LabNode(NetlinkNode, Host):  # type: ignore[misc]
    """A host or router of a lab."""

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[Any]:
        return super()._popen([*_WITH_OWN_SYS, *cmd], **params)
