"""A checkpoint on a server of S3, run by `test_s3.py` where moto and s3fs are; prints a line for each step."""

import logging
import sys

import boto3
import numpy as np
from moto.server import ThreadedMotoServer

from nn.checkpoint import (
    Retries,
    Series,
    StoreError,
    load,
    open_store,
    rewrite_checkpoint,
    save,
    verify_checkpoint,
)
from nn.checkpoint.commit import writing

MIB = 2**20


def cut(pieces):
    yield from pieces
    raise ValueError("cut")


def tell(error_kind, call, *words, **named):
    try:
        call(*words, **named)
    except error_kind as error:
        print(type(error).__name__, error)
    else:
        print("nothing was raised")


def main(copy):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    region = {"region_name": "us-east-1"}
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    boto3.client("s3", endpoint_url=url, **keys, **region).create_bucket(Bucket="box")
    where = {"key": "a", "secret": "b", "endpoint_url": url, "client_kwargs": region}
    store = open_store("s3://box/run", retries=Retries(2, 0.01), **where)
    store.files._block = 5 * MIB  # the least that S3 takes
    pieces = [bytes([i]) * MIB for i in range(12)]
    print(store.write("big", pieces), store.read("big", MIB - 1, MIB + 1))
    tell(ValueError, store.write, "half", cut(pieces))
    print(store.names())
    tell(FileExistsError, store.create, "big", b"")
    state = {"w": np.arange(1e6), "none": np.zeros((0, 2)), "name": "x"}
    save(store.under("a"), state, writers=2, wait=True)
    back = load("s3://box/run/a", state, **where)
    print(verify_checkpoint(store.under("a")), np.array_equal(back["w"], state["w"]))
    with writing(store.under("b")):
        tell(StoreError, lambda: save(store.under("b"), state, wait=True))
    series = Series("s3://box/series", keep_last=1, **where)
    for step in (1, 2):
        series.save(state, step, wait=True)
    print(series.steps(), series.store.names())
    rewrite_checkpoint(store.under("a"), copy)
    print(verify_checkpoint(copy))
    server.stop()
    tell(StoreError, store.write, "late", [b"x"])


if __name__ == "__main__":
    main(sys.argv[1])
