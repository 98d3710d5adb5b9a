"""The small tables of measurements that come with scikit-learn, with classes and named columns."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.datasets.splits import split_points, stratified


class MeasuredTableConfig(KindConfig):
    """Rows that are held out, and how many of the others are trained on."""

    num: int = option(
        0,
        "Rows to train on, of every class its share and two at least; 0, or more than there are, "
        "takes all that are not held out.",
        ge=0,
        le=100_000,
        main=True,
    )
    held_out: float = option(
        0.3,
        "Share of the rows, of every class, kept from training to judge quality on.",
        gt=0,
        le=0.8,
    )
    seed: int = option(
        0, "Seeds which rows are held out and which are trained on.", ge=0, le=2**31 - 1
    )


class _MeasuredTable(Dataset):
    """Points with classes, standardised by the rows that are trained on; no density is known."""

    Config: ClassVar[type[KindConfig]] = MeasuredTableConfig
    config: Any

    @abstractmethod
    def read(self) -> Any:
        """scikit-learn's bunch with `data`, `target`, `feature_names` and `target_names`."""

    def load(self) -> Data:
        from sklearn.model_selection import train_test_split

        bunch, seed = self.read(), self.config.seed
        labels = bunch.target.astype(np.int64)
        rows, held_out = train_test_split(
            np.arange(len(labels)),
            test_size=self.config.held_out,
            stratify=labels,
            random_state=seed,
        )
        if 0 < self.config.num < len(rows):
            num = max(self.config.num, 2 * len(bunch.target_names))
            rows = stratified(labels, rows, num, np.random.default_rng(seed))
        return split_points(
            bunch.data.astype(np.float64),
            labels,
            rows,
            held_out,
            name=self.Config.model_fields["kind"].default,
            title=self.title,
            label_names=tuple(str(name) for name in bunch.target_names),
            columns=tuple(str(name) for name in bunch.feature_names),
        )


class BreastCancerConfig(MeasuredTableConfig):
    kind: Literal["breast_cancer"] = "breast_cancer"


class BreastCancer(_MeasuredTable):
    Config: ClassVar[type[KindConfig]] = BreastCancerConfig
    title: ClassVar[str] = "Breast cancer, 30 columns"
    summary: ClassVar[str] = (
        "569 tumours, malignant or benign, by 30 measurements of their cells; real, and labelled."
    )

    def read(self) -> Any:
        # a second to import, which workers and forms that only list the data sets do not pay
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer()


class WineConfig(MeasuredTableConfig):
    kind: Literal["wine"] = "wine"


class Wine(_MeasuredTable):
    Config: ClassVar[type[KindConfig]] = WineConfig
    title: ClassVar[str] = "Wine, 13 columns"
    summary: ClassVar[str] = "178 wines of three growers by 13 chemical measurements; labelled."

    def read(self) -> Any:
        from sklearn.datasets import load_wine

        return load_wine()


class IrisConfig(MeasuredTableConfig):
    kind: Literal["iris"] = "iris"


class Iris(_MeasuredTable):
    Config: ClassVar[type[KindConfig]] = IrisConfig
    title: ClassVar[str] = "Iris, 4 columns"
    summary: ClassVar[str] = "150 irises of three species by the sizes of their petals and sepals."

    def read(self) -> Any:
        from sklearn.datasets import load_iris

        return load_iris()
