"""``python -m testbed.traffic udp|tcp-serve|tcp-connect``: the programs that send and receive inside nodes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from ipaddress import IPv4Address

from testbed.traffic import datagram
from testbed.traffic.telling import Address


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.program == "udp":
        from testbed.traffic.udp_program import UdpEnd

        end = UdpEnd(
            options.local,
            options.remote,
            outgoing=options.outgoing,
            incoming=options.incoming,
            rate_hz=options.rate,
            size_bytes=options.size,
        )
        end.run()
        return 0
    from testbed.traffic import tcp_program

    if options.program == "tcp-serve":
        return 0 if tcp_program.serve(options.local, options.rate, options.drain) else 1
    return 0 if tcp_program.connect(options.local, options.remote, options.rate, options.drain) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed.traffic", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    udp = programs.add_parser("udp", help="one end of a numbered stream; starts to send with SIGUSR1")
    serve = programs.add_parser("tcp-serve", help="one end of a checked connection: wait for one client")
    connect = programs.add_parser("tcp-connect", help="the other end: connect once")
    for program in (udp, serve, connect):
        program.add_argument("--local", type=_address, required=True, metavar="ADDRESS:PORT")
    for program in (udp, connect):
        program.add_argument("--remote", type=_address, required=True, metavar="ADDRESS:PORT")
    udp.add_argument("--rate", type=_number(float, 0, 100_000), default=100.0, help="datagrams a second, 0 for none")
    udp.add_argument("--outgoing", type=_number(int, 0, 0xFFFFFFFF), default=1, help="number of the stream to send")
    udp.add_argument("--incoming", type=_number(int, 0, 0xFFFFFFFF), default=2, help="number of the stream to count")
    udp.add_argument("--size", type=_number(int, datagram.SMALLEST, 65507), default=64, help="bytes of UDP payload")
    for program in (serve, connect):
        program.add_argument("--rate", type=_number(float, 0.1, 1000), default=20.0, help="records a second, at most")
        program.add_argument("--drain", type=_number(float, 0, 3600), default=2.0, help="seconds to wait for the rest")
    return parser


def _address(text: str) -> Address:
    address, colon, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        if colon and 0 <= int(port) <= 65535:
            return str(IPv4Address(address)), int(port)
    raise argparse.ArgumentTypeError(f"'{text}' is not an IPv4 address and a port such as 192.0.2.1:5000")


def _number(kind: type[float] | type[int], low: float, high: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = -1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low:g} to {high:g}")
        return number

    return convert


if __name__ == "__main__":
    sys.exit(main())
