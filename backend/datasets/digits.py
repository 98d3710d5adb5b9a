"""The 8×8 handwritten digits that come with scikit-learn: grey, in bits, through noise, in sums."""

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


class BinaryDigitsConfig(SplitConfig):
    kind: Literal["binary_digits"] = "binary_digits"
    threshold: int = option(
        8, "Grey level, of 0 to 16, from which on a pixel is 1.", ge=1, le=16, main=True
    )


class BinaryDigits(Dataset):
    """The training and held-out digits of `digits` with pixels of 0 and 1: whole numbers."""

    Config: ClassVar[type[KindConfig]] = BinaryDigitsConfig
    title: ClassVar[str] = "Handwritten digits in bits, 8×8"
    summary: ClassVar[str] = "1,797 images of ten digits in black and white; 540 are held out."
    discrete: ClassVar[bool] = True
    is_image: ClassVar[bool] = True

    def load(self) -> Data:
        config: BinaryDigitsConfig = self.config
        digits = DigitsData(DigitsConfig(seed=config.seed)).load()
        cut = config.threshold / 8 - 1
        shape = digits.event_shape
        return replace(
            digits,
            name="binary_digits",
            title=self.title,
            train=(digits.train >= cut).float(),
            held_out=(digits.held_out >= cut).float(),
            noise_low=torch.zeros(shape),
            noise_high=torch.ones(shape),
            num_values=2,
            image_range=(0.0, 1.0),
            feature_space="",
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


def sums(num: int) -> torch.Tensor:
    """(num_sums, 3) int64: every a, b, a + b with a + b < num.

    >>> sums(2).tolist()
    [[0, 0, 0], [0, 1, 1], [1, 0, 1]]
    """
    first, second = torch.cartesian_prod(*[torch.arange(num)] * 2).unbind(1)
    triples = torch.stack([first, second, first + second], 1)
    return triples[triples[:, 2] < num]


class SumsConfig(SplitConfig):
    kind: Literal["digit_sums"] = "digit_sums"
    num: int = option(
        5000, "Triples to train on, made of the training digits.", ge=100, le=100_000, main=True
    )
    num_held_out: int = option(
        1000, "Triples of held-out digits, judged by one digit each.", ge=100, le=100_000
    )


class DigitSums(Dataset):
    """Digits x that come in triples a + b = c ≤ 9: `triple` (num, 3, 8, 8) holds all three, of
    which x is the first, second or third in turn. Every sum is as frequent as every other, so 0 is
    about ten times as frequent as 9 among addends.

    What the digits are is known of none in training: labels are there to judge by.
    """

    Config: ClassVar[type[KindConfig]] = SumsConfig
    title: ClassVar[str] = "Sums of digits, 8×8"
    summary: ClassVar[str] = "Three handwritten digits a row, of which the first two add up to one."
    is_image: ClassVar[bool] = True
    gives: ClassVar[tuple[str, ...]] = ("triple",)

    def load(self) -> Data:
        config: SumsConfig = self.config
        digits = DigitsData(DigitsConfig(seed=config.seed)).load()
        assert digits.labels is not None and digits.held_out_labels is not None
        generator = generator_of("digit_sums", config.seed)
        train, labels = _triples(digits.train, digits.labels, config.num, generator)
        held_out, held_out_labels = _triples(
            digits.held_out, digits.held_out_labels, config.num_held_out, generator
        )
        in_turn = (torch.arange(len(each)) % 3 for each in (train, held_out))
        first, second = ((torch.arange(len(turn)), turn) for turn in in_turn)
        return replace(
            digits,
            name="digit_sums",
            title=self.title,
            train=train[first],
            labels=labels[first],
            held_out=held_out[second],
            held_out_labels=held_out_labels[second],
            given={"triple": train},
            held_out_given={"triple": held_out},
        )


def _triples(
    digits: torch.Tensor, labels: torch.Tensor, num: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits (num, 3, 8, 8) whose labels (num, 3) add up, drawn with replacement."""
    allowed = sums(10)
    chosen = allowed[torch.randint(len(allowed), (num,), generator=generator)]
    counts = labels.bincount(minlength=10)
    place = (torch.rand(chosen.shape, generator=generator) * counts[chosen]).long()
    starts = counts.cumsum(0) - counts
    return digits[labels.argsort(stable=True)[starts[chosen] + place]], chosen
