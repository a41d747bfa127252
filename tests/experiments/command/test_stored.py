import copy
import json
import random

import pytest

from experiments.command.stored import FORMAT, read_stored
from experiments.harness.errors import UserError
from experiments.harness.measurement import Measurement

CONFIG = {"experiment": "pendulum", "config": {"seed": 0}}
METRICS = {
    "format": FORMAT,
    "experiment": "pendulum",
    "digest": "0123456789ab",
    "scale": "quick",
    "metrics": {"period": {"value": 2.0, "stderr": 0.1, "unit": "s", "n": 3}},
    "references": [
        {
            "name": "period", "value": 2.1, "uncertainty": None, "unit": "s", "place": "Fig. 1", "how": "table",
            "comparable": True, "note": "",
        }
    ],
}  # fmt: skip
PROVENANCE = {"date": "2026-01-01T00:00:00+00:00", "wall_time_s": 1.5, "code": "abc"}


def written(tmp_path, config=CONFIG, metrics=METRICS, provenance=PROVENANCE):
    folder = tmp_path / "pendulum" / "0123456789ab"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config", config), ("metrics", metrics), ("provenance", provenance)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def changed(content, *path, to=None, drop=False):
    found = inner = copy.deepcopy(content)
    *way, last = path
    for key in way:
        inner = inner[key]
    if drop:
        del inner[last]
    else:
        inner[last] = to
    return found


def test_a_whole_result_is_read(tmp_path):
    stored = read_stored(written(tmp_path))
    assert (stored.experiment, stored.scale, stored.code) == ("pendulum", "quick", "abc")
    assert stored.metrics == {"period": Measurement(2.0, 0.1, "s", 3)}
    assert stored.references[0].value == 2.1


def test_an_older_result_is_read_with_what_it_meant(tmp_path):
    metrics = changed(METRICS, "format", drop=True)
    metrics = changed(metrics, "metrics", "period", to={"value": 2.0})
    metrics = changed(metrics, "references", 0, "note", drop=True)
    stored = read_stored(written(tmp_path, metrics=metrics))
    assert stored.metrics["period"] == Measurement(2.0)


def test_keys_that_a_later_version_adds_do_no_harm(tmp_path):
    metrics = changed(METRICS, "metrics", "period", "colour", to="red")
    assert read_stored(written(tmp_path, metrics=metrics)).metrics["period"].value == 2.0


@pytest.mark.parametrize(
    ("file", "path", "to", "said"),
    [
        ("metrics", ("format",), FORMAT + 1, r"`format` is 3 and this lightecho knows up to 2; update"),
        ("metrics", ("format",), "2", "`format` must be a number"),
        ("metrics", ("experiment",), "../..", "lies in pendulum"),
        ("metrics", ("digest",), "../../x", "12 hex digits"),
        ("metrics", ("scale",), None, "`scale` must be text, but is null"),
        ("metrics", ("metrics",), [], "`metrics` must be an object"),
        ("metrics", ("metrics", "period"), 2.0, "`metrics.period` must be an object, but is 2.0"),
        ("metrics", ("metrics", "period", "value"), None, "`metrics.period.value` must be .* but is null"),
        ("metrics", ("metrics", "period", "n"), 1.5, "`metrics.period.n` must be a whole number"),
        ("metrics", ("metrics", "period", "n"), 0, "`n` must be at least 1"),
        ("metrics", ("references", 0, "comparable"), "yes", "comparable` must be true or false"),
        ("metrics", ("references", 0, "comparable"), False, "must say why it is not comparable"),
        ("config", ("config",), None, "`config` must be an object"),
        ("provenance", ("date",), "yesterday", "`date` must be as 2026"),
        ("provenance", ("wall_time_s",), "long", "`wall_time_s` must be a finite number"),
        ("provenance", ("versions",), 3, "`versions` must be an object"),
    ],
)  # fmt: skip
def test_what_is_not_as_we_write_it_is_one_line_with_file_and_key(tmp_path, file, path, to, said):
    content = {"config": CONFIG, "metrics": METRICS, "provenance": PROVENANCE}
    content[file] = changed(content[file], *path, to=to)
    folder = written(tmp_path, **content)
    with pytest.raises(UserError, match=said) as caught:
        read_stored(folder)
    assert str(caught.value).startswith(f"Cannot read {folder / file}.json: ")
    assert "\n" not in str(caught.value)


def places(value, path=()):
    yield path
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, entry in inner:
        yield from places(entry, (*path, key))


def test_any_valid_json_of_another_shape_is_read_or_refused_in_one_line(tmp_path):
    draw, refused = random.Random(0), 0
    whole = {"config": CONFIG, "metrics": METRICS, "provenance": PROVENANCE}
    for _ in range(150):
        file = draw.choice(list(whole))
        path = draw.choice([path for path in places(whole[file]) if path])
        odd = draw.choice([None, True, 10**400, -1, "", [], {}, [None], {"a": None}])
        content = changed(whole[file], *path, to=odd, drop=draw.random() < 0.3)
        folder = written(tmp_path, **{**whole, file: content})
        refused += was_refused(folder)
    assert 50 < refused < 150


def was_refused(folder):
    try:
        read_stored(folder)
    except UserError:
        return True
    return False


def test_a_result_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    from experiments.command import stored

    folder, read, once = written(tmp_path), stored.read_json, []

    def replaced(path, *hint):
        if path.name == "metrics.json" and not once:
            once.append(folder.rename(folder.with_name("aside")))
            written(tmp_path, provenance={**PROVENANCE, "wall_time_s": 9.0})
        return read(path, *hint)

    monkeypatch.setattr(stored, "read_json", replaced)
    assert stored.read_stored(folder).provenance["wall_time_s"] == 9.0
