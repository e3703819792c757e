"""The committed eBPF object is what its source gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed.tunnels import build


def needs_compiler() -> None:
    for program in ("clang", "llvm-strip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; needs the packages clang, llvm and libbpf-dev")


def test_rebuilding_the_object_gives_the_committed_one() -> None:
    needs_compiler()
    comparison = build.check()
    if comparison.same is None:
        pytest.skip(comparison.detail)
    assert comparison.same, comparison.detail


def test_a_changed_source_does_not_pass_for_the_committed_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_compiler()
    changed = tmp_path / build.SOURCE.name
    source = build.SOURCE.read_text()
    assert ".protocol = IPPROTO_IPIP," in source
    changed.write_text(source.replace(".protocol = IPPROTO_IPIP,", ".protocol = 47,"))
    monkeypatch.setattr(build, "SOURCE", changed)
    build.build(tmp_path / "changed.o")
    comparison = build.compare((tmp_path / "changed.o").read_bytes(), build.OBJECT.read_bytes())
    assert comparison.same in (False, None)
    if comparison.same is False:
        assert "tc" in comparison.detail


def test_the_same_source_in_another_folder_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_compiler()
    build.build(tmp_path / "here.o")
    copy = tmp_path / "deeper" / "folder" / build.SOURCE.name
    copy.parent.mkdir(parents=True)
    copy.write_text(build.SOURCE.read_text())
    monkeypatch.setattr(build, "SOURCE", copy)
    build.build(tmp_path / "there.o")
    assert (tmp_path / "here.o").read_bytes() == (tmp_path / "there.o").read_bytes()


def test_another_compilers_object_is_not_compared_and_the_reason_is_told() -> None:
    committed = build.OBJECT.read_bytes()
    ours = build.sections(committed)[".clang"]
    place = committed.index(ours, 64)
    assert committed.count(ours) >= 1
    tampered = bytearray(committed)
    offset = _offset_of_section(committed, ours, place)
    tampered[offset : offset + 4] = (99).to_bytes(4, "little")
    comparison = build.compare(committed, bytes(tampered))
    assert comparison.same is None
    assert "clang 99" in comparison.detail


def _offset_of_section(elf: bytes, content: bytes, start: int) -> int:
    """Where the compiler's section lies: the place whose change changes what the section reads as."""
    place = start
    while True:
        changed = bytearray(elf)
        changed[place : place + 4] = (99).to_bytes(4, "little")
        try:
            if build.sections(bytes(changed)).get(".clang") == (99).to_bytes(4, "little"):
                return place
        except (ValueError, IndexError, UnicodeDecodeError):
            pass
        place = elf.index(content, place + 1)
