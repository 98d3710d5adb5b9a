"""Running a sampler's arithmetic as one compiled piece: what `Sampler.fused` may hand its work to.

A function of tensors is traced once for each energy and each set of shapes, with the gradient that
is taken inside it, and its plain operations are compiled: by torch's inductor to C++ on a CPU, into
a CUDA graph of its kernels on an NVIDIA device. Numbers become inputs, so that no step size is ever
compiled in, and so do the energy's parameters and buffers, so that training is seen. Wide layers of
many chains are gone through in blocks of rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from backend.compilation.row_blocks import block_size, cut, in_blocks
from backend.compilation.tracing import Slot, Traced, leaves, tensors_of, trace
from backend.energy import Energy

T = TypeVar("T")
Run = Callable[[list[Tensor]], Sequence[Tensor]]
"""compiled: tensors in, tensors out; it may empty the list it is given"""
Phase = Literal["eager", "compiling", "compiled", "failed"]
OnGPU = Literal["graph", "inductor", "inductor graph"]
"""on an NVIDIA device: the eager kernels as a CUDA graph; inductor's, one by one; those as one"""

MOST_KEPT = 32
"""Compiled pieces of one Compiler; what comes beyond (a new energy at every step) stays eager."""
WORTH_IT = 20
"""Calls with the same shapes before a compile in the background begins: a look is no run."""

_ONE_AT_A_TIME = threading.Lock()


class Status(NamedTuple):
    """Progress of compiling."""

    phase: Phase
    seconds: float = 0.0
    """spent compiling, all pieces together"""
    reason: str = ""
    """why the compiled path failed, or what of it stays eager"""

    def __str__(self) -> str:
        if self.phase == "failed":
            return f"compiled path failed: {self.reason}"
        done = f"compiled in {self.seconds:.1f} s" if self.phase == "compiled" else self.phase
        return f"{done}; {self.reason}" if self.reason else done


class Compiler:
    """Calls functions of (energy, tensors and numbers), compiled once that is ready.

    By default it starts eager and compiles in a thread of its own; the swap moves results by
    rounding alone, but when it comes depends on the machine, so numbers that must repeat to the
    last bit need `background=False`, where the first call waits (seconds; less with a warm cache in
    TORCHINDUCTOR_CACHE_DIR). Whatever cannot be compiled runs eager and `status` says why: a
    machine without a C++ compiler, a function that looks at values, an energy that draws random
    numbers or writes into its buffers (spectral norm in training mode).

    Compiled pieces are told apart by function, energy, its training mode, shapes, dtypes, devices,
    and the values of whole numbers and flags; floats are inputs, in the dtype of the first tensor
    of floats. An energy's settings that are no tensors, and tensors that it has not registered, are
    taken as they were at the first call.
    """

    def __init__(self, background: bool = True, on_gpu: OnGPU = "graph") -> None:
        self.background, self.on_gpu = background, on_gpu
        self._pieces: WeakKeyDictionary[Energy, dict[Any, _Piece]] = WeakKeyDictionary()
        self._num_pieces = 0
        self._overflow = ""

    def __call__(self, function: Callable[..., T], energy: Energy, *given: Tensor | float) -> T:
        """`function(energy, *given)`; what is compiled carries no graph, whatever needs one is not.

        What is given are tensors and numbers; what is returned are tuples and dicts of tensors.
        """
        piece = self._piece(function, energy, given)
        if piece is None:
            return function(energy, *given)
        if piece.phase == "eager":
            self._begin(piece, function, energy, given)
        if piece.run is None:
            return function(energy, *given)
        try:
            return cast(T, piece(function, given))
        except Exception as error:
            piece.fail(error)
            return function(energy, *given)

    @property
    def status(self) -> Status:
        """Of all pieces together: the first failure, else whether any compiles still."""
        pieces = [
            piece for by_name in list(self._pieces.values()) for piece in list(by_name.values())
        ]
        seconds = sum(piece.seconds for piece in pieces)
        reasons = [piece.reason for piece in pieces if piece.phase == "failed"]
        if reasons:
            return Status("failed", seconds, reasons[0])
        phases = {piece.phase for piece in pieces}
        for phase in ("compiling", "compiled"):
            if phase in phases:
                return Status(cast(Phase, phase), seconds, self._overflow)
        return Status("eager", 0.0, self._overflow)

    def wait(self) -> Status:
        """Wait for what is being compiled in the background."""
        for by_name in list(self._pieces.values()):
            for piece in list(by_name.values()):
                if piece.thread is not None:
                    piece.thread.join()
        return self.status

    def _piece(
        self, function: Callable[..., Any], energy: Energy, given: Sequence[Any]
    ) -> _Piece | None:
        # one plain loop: this is paid at every call, and a small step takes 20 µs in all
        kinds: list[Any] = [function, energy.training]
        for value in given:
            if isinstance(value, Tensor):
                if value.requires_grad:
                    return None
                kinds += (value.shape, value.dtype, value.device)
            else:
                kinds += (float,) if isinstance(value, float) else (type(value), value)
        by_name = self._pieces.get(energy)
        if by_name is None:
            by_name = self._pieces[energy] = {}
        key = tuple(kinds)
        piece = by_name.get(key)
        if piece is None:
            if self._num_pieces >= MOST_KEPT:
                self._overflow = f"only the first {MOST_KEPT} functions, energies and shapes."
                return None
            self._num_pieces += 1
            piece = by_name[key] = _Piece()
        return piece

    def _begin(
        self, piece: _Piece, function: Callable[..., Any], energy: Energy, given: Sequence[Any]
    ) -> None:
        piece.calls += 1
        if self.background and piece.calls < WORTH_IT:
            return
        piece.phase = "compiling"
        began = time.perf_counter()
        try:
            # here and not in the thread: tracing puts stand-ins in place of the energy's parameters
            traced = trace(function, energy, given)
            piece.block = block_size(function, traced.graph, given)
            if piece.block:
                traced = trace(function, energy, cut(function, given, 0, piece.block))
        except Exception as error:
            piece.fail(error)
            return
        piece.traced, piece.slots = traced, traced.slots
        if traced.device.type == "cuda":
            piece.finish(lambda: self._on_gpu(function, energy, traced, given), began)
        elif self.background:
            work = (lambda: compile_graph(traced), began)
            piece.thread = threading.Thread(
                target=piece.finish, args=work, name="compile", daemon=True
            )
            piece.thread.start()
        else:
            piece.finish(lambda: compile_graph(traced), began)

    def _on_gpu(
        self, function: Callable[..., Any], energy: Energy, traced: Traced, given: Sequence[Any]
    ) -> Run:
        if self.on_gpu == "graph":
            return capture(eager(function, energy, given), traced, given)
        compiled = compile_graph(traced)
        return compiled if self.on_gpu == "inductor" else capture(compiled, traced, given)


class _Piece:
    """One function with one energy and one set of shapes."""

    def __init__(self) -> None:
        self.phase: Phase = "eager"
        self.calls = 0
        self.seconds = 0.0
        self.reason = ""
        self.run: Run | None = None
        self.thread: threading.Thread | None = None
        self.traced: Traced | None = None
        self.slots: list[Slot] = []
        self.block = 0
        """rows that it was compiled for, where it goes over them in blocks; 0 where it takes all"""

    def __call__(self, function: Callable[..., Any], given: Sequence[Any]) -> Any:
        assert self.traced is not None
        with torch.no_grad():  # parameters that are trained may be among the inputs
            if self.block:
                results: Sequence[Tensor] = in_blocks(self._ran, function, given, self.block)
            else:
                results = self._ran(given)
            return self.traced.rebuild(results)

    def _ran(self, given: Sequence[Any]) -> Sequence[Tensor]:
        assert self.run is not None and self.traced is not None
        inputs = [owner[name] for owner, name in self.slots]
        inputs += tensors_of(given, self.traced.dtype, self.traced.device)
        return self.run(inputs)

    def finish(self, make: Callable[[], Run], began: float) -> None:
        """Make what runs; anything that goes wrong is kept as the reason."""
        try:
            run = make()
        except Exception as error:
            self.fail(error)
        else:
            self.run, self.phase = run, "compiled"
        self.seconds = time.perf_counter() - began

    def fail(self, error: Exception) -> None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        self.run, self.phase = None, "failed"
        self.reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def compile_graph(traced: Traced) -> Run:
    """A graph on the CPU as C++, by inductor, without a pool of processes.

    Numerically as eager to rounding: sums may be added in another order.
    """
    import torch._inductor.config as inductor
    from torch._guards import TracingContext, detect_fake_mode, tracing
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.fx_passes.joint_graph import joint_graph_passes
    from torch._inductor.virtualized import V

    mode = detect_fake_mode(traced.inputs)
    with (
        _ONE_AT_A_TIME,
        # threads are said, so that code kept for another number of them is not taken
        inductor.patch({"compile_threads": 1, "cpp.threads": torch.get_num_threads()}),
        torch.no_grad(),
        tracing(TracingContext(mode)),
        V.set_fake_mode(mode),
    ):
        joint_graph_passes(traced.graph)
        return cast(Run, compile_fx_inner(traced.graph, traced.inputs))


def eager(function: Callable[..., Any], energy: Energy, given: Sequence[Any]) -> Run:
    """The function as one of tensors: the energy's own, which are read where they lie, and those
    given."""

    def run(inputs: list[Tensor]) -> list[Tensor]:
        num = sum(isinstance(value, Tensor | float) for value in given)
        rest = iter(inputs[len(inputs) - num :])
        values = [next(rest) if isinstance(v, Tensor | float) else v for v in given]
        return list(leaves(function(energy, *values)))

    return run


def capture(kernels: Run, traced: Traced, given: Sequence[Any]) -> Run:
    """The kernels of one call as a CUDA graph: given tensors are copied in, results out.

    The energy's own tensors are read where they lie: one that is exchanged raises RuntimeError.
    """
    own = [owner[name] for owner, name in traced.slots]
    static = [tensor.clone() for tensor in tensors_of(given, traced.dtype, traced.device)]

    with torch.cuda.device(traced.device), torch.no_grad():
        # what kernels and libraries set up at their first calls must not be recorded
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                kernels([*own, *static])
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = list(kernels([*own, *static]))

    def run(inputs: list[Tensor]) -> list[Tensor]:
        if any(now is not then for now, then in zip(inputs, own, strict=False)):
            raise RuntimeError("a tensor of the energy was exchanged after it was captured.")
        torch._foreach_copy_(static, inputs[len(own) :])
        graph.replay()
        return [result.clone() for result in results]

    return run
