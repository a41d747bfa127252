import io
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments.harness import progress
from experiments.harness.context import Context, stacked
from experiments.harness.settings import precision
from tests.experiments import map_pieces


def log_context(**options):
    text = io.StringIO()
    return Context(console=Console(file=text, width=200), **options), text


def test_without_a_store_every_piece_is_computed():
    context, _ = log_context()
    calls = []
    for _ in range(2):
        piece = context.sub_run("a", lambda: calls.append(1) or {"x": np.arange(3)})
        assert piece["x"].tolist() == [0, 1, 2]
    assert len(calls) == 2


def test_jax_arrays_come_back_as_numpy():
    context, _ = log_context()
    assert type(context.sub_run("a", lambda: {"x": jnp.ones(2)})["x"]) is np.ndarray


def test_time_left_is_that_of_the_steps_after_the_first_which_compiles(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    context, text = log_context(line_period=0.0)
    with context.progress("train", 300) as ticker:
        now[0] = 60.0  # compiling
        ticker.advance(10, note="loss 0.5")
        now[0] = 61.0
        ticker.advance(10, note="loss 0.4")
        now[0] = 62.0
        ticker.advance(280)
    first, second, last = text.getvalue().splitlines()
    assert first == "train 10/300, starting (compiling), 60 s, loss 0.5"
    assert second == "train 20/300, 10/s, 61 s, about 28 s left, loss 0.4"
    assert last == "train 300/300, 145/s, 62 s, loss 0.4"


def test_the_last_step_is_told_once():
    context, text = log_context(line_period=0.0)
    with context.progress("train", 2) as ticker:
        ticker.advance()
        time.sleep(1.05)  # a loop shorter than a second is not told at its end
        ticker.advance()
    assert [line.split(",")[0] for line in text.getvalue().splitlines()] == [
        "train 1/2",
        "train 2/2",
    ]


def test_a_quiet_period_prints_nothing():
    context, text = log_context(line_period=100.0)
    with context.progress("train", 100) as ticker:
        for _ in range(100):
            ticker.advance()
    assert text.getvalue() == ""


def test_nested_loops_share_one_display_on_a_terminal():
    text = io.StringIO()
    context = Context(
        console=Console(file=text, force_terminal=True, force_jupyter=False, width=120)
    )
    with context.progress("depths [/b]", 2) as outer:
        with context.progress("steps", 3) as inner:
            inner.advance(3, note="loss [/red] 0.5")
            context.log("half way [not markup]")
        outer.advance(2)
    # Displays are released, so a second loop can open one.
    with context.progress("again", 1) as ticker:
        ticker.advance()
    # Each display shows the cursor again when it is released.
    assert text.getvalue().count("\x1b[?25h") == 2
    assert "half way [not markup]" in text.getvalue()
    assert "depths" in text.getvalue()
    assert "steps" in text.getvalue()


def test_the_display_is_released_by_an_error():
    context = Context(console=Console(file=io.StringIO(), force_terminal=True, force_jupyter=False))
    with pytest.raises(RuntimeError), context.progress("a", 1):
        raise RuntimeError
    with context.progress("b", 1) as ticker:
        ticker.advance()


@pytest.mark.parametrize(("name", "dtype"), [("single", "float32"), ("double", "float64")])
def test_precision_holds_inside_the_block_only(name, dtype):
    before = jax.config.jax_enable_x64
    with precision(name):
        assert jnp.ones(1).dtype == dtype
    assert jax.config.jax_enable_x64 == before


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="`precision` must be single or double"), precision("half"):
        pass


def test_a_first_picture_is_announced_with_its_numbers_and_later_ones_do_not_come_too_often(
    monkeypatch,
):
    clock = [100.0]
    monkeypatch.setattr("experiments.harness.context.time.monotonic", lambda: clock[0])
    drawn = []

    def draw(outcome):
        drawn.append(outcome)
        clock[0] += 2.0
        return f"folder/{outcome}.png"

    context, text = log_context(draw=draw)
    context.publish("first", "2 layers: 95 %")
    clock[0] += 39.0  # drawing took 2 s, and may take a twentieth of the time
    context.publish("too soon", "3 layers: 95 %")
    assert drawn == ["first"]
    assert text.getvalue() == "so far: 2 layers: 95 %\nfigure  folder/first.png\n"
    clock[0] += 2.0
    context.publish("later", "4 layers: 96 %")
    assert drawn == ["first", "later"]


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_run():
    context, text = log_context(draw=lambda outcome: 1 / 0)
    context.publish("first", "2 layers: 95 %")
    assert text.getvalue().startswith("warning: no picture of what is there yet (ZeroDivisionError")


def test_without_a_place_for_it_no_picture_is_drawn():
    context, text = log_context()
    context.publish("first", "2 layers: 95 %")
    assert text.getvalue() == ""


def test_map_returns_pieces_in_order_and_tells_after_each():
    context, text = log_context(line_period=0.0)
    seen = []
    pieces = {name: (context, name, n) for name, n in (("b", 2), ("a", 2))}
    found = context.map(map_pieces.told, pieces, on_piece=lambda some: seen.append(list(some)))
    assert list(found) == ["b", "a"]
    assert seen == [["b"], ["b", "a"]]
    assert stacked(found.values())["x"].tolist() == [[0, 1], [0, 1]]
    assert "pieces 1/2" in text.getvalue()
