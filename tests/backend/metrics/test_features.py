"""The classifier that ships is as good as it says; other networks are the operator's to name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backend.datasets.digits import DigitsConfig, DigitsData
from backend.errors import NotAvailable
from backend.metrics.features import INCEPTION, as_rgb, feature_space

DIGITS = DigitsData(DigitsConfig()).load()


def test_the_digits_classifier_is_as_accurate_as_its_title_says() -> None:
    space = feature_space("digits")
    assert space is not None and space.num_labels == 10
    right = (space.logits(DIGITS.held_out).argmax(1) == DIGITS.held_out_labels).float().mean()
    assert right >= 0.98
    assert space.title.endswith(f"test accuracy {float(right):.3f}")


def test_features_are_the_layer_below_the_logits() -> None:
    space = feature_space("digits")
    assert space is not None and space is feature_space("digits")
    z = DIGITS.held_out.double()
    features = space.features(z)
    assert features.shape == (540, 16) and not features.requires_grad
    assert features.abs().max() <= 1
    linear = torch.cat([features, torch.ones(540, 1)], 1)
    gap = space.logits(z) - linear @ torch.linalg.lstsq(linear, space.logits(z)).solution
    assert gap.abs().max() < 1e-2


def test_loading_it_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    feature_space.__globals__["_digits"].__wrapped__("cpu")
    assert torch.equal(before, torch.get_rng_state())


class Means(nn.Module):
    """The mean of every channel, of bytes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=[2, 3])


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_network_of_the_operators_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert feature_space("") is None
    path = tmp_path / "inception.pt"
    torch.jit.save(torch.jit.script(Means()), str(path))
    monkeypatch.setenv(INCEPTION, str(path))
    space = feature_space("")
    assert space is not None and space.title == "features of inception.pt"
    colours = torch.tensor([-1.0, 0.0, 1.0, 0.5]).expand(700, 6, 5, 4)
    assert space.features(colours)[699].tolist() == [0, 128, 255]
    assert space.features(torch.full((2, 6, 5), -0.5)).tolist() == [[64, 64, 64]] * 2
    with pytest.raises(NotAvailable, match="name no classes"):
        space.logits(colours)


def test_a_file_that_is_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no network")
    monkeypatch.setenv(INCEPTION, str(path))
    with pytest.raises(NotAvailable, match=r"must name a TorchScript file.*notes\.txt"):
        feature_space("")


def test_a_space_that_nobody_ships() -> None:
    with pytest.raises(ValueError, match="there is 'digits'"):
        feature_space("faces")


def test_bytes_of_images() -> None:
    assert as_rgb(torch.tensor([[[-1.0, 1.0, 3.0]]])).tolist() == [[[[0, 255, 255]]] * 3]
