"""A light NETLINK_ROUTE client: requests packed by hand, the standard library alone, about 5 µs each.

For agents and tunnel drivers, which must start fast and change kernel state thousands of times a second; what builds
labs uses pyroute2. The names below are the whole of it: encoders that return a `Message`, `RouteNetlink` that has the
kernel do them, and `LinkMonitor` for news of links.
"""

from testbed.network.rtnetlink.connection import Route, RouteNetlink
from testbed.network.rtnetlink.filters import (
    ETH_P_ALL,
    ETH_P_IP,
    add_clsact,
    attach_program,
    delete_clsact,
    detach_program,
)
from testbed.network.rtnetlink.links import (
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_UP,
    Link,
    add_ipip,
    add_veth,
    delete_link,
    set_link,
)
from testbed.network.rtnetlink.message import Message
from testbed.network.rtnetlink.monitor import LinkChange, LinkMonitor
from testbed.network.rtnetlink.routing import (
    SCOPE_ANY,
    SCOPE_HOST,
    SCOPE_LINK,
    SCOPE_UNIVERSE,
    TABLE_LOCAL,
    TABLE_MAIN,
    add_address,
    add_proxy_neighbour,
    add_route,
    add_rule,
    delete_address,
    delete_neighbour,
    delete_proxy_neighbour,
    delete_route,
    delete_rule,
    replace_route,
    set_neighbour,
)

__all__ = [
    "ETH_P_ALL",
    "ETH_P_IP",
    "IFF_LOWER_UP",
    "IFF_NOARP",
    "IFF_UP",
    "SCOPE_ANY",
    "SCOPE_HOST",
    "SCOPE_LINK",
    "SCOPE_UNIVERSE",
    "TABLE_LOCAL",
    "TABLE_MAIN",
    "Link",
    "LinkChange",
    "LinkMonitor",
    "Message",
    "Route",
    "RouteNetlink",
    "add_address",
    "add_clsact",
    "add_ipip",
    "add_proxy_neighbour",
    "add_route",
    "add_rule",
    "add_veth",
    "attach_program",
    "delete_address",
    "delete_clsact",
    "delete_link",
    "delete_neighbour",
    "delete_proxy_neighbour",
    "delete_route",
    "delete_rule",
    "detach_program",
    "replace_route",
    "set_link",
    "set_neighbour",
]
