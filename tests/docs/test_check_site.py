import check_site
import pytest

CLEAN = '<a href="other.html#here">a</a><a href="https://doi.org/10.1/x">doi</a><img src="p.png"><a href="#top">up</a>'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(CLEAN)
    (tmp_path / "other.html").write_text('<p id="here"></p><link rel="stylesheet" href="s.css">')
    (tmp_path / "s.css").write_text(
        "a { background: url(p.png) } b { mask: url('data:image/svg+xml;x') }"
    )
    (tmp_path / "p.png").write_bytes(b"")
    check_site._read.cache_clear()
    return tmp_path


def test_a_whole_site_has_no_faults_and_links_to_other_sites_are_allowed(site):
    assert check_site.faults(site) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<a href="gone.html">', "index.html: gone.html leads to no file"),
        ('<a href="other.html#gone">', "index.html: other.html#gone leads to no place in its file"),
        ('<a href="#gone">', "index.html: #gone leads to no place in its file"),
        ('<img src="gone.png">', "index.html: gone.png leads to no file"),
        (
            '<script src="https://cdn.example/x.js">',
            "index.html: asks the network for https://cdn.example/x.js",
        ),
        ('<img src="//cdn.example/x.png">', "index.html: asks the network for //cdn.example/x.png"),
        (
            '<link rel="stylesheet" href="http://cdn.example/x">',
            "index.html: asks the network for http://cdn.example/x",
        ),
        (
            '<p style="background: url(http://e.example/x)">',
            "index.html: asks the network for http://e.example/x",
        ),
    ],
)
def test_what_leads_nowhere_or_asks_the_network_is_named(site, text, fault):
    (site / "index.html").write_text(CLEAN + text)
    check_site._read.cache_clear()
    assert check_site.faults(site) == [fault]


def test_a_style_that_asks_the_network_is_named(site):
    (site / "s.css").write_text('@import "https://fonts.example/f.css";')
    assert check_site.faults(site) == ["s.css: asks the network for https://fonts.example/f.css"]


def test_no_site_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.html is missing; run `make docs`"):
        check_site.faults(tmp_path)
