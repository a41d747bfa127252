"""Finds optional parameters that no call sets, from the text of the tree alone: nothing is imported.

Calls are matched by the last name of what is called, and generously: what is handed on by `**options`, bound by
`partial`, called under another name or changed by `replace` or `tree_at` counts for all that it could be. So an option
that is found here has no caller; one that is not found may still have none.
"""

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Option:
    """An optional parameter: its file, `Class.method`, the name that is called, its own, and its place in a call."""

    path: str
    owner: str
    called: str
    name: str
    place: float

    def __str__(self):
        return f"{self.path}: {self.owner}({self.name})"


@dataclass
class Class:
    """A class of a library: what it inherits, and its fields, each with whether it has a default."""

    path: str
    bases: list[str]
    fields: dict[str, bool]
    is_record: bool


@dataclass
class Given:
    """The arguments of all calls of one name: those by name, and how many by position at most."""

    names: set[str] = field(default_factory=set)
    placed: float = 0

    def add(self, names, placed):
        self.names |= names
        self.placed = max(self.placed, placed)


@dataclass
class File:
    """What one file calls, hands about as values, and says in strings and keywords."""

    calls: list[tuple[str, set[str], float]] = field(default_factory=list)
    placed: dict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    wrapped: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    spread: set[str] = field(default_factory=set)


class Tree:
    """Options of the libraries, and the calls of all files that were read."""

    def __init__(self):
        self.options: list[Option] = []
        self.classes: dict[str, list[Class]] = defaultdict(list)
        self.given: dict[str, Given] = defaultdict(Given)
        self.changed: set[str] = set()  # fields of any object by `replace` and `tree_at`
        self.forwards: dict[str, set[str]] = defaultdict(set)  # what is called with `**options`
        self.files: list[File] = []

    def read(self, source: str, path: str, is_library: bool = False) -> None:
        """Takes what a file calls and, where it is one of a library, what it defines."""
        module = ast.parse(source)
        if is_library and not path.rpartition("/")[2].startswith("_"):
            self._define(module.body, path)
        self.files.append(here := File())
        self._visit(module.body, here, (), None, {})

    def _visit(self, nodes, here, within, inside, renamed):
        """Collects from nodes and all below them; `within` and `inside` are the functions and the class around."""
        left = [*reversed(nodes)]  # imports first, which give names
        while left:
            node = left.pop()
            kind = type(node)
            if kind is ast.Name:
                here.values.add(renamed.get(node.id, node.id))
            elif kind is ast.Call:
                self._call(node, here, within, inside, renamed)
                # What is called is not handed about; what it is taken from may be, and is what makes it.
                left += [*node.args, *node.keywords]
                left += children(node.func) if last_name(node.func) else [node.func]
            elif kind is ast.Constant:
                here.words.add(node.value)
            elif kind in FUNCTIONS:
                self._visit(children(node), here, (*within, node), inside, renamed)
            elif kind is ast.ClassDef:
                self._visit(children(node), here, within, node, renamed)
            elif kind is ast.Assign and isinstance(node.value, ast.Call):
                # `run = jit(f, ...)`: calls of `run` are calls of f.
                for name in filter(None, map(last_name, node.targets)):
                    handed = filter(None, map(last_name, node.value.args))
                    here.wrapped[name] |= {renamed.get(other, other) for other in handed}
                left += children(node)
            elif kind is ast.ImportFrom:
                renamed |= {alias.asname: alias.name for alias in node.names if alias.asname}
            else:
                if kind is ast.Attribute:
                    here.values.add(renamed.get(node.attr, node.attr))
                left += children(node)

    def _define(self, body, path):
        for node in body:
            if isinstance(node, FUNCTIONS):
                self._define_function(node, path, node.name, node.name, 0)
            elif isinstance(node, ast.ClassDef):
                self._define_fields(node, path)
                for part in node.body if is_public(node.name) else ():
                    if isinstance(part, FUNCTIONS):
                        called = node.name if part.name == "__init__" else part.name
                        free = "staticmethod" in map(last_name, part.decorator_list)
                        owner = f"{node.name}.{part.name}"
                        self._define_function(part, path, owner, called, 0 if free else 1)

    def _define_function(self, node, path, owner, called, skipped):
        if not is_public(node.name):
            return
        placed = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        for place in range(len(placed) - len(node.args.defaults), len(placed)):
            self.options.append(Option(path, owner, called, placed[place], place - skipped))
        for arg, default in named:
            if default is not None:
                self.options.append(Option(path, owner, called, arg.arg, inf))

    def _define_fields(self, node, path):
        fields = {
            part.target.id: part.value is not None and has_default(part.value)
            for part in node.body
            if isinstance(part, ast.AnnAssign)
            and isinstance(part.target, ast.Name)
            and not any(last_name(n) == "ClassVar" for n in ast.walk(part.annotation))
            and not (isinstance(part.value, ast.Call) and "init" in keywords_of(part.value))
        }
        bases = [
            last_name(base) or last_name(getattr(base, "value", None)) or "" for base in node.bases
        ]
        made = [getattr(mark, "func", mark) for mark in node.decorator_list]
        makes_itself = any(getattr(part, "name", "") == "__init__" for part in node.body)
        is_record = "dataclass" in map(last_name, made) or bool({"Module", "NamedTuple"} & {*bases})
        self.classes[node.name].append(
            Class(path, bases, {} if makes_itself else fields, is_record)
        )

    def _call(self, node, here, within, inside, renamed):
        names = keywords_of(node)
        here.words |= names
        placed = inf if any(isinstance(a, ast.Starred) for a in node.args) else len(node.args)
        called = names_called(node.func, inside)
        first = called[0] if called else None
        if first in ("replace", "_replace", "evolve"):
            self.changed |= names
        elif first == "tree_at" and node.args:
            self.changed |= {n.attr for n in ast.walk(node.args[0]) if isinstance(n, ast.Attribute)}
        around = [function for function in within if function.name == first]
        if around:  # handing one's own options on to the next of the same name sets none
            own = {arg.arg for f in around for arg in (*f.args.args, *f.args.kwonlyargs)}
            names = {w.arg for w in node.keywords if w.arg and last_name(w.value) not in own}
            placed = max(
                (n + 1 for n, a in enumerate(node.args) if last_name(a) not in own), default=0
            )
        # `partial(f, 1, option=2)`, `run(f, option=2)`: the arguments may be those of what is handed in.
        handed = [last_name(arg) for arg in node.args]
        targets = [(name, placed) for name in called]
        targets += [(name, placed - 1 if first == "partial" else 0) for name in handed if name]
        spread = [last_name(word.value) for word in node.keywords if word.arg is None]
        for name, count in targets:
            name = renamed.get(name, name)
            here.calls.append((name, names, count))
            here.placed[name] |= {*handed}
            self.given[name].add(names, count)
            if spread:
                here.spread.add(name)
                for function in within:
                    if function.args.kwarg and function.args.kwarg.arg in spread:
                        self.forwards[function.name].add(name)

    def unset(self) -> list[Option]:
        """Options that no call sets, in the order of their files."""
        self._resolve()
        options = [o for o in (*self.options, *self._records()) if is_public(o.name)]
        return sorted({str(o): o for o in options if not self._is_set(o)}.values(), key=str)

    def _resolve(self):
        """Adds to the calls of each name what reaches it in other ways."""
        known = {option.called for option in self.options}
        for here in self.files:
            loose = set().union(*(names for called, names, _ in here.calls if called not in known))
            for called, names, placed in here.calls:
                for name in here.wrapped.get(called, ()):
                    self.given[name].add(names, placed)
            for name in here.values & known | {
                name for name in here.values if name in self.classes
            }:
                self.given[name].add(loose, 0)
            for name in here.spread:
                self.given[name].add(here.words, 0)
            self.given["__call__"].add(loose, 0)
            # What has no name to be matched by is given where its own name stands at any place.
            for called in here.placed.keys() - known:
                self.given["__call__"].add({name for name in here.placed[called] if name}, 0)
        for _ in range(3):  # of helpers that call helpers
            for helper, names in self.forwards.items():
                for name in names:
                    self.given[name].add(self.given[helper].names, 0)
        for name, found in self.classes.items():
            for above in {above for one in found for above in self._above(one)}:
                self.given[above].add(self.given[name].names, self.given[name].placed)

    def _above(self, one):
        for base in one.bases:
            if base in self.classes:
                yield base
                for other in self.classes[base]:
                    yield from self._above(other)

    def _records(self):
        """Fields with a default of public classes that are made from their fields."""
        for name, found in self.classes.items():
            for one in found if is_public(name) else ():
                above = [other for base in self._above(one) for other in self.classes[base]]
                if one.is_record or any(other.is_record for other in above):
                    first = sum(len(other.fields) for other in above)
                    for place, (label, optional) in enumerate(one.fields.items(), first):
                        if optional:
                            yield Option(one.path, name, name, label, place)

    def _is_set(self, option):
        given = self.given[option.called]
        is_field = option.called in self.classes
        return (
            option.name in given.names
            or option.place < given.placed
            or (is_field and option.name in self.changed)
        )


def children(node):
    """Parts of a node that are nodes, but for annotations and for whether a name is read or written."""
    found = []
    for part in node._fields:
        if part not in ("ctx", "annotation", "returns"):
            value = getattr(node, part)
            if isinstance(value, list):
                found += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def last_name(node):
    """`c` of `a.b.c` and of `c`; None of what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def is_public(name):
    return not name.startswith("_") or name in ("__call__", "__init__")


def keywords_of(call):
    return {word.arg for word in call.keywords if word.arg}


def has_default(value):
    """Whether the right side of a field, `= 3` or `= field(...)`, gives it a default."""
    if isinstance(value, ast.Call) and last_name(value.func) == "field":
        return bool({"default", "default_factory"} & keywords_of(value))
    return True


def names_called(func, inside):
    """All that may be called here: of `f`, `cls`, `super().__init__`, `type(self)`, `jit(f)` and `table[f]`."""
    if name := last_name(func):
        if inside is not None and name in ("cls", "__class__"):
            return [inside.name]
        if inside is not None and name == "__init__":
            return [base for base in map(last_name, inside.bases) if base]
        return [name]
    if inside is not None and isinstance(func, ast.Call) and last_name(func.func) == "type":
        return [inside.name]
    return [name for part in ast.walk(func) if (name := last_name(part))]
