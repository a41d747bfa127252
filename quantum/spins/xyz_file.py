"""XYZ files as they are found: a count, a comment, and a name with x, y and z for each atom.

Read: text behind the count; names of every kind that `nuclides.isotope` knows; more columns; numbers such as 1.0D-3 and
1.2*^-6; lines behind the atoms that are no atoms (QM9 has three); UTF-8 with or without a mark, UTF-16 with one,
Latin-1; extended XYZ, whose comment names the columns (`Properties=species:S:1:pos:R:3`) and the cell
(`Lattice="..."`).

Units are angstrom unless the comment or the text behind the count says so: `units=bohr`, `units: nm`, or a word of
BigDFT ("atomic", "angstroem") behind the count. Bohr are turned into metres by CODATA. A comment that speaks of bohr
or atomic units in free words is refused, for it may mean the numbers or not: `units` of the caller decides.

Refused in one line: several molecules in one file unless `frame` chooses, lines behind the atoms that are atoms, a cell
through whose wall a molecule reaches, columns that are missing, names that are no nuclide.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.constants import physical_constants

from quantum._checks import check_choice
from quantum.spins.nuclides import isotope

UNITS = {"angstrom": 1e-10, "bohr": physical_constants["Bohr radius"][0], "nm": 1e-9}
_WORDS = {
    "angstrom": "angstrom angstroms angstroem angstroemd0 ang a å",
    "nm": "nm nanometer nanometers nanometre nanometres",
    "bohr": "bohr bohrs bohrd0 au a.u. atomic atomicd0 atomic_units",
}
_UNIT_OF = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_SAID = re.compile(r"\bunits?\b\s*[=:]\s*[\"']?([^\s\"',;]+)", re.IGNORECASE)
# Not "hartree/bohr" of a force, nor "-76.4 a.u." of an energy.
_SPOKEN = re.compile(
    r"(?<!/)\bbohrs?\b|\bin (a\.u\.|au\b|nm\b)|\batomic units?\b|\bnanomet(er|re)s?\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+|nan|inf)((e|d|\*\^)[+-]?\d+)?", re.IGNORECASE)
_PAIR = re.compile(r"(\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|\{[^}]*\}|\S+)")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BONDED = 1.7e-10  # m, our choice: longer than bonds of carbon, shorter than what only touches


def read_atoms(
    path: str | Path, *, units: str | None = None, frame: int | None = None
) -> tuple[list[str], Float[np.ndarray, "atoms 3"]]:
    """Nuclides and positions in metres of the atoms of an XYZ file; the arguments are those of `molecule.read_xyz`."""
    if units is not None:
        check_choice(units, "units", UNITS)
    lines = read_text(path).splitlines()
    start, n = _frame(lines, path, frame)
    behind, comment = lines[start].split(maxsplit=1)[1:], lines[start + 1]
    settings = comment_settings(comment)
    unit = units or _unit(behind[0] if behind else "", comment, path)
    name_at, place_at = _columns(settings.get("properties"), path)
    names, places = [], []
    for number, line in enumerate(lines[start + 2 : start + 2 + n], start=start + 3):
        cells = line.split()
        place = [_number(cell) for cell in cells[place_at : place_at + 3]]
        if len(cells) <= name_at or len(place) < 3 or None in place:
            raise ValueError(
                f"`{path}` must have a name and three numbers in line {number}, but it reads {line.strip()!r}; "
                "give x, y and z in angstrom."
            )
        names.append(isotope(cells[name_at]))
        places.append(place)
    found = UNITS[unit] * np.array(places, dtype=float)
    if "lattice" in settings:
        _check_cell(settings, found, UNITS[unit], path)
    return names, found


def comment_settings(comment: str) -> dict[str, str]:
    """The `key=value` pairs of a comment, keys in small letters, quotes and braces taken off."""
    return {key.lower(): value.strip("\"'{}") for key, value in _PAIR.findall(comment)}


def read_comment(path: str | Path) -> str:
    """The comment of the first molecule of an XYZ file.

    Raises:
        ValueError: If the file cannot be read or is none.
    """
    lines = read_text(path).splitlines()
    return lines[_frame(lines, path, 0)[0] + 1]


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, UTF-16 with a mark, or else Latin-1.

    Raises:
        ValueError: If it is not there or not text.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"`path` must be a file that can be read, but {path} is not: {error.strerror}; give its place."
        ) from error
    coding = _MARKS.get(content[:2], "utf-8-sig")
    try:
        text = content.decode(coding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise ValueError(f"`path` must be a text file, but {path} holds bytes of zero; unpack it.")
    return text


def _frame(lines: list[str], path, frame: int | None) -> tuple[int, int]:
    """Line where the wanted molecule begins, and its number of atoms."""
    starts = _starts(lines, path)
    if frame is None and len(starts) > 1:
        raise ValueError(
            f"`{path}` must hold one molecule, but holds {len(starts)}; choose one by `frame`, from 0."
        )
    if not 0 <= (frame or 0) < len(starts):
        raise ValueError(f"`frame` must be 0 to {len(starts) - 1} in {path}, but is {frame}.")
    return starts[frame or 0]


def _starts(lines: list[str], path) -> list[tuple[int, int]]:
    """First line and number of atoms of every molecule; what follows them and is none is passed over."""
    at = next((k for k, line in enumerate(lines) if line.strip()), 0)
    starts = []
    while at < len(lines):
        n = _count(lines[at])
        if n is None:
            first = lines[at].strip()
            raise ValueError(
                f"`{path}` must open with the number of atoms, but its first line reads {first!r}; is it an XYZ file?"
            )
        rows = [line for line in lines[at + 2 : at + 2 + n] if line.strip()]
        end = at + 2 + n
        if len(rows) < n:
            raise ValueError(
                f"`{path}` must hold the {n} atoms of its first line, but holds {len(rows)}; is it truncated?"
            )
        starts.append((at, n))
        more = 0
        while end < len(lines) and not _opens(lines, end):
            more += _is_atom(lines[end])
            end += 1
        if more:
            raise ValueError(
                f"`{path}` must hold the {n} atoms of its first line, but holds {n + more}; one molecule a file."
            )
        at = end
    if not starts:
        raise ValueError(
            f"`{path}` must open with the number of atoms, but its first line reads ''; is it an XYZ file?"
        )
    return starts


def _count(line: str) -> int | None:
    word = line.split()[0] if line.split() else ""
    return int(word) if re.fullmatch(r"[0-9]+", word) and int(word) > 0 else None


def _opens(lines: list[str], at: int) -> bool:
    """Whether another molecule begins here: a count, and as many atoms two lines on."""
    n = _count(lines[at])
    return n is not None and at + 2 < len(lines) and all(map(_is_atom, lines[at + 2 : at + 2 + n]))


def _is_atom(line: str) -> bool:
    cells = line.split()
    if len(cells) < 4 or None in map(_number, cells[1:4]):
        return False
    try:
        isotope(cells[0])
    except ValueError:
        return False
    return True


def _number(cell: str) -> float | None:
    if not _NUMBER.fullmatch(cell):
        return None
    return float(cell.lower().replace("d", "e").replace("*^", "e"))


def _unit(behind: str, comment: str, path) -> str:
    """Unit that a file states."""
    said = _SAID.search(comment) or _SAID.search(behind)
    word = said[1].lower() if said else (behind.split() or [""])[0].lower()
    if said and word not in _UNIT_OF:
        raise ValueError(
            f"`units` must be {', '.join(UNITS)}, but {path} says {said[1]!r}; give `units` if it means one of these."
        )
    if not said and word == "reduced":
        raise ValueError(
            f"`units` must be {', '.join(UNITS)}, but {path} says 'reduced'; multiply by the cell."
        )
    spoken = None if said else _SPOKEN.search(comment)
    if spoken:
        raise ValueError(
            f"`units` must be clear, but the comment of {path} speaks of {spoken[0]!r}; give `units`, angstrom or bohr."
        )
    return _UNIT_OF.get(word, "angstrom") if said or behind else "angstrom"


def _columns(properties: str | None, path) -> tuple[int, int]:
    """Columns of the name and of x by what extended XYZ says of them."""
    if properties is None:
        return 0, 1
    cells, at, found = properties.split(":"), 0, {}
    for name, _, count in zip(cells[::3], cells[1::3], cells[2::3], strict=False):
        found[name.lower()] = at
        at += int(count) if count.isdecimal() else 1
    name_at = found.get("species", found.get("element", found.get("z")))
    if name_at is None or "pos" not in found:
        raise ValueError(
            f"`{path}` must name the columns species and pos, but has Properties={properties}; add them."
        )
    return name_at, found["pos"]


def _check_cell(settings: dict[str, str], places: np.ndarray, unit: float, path) -> None:
    """Raises ValueError if two atoms are bonded through the wall of a cell: the molecule would lie in pieces."""
    cells = [_number(cell) for cell in settings["lattice"].replace(",", " ").split()]
    if len(cells) != 9 or None in cells:
        raise ValueError(
            f"`{path}` must give nine numbers as Lattice, but gives {settings['lattice']!r}; leave it out for "
            "a molecule."
        )
    cell = unit * np.array(cells, dtype=float).reshape(3, 3)
    periodic = np.array([w.upper()[:1] != "F" for w in settings.get("pbc", "T T T").split()])
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    if len(periodic) == 3:
        steps = steps[(steps[:, ~periodic] == 0).all(axis=1)]
    steps = steps[steps.any(axis=1)]
    for k in range(len(places)):
        shifted = places[None] - places[k] + (steps @ cell)[:, None]
        near = np.linalg.norm(shifted, axis=-1).min(axis=0, initial=np.inf)
        direct = np.linalg.norm(places - places[k], axis=-1)
        cut = np.flatnonzero((near < _BONDED) & (direct > near * (1 + 1e-9)))
        if cut.size:
            raise ValueError(
                f"`{path}` must hold whole molecules, but atoms {k} and {cut[0]} are bonded through the wall of its "
                "cell; unwrap them and leave out Lattice."
            )
