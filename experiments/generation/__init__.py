"""Generation: latents that a flow may run in, and what becomes of pictures there.

`latent_straightness` (with `picture_encoders`, `latent_straightness_figure`).
"""
