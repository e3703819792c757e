"""The command line: which commands there are, what they take, and how their errors become an exit status.

Each command's work is done by the module of its name, which is imported when it is called: ``testbed list`` and
``--help`` must not wait for what only a run needs.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from testbed import __version__
from testbed.cli import output
from testbed.cli.parsing import Commands, OneCommand, ParserError, usage_error

_EXIT_STATUS = """\b
Exit status:
  0    all checks hold
  1    a check does not hold
  2    wrong usage, or the scenario broke
  3    this machine cannot run it (testbed doctor says why)
  130  interrupted with Ctrl-C; what was found so far is in the report"""

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_STATUS,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, and nothing else there.")]


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status; never raises."""
    return output.guarded(lambda: _dispatch(sys.argv[1:] if argv is None else argv))


def _dispatch(argv: list[str]) -> int:
    command: Any = typer.main.get_command(app)
    try:
        with command.make_context("testbed", list(argv)) as context:
            status = command.invoke(context)
    except ParserError as error:
        raise usage_error(error) from None
    except typer.Exit as leaving:
        return leaving.exit_code
    return int(status or 0)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"testbed {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def command_line(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A Mobile IPv4 testbed out of Linux network namespaces: every role, one command, and proof.

    \b
    Examples:
      testbed list
      testbed show roam
      sudo testbed run roam
    """
    if context.invoked_subcommand is None:
        output.say(context.get_help())


@app.command(cls=OneCommand, epilog=_EXIT_STATUS)
def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A name that testbed list prints.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the scenario; may be given several times."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", envvar="TESTBED_OUT", help="Where to write; by default a new folder in runs/."),
    ] = None,
    tunnel: Annotated[
        str,
        typer.Option(
            metavar="auto|netdev|ebpf",
            envvar="TESTBED_TUNNEL",
            help="How packets are tunnelled: the kernel's devices, eBPF programs, or what this kernel can do.",
        ),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report to standard output; the story goes to standard error.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell only what is wrong and how it ended.")] = False,
) -> int:
    """Run a scenario in a private world and check what must hold.

    \b
    Examples:
      testbed run roam
      testbed run roam --set ingress=strict --set reverse_tunnel=off
      testbed run roam --out results --quiet
      testbed run roam --json | jq .verdict
    """
    from testbed.cli.run import run as run_scenario

    return run_scenario(scenario, settings=settings or [], out=out, tunnel=tunnel, as_json=as_json, quiet=quiet)


@app.command(cls=OneCommand, name="list")
def list_(as_json: AsJson = False) -> int:
    """List the scenarios.

    \b
    Examples:
      testbed list
      testbed list --json
    """
    from testbed.cli.listing import list_scenarios

    return list_scenarios(as_json=as_json)


@app.command(cls=OneCommand)
def show(
    name: Annotated[str, typer.Argument(metavar="SCENARIO|TOPOLOGY", help="What to show.")],
    as_json: AsJson = False,
) -> int:
    """Show a scenario or a topology: drawing, addresses, options.

    \b
    Examples:
      testbed show roam
      testbed show two-visited
      testbed show roam --json
    """
    from testbed.cli.show import show as show_it

    return show_it(name, as_json=as_json)


@app.command(cls=OneCommand, epilog="Exit status: 0 where all that is required is there, 3 otherwise.")
def doctor(as_json: AsJson = False) -> int:
    """Say what this machine can do, and the remedy if it cannot.

    \b
    Examples:
      testbed doctor
      testbed doctor --json
    """
    from testbed.cli.doctor import doctor as examine

    return examine(as_json=as_json)


@app.command(cls=OneCommand, context_settings={"ignore_unknown_options": True})
def bench(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENTS]...", help="Handed on as they are.", show_default=False)
    ] = None,
) -> int:
    """Measure, and print ratios taken in one run.

    \b
    Examples:
      testbed bench
    """
    from testbed.cli.bench import bench as measure

    return measure(words or [])


@app.command(cls=OneCommand)
def schema(kind: Annotated[str, typer.Argument(metavar="KIND", help="agent or report.")]) -> int:
    """Print the JSON schema of agent configurations or reports.

    \b
    Examples:
      testbed schema agent
      testbed schema report > report.schema.json
    """
    from testbed.cli.schema import schema as print_schema

    return print_schema(kind)
