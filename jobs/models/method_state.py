"""State of a method: its attributes saved as plain tensors and JSON, and restored from them.

Walks modules (with every buffer), optimisers, schedulers, tensors, generators, numbers, and the
lists, dicts, tuples and objects that hold them. A method's inputs (task, config, data) are not
state. Nothing is pickled: a value of any other type is left as set-up made it.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from backend.compilation.compiler import Compiler
from backend.data import Data
from backend.errors import NotAvailable
from backend.former_names import ATTRIBUTES
from backend.method import Method, Task

_INPUTS = (Task, Data, BaseModel, Compiler, torch.device, torch.dtype, type)
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)
_FOREIGN = frozenset({"torch", "numpy", *sys.stdlib_module_names})
_PLAIN = (bool, int, float, str, type(None))


def collect(root: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Collect the state of a method or any object.

    Returns tensors by dotted name, on the CPU and unshared, and JSON of everything else.
    """
    writer = _Writer(_input_tensors(root))
    tree = writer.described("", root)
    return writer.tensors, tree


def restore(
    root: Any, tensors: dict[str, Tensor], tree: dict[str, Any], device: torch.device
) -> None:
    """Restore what `collect` returned in an object set up in the same way, on a device.

    Raises NotAvailable when it does not fit, as with another method's checkpoint.
    """
    try:
        _Reader(tensors, device).filled("", root, tree)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise NotAvailable(f"The checkpoint does not fit this run: {error}") from error
    if isinstance(root, Method):
        root.take_turned()


def _input_tensors(root: Any) -> list[Tensor]:
    """List the tensors of the data: a method may keep one at hand, but it is not state."""
    task = getattr(root, "task", None)
    return [] if task is None else [v for v in vars(task.data).values() if isinstance(v, Tensor)]


def _name(prefix: str, key: Any) -> str:
    return f"{prefix}.{key}" if prefix else str(key)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, item in vars(value).items():
        if not isinstance(item, _FUNCTIONS):
            yield name, item


def _module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and all buffers, those that `state_dict` leaves out included."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _is_stateful(value: Any) -> bool:
    """Return True for optimisers, learning-rate schedulers, gradient scalers."""
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


class _Writer:
    def __init__(self, inputs: list[Tensor]) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._seen: dict[int, tuple[Any, str | None]] = {id(item): (item, None) for item in inputs}

    def described(self, name: str, value: Any) -> dict[str, Any]:
        """Build the JSON node of a value; its tensors go into `tensors` under `name`."""
        if isinstance(value, _PLAIN):
            return {"is": "plain", "value": value}
        if isinstance(value, _INPUTS):
            return {"is": "left"}
        if id(value) in self._seen:
            earlier = self._seen[id(value)][1]
            return {"is": "left"} if earlier is None else {"is": "same", "as": earlier}
        self._seen[id(value)] = (value, name)
        if isinstance(value, Tensor):
            self.tensors[name] = _copied(value)
            return {"is": "tensor", "grad": value.requires_grad}
        if isinstance(value, torch.Generator):
            self.tensors[name] = value.get_state().clone()
            return {"is": "generator"}
        if isinstance(value, nn.Module):
            held = _module_tensors(value)
            self.tensors.update({_name(name, key): _copied(held[key]) for key in held})
            return {"is": "module", "names": list(held), "training": value.training}
        if _is_stateful(value):
            return {"is": "stateful", "value": self._described_container(name, value.state_dict())}
        return self._described_container(name, value)

    def _described_container(self, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, (dict, types.MappingProxyType)):
            pairs = [
                (key, self.described(_name(name, key), item))
                for key, item in value.items()
                if isinstance(key, (str, int))
            ]
            return {"is": "dict", "items": pairs}
        if isinstance(value, (list, tuple)):
            items = [self.described(_name(name, i), item) for i, item in enumerate(value)]
            cls = type(value)
            named = f"{cls.__module__}:{cls.__qualname__}" if hasattr(cls, "_fields") else ""
            return {"is": "list", "items": items, "tuple": isinstance(value, tuple), "named": named}
        if hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in _FOREIGN:
            held = {key: self.described(_name(name, key), x) for key, x in _attributes(value)}
            return {"is": "object", "items": held}
        return {"is": "left"}


def _copied(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous()


class _Reader:
    def __init__(
        self, tensors: dict[str, Tensor], device: torch.device, values: dict[str, Any] | None = None
    ) -> None:
        self.tensors, self.device = tensors, device
        self._values = {} if values is None else values

    def filled(self, name: str, old: Any, node: dict[str, Any]) -> Any:
        """Restore the value of a node: `old` itself where it can be filled, else a new one."""
        if node["is"] == "same":
            return self._values[node["as"]]
        self._values[name] = old  # for what refers back to it from within
        value = self._filled(name, old, node)
        self._values[name] = value
        return value

    def _filled(self, name: str, old: Any, node: dict[str, Any]) -> Any:
        kind = node["is"]
        if kind == "left":
            return old
        if kind == "plain":
            return node["value"]
        if kind == "tensor":
            return self._tensor(name, old, node["grad"])
        if kind == "generator":
            old.set_state(self.tensors[name])
            return old
        if kind == "module":
            return self._module(name, old, node)
        if kind == "stateful":
            reader = _Reader(self.tensors, torch.device("cpu"), self._values)
            old.load_state_dict(reader._filled(name, None, node["value"]))
            return old
        if kind == "object":
            for key, item in node["items"].items():
                attribute = key if key in vars(old) else ATTRIBUTES.get(key, key)
                before = vars(old).get(attribute)
                after = self.filled(_name(name, key), before, item)
                if after is not before or attribute not in vars(old):
                    object.__setattr__(old, attribute, after)
            return old
        return self._container(name, old, node)

    def _tensor(self, name: str, old: Any, grad: bool) -> Tensor:
        saved = self.tensors[name]
        if isinstance(old, Tensor) and old.shape == saved.shape and old.dtype == saved.dtype:
            with torch.no_grad():
                old.copy_(saved)  # in place: others may hold the same tensor
            return old
        device = old.device if isinstance(old, Tensor) else self.device
        return saved.to(device, copy=True).requires_grad_(grad)

    def _module(self, name: str, old: Any, node: dict[str, Any]) -> nn.Module:
        held = _module_tensors(old)
        if list(held) != node["names"]:
            raise ValueError(f"`{name}` holds other weights")
        with torch.no_grad():
            for key, tensor in held.items():
                saved = self.tensors[_name(name, key)]
                if tensor.shape != saved.shape:
                    raise ValueError(f"`{_name(name, key)}` has another shape")
                tensor.copy_(saved)
        old.train(node["training"])
        return old

    def _container(self, name: str, old: Any, node: dict[str, Any]) -> Any:
        if node["is"] == "dict":
            earlier = old if isinstance(old, dict) else {}
            new = {
                key: self.filled(_name(name, key), earlier.get(key), n) for key, n in node["items"]
            }
            if isinstance(old, dict):
                old.clear()
                old.update(new)
                return old
            return new
        before = list(old) if isinstance(old, (list, tuple)) else []
        before += [None] * (len(node["items"]) - len(before))
        items = [
            self.filled(_name(name, i), b, n)
            for i, (b, n) in enumerate(zip(before, node["items"], strict=False))
        ]
        if node["named"]:
            return _named_tuple(node["named"])(*items)
        if node["tuple"]:
            return tuple(items)
        if isinstance(old, list):
            old[:] = items
            return old
        return items


def _named_tuple(where: str) -> Any:
    """Find a NamedTuple of Basin's own, such as a sampler's State."""
    module, _, name = where.partition(":")
    if module.split(".")[0] != "backend":
        raise ValueError(f"`{where}` is not a type of Basin's")
    cls = getattr(importlib.import_module(module), name)
    if not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        raise ValueError(f"`{where}` is not a named tuple")
    return cls
