"""The command ``nasicon-ml``: load the requested verb, run it, and return an exit code.

Exit codes: 0 done; 1 done, but some rows are invalid; 2 nothing could be done, and the message says why; 70 an
internal error; 130 stopped with Ctrl-C; 141 the reader closed the pipe; 143 stopped by SIGTERM.

Standard streams may be closed or full. Messages that cannot be written are dropped; results that cannot be written
end the program with an error message.
"""

from __future__ import annotations

import gc
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


class _MessageStream(io.FileIO):
    """Standard error, which drops what cannot be written."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class _AnswerStream(io.FileIO):
    """Standard output, which raises an error that names it if it cannot be written."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except BrokenPipeError:  # the reader closed the pipe
            raise
        except OSError as error:
            raise NasiconError(f"standard output cannot be written ({error.strerror})") from None


def prepare_streams() -> None:
    """Prepare the three standard streams, which may be closed.

    Streams that a caller or a test has replaced are kept; they write a question mark for characters that they
    cannot encode.
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
            # If it stayed closed, the next opened file, such as a database, would become standard output.
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (stays open)
    sys.stdout = _text_stream(_AnswerStream(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text_stream(_MessageStream(2, "w", closefd=False), sys.stderr)


def _text_stream(raw: io.FileIO, previous: TextIO | None) -> TextIO:
    """Return a text stream in the encoding of the previous one; unknown characters are replaced."""
    if previous is not None:
        previous.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(previous, "encoding", None) or "utf-8",
        errors="replace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )


def silence_stdout() -> None:
    """Redirect standard output to the null device, so that closing it at exit does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a replaced stream without a file descriptor
        return


PROGRAM = "nasicon-ml"
DEBUG_VARIABLE = "NASICON_ML_DEBUG"
#: Exit codes besides 0 (done) and 1 (done, but some rows are invalid).
NOTHING_DONE, FAULT, INTERRUPTED, READER_GONE = 2, 70, 130, 141

#: The verbs with their help texts. Each is a command in the module of the same name.
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
#: Modules of verbs with a different name.
_MODULES = {"campaign": "recommend"}


class LazyGroup(click.Group):
    """A group of verbs that are imported when they are called."""

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
        """Return the verb, or fail with the most similar verb."""
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
        """Run the verb; a closed pipe (``| head``) is not an error."""
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
    # `main` reads `debug`, because errors can occur before this function is called.


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
    except NasiconError as error:  # the rest of the output could not be written
        silence_stdout()
        notify(f"error: {error}")
        return NOTHING_DONE
    if args is None and code in {INTERRUPTED, TERMINATED}:
        # All output is written. A normal exit would take another second to unload the libraries.
        sys.stderr.flush()
        os._exit(code)
    if args is None:
        # While the program ends, the garbage collector would search the objects of all libraries several times.
        gc.freeze()
    return code


def _run(arguments: list[str], debug: bool) -> int:
    """Run a verb and return its exit code."""
    try:
        with stoppable(), _table_notes_printed():
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
    except Exception as error:  # noqa: BLE001  (users get a message instead of a traceback)
        return _report_error(error, arguments, debug)
    return outcome if isinstance(outcome, int) else 0


@contextmanager
def _table_notes_printed() -> Iterator[None]:
    """Print each note about reading a table once, like other messages."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TableNote)
        default_showwarning, printed = warnings.showwarning, set[str]()

        def showwarning(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
            if not issubclass(category, TableNote):
                default_showwarning(message, category, *args, **kwargs)
            elif str(message) not in printed:
                printed.add(str(message))
                notify(f"note: {message}")

        warnings.showwarning = showwarning
        yield


def _report_error(error: Exception, arguments: list[str], debug: bool) -> int:
    """Print an error of the user or an internal error, and return the exit code."""
    if debug:
        import traceback

        notify("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, NasiconError):
        notify(f"error: {error}")
        _flush_or_silence()
        return NOTHING_DONE
    if isinstance(error, OSError) and error.filename is not None:
        notify(f"error: {error.filename}: {error.strerror}")
        return NOTHING_DONE
    if isinstance(error, UnicodeEncodeError) and error.reason.startswith("surrogates"):
        encoding = sys.getfilesystemencoding()
        notify(f"error: the name of a file or folder is not text in {encoding}: set PYTHONUTF8=1, or rename it")
        return NOTHING_DONE
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    notify(f"error: this is a fault of {PROGRAM}, not of your input ({reason[:300]})")
    if not debug:
        notify(f"please report it with what this shows: {PROGRAM} --debug {shlex.join(arguments)}")
    return FAULT


def _flush_or_silence() -> None:
    """Drop the rest of the output if it cannot be written."""
    try:
        sys.stdout.flush()
    except NasiconError:
        silence_stdout()


if __name__ == "__main__":
    sys.exit(main())
