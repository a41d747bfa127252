"""Sphinx side of the docstrings: plain text in, types as the source writes them out."""

import re

from docutils import nodes
from plain_docstrings import convert
from sphinx import addnodes

# Where Sphinx finds the classes behind `Array`, `Float` and their like; the source names them without a path.
_PATHS = re.compile(r"\b(jaxlib\._jax|jaxlib\.xla_extension|jaxtyping|jax)\.(?=[A-Z])")


def _process(app, what, name, obj, options, lines):
    lines[:] = convert(lines)


def _show_types(app, what, name, obj, options, lines):
    # Napoleon writes the annotation of an attribute as it is, asterisks and all.
    lines[:] = [re.sub(r"^(:vartype [^:]+:) (.*)$", r"\1 ``\2``", line) for line in lines]


def _skip(app, what, name, obj, skip, options):
    # A named tuple documents its fields by their numbers; the section Attributes says more.
    return skip or str(getattr(obj, "__doc__", "")).startswith("Alias for field number")


def _shorten(app, doctree):
    """Shapes as they are written in the source: `Complex[Array, "y x"]`, not the path of the class behind the name."""
    for node in list(doctree.findall(nodes.Text)):
        text = _PATHS.sub("", node)
        if text != node and _in_signature(node):
            node.parent.replace(node, nodes.Text(text))
    for name in doctree.findall(nodes.field_name):
        if name.astext() == "Variables":
            name.children = [nodes.Text("Attributes")]


def _in_signature(node) -> bool:
    while node is not None:
        if isinstance(node, addnodes.desc_signature | nodes.field_list):
            return True
        node = node.parent
    return False


def setup(app):
    """Comes before and after Napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-docstring", _show_types, priority=600)
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _shorten)
    return {"parallel_read_safe": True}
