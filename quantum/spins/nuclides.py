"""Nuclides: spin, gyromagnetic ratio, and what a written name such as "13C", "h", "C_2", "6" or "D" stands for.

Gyromagnetic ratios are those of bare nuclei: the proton's from CODATA (`scipy.constants`), the others of spin 1/2
from the table of R. K. Harris, E. D. Becker, S. M. Cabral de Menezes, R. Goodfellow, P. Granger, Pure Appl. Chem. 73,
1795 (2001), DOI 10.1351/pac200173111795. A negative one means that magnetic moment and spin point opposite ways (15N,
29Si).

An element without a mass number stands for its most abundant isotope, whatever spin that has: "C" is 12C and has none,
"N" is 14N and has spin 1.

Left out: ratios of nuclei with spin above 1/2, which no Hamiltonian here can hold; elements beyond bismuth.
"""

import re

from scipy.constants import physical_constants

# rad/s/T of spin 1/2. Harris et al. (2001), Table 1, but for the proton.
HALVES = {
    "1H": physical_constants["proton gyromag. ratio"][0],
    "3H": 28.5349779e7,
    "3He": -20.3801587e7,
    "13C": 6.728284e7,
    "15N": -2.71261804e7,
    "19F": 25.18148e7,
    "29Si": -5.3190e7,
    "31P": 10.8394e7,
    "57Fe": 0.8680624e7,
    "77Se": 5.1253857e7,
    "89Y": -1.3162791e7,
    "103Rh": -0.8468e7,
    "107Ag": -1.0889181e7,
    "109Ag": -1.2518634e7,
    "111Cd": -5.6983131e7,
    "113Cd": -5.9609155e7,
    "115Sn": -8.8013e7,
    "117Sn": -9.58879e7,
    "119Sn": -10.0317e7,
    "123Te": -7.059098e7,
    "125Te": -8.5108404e7,
    "129Xe": -7.452103e7,
    "169Tm": -2.218e7,
    "171Yb": 4.7288e7,
    "183W": 1.1282403e7,
    "187Os": 0.6192895e7,
    "195Pt": 5.8385e7,
    "199Hg": 4.8457916e7,
    "203Tl": 15.5393338e7,
    "205Tl": 15.6921808e7,
    "207Pb": 5.58046e7,
}
# Elements in the order of their charge; the mass is that of the most abundant isotope.
_ORDER = """
1H 4He 7Li 9Be 11B 12C 14N 16O 19F 20Ne 23Na 24Mg 27Al 28Si 31P 32S 35Cl 40Ar 39K 40Ca 45Sc 48Ti 51V 52Cr 55Mn 56Fe 59Co
58Ni 63Cu 64Zn 69Ga 74Ge 75As 80Se 79Br 84Kr 85Rb 88Sr 89Y 90Zr 93Nb 98Mo 99Tc 102Ru 103Rh 106Pd 107Ag 114Cd 115In 120Sn
121Sb 130Te 127I 132Xe 133Cs 138Ba 139La 140Ce 141Pr 142Nd 145Pm 152Sm 153Eu 158Gd 159Tb 164Dy 165Ho 166Er 169Tm 174Yb
175Lu 180Hf 181Ta 184W 187Re 192Os 193Ir 195Pt 197Au 202Hg 205Tl 208Pb 209Bi
"""
_ELEMENTS = _ORDER.split()
# Twice the spin of nuclei with spin above 1/2. Harris et al. (2001), Table 2.
_TWICE = {
    2: "2H 6Li 14N",
    3: "7Li 9Be 11B 21Ne 23Na 33S 35Cl 37Cl 39K 41K 53Cr 61Ni 63Cu 65Cu 69Ga 71Ga 75As 79Br 81Br 87Rb 131Xe 135Ba "
    "137Ba 155Gd 157Gd 159Tb 189Os 191Ir 193Ir 197Au 201Hg",
    5: "17O 25Mg 27Al 47Ti 55Mn 67Zn 85Rb 91Zr 95Mo 97Mo 99Ru 101Ru 105Pd 121Sb 127I 141Pr 145Pm 151Eu 153Eu 161Dy "
    "163Dy 173Yb 185Re 187Re",
    6: "10B",
    7: "43Ca 45Sc 49Ti 51V 59Co 123Sb 133Cs 139La 143Nd 145Nd 147Sm 149Sm 165Ho 167Er 175Lu 177Hf 181Ta",
    8: "40K",
    9: "73Ge 83Kr 87Sr 93Nb 99Tc 113In 115In 179Hf 209Bi",
}
SPINS = {name: twice / 2 for twice, names in _TWICE.items() for name in names.split()}
SPINS |= dict.fromkeys(HALVES, 0.5)
SYMBOLS = tuple(name.lstrip("0123456789") for name in _ELEMENTS)
ELEMENTS = dict(zip(SYMBOLS, _ELEMENTS, strict=True))
# Even charge and even mass: spin 0. No other stable nucleus has it.
SPINS |= {name: 0.0 for place, name in enumerate(_ELEMENTS) if place % 2 and name not in SPINS}
SPINS |= dict.fromkeys(("18O", "34S", "30Si", "54Fe", "78Se", "118Sn", "194Pt", "196Pt"), 0.0)
GYROMAGNETIC = HALVES | {name: 0.0 for name, spin in SPINS.items() if spin == 0}
_HEAVY_HYDROGEN = {"D": "2H", "T": "3H"}
_LIKE_LABELS = ("He", "Hf", "Hg", "Ho")  # HG1 is a proton in files of proteins
_COMMON = "1H, 12C, 13C, 15N, 19F, 29Si, 31P"
# Mass, letters, and a label: digits, or what follows a sign that is no letter. Gaussian writes C(Iso=13).
_NAME = re.compile(r"(?P<mass>\d{1,3})?(?P<letters>[A-Za-z]{1,2})(?P<label>\d+|[^A-Za-z0-9\s].*)?")
_GAUSSIAN = re.compile(r"([A-Za-z]{1,2})\(iso=(\d{1,3})\)", re.IGNORECASE)


def isotope(name: str) -> str:
    """The nuclide that a name stands for.

    An isotope ("13C", "13c"), an element ("C", "cl", its most abundant isotope), a charge ("6"), either with a label
    behind it ("H1", "C_2", "C13", which is carbon number 13), "D" or "T", or as Gaussian writes it, "C(Iso=13)".

    Raises:
        ValueError: If it is none of these, or could be an isotope as well as a label ("C-13").
    """
    text = str(name).strip()
    gaussian = _GAUSSIAN.fullmatch(text)
    if gaussian:
        text = gaussian[2] + gaussian[1]
    if text.isdecimal():
        place = int(text) - 1
        return _ELEMENTS[place] if 0 <= place < len(_ELEMENTS) else _unknown(name)
    found = _NAME.fullmatch(text)
    if not found:
        return _unknown(name)
    mass, symbol, label = found["mass"], found["letters"].capitalize(), found["label"] or ""
    if not mass and found["letters"].isupper() and symbol in _LIKE_LABELS:
        raise ValueError(
            f"`isotopes` must say what they are, but {name!r} could be the element {symbol} or a hydrogen with a "
            f"label; write {symbol} or H."
        )
    whole = (mass or "") + symbol
    if re.fullmatch(r"-\d+", label) and not mass and label[1:] + symbol in SPINS:
        raise ValueError(
            f"`isotopes` must say what they are, but {name!r} could be the isotope {label[1:]}{symbol} or atom "
            f"number {label[1:]}; write {label[1:]}{symbol} or {symbol}_{label[1:]}."
        )
    if not mass:
        whole = _HEAVY_HYDROGEN.get(symbol) or ELEMENTS.get(symbol, "")
    return whole if whole in SPINS else _unknown(name)


def above_half(names) -> tuple[str, ...]:
    """Those of spin above 1/2, each once, in order."""
    return tuple(dict.fromkeys(name for name in names if SPINS[name] > 0.5))


def _unknown(name) -> str:
    raise ValueError(
        f"`isotopes` must be among {_COMMON} and others like them, or elements, but hold {name!r}; name the nuclide, "
        "and leave out what is none."
    )
