import base64
import re
from html.parser import HTMLParser

import pytest

from experiments.command.report import format_seconds, render, write_report
from experiments.command.runner import run_and_store
from experiments.harness.errors import StorageError
from tests.experiments.pendulum import Config


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.fetched, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("link", "script", "iframe")
        self.fetched += [value for key, value in attributes if key in ("src", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_carries_its_figure_and_fetches_nothing(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    page = write_report(store).read_text()
    (source,) = Page(page).fetched
    assert (
        base64.b64decode(source.removeprefix("data:image/png;base64,"))
        == (stored.folder / "figure.png").read_bytes()
    )
    assert not re.search(r"https?://|url\(|@import", page)


def test_a_card_says_what_where_and_how(registered, store):
    stored, _ = run_and_store("pendulum", Config(), store)
    page = render(store)
    expected = (
        registered.CLAIM,
        registered.PAPER_FIGURE,
        "2.010 ± 0.010 s",
        "σ",
        "unknown",
        "no: no number",
        stored.digest,
    )
    for text in expected:
        assert text in page
    assert "long &amp; &lt;far&gt; away" in page
    assert stored.provenance["device"] in page


def test_the_newest_result_comes_first_and_others_are_folded_away(registered, store):
    old, _ = run_and_store("pendulum", Config(seed=1), store)
    new, _ = run_and_store("pendulum", Config(seed=2), store)
    page = render(store)
    assert len(Page(page).fetched) == 2
    assert page.index(new.digest) < page.index("Another run") < page.rindex(old.digest)


def test_what_has_not_been_run_is_named(registered, store):
    assert "Not run yet: <code>pendulum</code>" in render(store)


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
