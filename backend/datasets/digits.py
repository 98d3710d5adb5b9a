"""The 8×8 handwritten digits that come with scikit-learn, clean, and noisy with the clean one."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.randomness import generator_of


class SplitConfig(KindConfig):
    """Digits that are held out."""

    seed: int = option(
        0,
        "Seeds the split into training and test digits; the classifier that judges samples saw the "
        "training digits of seed 0, so test digits of other splits are partly known to it.",
        ge=0,
        le=2**31 - 1,
    )


class DigitsConfig(SplitConfig):
    kind: Literal["digits"] = "digits"
    num_train: int = option(
        1257,
        "Digits to train on, as many of each class as of all; fewer make a harder task.",
        ge=20,
        le=1257,
    )


class DigitsData(Dataset):
    """1,797 digits of 8×8 pixels in [-1, 1]: 1,257 to train on, 540 held out, stratified."""

    Config: ClassVar[type[KindConfig]] = DigitsConfig
    title: ClassVar[str] = "Handwritten digits, 8×8"
    summary: ClassVar[str] = "1,797 small grey images of ten digits; 540 of them are held out."
    is_image: ClassVar[bool] = True

    def load(self) -> Data:
        # a second to import, which workers and forms that only list the data sets do not pay
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits().images, load_digits().target
        # 17 grey levels, 0 to 16
        pixels = (images / 8 - 1).astype(np.float32)
        train, held_out, train_labels, held_out_labels = train_test_split(
            pixels, labels, test_size=540, stratify=labels, random_state=self.config.seed
        )
        if self.config.num_train < len(train):
            train, _, train_labels, _ = train_test_split(
                train,
                train_labels,
                train_size=self.config.num_train,
                stratify=train_labels,
                random_state=self.config.seed,
            )
        shape = pixels.shape[1:]
        return Data(
            name="digits",
            title=self.title,
            train=torch.from_numpy(train),
            held_out=torch.from_numpy(held_out),
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.full(shape, -1.0),
            noise_high=torch.full(shape, 1.0),
            image_range=(-1.0, 1.0),
            labels=torch.from_numpy(train_labels.astype(np.int64)),
            held_out_labels=torch.from_numpy(held_out_labels.astype(np.int64)),
            label_names=tuple("0123456789"),
            feature_space="digits",
        )


class DenoisingConfig(SplitConfig):
    kind: Literal["digits_denoising"] = "digits_denoising"
    noise: float = option(
        0.8,
        "Standard deviation of the noise in each pixel; black is −1 and white 1.",
        unit="half the range",
        gt=0,
        le=10,
        main=True,
    )
    num_copies: int = option(
        10,
        "Noisy versions of each training digit, each with noise of its own; few are soon known by "
        "heart.",
        ge=1,
        le=100,
    )


class DigitsDenoising(Dataset):
    """Clean digits x, each with a `context`: x + noise · N(0, 1), not cut to the range.

    The held-out digits are those of `digits`, with one noisy version each.
    """

    Config: ClassVar[type[KindConfig]] = DenoisingConfig
    title: ClassVar[str] = "Digits seen through noise, 8×8"
    summary: ClassVar[str] = "Handwritten digits, each beside a noisy version to predict it from."
    is_image: ClassVar[bool] = True
    gives: ClassVar[tuple[str, ...]] = ("context",)

    def load(self) -> Data:
        config: DenoisingConfig = self.config
        digits = DigitsData(DigitsConfig(seed=config.seed)).load()
        assert digits.labels is not None
        generator = generator_of("digits_denoising", config.seed)

        def noisy(x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"context": x + config.noise * torch.randn(x.shape, generator=generator)}

        held_out_given = noisy(digits.held_out)
        train = digits.train.repeat(config.num_copies, 1, 1)
        return replace(
            digits,
            name="digits_denoising",
            title=self.title,
            train=train,
            labels=digits.labels.repeat(config.num_copies),
            given=noisy(train),
            held_out_given=held_out_given,
        )
