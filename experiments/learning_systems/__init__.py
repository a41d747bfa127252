"""Learning systems: kernels of language models and what is built of them."""
