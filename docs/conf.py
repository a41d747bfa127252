"""Sphinx configuration: a site that opens from the disk and asks the network for nothing."""

import hashlib
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT)]

project = "lightecho"
author = "The lightecho authors"
copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "docstring_pages",
    "generated_pages",
]
exclude_patterns = ["_build", "_ext", "generated/map.md"]
# A reference that leads nowhere is an error.
nitpicky = True
# Types of other packages: their manuals are on the network, which this site does not ask.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!(optics|quantum|nn|experiments)\.).*"),
    (r"py:.*", r".*\._.*"),
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True
# What packages say of missing widgets and the like; errors still stop the build.
nb_output_stderr = "remove"


def _fingerprint() -> str:
    """Digest of the packages: an executed notebook is kept until a line of what it may import changes."""
    text = hashlib.sha256()
    for package in ("optics", "quantum", "nn", "experiments"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return text.hexdigest()[:12]


_notebooks = HERE / "_build" / "notebooks"
nb_execution_cache_path = str(_notebooks / _fingerprint())
for _old in set(_notebooks.glob("*")) - {Path(nb_execution_cache_path)}:
    shutil.rmtree(_old)

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_numpy_docstring = False
add_module_names = False
# Formulas and commands are no Python.
highlight_language = "none"
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "lightecho"
html_static_path = ["_static"]
html_css_files = ["lightecho.css"]
html_copy_source = False
html_show_sourcelink = False
# The palette of the figures (Okabe and Ito), lighter where the page is dark.
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8c", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#6cc3f0", "color-brand-content": "#56b4e9"},
}
