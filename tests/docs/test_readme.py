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
    blocks = code_blocks(ROOT / "docs" / "guide" / "own_circuits.md")
    exec(compile("\n".join(blocks), "own_circuits.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Circuit of 2 qubits, 2 moments, 2 gates (1 on two qubits)"
    assert [round(float(line), 5) for line in printed[3:5]] == [-0.25, 0.5]
    assert printed[6].startswith("Estimate(value=1.0, stderr=0.0)")
    exact, whole = [float(word) for word in printed[-3].split()][::-1]
    assert [round(whole, 3), round(exact, 3)] == [-0.161, -0.012]
    value, error = map(float, re.findall(r"=([-.e\d]+)", printed[-2]))
    assert abs(value - exact) < 3 * error
    more, less = map(float, printed[-1].strip("[]").split())
    assert whole < less < more < 0


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


def test_the_page_on_molecules_learns_from_its_own_files(tmp_path, capsys):
    """By the command it names, at a size that takes seconds; the distance in the curve is 2.69 A."""
    from experiments.__main__ import main

    text = (ROOT / "docs" / "guide" / "own_molecules.md").read_text("utf-8")
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    (command, *_) = blocks
    words = command.split()
    for name, block in zip(("propyne.xyz", "propyne.csv"), blocks[1:], strict=True):
        (tmp_path / name).write_text(block, "utf-8")
        words[words.index(name)] = str(tmp_path / name)
    small = [
        "--repeats",
        "2",
        "--refits",
        "2",
        "--noise",
        "0.01",
        "--n-times",
        "6",
        "--degree",
        "8",
    ]
    assert main([*words[1:], *small, "--out", str(tmp_path / "results")]) == 0
    line = next(row for row in capsys.readouterr().out.splitlines() if "measured.value" in row)
    value = float(re.search(r"2\.\d+", line)[0])
    # 0.0039 A is the error that noise of 0.01 on these twelve points leaves.
    assert abs(value - 2.69) < 3 * 0.0039


def test_the_code_of_the_page_on_molecules_prints_what_it_says(capsys):
    (block,) = code_blocks(ROOT / "docs" / "guide" / "own_molecules.md")
    exec(compile(block, "own_molecules.md", "exec"), {})
    assert capsys.readouterr().out == "('13C', '19F', '1H')\n[0.6482]\n"
