"""Other libraries' loggers and records, with the real libraries where they are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import basin
from backend.errors import BadInput

pytestmark = pytest.mark.filterwarnings("default")


def test_a_summary_writer_writes_a_run() -> None:
    from basin.adapters.tensorboard import SummaryWriter

    with SummaryWriter("runs/one") as writer:
        writer.add_scalar("loss", 2.0, 3)
        writer.add_scalars("accuracy", {"train": 0.5, "test": 0.25}, 3)
        writer.add_histogram("weights", np.arange(4.0))
        writer.add_image("cell", np.zeros((3, 4, 5), np.uint8))
        writer.add_text("remark", "here")
        with pytest.raises(BadInput, match="dataformats"):
            writer.add_images("cells", np.zeros((1, 2, 3, 1)), dataformats="NWHC")
    read = basin.open("latest")
    last = read.scalars().set_index("path")["value"].to_dict()
    assert last == {"loss/total": 2.0, "accuracy/train": 0.5, "accuracy/test": 0.25}
    ((_, images),) = read.events("images")
    assert images.pixels.shape == (1, 4, 5, 3)
    assert read.status.name == "runs/one"


@pytest.mark.slow
def test_draws_go_through_arviz_and_back() -> None:
    arviz = pytest.importorskip("arviz")
    from basin.adapters.arviz import to_inference_data, track_inference_data

    draws = np.random.default_rng(0).normal(size=(4, 200, 2)).astype(np.float32)
    data = arviz.from_dict(posterior={"x": draws})
    read = track_inference_data(data, "x")
    assert np.array_equal(to_inference_data(read).posterior["x"], draws)
    r_hat = read.scalars("sampler/r_hat/long_run")["value"].item()
    assert r_hat == pytest.approx(float(arviz.rhat(data)["x"].max()), rel=1e-6)
    with pytest.raises(BadInput, match="must be among x"):
        track_inference_data(data, "y")


@pytest.mark.slow
def test_a_lightning_loop_is_tracked(tmp_path: Path) -> None:
    lightning = pytest.importorskip("pytorch_lightning")
    import torch

    from basin.adapters.lightning import BasinLogger

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any) -> Any:
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 2)))
    logger = BasinLogger(name="light")
    trainer = lightning.Trainer(
        max_epochs=1,
        logger=logger,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
        enable_checkpointing=False,
        accelerator="cpu",
    )
    trainer.fit(Model(), rows)
    read = basin.open(logger.version)
    assert read.status.status == "finished" and len(read.scalars("loss/total")) == 8


@pytest.mark.slow
def test_a_hugging_face_loop_is_tracked(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    import torch

    from basin.adapters.huggingface import BasinCallback

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: Any) -> dict[str, Any]:
            return {"loss": self.layer(x).square().mean()}

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=5, logging_steps=1, report_to=[], use_cpu=True
    )
    rows = [{"x": torch.randn(2)} for _ in range(16)]
    callback = BasinCallback(name="hf")
    transformers.Trainer(Model(), arguments, train_dataset=rows, callbacks=[callback]).train()
    read = basin.open(callback.run.id)
    assert read.status.status == "finished" and len(read.scalars("loss/total")) >= 5
