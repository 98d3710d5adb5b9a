"""Programs: E(x) and its gradient in the user's units, for torch without Basin and for ONNX.

Each is run on held-out points as a reader would run it, and compared with the module, before
anything gets its name. Imports torch.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch._decomp import decomposition_table
from torch.fx.experimental.proxy_tensor import make_fx

from backend.energy import Energy
from backend.errors import BadInput, NotAvailable
from jobs.exports.places import new_folder
from jobs.models.trained_run import Trained, load_trained
from jobs.records.run_directory import RunDirectory

Say = Callable[[str], None]
Function = Callable[[Tensor], Tensor]
Array = npt.NDArray[Any]
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
NUM_POINTS = 256
"""Held-out points that a program is checked at; at one of them alone, too."""
TOLERANCE = 1e-4
"""Largest difference, as a share of 1 + the largest value."""
_EXAMPLE = 7
"""Points that a program is traced with; their number is free."""
_SOLVE = torch.ops.aten.linalg_solve_triangular.default


def write_torch(directory: RunDirectory, to: Path, say: Say, step: int | None) -> list[str]:
    """Write `energy.pt2` and `gradient.pt2`, which `torch.export.load` reads; returns the names.

    Raises BadInput for a model that cannot be exported, or at `to`; NotAvailable where a program
    differs.
    """

    def save(program: fx.GraphModule, x: Tensor, name: str, folder: Path) -> Function:
        path = folder / f"{name}.pt2"
        torch.export.save(_exported(program, x), path)
        return torch.export.load(path).module()

    return _write(directory, to, say, step, save, ".pt2")


def write_onnx(directory: RunDirectory, to: Path, say: Say, step: int | None) -> list[str]:
    """Write `energy.onnx` and `gradient.onnx`, from `x` to the name of each; returns the names.

    Raises as `write_torch`, and NotAvailable where the packages of ONNX are not installed.
    """
    if missing := [name for name in ONNX_PACKAGES if find_spec(name) is None]:
        raise NotAvailable(
            f"ONNX needs {' and '.join(missing)}, not installed here: "
            f"`pip install {' '.join(missing)}`."
        )

    def save(program: fx.GraphModule, x: Tensor, name: str, folder: Path) -> Function:
        path = folder / f"{name}.onnx"
        _without_solves(program)
        written = torch.onnx.export(
            _exported(program, x),
            (x,),
            input_names=["x"],
            output_names=[name],
            dynamo=True,
            verbose=False,
        )
        assert written is not None
        written.save(path)
        return _onnx_function(path, name)

    return _write(directory, to, say, step, save, ".onnx")


def _onnx_function(path: Path, name: str) -> Function:
    onnxruntime = import_module("onnxruntime")  # optional: `write_onnx` has looked for it
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def call(x: Tensor) -> Tensor:
        (value,) = session.run([name], {"x": x.numpy()})
        return torch.from_numpy(np.asarray(value))

    return call


def _write(
    directory: RunDirectory,
    to: Path,
    say: Say,
    step: int | None,
    save: Callable[[fx.GraphModule, Tensor, str, Path], Function],
    suffix: str,
) -> list[str]:
    """Trace energy and gradient, save each and check what was saved."""
    if directory.written_status().is_tracked:
        raise NotAvailable(
            f"`{directory.id}` is trained by its own script, which has the module that "
            "`torch.export` and `torch.onnx` take."
        )
    run = load_trained(directory.id, step=step)
    energy = run.energy_in_units()
    x = run.data.restore(run.data.held_out[:NUM_POINTS])
    with new_folder(to) as folder, _quiet():
        for name, function in (("energy", energy), ("gradient", _gradient_of(energy))):
            say(f"tracing the {name}")
            program = _traced(run, energy, name, x[:_EXAMPLE], suffix == ".onnx")
            with _refusing(run, name):
                written = save(program, x[:_EXAMPLE], name, folder)
                difference = max(_difference(function, written, part) for part in (x, x[:1]))
            with torch.no_grad() if name == "energy" else contextlib.nullcontext():
                largest = float(function(x).abs().max())
            say(
                f"{name}{suffix}: differs by {difference:.2g} at most at {len(x):,} held-out "
                f"points, of values up to {largest:.3g}"
            )
            if not difference <= TOLERANCE * (1 + largest):
                raise NotAvailable(
                    f"The {name} of `{run.id}` as {suffix} differs by {difference:.2g} from the "
                    f"module, of values up to {largest:.3g}; nothing was written."
                )
    return [f"energy{suffix}", f"gradient{suffix}"]


class _OfPosition(nn.Module):
    """Energy as a function of x alone."""

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: Tensor) -> Tensor:
        return self.energy(x)


def _gradient_of(energy: Function) -> Function:
    def gradient(x: Tensor) -> Tensor:
        z = x.detach().requires_grad_(True)
        with torch.enable_grad():
            (value,) = torch.autograd.grad(energy(z).sum(), z)
        return value

    return gradient


def _traced(run: Trained, energy: Energy, name: str, x: Tensor, plain: bool) -> fx.GraphModule:
    """Trace energy or gradient as a graph of operations.

    The gradient is traced through the graph of the energy, since autograd inside a module cannot
    be exported. plain: in operations that ONNX has. Raises BadInput.
    """
    with _refusing(run, name):
        graph = _exported(_OfPosition(energy), x).module()
        function = graph if name == "energy" else _gradient_of(graph)
        table: Any = {op: rule for op, rule in decomposition_table.items() if "backward" in str(op)}
        traced: fx.GraphModule = make_fx(
            function,
            decomposition_table=table if plain else {},
            tracing_mode="symbolic",
            _allow_non_fake_inputs=True,  # the weights
        )(x)
    return traced


def _exported(module: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """Export a module of x with any number of rows."""
    num = torch.export.Dim("num", min=1)
    return torch.export.export(module, (x,), dynamic_shapes=({0: num},), strict=False)


def _without_solves(program: fx.GraphModule) -> None:
    """Multiply by the inverse where a triangular system of fixed numbers is solved: ONNX has no
    such operation."""
    for place, node in enumerate(program.graph.find_nodes(op="call_function", target=_SOLVE)):
        factor, right = _constant(program, node.args[0]), node.args[1]
        if factor is None:
            continue
        how = {"left": True, "unitriangular": False, **node.kwargs}
        unit = torch.eye(factor.shape[-1], dtype=torch.float64).expand(factor.shape)
        inverse = torch.linalg.solve_triangular(
            factor.double(), unit, upper=how["upper"], unitriangular=how["unitriangular"]
        )
        program.register_buffer(f"inverse_{place}", inverse.to(factor.dtype))
        with program.graph.inserting_before(node):
            placed = program.graph.get_attr(f"inverse_{place}")
            pair = (placed, right) if how["left"] else (right, placed)
            product = program.graph.call_function(torch.ops.aten.matmul.default, pair)
        node.replace_all_uses_with(product)
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.recompile()


def _constant(program: fx.GraphModule, value: Any) -> Any:
    """Compute what a node of the graph holds whatever x is; None where it follows from x."""
    if not isinstance(value, fx.Node):
        return value
    if value.op == "get_attr":
        return getattr(program, str(value.target)).detach()
    parts = [_constant(program, part) for part in value.args]
    if value.op != "call_function" or not parts or any(part is None for part in parts):
        return None
    assert callable(value.target)
    return value.target(*parts, **value.kwargs)


def _difference(function: Function, written: Function, x: Tensor) -> float:
    ours, theirs = function(x).detach(), written(x).detach()
    if ours.shape != theirs.shape:
        raise ValueError(f"it gives shape {tuple(theirs.shape)} in place of {tuple(ours.shape)}")
    return float((ours - theirs).abs().max())


@contextlib.contextmanager
def _refusing(run: Trained, name: str) -> Iterator[None]:
    """Raise BadInput at `as` where a model cannot be exported; the tracer has a dozen errors."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        first = (str(cause).strip().splitlines() or [""])[0][:300].rstrip(". ")
        raise BadInput.at(
            "as",
            f"the {name} of `{run.id}` ({run.method.title}) cannot be exported: "
            f"{type(cause).__name__}: {first}. As safetensors it can be taken along.",
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the remarks of tracers from whoever reads what the command says."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
