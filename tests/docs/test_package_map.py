import re

import package_map
import pytest
import source_tree
from source_tree import ROOT


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Rooms of each package as the page draws them, floor by floor."""
    target = tmp_path_factory.mktemp("map")
    package_map.write(target)
    found, package = {}, ""
    for line in (target / "map.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            package = line[3:]
            found[package] = []
        elif line.startswith('<div class="floor">'):
            found[package].append(set(re.findall(r"<strong>(\w+)/</strong>", line)))
    return found


@pytest.mark.parametrize("package", source_tree.PACKAGES)
def test_every_folder_of_a_package_is_drawn_once(drawn, package):
    folders = sorted(path.parent.name for path in (ROOT / package).glob("*/__init__.py"))
    assert sorted(room for floor in drawn[package] for room in floor) == folders


def test_floors_are_those_of_the_contracts_from_the_top(drawn):
    contracts = [c for c in source_tree.contracts() if c["type"] == "layers" and "containers" in c]
    assert {c["containers"][0] for c in contracts} >= {"optics", "quantum", "experiments"}
    for contract in contracts:
        stated = [set(layer.split(" | ")) - {"__main__"} for layer in contract["layers"]]
        assert drawn[contract["containers"][0]] == [floor for floor in stated if floor]


def test_a_contract_that_leaves_a_folder_out_is_refused(monkeypatch):
    monkeypatch.setattr(package_map, "floors", lambda name: [["waves"]])
    with pytest.raises(
        ValueError, match=r"contract of `optics` in pyproject\.toml and the folders"
    ):
        package_map.rows("optics")


def test_every_path_of_the_table_of_new_things_is_there():
    page = (ROOT / "docs" / "packages.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    package = ""
    for path in re.findall(r"`([\w/]+(?:/|\.py))`", "\n".join(rows)):
        package = path.rsplit("/", 1)[0] if "/" in path and path.endswith("/") else package
        places = [ROOT / path, ROOT / package / path]
        assert any(place.exists() for place in places), (
            f"docs/packages.md names {path}, which is not there"
        )


def test_what_a_new_thing_stands_on_lies_below_it():
    page = (ROOT / "docs" / "packages.md").read_text("utf-8")
    checked = 0
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 5 or not cells[2].startswith(("`optics/", "`quantum/")):
            continue
        package, wing = cells[2].strip("`").split("/")[:2]
        order = [room for floor in source_tree.floors(package) for room in floor]
        level = {room: i for i, floor in enumerate(source_tree.floors(package)) for room in floor}
        for below in re.findall(rf"`{package}/(\w+)/", cells[3]):
            assert below in order
            assert below == wing or level[below] > level[wing], f"{wing} may not import {below}"
            checked += 1
    assert checked > 15
