"""What kernels hold: bindings as host routes into tunnels, proxy ARP, visitors (G3, G4, G13, G16, H10, H12, F7)."""

from __future__ import annotations

from collections.abc import Callable

from testbed.checks.claim import Claim, watch
from testbed.checks.scene import Scene, home_address, mac_of
from testbed.evidence.kernel_state import TABLE_MAIN, KernelSnapshot
from testbed.reports.result import CheckResult
from testbed.topologies.plan import VisitedNetwork

Complaints = list[str]


async def binding_installed(scene: Scene) -> CheckResult:
    """The home agent's kernel sends the home address into its one tunnel and answers ARP for it."""
    home = scene.plan.home
    address = home_address(scene)
    claim = Claim(
        "binding",
        f"{home.home_agent} holds a binding: host route into one tunnel, proxy ARP",
        f"route {address}/32 into a tunnel device, one tunnel, proxy neighbour {address} on {home.agent_interface}",
        node=home.home_agent,
        rules=("G16", "H10", "H12", "G13"),
        look_closer=_look(home.home_agent),
    )

    def complaints(snapshot: KernelSnapshot) -> Complaints:
        tunnels = [link.name for link in snapshot.tunnels()]
        into = [route.interface for route in snapshot.routes_for(address)]
        wrong = [] if len(tunnels) == 1 else [f"{len(tunnels)} tunnels ({', '.join(tunnels) or 'none'})"]
        if len(into) != 1 or into[0] not in tunnels:
            wrong.append(f"routes for {address}/32: {', '.join(map(str, snapshot.routes_for(address))) or 'none'}")
        if home.agent_interface not in [proxy.interface for proxy in snapshot.proxies_for(address)]:
            wrong.append(f"no proxy ARP for {address} on {home.agent_interface}")
        return wrong

    return await _settles(scene, claim, complaints, lambda s: [*s.routes_for(address), *s.proxies_for(address)])


async def no_mobility_state(scene: Scene) -> CheckResult:
    """The home agent's kernel knows nothing of the mobile node: no binding, no tunnel, no proxy ARP."""
    home = scene.plan.home
    address = home_address(scene)
    claim = Claim(
        "no-binding",
        f"{home.home_agent} holds no binding, no tunnel and no proxy ARP",
        f"no route for {address}/32, no tunnel device, no proxy neighbour",
        node=home.home_agent,
        rules=("G3", "G16", "H12"),
        look_closer=_look(home.home_agent),
    )

    def complaints(snapshot: KernelSnapshot) -> Complaints:
        # In whichever table: a binding need not be kept in the main one.
        left = [*snapshot.routes_for(address, table=None), *snapshot.tunnels(), *snapshot.proxies_for(address)]
        return [str(entry) for entry in left]

    return await _settles(scene, claim, complaints, lambda s: [s.summary()])


async def visitor_installed(scene: Scene, network: VisitedNetwork, *, reverse_tunnel: bool) -> CheckResult:
    """The foreign agent's kernel delivers to the visitor without asking by ARP, and tunnels back if it was asked to."""
    address = home_address(scene)
    mobile = scene.plan.node(scene.plan.mobile_node)
    mac = mac_of(scene, mobile.name, mobile.interfaces[0].name)
    back = "; its packets go into the tunnel" if reverse_tunnel else ""
    claim = Claim(
        "visitor",
        f"{network.foreign_agent} delivers to its visitor by a permanent neighbour entry",
        f"route {address}/32 dev {network.agent_interface}, permanent neighbour at {mac}{back}",
        node=network.foreign_agent,
        rules=("G4", "F7"),
        look_closer=_look(network.foreign_agent),
    )

    def complaints(snapshot: KernelSnapshot) -> Complaints:
        wrong = []
        if network.agent_interface not in [route.interface for route in snapshot.routes_for(address, table=None)]:
            wrong.append(f"no route for {address}/32 on {network.agent_interface}")
        neighbour = snapshot.neighbour(address, network.agent_interface)
        if neighbour is None or not neighbour.permanent or neighbour.mac.lower() != mac:
            wrong.append(f"neighbour entry: {neighbour or 'none'}")
        if _reverse_tunnelled(snapshot, network) is not reverse_tunnel:
            wrong.append("its packets go into the tunnel" if not reverse_tunnel else "its packets do not")
        return wrong

    return await _settles(
        scene,
        claim,
        complaints,
        lambda s: [*s.routes_for(address, None), s.neighbour(address), *(rule for rule in s.rules if rule.source)],
    )


async def arp_switched(scene: Scene, *, silent: bool) -> CheckResult:
    """The mobile node's kernel neither asks nor answers by ARP while it is away, and does both at home."""
    mobile = scene.plan.node(scene.plan.mobile_node)
    interface = mobile.interfaces[0].name
    state = "off" if silent else "on"
    claim = Claim(
        "arp-switch",
        f"{mobile.name}'s kernel has ARP switched {state}",
        f"{interface} {'NOARP' if silent else 'without NOARP'}, and {mobile.address} still configured",
        node=mobile.name,
        rules=("M11", "H12", "G13"),
        look_closer=f"ip -n {mobile.name} link show {interface}",
    )

    def complaints(snapshot: KernelSnapshot) -> Complaints:
        link = snapshot.link(interface)
        wrong = [f"{link}"] if link is None or link.arp is silent else []
        if mobile.address not in [entry.address.ip for entry in snapshot.addresses]:
            wrong.append(f"{mobile.address} is not configured any more")
        return wrong

    return await _settles(scene, claim, complaints, lambda s: [s.link(interface)])


def _reverse_tunnelled(snapshot: KernelSnapshot, network: VisitedNetwork) -> bool:
    """Whether a rule sends what comes in on the access LAN to a table whose default route leads into a tunnel."""
    tunnels = {link.name for link in snapshot.tunnels()}
    into_tunnel = {
        route.table
        for route in snapshot.routes
        if route.destination.prefixlen == 0 and route.interface in tunnels and route.table != TABLE_MAIN
    }
    return any(rule.incoming == network.agent_interface and rule.table in into_tunnel for rule in snapshot.rules)


async def _settles(
    scene: Scene,
    claim: Claim,
    complaints: Callable[[KernelSnapshot], Complaints],
    evidence: Callable[[KernelSnapshot], list[object]],
) -> CheckResult:
    """Look at the claim's node again and again until there is nothing to complain of."""
    assert claim.node is not None, "a claim about a kernel names its node"
    node = claim.node

    def settled() -> KernelSnapshot | None:
        snapshot = scene.snapshot(node)
        return None if complaints(snapshot) else snapshot

    snapshot = await watch(settled, claim.title)
    if snapshot is not None:
        return claim.holds("so it is", [str(entry) for entry in evidence(snapshot) if entry])
    snapshot = scene.snapshot(node)
    seen = "; ".join(complaints(snapshot))
    return claim.judged(not seen, seen or "so it is, but too late to count on", [snapshot.summary()])


def _look(node: str) -> str:
    return f"ip -n {node} route; ip -n {node} neigh show proxy; ip -n {node} link"
