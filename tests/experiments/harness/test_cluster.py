"""Pieces on a Dask cluster of this machine: the same bits, retries, one line where it fails."""

import io
import os
import socket
import warnings

import dask
import pytest
from rich.console import Console

from experiments.harness.cluster import ClusterWorkers
from experiments.harness.context import Context
from experiments.harness.errors import NonFiniteError, UserError
from experiments.harness.settings import precision, thread_share
from tests.experiments import forked, map_pieces

distributed = pytest.importorskip("distributed")
# Sockets and loops of Dask's own threads are closed by its garbage collection.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "default::DeprecationWarning")


def same_code():
    return "code"


@pytest.fixture(scope="module")
def cluster():
    forked.server()
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with warnings.catch_warnings(), thread_share(2), dask.config.set(method):
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as local:
            yield local


@pytest.fixture
def workers(cluster):
    found = ClusterWorkers(cluster.scheduler_address, same_code)
    yield found
    found.close()


def context_with(workers, **options):
    text = io.StringIO()
    return Context(console=Console(file=text, width=200), workers=workers, **options), text


@pytest.mark.parametrize("name", ["single", "double"])
def test_a_cluster_gives_the_bits_of_one_process(workers, name):
    pieces = {f"seed{s}": (s, 96) for s in range(3)}
    with precision(name):
        serial = Context().map(map_pieces.spectrum, pieces)
        there = context_with(workers)[0].map(map_pieces.spectrum, pieces)
    assert list(there) == list(serial)
    for label, piece in serial.items():
        for key, array in piece.items():
            assert there[label][key].tobytes() == array.tobytes(), (label, key)


def test_what_pieces_tell_appears_here(workers):
    context, text = context_with(workers, line_period=0.0)
    context.map(map_pieces.told, {name: (context, name, 3) for name in ("a", "b")})
    lines = text.getvalue().splitlines()
    assert {"a begins", "b begins"} <= set(lines)
    assert any(line.startswith("pieces 2/2, ") for line in lines)


def test_the_error_of_a_piece_arrives_as_itself(workers):
    with pytest.raises(NonFiniteError, match="`loss` must be finite, but is nan"):
        context_with(workers)[0].map(map_pieces.failing, {"a": ("not finite",)})
    with pytest.raises(UserError, match="`length` must be positive"):
        context_with(workers)[0].map(map_pieces.failing, {"a": ("user",)})


def test_a_piece_whose_worker_was_killed_is_computed_by_another(workers, tmp_path):
    found = context_with(workers)[0].map(
        map_pieces.killed_once, {f"{i}": (tmp_path, i) for i in range(3)}
    )
    assert [int(piece["x"]) for piece in found.values()] == [0, 1, 2]
    assert (tmp_path / "mark1").exists()


def test_workers_with_other_source_are_refused(cluster):
    with pytest.raises(UserError, match=r"`--cluster`: the source of lightecho at tcp://127"):
        ClusterWorkers(cluster.scheduler_address, os.getpid)  # another number there


def test_an_address_where_nobody_answers_is_one_error(monkeypatch):
    from experiments.harness import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"`--cluster` must be the address .* but at {address}"):
        ClusterWorkers(address, same_code)


@pytest.mark.parametrize("address", ["nonsense", "ftp://host:1", "tcp://127.0.0.1:notaport"])
def test_what_is_no_address_is_one_error(monkeypatch, address):
    from experiments.harness import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(UserError, match=r"`--cluster` must be the address of a Dask scheduler"):
        ClusterWorkers(address, same_code)
