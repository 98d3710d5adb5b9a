"""Images from OpenML: downloaded once, kept with a checksum, and every way that can fail.

A server on this machine answers as OpenML does, with small made images.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from backend.catalogue import resolve_data
from backend.datasets import openml as openml_module
from backend.datasets.openml import Cifar10, Mnist, Source
from backend.errors import BadInput
from backend.spec import RunSpec
from jobs import tasks
from jobs.cli import main
from tests.conftest import free_port

NUM_TRAIN, NUM_TEST = 60, 30
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (NUM_TRAIN + NUM_TEST, 5, 4)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (NUM_TRAIN + NUM_TEST, 3, 5, 4)).astype(np.uint8)
LABELS = np.arange(NUM_TRAIN + NUM_TEST) % 10


class OpenML(ThreadingHTTPServer):
    """Two sets, 554 and 40927; `fault` is what goes wrong with the next downloads."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.fault = ""
        self.requests: list[str] = []

    @property
    def downloads(self) -> int:
        return sum(path.endswith(".arff") for path in self.requests)

    @staticmethod
    def arff(data_id: str) -> bytes:
        images = GREY if data_id == "554" else COLOUR
        rows = images.reshape(len(images), -1)
        lines = [f"@ATTRIBUTE pixel{i} REAL" for i in range(rows.shape[1])]
        lines += ["@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}", "@DATA"]
        lines += [
            ",".join(map(str, [*row, label]))
            for row, label in zip(rows.tolist(), LABELS, strict=True)
        ]
        return ("% made for a test\n@RELATION images\n" + "\n".join(lines) + "\n").encode()


class Answer(BaseHTTPRequestHandler):
    server: OpenML

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        data_id = self.path.rsplit("/", 1)[1].removesuffix(".arff")
        if self.path.endswith(".arff"):
            self._arff(data_id)
        else:
            self._send(json.dumps(self._about(data_id)).encode())

    def _about(self, data_id: str) -> dict[str, Any]:
        port = self.server.server_address[1]
        content = OpenML.arff(data_id)
        names = [
            line.split()[1]
            for line in content.decode().splitlines()
            if line.startswith("@ATTRIBUTE")
        ]
        if "/features/" in self.path:
            features = [
                {
                    "index": str(i),
                    "name": name,
                    "data_type": "numeric",
                    "is_target": "false",
                    "is_ignore": "false",
                    "is_row_identifier": "false",
                    "number_of_missing_values": "0",
                }
                for i, name in enumerate(names)
            ]
            features[-1].update(data_type="nominal", is_target="true")
            return {"data_features": {"feature": features}}
        if "/qualities/" in self.path:
            count = {"name": "NumberOfInstances", "value": f"{len(LABELS)}.0"}
            return {"data_qualities": {"quality": [count]}}
        about = {
            "id": data_id,
            "name": "images",
            "version": "1",
            "status": "active",
            "format": "ARFF",
            "description": "",
            "file_id": data_id,
            "md5_checksum": hashlib.md5(content).hexdigest(),
            "url": f"http://127.0.0.1:{port}/data/v1/download/{data_id}.arff",
        }
        return {"data_set_description": about}

    def _arff(self, data_id: str) -> None:
        content = OpenML.arff(data_id)
        if self.server.fault == "altered":
            content = content.replace(b"\n1", b"\n2", 1)
        packed = gzip.compress(content)
        if self.server.fault == "drips":
            self._drip()
            return
        if self.server.fault == "cut":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed[: len(packed) // 2])
            self.close_connection = True
            return
        self._send(packed, "gzip")

    def _drip(self) -> None:
        """A byte now and then: never silent, never done."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while self.server.fault == "drips":
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def _send(self, content: bytes, encoding: str = "identity") -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def point_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import _openml

    root = f"http://127.0.0.1:{port}/api/v1/json/data"
    monkeypatch.setattr(_openml, "_DATA_INFO", root + "/{}")
    monkeypatch.setattr(_openml, "_DATA_FEATURES", root + "/features/{}")
    monkeypatch.setattr(_openml, "_DATA_QUALITIES", root + "/qualities/{}")
    monkeypatch.setattr(_openml, "time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def openml(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenML]:
    names = tuple("0123456789")
    monkeypatch.setattr(Mnist, "source", Source(554, NUM_TRAIN, NUM_TEST, (5, 4), names, 1))
    monkeypatch.setattr(Cifar10, "source", Source(40927, NUM_TRAIN, NUM_TEST, (5, 4, 3), names, 1))
    server = OpenML()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    point_to(server.server_address[1], monkeypatch)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def kept(basin_home: Path) -> Path:
    return basin_home / "cache" / "datasets" / "mnist.npz"


def refused(name: str = "mnist") -> str:
    with pytest.raises(BadInput) as caught:
        resolve_data({"name": name}).load()
    (problem,) = caught.value.problems
    assert problem.field == "data.name"
    return problem.message


def test_the_last_images_are_held_out_and_all_come_with_their_labels(openml: OpenML) -> None:
    data = resolve_data({"name": "mnist"}).load()
    assert data.event_shape == (5, 4) and data.image_range == (-1.0, 1.0)
    assert data.num_labels == 10 and data.feature_space == ""
    assert data.labels is not None and data.held_out_labels is not None
    for images, labels, part in (
        (data.train, data.labels, slice(0, NUM_TRAIN)),
        (data.held_out, data.held_out_labels, slice(NUM_TRAIN, None)),
    ):
        pixels = ((images + 1) * 127.5).round().numpy().astype(np.uint8)
        found = {(x.tobytes(), int(y)) for x, y in zip(pixels, labels, strict=True)}
        truth = zip(GREY[part], LABELS[part], strict=True)
        assert found == {(x.tobytes(), int(y)) for x, y in truth}


def test_colours_lie_last(openml: OpenML) -> None:
    data = resolve_data({"name": "cifar_10"}).load()
    assert data.event_shape == (5, 4, 3)
    expected = torch.from_numpy(COLOUR[:NUM_TRAIN].transpose(0, 2, 3, 1) / 127.5 - 1).float()
    assert torch.allclose(data.train.sum(0), expected.sum(0), atol=1e-4)


def test_as_many_as_asked_for_drawn_from_the_seed(openml: OpenML) -> None:
    fields = {"name": "mnist", "num": 40, "num_held_out": 20}
    data = resolve_data(fields).load()
    assert data.labels is not None
    assert len(data.train) == len(data.labels) == 40 and len(data.held_out) == 20
    assert torch.equal(resolve_data(fields).load().train, data.train)
    assert not torch.equal(resolve_data({**fields, "seed": 7}).load().train, data.train)


def test_it_is_downloaded_once(openml: OpenML, kept: Path) -> None:
    first = resolve_data({"name": "mnist"}).load()
    num = len(openml.requests)
    assert openml.downloads == 1
    assert kept.with_name("mnist.npz.sha256").read_text().split() == [
        hashlib.sha256(kept.read_bytes()).hexdigest(),
        "mnist.npz",
    ]
    assert not list(kept.parents[1].glob("downloads/*")), "the download is kept twice"
    openml.shutdown()
    assert torch.equal(resolve_data({"name": "mnist"}).load().train, first.train)
    assert len(openml.requests) == num


def test_a_damaged_copy_is_noticed_said_and_fetched_again(
    openml: OpenML, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = resolve_data({"name": "mnist"}).load()
    content = bytearray(kept.read_bytes())
    content[-500] ^= 1
    kept.write_bytes(content)
    assert f"is damaged in {kept}" in resolve_data({"name": "mnist"}).missing()
    assert torch.equal(resolve_data({"name": "mnist"}).load().train, first.train)
    assert "is damaged" in caplog.text and openml.downloads == 2
    assert resolve_data({"name": "mnist"}).missing() == ""


@pytest.mark.bad_input
@pytest.mark.parametrize("fault", ["altered", "cut"])
def test_a_download_that_is_not_whole_is_refused_and_can_be_tried_again(
    openml: OpenML, kept: Path, fault: str
) -> None:
    openml.fault = fault
    message = refused()
    assert "MNIST, 28×28 could not be downloaded from OpenML" in message
    assert str(kept.parent) in message and "mnist.npz.sha256" in message
    assert not kept.exists()
    openml.fault = ""
    assert len(resolve_data({"name": "mnist"}).load().train) == NUM_TRAIN


@pytest.mark.bad_input
def test_what_is_not_the_set_is_refused(openml: OpenML, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mnist, "source", Source(40927, 60, 30, (5, 4), tuple("0123456789"), 1))
    assert "(90, 60)" in refused()


@pytest.mark.bad_input
def test_without_a_network_it_says_where_to_put_a_copy(
    openml: OpenML, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_data({"name": "mnist"}).load()
    parts = {path.name: path.read_bytes() for path in kept.parent.glob("mnist.npz*")}
    for path in kept.parent.glob("mnist.npz*"):
        path.unlink()
    point_to(free_port(), monkeypatch)
    assert f"copy mnist.npz and mnist.npz.sha256 from the folder {kept.parent}" in refused()
    for name, content in parts.items():
        kept.with_name(name).write_bytes(content)
    assert len(resolve_data({"name": "mnist"}).load().train) == NUM_TRAIN


def test_a_check_downloads_nothing_and_still_finds_what_is_wrong(openml: OpenML) -> None:
    raw = {
        "method": "denoising_score_matching",
        "data": {"name": "mnist"},
        "config": {"energy": {"kind": "conv"}, "train": {"batch_size": 8}},
    }
    answer = tasks.check(raw)
    assert answer["ok"] and answer["cost"]["steps"] == 3000
    assert answer["data"] == {"missing": resolve_data({"name": "mnist"}).missing()}
    assert (
        "up to 1 MB will be downloaded from OpenML when the run starts"
        in (answer["data"]["missing"])
    )
    raw["config"]["energy"] = {"kind": "mlp"}  # type: ignore[index]
    wrong = {**raw, "method": "sampling", "config": {}}
    assert not tasks.check(wrong)["ok"]
    assert tasks.previews(["mnist"]) == {} and openml.requests == []
    tasks.prepare(RunSpec(method=raw["method"], data=raw["data"]), torch.device("cpu"), None)
    assert openml.downloads == 1
    assert tasks.check(raw)["data"]["num_train"] == NUM_TRAIN


def test_the_command_line_fetches_beforehand(openml: OpenML, kept: Path) -> None:
    done = CliRunner().invoke(main, ["data", "fetch", "mnist"])
    assert done.exit_code == 0 and done.output == "MNIST, 28×28 is here.\n" and kept.exists()
    again = CliRunner().invoke(main, ["data", "fetch", "mnist", "--json"])
    assert json.loads(again.output) == {"name": "mnist", "downloaded": False}
    assert CliRunner().invoke(main, ["data", "fetch", "nist"]).exit_code == 2


def test_several_processes_that_start_together_download_once(openml: OpenML) -> None:
    sizes: list[int] = []

    def load() -> None:
        sizes.append(len(resolve_data({"name": "mnist"}).load().train))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [NUM_TRAIN] * 3 and openml.downloads == 1


def test_a_server_that_drips_is_given_up_after_a_total_time(
    openml: OpenML, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openml_module, "TOTAL_SECONDS", 0.5)
    openml.fault = "drips"
    try:
        assert "it was not here after" in refused()
    finally:
        openml.fault = ""
