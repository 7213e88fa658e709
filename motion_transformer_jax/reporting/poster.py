"""The figures that the paper prints for its test sets, to stand beside ours."""

from dataclasses import dataclass

CITATION = (
    "Tao, Wang, Ge, Jiang, Li, Duan: Motion Transformer for Unsupervised Image Animation. ECCV 2022, arXiv 2209.14024"
)


@dataclass(frozen=True)
class PosterRow:
    """One system's figures for one dataset, as printed.

    Attributes:
        system: name in the paper's table.
        estimator: what this project calls it, as in `SystemResult`.
        printed: names of METRICS -> value with the paper's digits; what it does not print is left out.
    """

    system: str
    estimator: str
    printed: dict[str, str]

    @property
    def figures(self) -> dict[str, float]:
        """The values as numbers."""
        return {metric: float(text) for metric, text in self.printed.items()}


_SYSTEMS = (("FOMM", "keypoint_detector"), ("MRAA", "region_predictor"), ("Motion transformer", "motion_transformer"))
_ALL = ("l1", "akd", "mkr", "aed")
# Config's name -> the paper's name, the metrics printed, and their values in the order of _SYSTEMS.
_TABLES = {
    "taichi256": ("TaiChiHD", _ALL, ("0.057 6.649 0.036 0.172", "0.048 5.246 0.024 0.150", "0.045 4.670 0.021 0.148")),
    "ted384": ("TEDTalks", _ALL, ("0.029 4.382 0.008 0.127", "0.027 3.955 0.007 0.118", "0.026 3.456 0.007 0.113")),
    "vox256": ("VoxCeleb", ("l1", "akd", "aed"), ("0.041 1.29 0.133", "0.040 1.28 0.133", "0.038 1.18 0.116")),
    "mgif256": ("MGIF", ("l1",), ("0.0224", "0.0274", "0.0200")),
}


def poster_rows(dataset: str) -> list[PosterRow]:
    """The paper's main table for one dataset, by the name of its config; empty for others, such as puppets."""
    if dataset not in _TABLES:
        return []
    _, metrics, rows = _TABLES[dataset]
    return [
        PosterRow(name, estimator, dict(zip(metrics, values.split(), strict=True)))
        for (name, estimator), values in zip(_SYSTEMS, rows, strict=True)
    ]


def poster_name(dataset: str) -> str:
    """What the paper calls a dataset, such as "VoxCeleb" for "vox256"; its own name for others."""
    return _TABLES[dataset][0] if dataset in _TABLES else dataset
