"""Learning systems on the physics kernels: filled by later issues."""
