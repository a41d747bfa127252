"""Before Sphinx reads: the gallery, the API pages, the map and the notebooks are written into docs/generated/."""

import contextlib
import importlib
from pathlib import Path

import api_pages
import gallery
import package_map
from jupyter_cache import get_cache
from pages import copy_changed, remove_others, spread, write_changed
from source_tree import LIBRARIES, ROOT, modules, wings

from experiments.command.compilation_cache import kept_programs
from experiments.command.storage import Store


def write_all(generated: Path, store: Store) -> None:
    """Writes every generated page into `generated` and removes those of a former tree."""
    gallery.write(generated / "gallery", store)
    api_pages.write(generated / "api")
    package_map.write(generated)
    _copy_notebooks(generated / "notebooks")
    remove_others(generated)


def _copy_notebooks(target: Path) -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for notebook in notebooks:
        copy_changed(notebook, target / notebook.name)
    names = "\n".join(notebook.stem for notebook in notebooks)
    write_changed(target / "index.md", _NOTEBOOKS.format(names=names))


_NOTEBOOKS = """# Notebooks

A few cells each, executed when this site was built. `notebooks/` has the files; open them with Jupyter from the root
of the repository.

```{{toctree}}
:maxdepth: 1

{names}
```
"""


def _prepare(app, env, names):
    names[:] = spread(names, "generated/notebooks/")
    # Made here once; two processes that find none would both make its tables.
    get_cache(app.config.nb_execution_cache_path).list_cache_records()
    # Each twenty pages are read in a process of their own; what the API's import is imported once, before they fork.
    for package in LIBRARIES:
        for wing in wings(package):
            for module in modules(wing.name):
                importlib.import_module(module.name)


def setup(app):
    """Writes once the configuration is read; notebooks share the compiled programs of the command line."""
    programs = contextlib.ExitStack()
    programs.enter_context(kept_programs())
    app.connect("build-finished", lambda app, error: programs.close())
    app.connect(
        "config-inited",
        lambda app, config: write_all(Path(app.srcdir) / "generated", Store(ROOT / "results")),
    )
    app.connect("env-before-read-docs", _prepare)
    return {"parallel_read_safe": True}
