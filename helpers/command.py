"""Command lines of the single tools: options they share, one line for what the user can mend, and the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import typer

from helpers.errors import UserError
from helpers.tasks import TASK_NAMES

FAILED, REFUSED, STOPPED = 1, 2, 130
HASH_SEED = "0"

TaskName = Annotated[str, typer.Option("--task", metavar="|".join(TASK_NAMES), help="What to look for.")]
RunFolder = Annotated[
    str, typer.Option("--run", help="Folder of a finished run (artifacts/<task> by default).")
]
SystemName = Annotated[
    str, typer.Option("--variant", help="A trained variant, a vote or rules (the best by default).")
]
ExportedName = Annotated[
    str,
    typer.Option(
        "--variant", help="A trained variant (by default what is deployed; of a vote its best member)."
    ),
]
Engine = Annotated[
    Literal["torch", "onnx", "onnx_int8"], typer.Option("--engine", help="ONNX: after helpers.export.")
]


def explain(error: Exception, usage: str) -> tuple[int, str | None]:
    """Exit status and one line for an error; no line for what should not happen."""
    if hasattr(error, "format_message"):  # what typer says of a wrong option
        return REFUSED, f"{' '.join(error.format_message().split())} ({usage})"
    if isinstance(error, UserError):
        return REFUSED, str(error)
    if isinstance(error, ModuleNotFoundError) and not error.name.startswith("helpers"):
        extras = "requirements-serve.txt, -demo.txt, -llm.txt"
        return FAILED, f"the package {error.name} is missing: install the extra that has it ({extras})"
    return FAILED, str(error) if isinstance(error, OSError) else None


def fix_hashes() -> None:
    """Begin this process anew with the hash seed that stages run with, where it has another.

    Lists that libraries take from sets (the Italian cities of Faker) have the order of their hashes, and made rows follow it.
    """
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": HASH_SEED})


def start(function: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run a function as a command line and leave the process with its status: 2 where the user gave what cannot be."""
    sys.exit(status(function, arguments))


def status(function: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Exit status of a function that is run as a command line; what went wrong is one line on standard error."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command()(function)
    try:
        result = app(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return STOPPED
    except Exception as error:
        code, line = explain(error, "--help lists the options")
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return code
    return result if isinstance(result, int) else 0
