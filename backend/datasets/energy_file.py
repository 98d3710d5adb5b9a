"""The user's own energy, written in Python.

A file such as

    event_shape = (2,)

    def energy(x):                      # torch, (batch, *event_shape) -> (batch,)
        return 0.5 * x.square().sum(1)

    def draw(num, generator): ...       # may be left out: exact draws (num, *event_shape)
    mean, variance, log_z = 0.0, 1.0, 1.8379   # may be left out: what is known

To load it is to run it. Who launches a run settles which files may be named: the command line any,
the browser only those in the folder of trusted energies (`jobs/queueing/enqueue.py`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.energy import Energy, drawn_inside
from backend.errors import BadInput
from backend.randomness import generator_of
from backend.truth import Truth

T = TypeVar("T")

MAX_BYTES = 2**20
MAX_VALUES = 65_536
"""Numbers in one event."""
NUM_TRIED = 8
"""Positions that a file is tried at before it is used."""


class EnergyFileConfig(KindConfig):
    kind: Literal["energy_file"] = "energy_file"
    path: str = option(
        ...,
        "A Python file with `event_shape` and a torch function `energy(x)`; it is run. From the "
        "browser, the name of a file in the folder `energies` of BASIN_HOME.",
        main=True,
        min_length=1,
    )
    scale: float = option(
        3.0,
        "Standard deviation of the Gaussian that stands for data where the file has no "
        "`draw`: where chains start, in the file's units.",
        gt=0,
        le=1e6,
        main=True,
        log=True,
    )
    num: int = option(10_000, "Training positions.", ge=100, le=1_000_000)
    num_held_out: int = option(3000, "Held-out positions.", ge=100, le=100_000)
    seed: int = option(0, "Seeds the draw of the data; the run has its own.", ge=0, le=2**31 - 1)


class FileEnergy(Energy):
    """A function of a file, as an energy. On a device, its constants must go where x is."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return self.function(x)


class EnergyFileData(Dataset):
    """Any energy; its held-out positions are draws of it only where the file can draw."""

    is_target: ClassVar[bool] = True
    Config: ClassVar[type[KindConfig]] = EnergyFileConfig
    for_samplers: ClassVar[bool] = True
    title: ClassVar[str] = "Your own energy"
    summary: ClassVar[str] = "A Python file with a torch function energy(x), to sample from."
    config: Any

    def load(self) -> Data:
        config = self.config
        try:
            path = Path(config.path).expanduser()
        except RuntimeError as error:  # a user that there is not
            reason = f"{config.path!r} names no file: {str(error).rstrip('.')}."
            raise BadInput.at("data.path", reason) from error
        file = EnergyFile(path)
        seeds = [generator_of("data", config.seed, index) for index in (0, 1)]
        mean, scale = torch.zeros(()), torch.tensor(float(config.scale))
        if file.draws is None:
            z, held_out = (
                file.starts(num, scale, seed)
                for num, seed in zip((config.num, config.num_held_out), seeds, strict=True)
            )
        else:
            x = file.draw(config.num, seeds[0])
            mean, scale = x.mean(0), x.std(0)
            if not (scale > 0).all():
                raise file.bad("`draw` gives a coordinate that is always the same.")
            z = (x - mean) / scale
            held_out = (file.draw(config.num_held_out, seeds[1]) - mean) / scale
        energy = FileEnergy(file.energy)
        file.check_energy(energy, mean + scale * z[:NUM_TRIED])
        flat_low, flat_high = noise_box(z.flatten(1))
        return Data(
            name="energy_file",
            title=file.path.name,
            train=z,
            held_out=held_out,
            mean=mean,
            scale=scale,
            noise_low=flat_low.reshape(file.event_shape),
            noise_high=flat_high.reshape(file.event_shape),
            target=energy,
            truth=file.truth(),
            draw=None if file.draws is None else file.draw,
        )


class EnergyFile:
    """A file that was run, and what it defines. Everything wrong is a BadInput at `data.path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.module = self._run()
        self.energy: Callable[[Tensor], Tensor] = self._function("energy", needed=True)
        self.draws: Callable[..., Tensor] | None = self._function("draw", needed=False)
        self.event_shape = self._event_shape()

    def bad(self, message: str) -> BadInput:
        return BadInput.at("data.path", f"{self.path.name}: {message}")

    def _run(self) -> ModuleType:
        path = self.path
        if path.suffix != ".py":
            raise self.bad("an energy is a Python file, its name ends in .py.")
        try:
            if not path.is_file():
                raise BadInput.at("data.path", f"there is no file at {path}.")
            if path.stat().st_size > MAX_BYTES:
                raise self.bad(f"is larger than {MAX_BYTES:,} bytes.")
            source = path.read_bytes()
        except OSError as error:
            raise self.bad(f"cannot be read: {error.strerror}.") from error
        module = ModuleType("basin_energy_file")
        module.__file__ = str(path)
        # compiled here rather than imported, which would leave a cache beside the user's file
        self._trying(
            "when it was run", lambda: exec(compile(source, str(path), "exec"), vars(module))
        )
        return module

    def _trying(self, when: str, do: Callable[[], T]) -> T:
        """`do()`, whatever it raises told with the line of the file it came from."""
        try:
            return do()
        except (Exception, SystemExit) as error:
            lines = [
                frame.lineno
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == str(self.path)
            ]
            if isinstance(error, SyntaxError) and error.filename == str(self.path):
                lines.append(error.lineno)
            where = f" in line {lines[-1]}" if lines else ""
            first_line = str(error).splitlines()[0] if str(error) else "no reason given"
            raise self.bad(f"failed {when}{where}: {type(error).__name__}: {first_line}") from error

    def _function(self, name: str, needed: bool) -> Any:
        member = getattr(self.module, name, None)
        if member is None and not needed:
            return None
        if not callable(member):
            raise self.bad(f"defines no function `{name}`. Add `def {name}(x): ...`.")
        return member

    def _event_shape(self) -> torch.Size:
        shape = getattr(self.module, "event_shape", None)
        if isinstance(shape, int) and not isinstance(shape, bool):
            shape = (shape,)
        sizes = list(shape) if isinstance(shape, (tuple, list)) else []
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise self.bad(
                f"`event_shape` must be a tuple of whole numbers such as (2,), got {shape!r}."
            )
        event_shape = torch.Size(sizes)
        if event_shape.numel() > MAX_VALUES:
            raise self.bad(
                f"`event_shape` holds {event_shape.numel():,} numbers, more than {MAX_VALUES:,}."
            )
        return event_shape

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """`num` of the file's draws, float32, checked."""
        assert self.draws is not None
        draws = self.draws
        x = self._trying("in `draw`", lambda: draws(num, generator))
        wanted = (num, *self.event_shape)
        if not isinstance(x, Tensor) or tuple(x.shape) != wanted:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise self.bad(f"`draw({num}, generator)` must return a tensor {wanted}, got {got}.")
        if not x.isfinite().all():
            raise self.bad("`draw` gives positions that are not finite.")
        return x.detach().float()

    def starts(self, num: int, scale: Tensor, generator: torch.Generator) -> Tensor:
        """`num` standard normal positions (num, *event_shape) inside the support of the energy.

        scale: 0-d, by which they are in the file's units.
        """

        def draw(count: int, generator: torch.Generator) -> Tensor:
            return torch.randn((count, *self.event_shape), generator=generator)

        def scaled(z: Tensor) -> Tensor:
            return self._trying("in `energy`", lambda: self.energy(scale * z))

        if not self._has_shape(scaled(draw(NUM_TRIED, generator_of("data", "tried")))):
            return draw(num, generator)  # what is wrong with it, `check_energy` says
        z, missing = drawn_inside(FileEnergy(scaled), draw, num, generator)
        if missing:
            raise self.bad(
                f"the energy is not finite at {missing:,} of {num:,} positions of standard "
                f"deviation {float(scale):.3g}, however often they are drawn. Change `scale`, or "
                "give the file a `draw`."
            )
        return z

    def _has_shape(self, value: Any) -> bool:
        return isinstance(value, Tensor) and tuple(value.shape) == (NUM_TRIED,)

    def check_energy(self, energy: Energy, x: Tensor) -> None:
        """Raises BadInput unless it gives finite energies (batch,) and gradients at x, row by row
        alike whatever the other rows are."""
        x = x.detach().requires_grad_(True)
        value = self._trying("in `energy`", lambda: energy(x))
        if not isinstance(value, Tensor) or tuple(value.shape) != (len(x),):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise self.bad(
                f"`energy` must return a tensor of shape (batch,), here ({len(x)},) for x of shape "
                f"{tuple(x.shape)}; got {got}."
            )
        if not value.is_floating_point() or not value.requires_grad:
            raise self.bad("`energy` must be made of torch operations on x, to have a gradient.")
        (gradient,) = self._trying(
            "in the gradient of `energy`", lambda: torch.autograd.grad(value.sum(), x)
        )
        for name, figures in (("energy", value), ("the gradient of `energy`", gradient)):
            if not figures.isfinite().all():
                raise self.bad(
                    f"{name} is not finite at some of the first {len(x)} positions, whose standard "
                    f"deviation is {float(x.detach().std()):.3g}. Change `scale`, or the function."
                )
        alone = self._trying("in `energy`", lambda: energy(x[:1].detach()))
        if tuple(alone.shape) != (1,) or not torch.allclose(
            alone.detach(), value[:1].detach(), rtol=1e-3, atol=1e-4
        ):
            raise self.bad("the energy of a position changes with the others in the batch.")

    def truth(self) -> Truth:
        """Truth that the file states."""
        mean, variance, log_z = (self._constant(name) for name in ("mean", "variance", "log_z"))
        if log_z is not None and log_z.dim():
            raise self.bad("`log_z` must be one number.")
        return Truth(
            f"as {self.path.name} says",
            mean=None if mean is None else self._event(mean, "mean"),
            variance=None if variance is None else self._event(variance, "variance"),
            log_z=None if log_z is None else float(log_z),
            comparable=self.draws is not None,
            draws=f"draws of {self.path.name}"
            if self.draws is not None
            else "a Gaussian to start from, not draws of the energy",
        )

    def _constant(self, name: str) -> Tensor | None:
        value = getattr(self.module, name, None)
        if value is None:
            return None
        constant = self._trying(
            f"to give `{name}` as numbers", lambda: torch.as_tensor(value, dtype=torch.float64)
        )
        if not constant.isfinite().all():
            raise self.bad(f"`{name}` must be finite, got {value!r}.")
        return constant

    def _event(self, value: Tensor, name: str) -> Tensor:
        try:
            return value.expand(self.event_shape).clone()
        except RuntimeError as error:
            raise self.bad(
                f"`{name}` has the shape {tuple(value.shape)}, an event {tuple(self.event_shape)}."
            ) from error
