"""Requests that hang eBPF programs on a device: the clsact qdisc and the bpf classifier (linux/pkt_sched.h, pkt_cls.h).

Each function returns a `Message` for `RouteNetlink.request`. Programs are given by descriptor; the kernel keeps them
alive for as long as the filter exists, whether or not the process that loaded them does.
"""

from __future__ import annotations

import socket
import struct
from typing import Literal

from testbed.network.rtnetlink.message import (
    CREATE_NEW,
    CREATE_OR_REPLACE,
    Message,
    attribute_text,
    attribute_u32,
    nested,
)

RTM_NEWQDISC, RTM_DELQDISC = 36, 37
RTM_NEWTFILTER, RTM_DELTFILTER = 44, 45

TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS = 6, 7, 8
_ACT_DIRECT = 1  # the program's return value is the verdict, no separate action

Direction = Literal["ingress", "egress"]
_CLSACT = 0xFFFFFFF1
_CLSACT_HANDLE = 0xFFFF0000
_PARENT: dict[Direction, int] = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_FILTER_HANDLE = 1

ETH_P_IP = 0x0800
ETH_P_ALL = 0x0003

_TC_HEADER = struct.Struct("=BxxxiIII")


def add_clsact(device: int) -> Message:
    """The qdisc that filters hang on; EEXIST where the device has it already."""
    body = _TC_HEADER.pack(0, device, _CLSACT_HANDLE, _CLSACT, 0) + attribute_text(TCA_KIND, "clsact")
    return Message(RTM_NEWQDISC, CREATE_NEW, body, "add clsact to device {}", (device,))


def delete_clsact(device: int) -> Message:
    """Take clsact and all its filters from a device."""
    body = _TC_HEADER.pack(0, device, _CLSACT_HANDLE, _CLSACT, 0)
    return Message(RTM_DELQDISC, 0, body, "delete clsact of device {}", (device,))


def attach_program(
    device: int, direction: Direction, program_fd: int, name: str, *, priority: int, ethertype: int = ETH_P_ALL
) -> Message:
    """Run a program on the packets of a device; one at the same priority and ethertype is replaced without a gap.

    The kernel's tc keeps one protocol per priority, so two attachments at one priority must agree in ``ethertype``.
    """
    options = attribute_u32(TCA_BPF_FD, program_fd) + attribute_text(TCA_BPF_NAME, name)
    options += attribute_u32(TCA_BPF_FLAGS, _ACT_DIRECT)
    body = _filter_header(device, direction, priority, ethertype)
    body += attribute_text(TCA_KIND, "bpf") + nested(TCA_OPTIONS, options)
    values = (name, direction, device)
    return Message(RTM_NEWTFILTER, CREATE_OR_REPLACE, body, "attach program {} to {} of device {}", values)


def detach_program(device: int, direction: Direction, *, priority: int, ethertype: int = ETH_P_ALL) -> Message:
    """Take the program at this priority off; ENOENT where there is none."""
    body = _filter_header(device, direction, priority, ethertype) + attribute_text(TCA_KIND, "bpf")
    values = (direction, device)
    return Message(RTM_DELTFILTER, 0, body, "detach the program of {} of device {}", values)


def _filter_header(device: int, direction: Direction, priority: int, ethertype: int) -> bytes:
    information = priority << 16 | socket.htons(ethertype)
    return _TC_HEADER.pack(0, device, _FILTER_HANDLE, _PARENT[direction], information)
