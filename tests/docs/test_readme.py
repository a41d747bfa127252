"""The code that README and docs show runs as it stands, and is what they show."""

import re

import pytest
from source_tree import ROOT

README = ROOT / "README.md"


def code_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)


def test_the_readme_fits_two_screens_and_its_code_is_about_ten_lines():
    assert len(README.read_text("utf-8").splitlines()) <= 90
    (block,) = code_blocks(README)
    assert len([line for line in block.splitlines() if line and "import" not in line]) <= 10


def test_the_code_of_the_readme_measures_a_gradient():
    (block,) = code_blocks(README)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    phase = names["estimate"].gradient.phase
    assert phase.shape == names["network"].phase.shape
    assert float(abs(phase).max()) > 0


def test_the_code_of_the_page_start_runs(capsys):
    *blocks, experiment = code_blocks(ROOT / "docs" / "guide" / "start.md")
    names = {}
    for block in blocks:
        exec(compile(block, "start.md", "exec"), names)
    assert names["far"].shape == (400, 400)
    assert "nan" not in capsys.readouterr().out
    # `.ci/run` runs this one with all quick runs; here it is asked for what it names.
    imports, _, call = experiment.partition("outcome = ")
    exec(compile(imports, "start.md", "exec"), names)
    config = eval(call.strip().removeprefix("ffm_gradient.run(").removesuffix(")"), names)
    assert isinstance(config, names["ffm_gradient"].Config)


def test_the_code_of_the_page_on_circuits_prints_what_it_says(capsys):
    (block,) = code_blocks(ROOT / "docs" / "guide" / "own_circuits.md")
    exec(compile(block, "own_circuits.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Circuit of 2 qubits, 2 moments, 2 gates (1 on two qubits)"
    assert [round(float(line), 5) for line in printed[3:5]] == [-0.25, 0.5]
    assert printed[6].startswith("Estimate(value=1.0, stderr=0.0)")


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").glob("themes/*.md")), ids=lambda path: path.stem
)
def test_each_command_of_a_page_names_an_experiment(page):
    from experiments.command import registry

    known = {*registry.names(), *registry.benchmarks(), "NAME"}
    named = re.findall(r"lightecho run (\w+)", page.read_text("utf-8"))
    assert set(named) <= known
    # Each committed figure stands below the command that makes it.
    for figure in re.findall(r"experiments/figures/(\w+)\.png", page.read_text("utf-8")):
        assert figure in named, f"{page.name} shows {figure} without its command"
