"""The command ``nasicon-ml``: finds the verb, loads only that verb, and turns every ending into an exit code.

Exit codes: 0 done; 1 done, but some rows are bad; 2 nothing could be done, and the message says why; 70 a fault
of this program; 130 stopped with Ctrl-C; 141 the reader of the output went away; 143 stopped by SIGTERM.

Standard streams may be closed or full. Messages that cannot be written are dropped, for there is nobody to tell;
an answer that cannot be written ends the program with a sentence.
"""

from __future__ import annotations

import importlib
import io
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from nasicon_ml.cli.render import notify, printable
from nasicon_ml.errors import NasiconError, TableNote, nearest
from nasicon_ml.signals import TERMINATED, stoppable


class _Messages(io.FileIO):
    """Standard error: what cannot be written is dropped."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class _Answer(io.FileIO):
    """Standard output: what cannot be written is an error that names it."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except BrokenPipeError:  # the reader has seen enough
            raise
        except OSError as error:
            raise NasiconError(f"standard output cannot be written ({error.strerror})") from None


def prepare_streams() -> None:
    """Prepare the three standard streams, whatever the program was started with.

    Streams that a caller or a test has put in their place stay; they show a question mark for a sign that they do
    not know.
    """
    if sys.stdout is not sys.__stdout__:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        return
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed: the next file that is opened, a database say, would become standard output.
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (a descriptor, for good)
    sys.stdout = _text_stream(_Answer(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text_stream(_Messages(2, "w", closefd=False), sys.stderr)


def _text_stream(raw: io.FileIO, before: TextIO | None) -> TextIO:
    """Return a stream of text in the encoding of the one before; a sign that it does not know is replaced."""
    if before is not None:
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="replace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


def silence_stdout() -> None:
    """Point standard output at nothing, so that closing it at exit does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stand-in without a file descriptor needs no silencing
        return


PROGRAM = "nasicon-ml"
DEBUG_VARIABLE = "NASICON_ML_DEBUG"
#: Exit codes beyond 0 (done) and 1 (done, but some rows are bad).
NOTHING_DONE, FAULT, INTERRUPTED, READER_GONE = 2, 70, 130, 141


#: The verbs, with their lines in the help: each is the command of that name in the module of that name.
VERBS = {
    "predict": "Predict conductivity, density and phase purity of recipes.",
    "profile": "Predict one recipe with one or two fields varied: a curve, and what its best is worth.",
    "compare": "Compare recipes with one of them: differences with intervals of their own.",
    "screen": "Find the best recipes of a search space.",
    "recommend": "Recommend which pellets to make next.",
    "campaign": "Keep a campaign of pellets in a folder: start, add, next, status.",
    "app": "Show recipes, curves and pellets in the browser, on this machine.",
    "train": "Train the models, and record the run in MLflow.",
    "registry": "List, compare, promote and move versions of the model.",
    "data": "Check, summarise and look up the measured pellets.",
}


#: Verbs that stand in the module of another.
_MODULES = {"campaign": "recommend"}


class LazyGroup(click.Group):
    """A group of verbs that are imported when they are called, not when their names are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the verbs in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one verb."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"nasicon_ml.cli.{_MODULES.get(cmd_name, cmd_name)}")
        return cast("click.Command", getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one was probably meant."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            hint = nearest(name, VERBS)
            ctx.fail(f"there is no command {name!r}; there are: {', '.join(VERBS)}. {hint}".strip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a reader that went away (``| head``) is no fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_stdout()
            return ctx.exit(READER_GONE)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="'nasicon-ml COMMAND --help' explains a command.",
)
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM)
@click.option("--debug", is_flag=True, help=f"Show the traceback of an error; so does {DEBUG_VARIABLE}=1.")
def cli(debug: bool) -> None:
    """Predict NASICON-type electrolytes (LATP, LAGP and relatives) from the whole recipe."""
    # `debug` is read by `main`, which also sees the errors that end before this runs.


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line, by default with the arguments of the process, and return the exit code."""
    arguments = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in arguments[:1] or os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}
    prepare_streams()
    try:
        code = _run(arguments, debug)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return READER_GONE
    except NasiconError as error:  # the last of the answer could not be written
        silence_stdout()
        notify(f"error: {error}")
        return NOTHING_DONE
    if args is None and code in {INTERRUPTED, TERMINATED}:
        # Everything is unwound and written. To take the libraries down again would take another second, and who
        # stops a program does not wait for that.
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(arguments: list[str], debug: bool) -> int:
    """Run a verb and return the exit code, whatever happens."""
    try:
        with stoppable(), _notes_said():
            outcome = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        notify("stopped")
        return INTERRUPTED
    except SystemExit as stop:
        if stop.code != TERMINATED:
            raise
        notify("stopped")
        return TERMINATED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  (the last line of defence: a person gets a sentence, not a traceback)
        return _failed(error, arguments, debug)
    return outcome if isinstance(outcome, int) else 0


@contextmanager
def _notes_said() -> Iterator[None]:
    """Say how tables were understood as everything else is said; once, however often a table is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TableNote)
        shown, said = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *where: Any, **others: Any) -> None:
            if issubclass(category, TableNote):
                if str(message) not in said:
                    said.add(str(message))
                    notify(f"note: {message}")
            else:
                shown(message, category, *where, **others)

        warnings.showwarning = show
        yield


def _failed(error: Exception, arguments: list[str], debug: bool) -> int:
    """Print what went wrong, what the person can mend and what is a fault of ours; return the exit code."""
    if debug:
        import traceback

        notify("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, NasiconError):
        notify(f"error: {error}")
        _drop_what_cannot_be_written()
        return NOTHING_DONE
    if isinstance(error, OSError) and error.filename is not None:
        notify(f"error: {error.filename}: {error.strerror}")
        return NOTHING_DONE
    if isinstance(error, UnicodeEncodeError) and error.reason.startswith("surrogates"):
        encoding = sys.getfilesystemencoding()
        notify(f"error: the name of a file or folder is no text in {encoding}: set PYTHONUTF8=1, or rename it")
        return NOTHING_DONE
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    notify(f"error: this is a fault of {PROGRAM}, not of your input ({reason[:300]})")
    if not debug:
        notify(f"please report it with what this shows: {PROGRAM} --debug {shlex.join(arguments)}")
    return FAULT


def _drop_what_cannot_be_written() -> None:
    """Drop the rest of the output if writing it is what failed."""
    try:
        sys.stdout.flush()
    except NasiconError:
        silence_stdout()


if __name__ == "__main__":
    sys.exit(main())
