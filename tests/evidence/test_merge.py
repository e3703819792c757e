from __future__ import annotations

import json
import subprocess
from pathlib import Path

from scapy.layers.inet import IP

from testbed.evidence.merge import write_merged
from testbed.evidence.packets import CaptureFile, PacketLog
from testbed.network.programs import require
from tests.evidence.wire import HOP_NS, START_NS, Wire, datagram, mac, triangle_downlink


def tshark(path: Path, *fields: str) -> list[list[str]]:
    command = [require("tshark"), "-r", str(path), "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    complaints = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    assert complaints == []
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_reads_interfaces_times_directions_and_comments(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for number in range(2):
        triangle_downlink(wire, number)
    log = wire.log()
    path = tmp_path / "packets.pcapng"
    comments = [(START_NS, "step 1: at home → away"), (START_NS + 11 * HOP_NS, "step 2"), (START_NS * 2, "step 3")]
    assert write_merged(log, path, comments) == 20

    rows = tshark(
        path,
        "frame.number",
        "frame.interface_name",
        "frame.time_epoch",
        "frame.comment",
        "frame.packet_flags_direction",
    )
    assert [row[1] for row in rows] == [packet.place for packet in log]
    assert [row[2] for row in rows] == [f"{p.time_ns // 10**9}.{p.time_ns % 10**9:09d}" for p in log]
    commented = {int(row[0]): row[3] for row in rows if row[3]}
    assert commented == {1: "step 1: at home → away", 11: "step 2", 20: "step 3"}
    assert [int(row[4], 0) for row in rows] == [1 if p.direction == "in" else 2 for p in log]
    assert [packet.merged_number for packet in log] == list(range(1, 21))
    assert "(packets.pcapng #1)" in log.packets[0].describe()


def test_comments_for_one_frame_stand_in_the_order_of_their_times(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    wire.link("cn:eth0", "mn:eth0", datagram(1))
    path = tmp_path / "packets.pcapng"
    write_merged(wire.log(), path, [(2, "second"), (1, "first")])
    assert tshark(path, "frame.comment") == [["first,second"], [""]]


def test_frames_are_the_same_bytes_whatever_their_length(tmp_path: Path) -> None:
    wire = Wire(tmp_path)
    for size in range(9):
        wire.link("cn:eth0", "mn:eth0", IP(dst="192.0.2.10") / bytes(size))
    log = wire.log()
    path = tmp_path / "packets.pcapng"
    write_merged(log, path)
    merged = [bytes.fromhex(row[0]) for row in raw_frames(path)]
    assert merged == [packet.frame for packet in log]


def raw_frames(path: Path) -> list[list[str]]:
    command = [require("tshark"), "-r", str(path), "-T", "json", "-x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[frame["_source"]["layers"]["frame_raw"][0]] for frame in json.loads(done.stdout)]


def test_an_empty_log_gives_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "packets.pcapng"
    silent = PacketLog(
        [CaptureFile("cn", "eth0", tmp_path / "never.pcap", bytes.fromhex(mac("cn:eth0").replace(":", "")))]
    )
    assert write_merged(silent, path, [(1, "step 1")]) == 0
    assert tshark(path, "frame.number") == []
