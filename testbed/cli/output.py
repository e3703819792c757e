"""Where the commands' words go: standard output, standard error, and what becomes of them when nobody reads any more.

Responsible for the one form in which errors are told, and for turning every error into an exit status. Nothing here
knows a command.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

from testbed.errors import TestbedError

BUG = 2  # an exception that is none of ours: neither a failed check nor the machine's fault
INTERRUPTED = 130  # 128 + SIGINT, as a shell has it

_WIDTH_OF_A_FILE = 1000  # nothing is wrapped where nobody looks


def say(line: str = "", stream: TextIO | None = None) -> None:
    """Write a line, to standard output unless told otherwise; it is there at once.

    A reader that went away (``testbed list | head -1``) has had enough and is no error: the rest goes nowhere. Signs
    that the stream's encoding does not have are escaped.
    """
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    text = line.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        silence(stream)


def say_utf8(text: str) -> None:
    """Write a document to standard output as UTF-8, whatever the terminal's encoding: JSON is always UTF-8."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def silence(stream: TextIO) -> None:
    """Have all further words, the interpreter's own last flush included, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def terminal_width(stream: TextIO) -> int:
    """Columns to write in: COLUMNS or the terminal's, or more than anybody needs in a file or a pipe."""
    if stream.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return _WIDTH_OF_A_FILE


def complain(message: str) -> None:
    """Tell an error: one line, whatever the message holds."""
    say(f"testbed: error: {' '.join(message.split())}", sys.stderr)


def guarded(call: Callable[[], int]) -> int:
    """The exit status of ``call``; what it raises is told on standard error and becomes an exit status too."""
    try:
        status = call()
        sys.stdout.flush()
    except TestbedError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost place; nothing is hidden
        traceback.print_exc()
        complain(
            f"this is a bug of the testbed, please report it with the lines above: {type(error).__name__}: {error}"
        )
        return BUG
    return status
