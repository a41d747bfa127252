"""The command `lightecho`: reads arguments, calls a command, and tells errors in one line.

Exit codes: 0 done; 1 the run ended in a result that is not acceptable; 2 an error that the user can mend; 130 and 143
stopped by Ctrl-C or by SIGTERM, with everything finished so far kept.

Help, `list` and a wrong word must answer at once, so whatever takes long to import (tyro, rich, NumPy, JAX) is imported
by the function that uses it.
"""

import codecs
import contextlib
import dataclasses
import functools
import importlib
import io
import itertools
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from experiments.command import registry
from experiments.command.compilation_cache import kept_programs
from experiments.command.quick_compiling import compiled_soon
from experiments.harness.errors import NonFiniteError, StorageError, UserError

USAGE = """usage: lightecho COMMAND ...

  list                     experiments: claim, figure of the paper, expected time at each scale
  run NAME [options]       run one; `lightecho run NAME --help` lists its fields
  bench [NAME] [options]   run benchmarks
  show NAME                show a stored result
  compare [NAME]           stored numbers beside the published ones
  report                   one HTML page with all of it
  verify [NAME ...]        stored quick results against the accepted numbers
  info                     versions, devices, data found
  checkpoint DO PATH       look into checkpoints; DO is inspect, verify, reshard or convert

`lightecho COMMAND --help` says more; `lightecho --version` says which this is."""

_WORDS = {
    "±": "+-",
    "σ": "sigma",
    "·": ".",
    "–": "-",
    "’": "'",
    "°": " deg",
    "π": "pi",
    "µ": "u",
    "×": "x",
    "…": "...",
}
_RAISED_AGAIN = 3.0  # seconds after which an interrupt that came to nothing is raised again
# Functions of `experiments.commands`; `list` is here, because that module imports tyro, rich and NumPy.
_COMMANDS = ("show", "compare", "report", "verify", "info")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: Words after `lightecho`; None takes those of this process.

    Returns:
        Exit code as listed in the module docstring.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    _let_every_text_through()
    with _stop_signals() as stopped:
        try:
            return _dispatch(words)
        except SystemExit as end:  # help asked for
            return int(end.code or 0)
        except BaseException as error:
            # An interrupt inside a callback of XLA arrives as an error of XLA, so the flag decides.
            if stopped:
                _raise_no_more()
                return _tell_stopped(words, stopped[0])
            code = _tell(error)
            if code is None:
                raise
            return code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] in ("--version", "-V", "version"):
        import lightecho

        print(f"lightecho {lightecho.__version__}")
        return 0
    command, rest = words[0], words[1:]
    if command == "run":
        return _run(rest)
    if command == "bench":
        return _bench(rest)
    if command == "list":
        bound = _parse(_deferred(list_experiments), rest, "lightecho list") if rest else None
        return (bound or list_experiments)()
    if command == "checkpoint":
        return _checkpoint(rest)
    if command not in _COMMANDS:
        known = ["list", "run", "bench", "checkpoint", *_COMMANDS]
        if command in registry.EXPERIMENTS or command in registry.BENCHMARKS:
            raise UserError(
                f"There is no command `{command}`; did you mean `lightecho run {command}`?"
            )
        raise UserError(f"There is no command `{command}`; {registry.nearest(command, known)}")
    function = getattr(importlib.import_module("experiments.command.commands"), command)
    return _parse(_deferred(function), rest, f"lightecho {command}")()


def _let_every_text_through() -> None:
    """Where the output takes ASCII only, a sign that it lacks becomes a word or "?", not an error at the very end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and "utf" not in stream.encoding.lower():
            codecs.register_error("lightecho", _in_words)
            stream.reconfigure(errors="lightecho")


def _in_words(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(_WORDS.get(sign, "?") for sign in signs), error.end


def list_experiments() -> int:
    """Lists experiments and benchmarks: claim, figure of the paper, expected time at each scale."""
    bold, plain = (
        ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    )
    for name in registry.names() + registry.benchmarks():
        entry = registry.summary(name)
        times = ", ".join(f"{scale}: {time}" for scale, time in entry.expected_time.items())
        print(
            f"{bold}{name}{plain}",
            *(f"  {line}" for line in (entry.claim, entry.paper_figure, times)),
            sep="\n",
        )
    return 0


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(
            "usage: lightecho run NAME [--scale S] [--seed N] [--field value ...] [--out DIR] [--force] [--device D]\n"
            "                          [--jobs N | --cluster ADDRESS] [--save-every N|Ns] [--no-cache]"
        )
        print(
            f"NAME is one of {', '.join(registry.names())}; `lightecho run NAME --help` lists its fields."
        )
        return 0 if words else 2
    if words[0].startswith("-"):
        raise UserError(
            "`run` wants the name of the experiment first: lightecho run NAME [options]."
        )
    return _run_one(words[0], words[1:], "run")


def _checkpoint(words: list[str]) -> int:
    known = ["inspect", "verify", "reshard", "convert"]
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: lightecho checkpoint {'|'.join(known)} PATH ...; each has a --help")
        return 0 if words else 2
    if words[0] not in known:
        raise UserError(f"There is no `checkpoint {words[0]}`; {registry.nearest(words[0], known)}")
    from experiments.command.checkpoints import COMMANDS

    return _parse(_deferred(COMMANDS[words[0]]), words[1:], f"lightecho checkpoint {words[0]}")()


def _bench(words: list[str]) -> int:
    if words and words[0] in registry.EXPERIMENTS:
        raise UserError(f"`{words[0]}` is an experiment; `lightecho run {words[0]}` runs it.")
    if words and not words[0].startswith("-"):
        return _run_one(words[0], words[1:], "bench")
    if words and words[0] in ("-h", "--help"):
        print("usage: lightecho bench [NAME] [options]; takes the options of `lightecho run`.")
        print(
            f"NAME is one of {', '.join(registry.benchmarks())}; all are run where it is left out."
        )
        return 0
    return max(_run_one(name, words, "bench") for name in registry.benchmarks())


def _run_one(name: str, words: list[str], command: str) -> int:
    registry.module_path(name)
    # A benchmark measures compiling too. The word is looked for ahead of the rest, for JAX reads the setting on import.
    with kept_programs(command == "run" and "--no-cache" not in words):
        return _run_with_cache(name, words, command)


def _run_with_cache(name: str, words: list[str], command: str) -> int:
    module = registry.load(name)
    scale = _scale(words, name, module.SCALES)
    options = _run_options(module, scale)
    plain = undotted(words, module.SCALES[scale])
    asked = _parse(options, plain, f"lightecho {command} {name}", pairs=True)
    from experiments.command import commands

    full_command = ["lightecho", command, name, *words]
    if command == "bench" and (asked.jobs != 1 or asked.cluster or asked.save_every):
        raise UserError(
            "`bench` measures times, so nothing runs beside it; leave out --jobs, --cluster and --save-every."
        )
    where = {key: getattr(asked, key) for key in ("device", "jobs", "cluster", "save_every")}
    with compiled_soon(command == "run" and scale == "quick"):
        return commands.run(name, asked.config, asked.out, asked.force, full_command, **where)


def _scale(words: list[str], name: str, scales: dict[str, Any]) -> str:
    """The scale is read ahead of the rest, because it decides the defaults of all other options."""
    chosen = "quick"
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word == "--scale":
            chosen = following
        elif word.startswith("--scale="):
            chosen = word.removeprefix("--scale=")
    if chosen not in scales:
        hint = registry.nearest(chosen, list(scales), others="it has")
        raise UserError(f"`{name}` has no scale `{chosen}`; {hint}")
    return chosen


def _run_options(module, scale: str):
    """Options of `run` for one experiment: those of every run, then each field of its configuration."""
    import tyro

    from experiments.command.commands import RESULTS
    from experiments.command.runner import save_help
    from experiments.harness.settings import Device

    arg, single = tyro.conf.arg, tyro.conf.FlagCreatePairsOff
    fields = [
        ("scale", Annotated[str, arg(help=f"One of {', '.join(module.SCALES)}.")], scale),
        ("out", Annotated[Path, arg(help="Folder of the results.")], RESULTS),
        ("force", Annotated[bool, single, arg(help="Compute again what is stored.")], False),
        ("device", Annotated[Device, arg(help="Where to compute.")], "auto"),
        ("jobs", Annotated[int, arg(help="Processes that compute pieces side by side.")], 1),
        ("cluster", Annotated[str, arg(help="Dask scheduler whose workers compute pieces.")], ""),
        ("save_every", Annotated[str, arg(help=save_help(module))], ""),
        ("no_cache", Annotated[bool, single, arg(help="Keep no programs on disk.")], False),
        ("config", tyro.conf.OmitArgPrefixes[module.Config], module.SCALES[scale]),
    ]
    described = [(name, kind, dataclasses.field(default=default)) for name, kind, default in fields]
    options = dataclasses.make_dataclass("Options", described, frozen=True)
    options.__doc__ = f"{module.CLAIM}\n\nOf the paper: {module.PAPER_FIGURE}."
    return options


def undotted(words: list[str], config: Any) -> list[str]:
    """Options with a field of a field by its path, as results show it, become those that the help shows.

    Args:
        words: Words of the command line.
        config: A configuration; `--optics.pixels` and `--config.optics.pixels` are taken for `--pixels` where it has
            such a field.
    """
    return [_undotted(word, config) for word in words]


def _undotted(word: str, config: Any) -> str:
    option, equals, value = word.partition("=")
    if not option.startswith("--") or "." not in option:
        return word
    path = option.removeprefix("--").replace("-", "_").split(".")
    inner = config
    for part in path[path[0] == "config" :]:
        if not dataclasses.is_dataclass(inner) or not hasattr(inner, part):
            return word
        inner = getattr(inner, part)
    return f"--{path[-1].replace('_', '-')}{equals}{value}"


def _parse(target: Callable[..., Any], words: list[str], program: str, pairs: bool = False) -> Any:
    """Lets tyro read the words, and turns the box in which it puts an error into one line.

    With `pairs` the help shows both words of a switch, `--camera, --no-camera`, so that its text fits.
    """
    import tyro

    errors = io.StringIO()
    single = () if pairs else (tyro.conf.FlagCreatePairsOff,)
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(target, args=words, prog=program, config=single)
    except SystemExit as end:
        if end.code in (0, None):
            raise
    raise UserError(_one_line(errors.getvalue(), program))


def _deferred(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The command with its arguments bound but not yet called, so that reading them is over before it runs."""

    @functools.wraps(command)
    def bind(*positional, **named):
        return functools.partial(command, *positional, **named)

    return bind


def _one_line(box: str, program: str) -> str:
    # The box is drawn in Unicode or in ASCII, on a terminal in colour; its first line is a title, and rules divide it.
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│╭╮╰╯─ ") for line in uncoloured.splitlines()]
    said = " ".join([line for line in lines if line.strip("-")][1:])
    for help_text in ("Argument helptext", "For full helptext"):
        said = said.split(help_text)[0].strip()
    said, meant, near = said.partition(" Perhaps you meant: ")
    hint = f"did you mean {near.split()[0]}?" if meant else f"see `{program} --help`."
    return f"{said.removesuffix('.')}; {hint}"


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt and remembers which one came.

    What is raised inside a callback of XLA comes out as another error, which a picture on the way may pass over
    (`Context.publish`), so it is raised again until it has come up to here.
    """
    stopped: list[int] = []

    def stop(number: int, frame) -> None:
        stopped.append(number)
        if timed:
            signal.setitimer(signal.ITIMER_REAL, _RAISED_AGAIN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    said, sys.unraisablehook = sys.unraisablehook, _interrupts_aside(sys.unraisablehook)
    timed = hasattr(signal, "setitimer")
    numbers = (signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if timed else []))
    former = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stopped
    finally:
        _raise_no_more()
        sys.unraisablehook = said
        for number, handler in former.items():
            signal.signal(number, handler)


def _interrupts_aside(say: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Python shows what it cannot raise; an interrupt inside a callback of JAX comes again and needs no traceback."""

    def aside(what: Any) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            say(what)

    return aside


def _raise_no_more() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tell_stopped(words: list[str], number: int) -> int:
    again = ""
    if words and words[0] in ("run", "bench"):
        again = f"; finished pieces are kept, the same command goes on from there: lightecho {shlex.join(words)}"
    print(f"lightecho: stopped{again}", file=sys.stderr)
    return 128 + number


def _tell(error: BaseException) -> int | None:
    """Prints an error that has an explanation and returns its exit code; None for one that needs a traceback."""
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe has gone; nothing may be written on the way out either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    diverged = isinstance(error, NonFiniteError | FloatingPointError)
    explained = diverged or isinstance(error, UserError | StorageError)
    # Messages of the public boundary open with the name of what is wrong, in backticks; others are faults of ours.
    kinds = ValueError | TypeError | ModuleNotFoundError  # the last: what only an extra brings
    boundary = isinstance(error, kinds) and str(error).startswith("`")
    if not explained and not boundary:
        return None
    print(f"lightecho: {' '.join(str(error).split())}", file=sys.stderr)
    return 1 if diverged else 2


if __name__ == "__main__":
    sys.exit(main())
