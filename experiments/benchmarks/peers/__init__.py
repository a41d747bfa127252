"""Workers that time one engine each, in interpreters of their own, for `bench_propagation`."""
