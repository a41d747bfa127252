"""Checks a built site on the disk: every link leads to a file and a place in it, and nothing comes from the network.

Usage: python docs/check_site.py docs/_build/html. Links to other sites are allowed and not followed; scripts, styles,
fonts and pictures from other sites are not allowed, for the site has to open without a network.
"""

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself when it opens a page.
_FETCHED = {
    ("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"),
    ("audio", "src"), ("embed", "src"), ("object", "data"), ("link", "href"),
}  # fmt: skip
# Of the page itself, and of what `link` names without fetching it.
_NAMED_ONLY = {"canonical", "search", "index", "genindex", "next", "prev", "author", "license"}
_STYLE_URL = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])([^'")\s]+)""")


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag, attrs):
        found = {name: value for name, value in attrs if value is not None}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        for name in ("src", "href", "data"):
            named_only = tag == "link" and found.get("rel") in _NAMED_ONLY
            if (tag, name) in _FETCHED and name in found and not named_only:
                self.fetched.append(found[name])
        self.fetched += [
            part.split()[0] for part in found.get("srcset", "").split(",") if part.strip()
        ]
        self.fetched += _STYLE_URL.findall(found.get("style", ""))


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def faults(site: Path) -> list[str]:
    """Faults of a built site, one line each, empty where all is well.

    Args:
        site: Folder with `index.html`.

    Raises:
        FileNotFoundError: If there is no site.
    """
    if not (site / "index.html").is_file():
        raise FileNotFoundError(
            f"There is no site in {site}: index.html is missing; run `make docs`."
        )
    found = []
    for path in sorted(site.rglob("*.html")):
        page = _read(path)
        found += [_fault(path, link, site) for link in page.links if not _elsewhere(link)]
        for address in page.fetched:
            found.append(_fetch_fault(path, address, site))
    for path in sorted(site.rglob("*.css")):
        for address in _STYLE_URL.findall(path.read_text(encoding="utf-8")):
            found.append(_fetch_fault(path, address, site))
    return sorted({fault for fault in found if fault})


def _elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme) or address.startswith("//")


def _fetch_fault(path: Path, address: str, site: Path) -> str:
    if address.startswith(("data:", "#")):
        return ""
    if _elsewhere(address):
        return f"{path.relative_to(site)}: asks the network for {address}"
    return _fault(path, address, site)


def _fault(path: Path, address: str, site: Path) -> str:
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return f"{path.relative_to(site)}: {address} leads to no file"
    place = unquote(parts.fragment)
    if place and target.suffix == ".html" and place not in _read(target).places and place != "top":
        return f"{path.relative_to(site)}: {address} leads to no place in its file"
    return ""


def main() -> int:
    """Prints the faults of the site named on the command line; 1 if there are any."""
    site = Path(sys.argv[1])
    found = faults(site)
    print(
        "\n".join(found)
        or f"all links of {len(list(site.rglob('*.html')))} pages lead somewhere; no network needed"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
