"""Generation: latents that a flow may run in, what becomes of pictures there, and flows as priors of light.

`latent_straightness` (with `picture_encoders`, `latent_straightness_figure`), `hologram_prior` (with
`hologram_methods`, `hologram_prior_figure`).
"""
