"""What a run must not change on the host, as one comparable value, and the processes that a run has left."""

from __future__ import annotations

import os
from pathlib import Path

# Counts that the kernel changes by itself.
_RESTLESS = {"net/netfilter/nf_conntrack_count"}
_MACHINE_SYSCTLS = ("fs/file-max", "fs/nr_open", "kernel/pty/max", "kernel/threads-max", "user/max_net_namespaces")


def host_state() -> dict[str, object]:
    """Interfaces, mounts, names below /run, and sysctls."""
    return {
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "mounts": Path("/proc/self/mountinfo").read_text().splitlines(),
        "mounts of pid 1": Path("/proc/1/mountinfo").read_text().splitlines(),
        "run": sorted(str(path) for path in Path("/run").glob("*"))
        + sorted(str(path) for path in Path("/run").glob("netns/*")),
        "sysctls": _sysctls(),
    }


def _sysctls() -> dict[str, str]:
    root = Path("/proc/sys")
    found = {}
    for folder, _folders, names in os.walk(root / "net"):
        for name in names:
            key = str((Path(folder) / name).relative_to(root))
            if key not in _RESTLESS and (value := _read(root / key)) is not None:
                found[key] = value
    return found | {key: _read(root / key) or "" for key in _MACHINE_SYSCTLS}


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # some can only be written, some need privilege
        return None


def processes_with(mark: str) -> dict[int, str]:
    """Command lines, by pid, of all processes that were started with ``mark`` in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it ended while we looked
                continue
    return found
