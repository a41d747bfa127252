"""Learning systems on the physics kernels: filled by later issues."""

# Part of lightecho. By this line `lightecho.py` knows that no other distribution has overwritten the file.
