import re

import gallery
import numpy as np
import pytest
from source_tree import ROOT

from experiments.command import registry
from experiments.command.storage import Store
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

NAMES = [*registry.names(), *registry.benchmarks()]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Gallery of a place where nothing was run."""
    target = tmp_path_factory.mktemp("gallery")
    gallery.write(target, Store(target / "results"))
    return target


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_card_and_a_page_with_its_claim(empty, name):
    claim = registry.summary(name).claim
    index, page = (empty / f"{part}.md" for part in ("index", name))
    assert f":link: {name}\n" in index.read_text("utf-8")
    assert claim in index.read_text("utf-8")
    text = page.read_text("utf-8")
    assert claim in text
    for scale in registry.summary(name).expected_time:
        assert re.search(rf"lightecho run {name} --scale {scale} ", text)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_is_told_on_the_page_of_its_theme(name):
    page = ROOT / "docs" / "themes" / f"{gallery.THEMES[gallery.theme_of(name)][0]}.md"
    assert re.search(rf"\b{name}\b", page.read_text("utf-8")), f"{page} says nothing of {name}"


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_is_in_the_readme_and_in_the_table_of_what_they_show(name):
    for page in (ROOT / "README.md", ROOT / "docs" / "themes" / "index.md"):
        assert f"`{name}`" in page.read_text("utf-8"), f"{page} says nothing of {name}"


def test_where_nothing_is_stored_the_card_says_so(empty):
    index = (empty / "index.md").read_text("utf-8")
    assert index.count("No quick result stored here.") == len(NAMES)
    assert "No quick result" in (empty / "ffm_gradient.md").read_text("utf-8")


def test_a_committed_figure_stands_in_for_a_quick_one(empty):
    assert (empty / "pictures" / "ffm_depth.png").is_file()
    assert "committed figure" in (empty / "ffm_depth.md").read_text("utf-8")


def test_a_stored_quick_result_shows_its_numbers_beside_the_paper(tmp_path):
    config = registry.load("ffm_gradient").SCALES["quick"]
    references = (Reference("cosine", 0.5, 0.1, "", "Fig. 9z", "table", True),)
    outcome = Outcome(
        "ffm_gradient", config, {"cosine": Measurement(0.75)}, {"a": np.ones(1)}, references
    )
    provenance = {
        "wall_time_s": 3.0,
        "device": "abacus",
        "precision": "single",
        "date": "2026-11-30T00:00:00+00:00",
    }
    store = Store(tmp_path / "results")
    store.save(outcome, "quick", provenance)
    gallery.write(tmp_path / "gallery", store)
    text = (tmp_path / "gallery" / "ffm_gradient.md").read_text("utf-8")
    assert "0.75" in text
    assert "Fig. 9z, table" in text
    assert "abacus" in text
    index = (tmp_path / "gallery" / "index.md").read_text("utf-8")
    assert index.count("No quick result stored here.") == len(NAMES) - 1


def test_a_subject_without_a_theme_page_is_named(monkeypatch):
    monkeypatch.setitem(registry.EXPERIMENTS, "new_one", "experiments.alchemy.new_one")
    with pytest.raises(
        ValueError, match=r"`new_one` lives in experiments/alchemy, for which `THEMES`"
    ):
        gallery.theme_of("new_one")
