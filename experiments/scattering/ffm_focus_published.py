"""What Xue et al., Nature 632, 280-286 (2024), DOI 10.1038/s41586-024-07687-4, state of their foci in Fig. 3."""

from experiments.harness.measurement import Reference

_OUR_LOSS = "the paper's loss is not defined in our sources; ours is -ln of the share of light"
_OUR_PSNR = "the paper's PSNR is not defined in our sources"
_OUR_MEDIA = "media, their place and the swarm are not given in our sources; ours are choices"


def _reference(name, value, unit="", note=_OUR_MEDIA, comparable=True, place="Fig. 3d"):
    return Reference(name, value, None, unit, place, "stated in text", comparable, note)


def _by_medium(quantity, method, values, note, comparable):
    names = (f"{quantity}.{method}.{medium}" for medium in ("plate", "tape"))
    pairs = zip(names, values, strict=True)
    return (_reference(name, v, "", note, comparable, "Fig. 3b") for name, v in pairs)


REFERENCES = (
    *_by_medium("iterations", "ffm", (25.0, 25.0), _OUR_MEDIA, True),
    *_by_medium("iterations", "swarm", (400.0, 400.0), "at least 400; " + _OUR_MEDIA, True),
    *_by_medium("loss", "ffm", (1.84, 2.07), _OUR_LOSS, False),
    *_by_medium("loss", "swarm", (2.01, 2.15), _OUR_LOSS, False),
    _reference("fwhm.ffm", 81.2, "um", "mean; " + _OUR_MEDIA),
    _reference("fwhm.ffm.best", 65.6, "um", "best; " + _OUR_MEDIA),
    _reference("fwhm.swarm", 120.0, "um"),
    _reference("fwhm.ratio", 120.0 / 81.2, note="quotient of the stated widths; " + _OUR_MEDIA),
    _reference("psnr.ffm", 8.46, "dB", _OUR_PSNR, False),
    _reference("psnr.swarm", 2.29, "dB", _OUR_PSNR, False),
    _reference("psnr.gap", 8.46 - 2.29, "dB", _OUR_PSNR, False),
    _reference("limit", 64.5, "um", "lambda z / D; the FWHM of its focus is 0.886 of it"),
)
