"""Ours beside its peers on the same work, in one run: one file, one benchmark.

Reading order: `timing` (rounds, ratios with their spread), `ratio_figure`, `peers` (engines of other packages, each a
process of its own), then `bench_propagation`, `bench_training_step` (ours alone), `bench_mesh`, `bench_otoc`,
`bench_nmr`, `bench_language_kernels`, `bench_compression`, `bench_generation`, `bench_checkpoint`, `checkpoint_stall`.
"""
