"""Curve energy: fit the curve of a row by what the image says of it, where labels are wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.config import Config, option
from backend.data import Data
from backend.datasets.curved_rows import curve_of
from backend.events import Curve, Event, Images, Scalar
from backend.method import Preset, Task
from backend.metric_names import Figure
from backend.networks.conv import conv_net
from backend.observe import pictures
from backend.requests.predicting import CONTEXT, Given, PredictingMethod, Predictor
from backend.spec import Budget
from backend.training import Fitter, TrainConfig

DATA = {"name": "curved_rows", "wrong": 0.4}
NUM_SHOWN = 6
NUM_PLACES = 81


class CurveEnergyConfig(Config):
    label_loss: Literal["absolute", "squared", "curve_absolute", "curve_squared", "saturating"] = (
        option(
            "absolute",
            "What holds the prediction to its label: the absolute or squared error of the "
            "coefficients or of the places along the curve, or one that saturates.",
            main=True,
            group="Objective",
        )
    )
    label_weight: float = option(
        0.5, "Weight of the label.", ge=0, le=100, group="Objective", main=True, turnable=True
    )
    image_weight: float = option(
        1.0,
        "Weight of the energy in image space, −mean of the blurred image along the curve.",
        ge=0,
        le=100,
        main=True,
        turnable=True,
        group="Objective",
    )
    ramp: float = option(
        0.67,
        "Share of the budget over which the image's weight rises from zero.",
        ge=0,
        le=1,
        group="Objective",
    )
    blur: int = option(
        5,
        "Width that the image is blurred to across the row; odd.",
        ge=1,
        le=31,
        unit="pixels",
        group="Objective",
    )
    features: int = option(8, "Channels of the first convolution.", ge=1, le=256, group="Network")
    train: TrainConfig = option(
        TrainConfig(
            learning_rate=2e-3,
            schedule="cosine",
            batch_size=64,
            beta1=0.9,
            beta2=0.99,
            gradient_clip=0.0,
        ),
        "How the weights are fitted.",
    )

    def derived(self) -> dict[str, str]:
        if self.image_weight:
            return {}
        return dict.fromkeys(("ramp", "blur"), "No effect where the image has no weight.")


def label_losses(predicted: Tensor, label: Tensor, kind: str, side: int, width: float) -> Tensor:
    """(num,) errors of coefficients (num, 3) against labels, in units of half the image's side.

    width: error from which the saturating one, w (1 − exp(−(d/w)²)), grows no more.
    """
    if kind in ("absolute", "squared"):
        apart = predicted - label
    else:
        apart = curve_of(predicted - label, side)
    if kind == "saturating":
        return (width * (1 - (-(apart / width).square()).exp())).mean(1)
    return (apart.abs() if kind.endswith("absolute") else apart.square()).mean(1)


def brightness(images: Tensor, curve: Tensor) -> Tensor:
    """(num,) mean of images (num, side, side) along x(y) (num, side), linear between pixels."""
    side = images.shape[2]
    place = ((curve + 1) * side / 2 - 0.5).clamp(0, side - 1.001)
    left = place.detach().floor()
    share = place - left
    left = left.long()[:, :, None]
    at_left, at_right = images.gather(2, left)[..., 0], images.gather(2, left + 1)[..., 0]
    return (at_left * (1 - share) + at_right * share).mean(1)


class CurveEnergy(PredictingMethod):
    """E(c | I) = −mean over lines y of Ī(x_c(y), y), Ī blurred across the row, beside a label loss.

    A label that is wrong pulls to where the image is dark, and the image pulls back; the distractor
    is a second, shallower well, and the label says which. RowDetr (Cheppally & Sharda 2024) fits
    polynomials by an energy of this kind; the form here is a stand-in.
    """

    id = "curve_energy"
    title = "Curve energy in image space"
    summary = (
        "Predicts the polynomial of a row from its image by an energy that looks at the image, "
        "which resists labels that are wrong; losses of coefficients and curves stand beside it."
    )
    references = "Cheppally & Sharda 2024 (RowDetr)"
    url = "https://arxiv.org/abs/2412.10525"
    Config = CurveEnergyConfig
    follows_gradient = False
    judges = True
    headline: ClassVar[tuple[str, ...]] = (
        "curve/pixel_error",
        "loss/total",
        "curve/brightness",
    )
    figures: ClassVar[dict[str, Figure]] = {
        "curve/pixel_error": Figure(
            "Mean distance of predicted from true rows", "pixels", better="lower"
        ),
        "curve/brightness": Figure("Image along predicted rows", better="higher"),
    }
    presets: ClassVar[dict[str, Preset]] = {
        "default": Preset("Absolute error and the image.", {}, Budget(steps=800), data=DATA),
        "absolute": Preset(
            "Absolute error of the coefficients alone.",
            {"label_weight": 1.0, "image_weight": 0.0},
            Budget(steps=800),
            data=DATA,
        ),
        "squared": Preset(
            "Squared error of the coefficients alone.",
            {"label_loss": "squared", "label_weight": 1.0, "image_weight": 0.0},
            Budget(steps=800),
            data=DATA,
        ),
    }
    observers: ClassVar[tuple[str, ...]] = ("data", "predictions", "own_events")
    config: CurveEnergyConfig

    def __init__(self, config: CurveEnergyConfig, task: Task) -> None:
        super().__init__(config, task)
        self.side = task.data.given[CONTEXT].shape[2]
        network = conv_net(self.side, self.side, 1, config.features, task.generator, outputs=3)
        self.fitter: Fitter[nn.Module] = Fitter(config.train, network.to(task.device))

    @classmethod
    def problems(cls, config: CurveEnergyConfig, data: Data) -> Iterable[tuple[str, str]]:
        shape = data.given[CONTEXT].shape[1:]
        if data.event_shape != (3,) or len(shape) != 2 or shape[0] != shape[1]:
            yield "data.name", "must hold curves of square images. Choose `curved_rows`."
        elif config.blur % 2 == 0 or config.blur >= shape[0]:
            yield "blur", f"must be odd and below {shape[0]}, the image's side, got {config.blur}."

    def coefficients(self, z: Tensor) -> Tensor:
        """(num, 3) in units of half the image's side, of standardised positions."""
        return self.task.data.restore(z)

    def image_energy(self, z: Tensor, images: Tensor) -> Tensor:
        """E (num,) of standardised coefficients (num, 3) in images (num, side, side)."""
        half = self.config.blur // 2
        padded = F.pad(images, (half, half), mode="replicate")
        blurred = F.avg_pool2d(padded[:, None], (1, self.config.blur), stride=1)[:, 0]
        return -brightness(blurred, curve_of(self.coefficients(z), self.side))

    def step(self, progress: float) -> dict[str, Tensor]:
        config, data = self.config, self.task.data
        rows = data.rows(data.indices(config.train.batch_size, self.generator))
        risen = min(1.0, progress / config.ramp) if config.ramp else 1.0
        width = 0.6 * 0.2**progress  # from a wide bowl to a narrow well

        def loss(x: Tensor, images: Tensor) -> Tensor:
            z = self.fitter.module(images[:, None])
            predicted, label = self.coefficients(z), self.coefficients(x)
            held = label_losses(predicted, label, config.label_loss, self.side, width).mean()
            seen = self.image_energy(z, images).mean() if config.image_weight else 0.0
            return config.label_weight * held + config.image_weight * risen * seen

        return self.fitter.fit(loss, progress, rows.x, rows.given[CONTEXT])

    def predictor(self) -> Predictor:
        return OneLook(self)

    # ------------------------------------------------------------------ looks

    @torch.no_grad()
    def observe(self, generator: torch.Generator) -> Iterable[Event]:
        """Errors in pixels, rows drawn into their images, and each energy along c₀."""
        data = self.task.data
        images, true = data.held_out_given[CONTEXT], data.held_out
        predicted = self.fitter.fitted(images[:, None])
        curves = [curve_of(self.coefficients(z), self.side) for z in (predicted, true)]
        apart = (curves[0] - curves[1]).abs().mean() * self.side / 2
        yield Scalar("curve/pixel_error", float(apart))
        yield Scalar("curve/brightness", -float(self.image_energy(predicted, images).mean()))
        yield self._drawn(images[:NUM_SHOWN], curves[0][:NUM_SHOWN])
        yield self._slices(images[:1], true[:1], data.given[CONTEXT][:1], data.train[:1])

    def _drawn(self, images: Tensor, curves: Tensor) -> Images:
        """Held-out images with the predicted rows drawn in white."""
        low, high = float(images.min()), float(images.max())
        places = (torch.arange(self.side, device=images.device) + 0.5) * 2 / self.side - 1
        on = (places - curves[:, :, None]).abs() <= 1 / self.side
        grey = (images.masked_fill(on, high) - low) / (high - low) * 255
        return Images("curve/predicted_rows", grey.byte().cpu().numpy(), "data", low, high)

    def _slices(self, image: Tensor, true: Tensor, trained: Tensor, label: Tensor) -> Curve:
        """Label losses about one training label, and the image's energy there, along c₀."""
        first = torch.linspace(-1, 1, NUM_PLACES, device=label.device)
        at = self.coefficients(label).expand(NUM_PLACES, 3).clone()
        at[:, 0] = first
        named = {
            kind: label_losses(at, self.coefficients(label), kind, self.side, 0.12)
            for kind in ("squared", "absolute", "saturating")
        }
        z = self.task.data.standardise(at)
        named["image"] = self.image_energy(z, trained.expand(NUM_PLACES, -1, -1))
        return Curve(
            "curve/energies_along_c0",
            pictures.float32(first),
            pictures.float32(torch.stack(list(named.values()))),
            list(named),
            "c0",
        )


class OneLook(Predictor):
    """The network's coefficients, judged by the energy of the image."""

    num_steps = 1

    def __init__(self, method: CurveEnergy) -> None:
        self.method = method

    def start(self, given: Given, generator: torch.Generator) -> Tensor:
        return self.method.task.data.train.mean(0).expand(len(given[CONTEXT]), 3)

    @torch.no_grad()
    def think(
        self, x: Tensor, given: Given, index: int, num_steps: int, generator: torch.Generator
    ) -> Tensor:
        return self.method.fitter.fitted(given[CONTEXT][:, None])

    def energy(self, x: Tensor, given: Given) -> Tensor:
        return self.method.image_energy(x, given[CONTEXT])
