"""Every error the testbed raises on purpose, in one tree.

::

    TestbedError                  exit code
    ├── UsageError                2   the user asked for something that cannot be
    │   ├── OptionError               unknown option, or a value that is not allowed
    │   ├── ScenarioError             unknown or broken scenario, topology or node name
    │   └── ConfigError               an agent's configuration file does not hold
    ├── MachineError              3   this machine cannot run it; the hint says what to do
    │   ├── MissingProgram
    │   ├── MissingPrivilege
    │   └── MissingFeature            the kernel lacks something
    ├── LabError                  2   the lab could not be built or driven
    │   ├── CommandFailed             a program in the lab ended with a non-zero status
    │   ├── KernelRefused             netlink, sysctl or bpf(2) answered with an error
    │   ├── AgentDied                 an agent ended or never became ready
    │   └── DeadlinePassed            a condition did not hold in time
    └── ProtocolError             -   a message that breaks its RFC; never leaves an agent
        ├── DecodeError               bytes that are not a well-formed message
        ├── EncodeError               a message that cannot be put on the wire
        └── AuthenticationError       an authenticator that is missing, doubled or wrong

A message is one line that says what was being done and what was expected. ``node`` names where, ``hint`` what to do.
"""

from __future__ import annotations


class TestbedError(Exception):
    """Base of all errors that are raised on purpose; ``str()`` is the one line a user sees."""

    __test__ = False  # pytest: not a test class, in spite of its name
    exit_code: int = 2

    def __init__(self, message: str, *, node: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node else ""
        what_to_do = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.message}{what_to_do}"


class UsageError(TestbedError):
    """The user asked for something that cannot be."""


class OptionError(UsageError):
    """An option that does not exist, or a value that is not allowed."""


class ScenarioError(UsageError):
    """A scenario, topology or node that does not exist or is broken."""


class ConfigError(UsageError):
    """An agent's configuration file that does not hold."""


class MachineError(TestbedError):
    """This machine cannot run what was asked; ``hint`` is the remedy."""

    exit_code = 3


class MissingProgram(MachineError):
    """A program is not installed."""


class MissingPrivilege(MachineError):
    """The user may not do what is needed."""


class MissingFeature(MachineError):
    """The kernel lacks a feature."""


class LabError(TestbedError):
    """The lab could not be built or driven."""


class CommandFailed(LabError):
    """A program ended with a non-zero status."""


class KernelRefused(LabError):
    """The kernel refused a request (netlink, sysctl, bpf)."""


class AgentDied(LabError):
    """An agent ended on its own or never said that it was ready."""


class DeadlinePassed(LabError):
    """A condition did not hold before its deadline."""


class ProtocolError(TestbedError):
    """A message that breaks its RFC."""


class DecodeError(ProtocolError):
    """Bytes that are not a well-formed message."""


class EncodeError(ProtocolError):
    """A message whose fields cannot be put on the wire."""


class AuthenticationError(ProtocolError):
    """An authenticator that is missing, doubled or wrong."""
