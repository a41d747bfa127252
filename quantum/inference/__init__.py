"""What an experiment tells of an unknown: likelihoods, fits, their errors, decays.

Reading order: `likelihood`, `fitting`, `errors` (bootstrap, profiles, coverage), `decays`, `phase_response`,
`curve_emulator`, `measured_curve`. Stands on `engines` and `nmr`.
"""
