"""One name for everything: `lightecho.optics`, `.quantum`, `.nn`, `.experiments`, and `python -m lightecho`.

The four packages lie at the top level under short names, which other distributions and a user's own folders may have
too. `import lightecho.optics` and `from lightecho.quantum.echoes import correlator` give the same modules as those
short names, not copies, and load them when first asked for. Where Python finds another package under one of the names,
or an `__init__` of ours has been overwritten, that is said in one line before anything else goes wrong.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import experiments as experiments
    import nn as nn
    import optics as optics
    import quantum as quantum

__version__ = "0.1.0"
PACKAGES = ("optics", "quantum", "nn", "experiments")
# A line in the `__init__` of each package, by which we know that it is ours.
MARK = "# Part of lightecho."
_ROOT = Path(__file__).resolve().parent
# With it `import lightecho.optics` is asked of the finder below.
__path__: list[str] = []


def stranger() -> str:
    """Says which of the packages is not ours and what helps; "" where all are."""
    for name in PACKAGES:
        told = _why_not_ours(name)
        if told:
            return told
    return ""


def _why_not_ours(name: str) -> str:
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded is not None else importlib.machinery.PathFinder.find_spec(name)
    found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    own = _ROOT / name / "__init__.py"
    if found is None:
        return f"there is no package `{name}` in {_ROOT}; install lightecho again."
    if found != own:
        return (
            f"`{name}` is {found} here, not the one of lightecho in {_ROOT}; rename that folder or file, or start "
            "where it is not."
        )
    if MARK not in own.read_text(encoding="utf-8", errors="replace"):
        return (
            f"{own} is not the one of lightecho: {_others(name)} has overwritten it; uninstall that and install "
            "lightecho again."
        )
    return ""


def _others(name: str) -> str:
    from importlib.metadata import packages_distributions

    others = sorted({*packages_distributions().get(name, [])} - {"lightecho"})
    return " or ".join(others) or "something"


class _Alias(importlib.abc.Loader):
    """Hands out a module that is loaded under its own name."""

    def __init__(self, name: str):
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Python has just given it the spec of the alias.
        module.__spec__ = self._spec


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        prefix, _, name = fullname.partition(".")
        package = name.partition(".")[0]
        if prefix != "lightecho" or package not in PACKAGES:
            return None
        told = _why_not_ours(package)
        if told:
            raise ImportError(told)
        if importlib.util.find_spec(name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Alias(name))


def __getattr__(name: str) -> ModuleType:
    if name in PACKAGES:
        return importlib.import_module(f"lightecho.{name}")
    raise AttributeError(f"lightecho has no `{name}`; its packages are {', '.join(PACKAGES)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *PACKAGES})


def main(arguments: list[str] | None = None) -> int:
    """The command `lightecho`; see `experiments.__main__`.

    Args:
        arguments: Words after `lightecho`; None takes those of this process.

    Returns:
        Exit code; 2 where a package is not ours.
    """
    told = stranger()
    if told:
        print(f"lightecho: {told}", file=sys.stderr)
        return 2
    from experiments.__main__ import main as command

    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
elif not any(type(finder).__name__ == _Finder.__name__ for finder in sys.meta_path):
    # First, or the usual finder would load a copy from the folder of a package that is loaded already.
    sys.meta_path.insert(0, _Finder())
