"""libbpf 1 through ctypes: load an object file's programs and maps into the kernel and get their descriptors.

No program is run and nothing is pinned. What the programs do, and where they are attached, is others' business.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os

from testbed.errors import KernelRefused, MissingFeature, MissingPrivilege

_LIBRARY = "libbpf.so.1"
_WARNING = 0  # enum libbpf_print_level
_BPF_NOEXIST = 1
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

_warnings: list[str] = []


def _keep_warning(level: int, template: bytes, arguments: int) -> int:
    """What libbpf would print on stderr is kept for the error message."""
    if level == _WARNING:
        text = ctypes.create_string_buffer(4096)
        ctypes.CDLL(None).vsnprintf(text, ctypes.c_size_t(4096), template, ctypes.c_void_p(arguments))
        _warnings.append(text.value.decode(errors="replace").strip())
    return 0


_printer = _PRINT(_keep_warning)  # referenced for good: libbpf calls it whenever it likes


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as failure:
        raise MissingFeature(f"{_LIBRARY} cannot be loaded", hint="install the package libbpf1") from failure
    for name, result in (
        ("bpf_object__open_mem", ctypes.c_void_p),
        ("bpf_object__find_program_by_name", ctypes.c_void_p),
    ):
        getattr(library, name).restype = result
    library.libbpf_set_print(_printer)
    return library


class BpfMap:
    """A map of a loaded object; keys and values are the bytes of the C types."""

    def __init__(self, descriptor: int, value_size: int, cpus: int | None) -> None:
        """``cpus``: how many values the kernel keeps per key in a per-cpu map, None in any other map."""
        self._descriptor = descriptor
        self._value_size = value_size
        self._cpus = cpus

    def insert(self, key: bytes, value: bytes, what: str) -> None:
        """A new entry, in a per-cpu map the same for every CPU; EEXIST where the key is there.

        ``what`` is for the error message.
        """
        if self._cpus is not None:
            value = (value + bytes(-len(value) % 8)) * self._cpus
        no_exist = ctypes.c_ulonglong(_BPF_NOEXIST)
        _check(_library().bpf_map_update_elem(self._descriptor, key, value, no_exist), f"add {what}")

    def lookup(self, key: bytes) -> list[bytes]:
        """The values of a key: one, or one per CPU; none where the key is not there."""
        step = self._value_size + -self._value_size % 8
        buffer = ctypes.create_string_buffer(step * (self._cpus or 1))
        if _library().bpf_map_lookup_elem(self._descriptor, key, buffer) < 0:
            return []
        return [buffer.raw[i * step : i * step + self._value_size] for i in range(self._cpus or 1)]

    def delete(self, key: bytes) -> None:
        """Take an entry out; one that is not there is as good."""
        _library().bpf_map_delete_elem(self._descriptor, key)


class BpfObject:
    """An object file in the kernel. Programs that are attached, and the maps they use, outlive `close`."""

    def __init__(self, name: str, elf: bytes) -> None:
        """Raises ``MissingFeature``, ``MissingPrivilege`` or ``KernelRefused`` in the verifier's words."""
        self._elf = elf  # libbpf reads from it until the object is loaded
        self._handle = ctypes.c_void_p()
        library = _library()
        _warnings.clear()
        opened = library.bpf_object__open_mem(elf, ctypes.c_size_t(len(elf)), None)
        if not opened:
            raise KernelRefused(f"libbpf cannot read {name}: {_last_warning(ctypes.get_errno())}")
        self._handle = ctypes.c_void_p(opened)
        result = library.bpf_object__load(self._handle)
        if result < 0:
            self.close()
            _raise_refusal(name, -result)

    def program(self, name: str) -> int:
        """The descriptor of a program, valid until `close`."""
        found = _library().bpf_object__find_program_by_name(self._handle, name.encode())
        if not found:
            raise KernelRefused(f"there is no program {name} in the object file")
        descriptor: int = _library().bpf_program__fd(ctypes.c_void_p(found))
        return descriptor

    def map(self, name: str, value_size: int, *, per_cpu: bool = False) -> BpfMap:
        """A map, valid until `close`; ``value_size`` in bytes, of one CPU's value."""
        descriptor = _library().bpf_object__find_map_fd_by_name(self._handle, name.encode())
        _check(descriptor, f"find map {name}")
        return BpfMap(descriptor, value_size, _library().libbpf_num_possible_cpus() if per_cpu else None)

    def close(self) -> None:
        """Let go of all descriptors."""
        if self._handle:
            _library().bpf_object__close(self._handle)
            self._handle = ctypes.c_void_p()


def _raise_refusal(name: str, number: int) -> None:
    if number in (errno.EPERM, errno.EACCES) and not _may_load():
        raise MissingPrivilege("loading eBPF programs needs CAP_BPF in the first user namespace", hint="run as root")
    raise KernelRefused(f"the kernel refused to load {name}: {_last_warning(number)}") from OSError(
        number, os.strerror(number)
    )


def _may_load() -> bool:
    """Root of the first user namespace; there, a refusal is the verifier's and not for want of privilege."""
    with open("/proc/self/uid_map") as uid_map:
        return os.geteuid() == 0 and uid_map.read().split() == ["0", "0", "4294967295"]


def _last_warning(number: int) -> str:
    """The most telling of libbpf's warnings: the last that is not just the failure passed on."""
    lines = [line.splitlines()[-1] for line in _warnings if line]
    return f"{os.strerror(number)}; {lines[0]}" if lines else os.strerror(number)


def _check(result: int, what: str) -> None:
    if result < 0:
        raise KernelRefused(f"the kernel refused to {what}: {os.strerror(-result)}") from OSError(
            -result, os.strerror(-result)
        )
