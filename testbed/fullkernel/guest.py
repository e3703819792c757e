"""The script that the virtual machine runs: a fast view of the host's files, the kernel's modules, the commands.

virtme-ng boots with the host's files over 9p without a cache, which makes Python ten times slower than the emulation
alone. So the script mounts the same files once more, read-only and cached, and makes that the root.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT_TAG = "hostroot"
# What the kernel loads by itself only for a user who may, and a private world's user may not.
MODULES = ("ipip", "ip_gre", "sch_netem", "veth", "bridge", "nf_tables", "dummy")

_VIEW = f"""\
root=/run/hostroot
mkdir "$root"
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 {ROOT_TAG} "$root"
for place in proc sys dev; do mount --rbind "/$place" "$root/$place"; done
"""

# A checkout may lie below one of the folders that become empty ones: it is put back.
_TEMPORARY = """mkdir /run/directory
mount --bind "$root"{directory} /run/directory
for place in run tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$place"; done
mkdir -p "$root"{directory}
mount --bind /run/directory "$root"{directory}
"""

_ENTER = """\
mkdir "$root/run/old"
cd "$root"
pivot_root . run/old
umount -l /run/old
rmdir /run/old
"""


@dataclass(frozen=True)
class Job:
    """What a virtual machine is booted for.

    ``commands`` run one after the other in ``directory``, whatever their status; ``writable`` folders are the host's
    own; ``environment`` is all that the commands get.
    """

    commands: Sequence[Sequence[str]]
    directory: Path
    writable: Sequence[Path]
    environment: Mapping[str, str]


def script(job: Job, control: Path) -> str:
    """The text of the script; it leaves each command's status, one a line, in ``control/status``."""
    temporary = _TEMPORARY.format(directory=shlex.quote(str(job.directory)))
    lines = ["#!/bin/sh", "set -e", _VIEW, temporary, *(_shared(folder) for folder in (*job.writable, control)), _ENTER]
    lines += [f"modprobe -q {module} || echo 'this kernel has no module {module}'" for module in MODULES]
    lines += [f"cd {shlex.quote(str(job.directory))}", "set +e"]
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in job.environment.items())
    status_file = shlex.quote(str(control / "status"))
    for command in job.commands:
        lines += [f"env -i {variables} {shlex.join(command)} </dev/null", f"echo $? >>{status_file}"]
    return "\n".join(lines) + "\n"


def _shared(folder: Path) -> str:
    place = shlex.quote(str(folder))
    return f'mkdir -p "$root"{place}\nmount --bind {place} "$root"{place}'
