"""The committed object file ipip.bpf.o: how it is built from ipip.bpf.c, and whether it still is what the source says.

    python -m testbed.tunnels.build            rebuild it in place
    python -m testbed.tunnels.build --check    rebuild elsewhere and compare; exit 1 where they differ

For developers and CI: users of the package need no compiler. What is compared is what the kernel runs - instructions,
relocations, map definitions, licence - and not the type and line notes (BTF), which change with the system's headers.
Compilers of different major versions write different instructions for the same source, so the object records its own
(section .clang), and another one's build is not compared.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import CommandFailed, MissingProgram, TestbedError

SOURCE = Path(__file__).with_name("ipip.bpf.c")
OBJECT = Path(__file__).with_name("ipip.bpf.o")
COMPARED = ("tc", ".reltc", ".maps", "license")
_COMPILER_SECTION = ".clang"
_FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-fdebug-compilation-dir=.")

_ELF_SECTIONS_AT = struct.Struct("=40xQ10xHHH")  # e_shoff, e_shentsize, e_shnum, e_shstrndx
_ELF_SECTION = struct.Struct("=IIQQQQ")  # name, type, flags, address, offset, size


@dataclass(frozen=True)
class Comparison:
    """``same`` is None where the two objects cannot be compared; ``detail`` says why, or what differs."""

    same: bool | None
    detail: str


def build(target: Path) -> None:
    """Compile the source to ``target``, with map types (BTF) and without debug notes; the same bytes wherever it is.

    Raises ``MissingProgram``, ``CommandFailed``.
    """
    # The multiarch folder, which clang leaves out when the target is not the machine's own.
    include = f"-I/usr/include/{platform.machine()}-linux-gnu"
    _run("clang", *_FLAGS, include, "-c", SOURCE.name, "-o", str(target))
    _run("llvm-strip", "-g", str(target))


def _run(program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise MissingProgram(f"{program} is not installed", hint="install the packages clang, llvm and libbpf-dev")
    done = subprocess.run([program, *arguments], cwd=SOURCE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"{program} ended with status {done.returncode}: {done.stderr.strip()}")


def sections(elf: bytes) -> dict[str, bytes]:
    """The sections of a 64-bit ELF file of this machine's byte order, by name."""
    start, step, count, names_at = _ELF_SECTIONS_AT.unpack_from(elf)
    headers = [_ELF_SECTION.unpack_from(elf, start + i * step) for i in range(count)]
    *_, names_offset, names_size = headers[names_at]
    names = elf[names_offset : names_offset + names_size]
    return {
        names[name : names.index(b"\0", name)].decode(): elf[offset : offset + size]
        for name, _type, _flags, _address, offset, size in headers
    }


def compare(committed: bytes, rebuilt: bytes) -> Comparison:
    """Whether two objects make the kernel run the same programs."""
    ours, theirs = sections(committed), sections(rebuilt)
    by_whom, now = (_clang_major(found) for found in (ours, theirs))
    if by_whom != now:
        return Comparison(None, f"built with clang {by_whom}; here is clang {now}, which writes other instructions")
    differing = [name for name in COMPARED if ours.get(name) != theirs.get(name)]
    if differing:
        return Comparison(False, f"{OBJECT.name} is not what {SOURCE.name} gives: {', '.join(differing)} differ")
    return Comparison(True, f"{OBJECT.name} is what {SOURCE.name} gives with clang {now}")


def _clang_major(found: dict[str, bytes]) -> int:
    return int(struct.unpack("=i", found.get(_COMPILER_SECTION, bytes(4)))[0])


def check() -> Comparison:
    """Rebuild in a folder of its own and compare with the committed object. Raises as `build` does."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / OBJECT.name
        build(target)
        return compare(OBJECT.read_bytes(), target.read_bytes())


def main() -> int:
    """Build or check, by the command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.tunnels.build", description="Build ipip.bpf.o.")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed object instead of replacing it"
    )
    try:
        if not parser.parse_args().check:
            build(OBJECT)
            return 0
        comparison = check()
    except TestbedError as failure:
        print(failure, file=sys.stderr)
        return failure.exit_code
    print(comparison.detail if comparison.same is not None else f"not compared: {comparison.detail}")
    return 1 if comparison.same is False else 0


if __name__ == "__main__":
    sys.exit(main())
