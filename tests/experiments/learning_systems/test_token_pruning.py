import numpy as np
import pytest

from experiments.data import datasets
from experiments.learning_systems import token_pruning
from experiments.learning_systems.digit_scenes import EMPTY, FIRST_PLACE, draw_scenes
from experiments.learning_systems.token_pruning import Config


def test_answers_are_what_stands_in_the_cell():
    digits = datasets.load("digits")
    scenes = draw_scenes(20, 3, 5, 0.3, test=True, seed=1)
    known = {x.tobytes(): int(y) for x, y in zip(digits.x_test, digits.y_test, strict=True)}
    answers = []
    for image, tokens in zip(scenes.images, scenes.tokens, strict=True):
        assert len(set(tokens[::2].tolist())) == 5
        for place, answer in tokens.reshape(-1, 2):
            row, column = divmod(place - FIRST_PLACE, 3)
            cell = image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, 0]
            found = EMPTY if not cell.any() else known[np.ascontiguousarray(cell).tobytes()]
            assert found == answer
            answers.append(answer)
    assert 0 < np.mean(np.array(answers) == EMPTY) < 0.6


def test_no_digit_is_both_learnt_and_asked_for():
    cells = [
        draw_scenes(200, 2, 1, 0, test=test, seed=2).images.reshape(200, 2, 8, 2, 8).swapaxes(2, 3)
        for test in (False, True)
    ]
    learnt, asked = ({c.tobytes() for c in x.reshape(-1, 8, 8)} for x in cells)
    assert not learnt & asked


def test_the_pyramid_ends_where_it_should_and_layers_count_its_tokens():
    config = Config()
    stages = token_pruning._pyramid(config, 4)
    assert [stage.layer for stage in stages] == [1, 2, 3]
    assert abs(stages[-1].keep - 4) <= 1
    assert token_pruning._layers(config, 64, stages) == [65, *(s.keep + 1 for s in stages)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": 4}, "`layer` must be below `n_layers`, 4, but is 4"),
        ({"keeps": (65,)}, "`keeps` must be at most the tokens of a picture, 64, but holds 65"),
        ({"keeps": (4, 0)}, "`keeps`"),
        ({"n_questions": 17}, "`n_questions` must be at most the cells of a scene, 16"),
    ],
)
def test_what_cannot_be_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Config(**change)
