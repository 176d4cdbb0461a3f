"""The command line: one file per verb, found by the registry."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from hemline import __version__
from hemline.cli._common import say
from hemline.errors import HemlineError, missing_extra
from hemline.registry import Registry

#: Each module of this package declares ``COMMANDS``: a verb's name → its function or Typer group.
COMMANDS: Registry[Callable[..., Any] | typer.Typer] = Registry(
    "hemline.cli", "COMMANDS", "command", group="hemline.commands"
)

#: Exit status of a command that was interrupted by the keyboard.
INTERRUPTED = 130

#: The root of the command line's own errors. Newer Typers carry a click of their own, older ones
#: use the package click; `typer.BadParameter` is of the right family in both.
_CLICK_ERROR: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def _version(show: bool) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="hemline",
        help="Finds the product in a photo: from a data set to a model, a measured result, a live "
        "catalogue and an answer.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version and end."
        ),
    ) -> None:
        pass

    for name, command in COMMANDS.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _os_error(error: OSError) -> str:
    """An error of the operating system, with what to do about it."""
    where = os.fsdecode(error.filename2 or error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "the disk is full; what was acknowledged is kept. "
            "Free some room, then run the same command again"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        path = Path(where)
        file = next((p for p in (path, *path.parents) if p.is_file()), path)
        return f"{file} is a file, where a folder is needed; name another place"
    if error.errno == errno.EISDIR:
        return f"{where} is a folder, where a file is needed; name a file"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        path = Path(where)
        if path.name.startswith(".") and not path.exists():  # a half-written file of ours
            path = path.parent
        return f"{path} can't be read or written ({error.strerror}); check who may use it"
    return f"{error.strerror}: {where}" if where else f"{error.strerror}"


def _fail(message: str, kind: str, code: int, as_json: bool) -> int:
    message = " ".join(message.encode("utf-8", "backslashreplace").decode("utf-8").split("\n"))
    if as_json:
        print(json.dumps({"error": message, "kind": kind}))
    say(f"hemline: {message}")
    return code


def _interrupted(as_json: bool) -> int:
    words = "interrupted; run the same command again to resume"
    return _fail(words, "Interrupted", INTERRUPTED, as_json)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; every error of the user becomes one line and an exit status.

    Exit status: 0 done, 1 the job failed, 2 bad use, 130 interrupted.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in args
    try:
        code = typer.main.get_command(build()).main(
            args=args, prog_name="hemline", standalone_mode=False
        )
        if code == INTERRUPTED:  # newer Typers return it, older ones raise Abort
            raise KeyboardInterrupt
        return int(code) if isinstance(code, int) else 0
    except HemlineError as error:
        return _fail(str(error), type(error).__name__, error.exit_code, as_json)
    except typer.Abort:
        return _interrupted(as_json)
    except KeyboardInterrupt:
        return _interrupted(as_json)
    except _CLICK_ERROR as error:
        message = str(getattr(error, "format_message", error.__str__)())
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message)
            return 2
        return _fail(message, "UsageError", 2, as_json)
    except ModuleNotFoundError as error:
        lacking = missing_extra(error, "this command")
        if lacking is None:
            raise
        return _fail(lacking, "MissingExtra", 1, as_json)
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno == errno.EPIPE:  # the reader of our output has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        return _fail(_os_error(error), type(error).__name__, 1, as_json)
    except MemoryError:
        return _fail("there isn't enough memory for this", "MemoryError", 1, as_json)


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    say(f"hemline: warning: {message}")


def run() -> None:
    """The console script."""
    warnings.showwarning = _show_warning
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged EXIF and the like
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
