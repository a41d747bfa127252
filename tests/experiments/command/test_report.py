import base64
import os
import re
import shutil
from html.parser import HTMLParser

import pytest

from experiments.command import report
from experiments.command.report import format_seconds, write_report
from experiments.command.report_style import STYLE
from experiments.command.runner import run_and_store
from experiments.harness.errors import StorageError
from tests.experiments.pendulum import Config


class Page(HTMLParser):
    """Collects pictures, links and anchors, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.pictures, self.links, self.ids, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("link", "script", "iframe")
        found = dict(attributes)
        assert not {"srcset", "data", "onclick"} & set(found)
        if tag == "img":
            self.pictures.append(found)
        if tag == "a":
            self.links.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def written(store):
    """The index and the text of each page that it links to, by link."""
    index = write_report(store).read_text()
    pages = {
        link: (store.root / link).read_text() for link in Page(index).links if link[0] not in "#."
    }
    return index, pages


def test_a_page_carries_its_figure_and_fetches_nothing(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    _, pages = written(store)
    (page,) = pages.values()
    (picture,) = Page(page).pictures
    assert (
        base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
        == (stored.folder / "figure.png").read_bytes()
    )
    assert not re.search(r"https?://|url\(|@import", page)


def test_a_page_says_what_where_and_how(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    _, pages = written(store)
    (page,) = pages.values()
    expected = (
        registered.CLAIM,
        registered.PAPER_FIGURE,
        "2.010 ± 0.010 s",
        "σ",
        "unknown",
        "no: no number",
        stored.digest,
        "long &amp; &lt;far&gt; away",
        stored.provenance["device"],
    )
    for text in expected:
        assert text in page
    back = next(link for link in Page(page).links if "#" in link)
    name, _, anchor = back.partition("#")
    assert (store.root / "report" / name).resolve() == (store.root / "report.html").resolve()
    assert anchor in Page((store.root / "report.html").read_text()).ids


def test_the_index_shows_the_figures_beside_it_and_carries_none(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    index, _ = written(store)
    assert "base64" not in index
    assert len(index.encode()) < 12_000
    (picture,) = Page(index).pictures
    path = store.root / picture["src"]
    assert path == stored.folder / "figure.png"
    from matplotlib.image import imread

    height, width, _ = imread(path).shape
    assert (picture["width"], picture["height"]) == (str(width), str(height))


def test_every_picture_says_what_it_shows(registered, store):
    run_and_store("pendulum", Config(), store)
    index, pages = written(store)
    for page in (index, *pages.values()):
        for picture in Page(page).pictures:
            assert picture["alt"] == (
                f"Figure of pendulum: {registered.CLAIM} Shown: Period (s) against Length (m) (paper)."
            )


def test_a_figure_that_leads_elsewhere_is_not_taken_in(registered, store, tmp_path):
    stored, _ = run_and_store("pendulum", Config(), store)
    elsewhere = tmp_path / "elsewhere.png"
    (stored.folder / "figure.png").rename(elsewhere)
    (stored.folder / "figure.png").symlink_to(elsewhere)
    index, pages = written(store)
    for page in (index, *pages.values()):
        assert not Page(page).pictures


def test_a_page_says_by_which_command_and_with_what_it_was_made(registered, store):
    command = ["lightecho", "run", "pendulum", "--fault", "a <b>"]
    stored, _ = run_and_store("pendulum", Config(), store, command=command)
    _, pages = written(store)
    (page,) = pages.values()
    for text in (
        "lightecho run pendulum --fault &#x27;a &lt;b&gt;&#x27;",
        f"numpy {stored.provenance['versions']['numpy']}",
        f"source {stored.code}",
    ):
        assert text in page


def test_the_place_of_a_published_number_can_be_had_without_a_pointer(registered, store):
    run_and_store("pendulum", Config(), store)
    _, pages = written(store)
    (page,) = pages.values()
    assert 'tabindex="0" title="Table 1, table" data-place="Table 1, table"' in page
    assert ".source:focus::after { content: attr(data-place);" in STYLE
    assert STYLE in page


def test_files_of_killed_processes_go_with_the_next_report(registered, store):
    write_report(store)
    old, young = (store.root / f".report.html.{name}.tmp" for name in ("1-ab", "2-cd"))
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    write_report(store)
    assert not old.exists()
    assert young.exists()


def test_one_damaged_result_does_not_cost_the_report(registered, store):
    damaged, _ = run_and_store("pendulum", Config(seed=1), store)
    whole, _ = run_and_store("pendulum", Config(), store)
    (damaged.folder / "metrics.json").write_text("[]")
    index, pages = written(store)
    assert whole.digest in index
    assert len(pages) == 1


def test_pages_have_a_dark_theme_and_a_narrow_layout(registered, store):
    run_and_store("pendulum", Config(), store)
    index, pages = written(store)
    for page in (index, *pages.values()):
        assert "@media (prefers-color-scheme: dark)" in page
        assert "@media (max-width: 42rem)" in page
        assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
        # Only a table may be wider than a narrow window, and it scrolls by itself.
        assert page.count('<table class="comparison"') == page.count(
            '<div class="wide"><table class="comp'
        )


def test_the_newest_result_has_the_card_and_others_are_folded_away(registered, store):
    old, _ = run_and_store("pendulum", Config(seed=1), store)
    new, _ = run_and_store("pendulum", Config(seed=2), store)
    index, pages = written(store)
    assert [link for link in Page(index).links if "pendulum-" in link] == [
        f"report/pendulum-{digest}.html" for digest in (new.digest, new.digest, old.digest)
    ]
    assert index.index(new.digest) < index.index("Earlier runs: 1") < index.index(old.digest)
    assert len(pages) == 2


def test_a_page_is_written_again_only_when_its_result_is_newer_and_goes_with_it(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    write_report(store)
    (page,) = (store.root / "report").iterdir()
    page.write_text("kept")
    write_report(store)
    assert page.read_text() == "kept"
    later = page.stat().st_mtime + 10
    os.utime(stored.folder / "provenance.json", (later, later))
    write_report(store)
    assert stored.digest in page.read_text()
    shutil.rmtree(stored.folder)
    write_report(store)
    assert not page.exists()


def test_a_very_large_figure_is_linked_to(registered, store, monkeypatch):
    run_and_store("pendulum", Config(), store)
    monkeypatch.setattr(report, "LARGEST_PICTURE", 100)
    _, pages = written(store)
    (page,) = pages.values()
    assert not Page(page).pictures
    (link,) = [link for link in Page(page).links if link.endswith(".png")]
    assert (store.root / "report" / link).is_file()


def test_what_has_not_been_run_is_named(registered, store):
    assert "Not run yet: <code>pendulum</code>" in written(store)[0]


def test_a_report_that_cannot_be_written_is_an_error_with_its_path(registered, store):
    store.root.parent.mkdir(exist_ok=True)
    store.root.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"Cannot write .*report\.html"):
        write_report(store)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, "0.12 s"), (12.4, "12 s"), (59.9, "60 s"), (200.4, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_readable(seconds, text):
    assert format_seconds(seconds) == text
