"""Rows shared out among three processes: energies, gradients and second derivatives as of one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import grad

from backend.config import KindConfig
from backend.energies import Condition, NetworkEnergy
from backend.networks import row_sharing

NUM = 3


class Net(NetworkEnergy):
    """A smooth energy with a class and a level, that counts the rows it is asked for."""

    Config = KindConfig
    conditional = True

    def __init__(self) -> None:
        super().__init__(None, torch.Size((2,)), torch.Generator())
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, 5, generator=generator, dtype=torch.float64))
        self.heads = nn.Parameter(torch.randn(5, 4, generator=generator, dtype=torch.float64))
        self.fixed = nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)
        self.rows = 0

    def outputs(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        self.rows += len(x)
        heads = (x @ self.weight).tanh() @ self.heads
        assert condition is not None and condition.label is not None
        assert condition.level is not None
        label = condition.label.expand(len(x))
        return heads.gather(1, label[:, None]) * (1 + condition.level) * self.fixed


def losses(net: Net, log_z: Tensor, num: int) -> dict[str, Tensor]:
    """Everything a method may take from an energy, by name."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num, 2, generator=generator, dtype=torch.float64).requires_grad_(True)
    condition = Condition(torch.tensor(2), torch.arange(num) % 4)
    energy = net(x, condition)
    found = {"energy": energy.detach()}
    (found["gradient"],) = grad(energy.sum(), x, retain_graph=True)
    (score,) = grad(energy.sum(), x, create_graph=True)
    # rows that act on one another, a weight outside the energy, and one used beside it
    loss = energy.square().mean() + energy.logsumexp(0) + log_z * score.square().sum()
    loss = loss + net.weight.square().sum() * net.heads.sum()
    loss.backward()
    assert x.grad is not None and log_z.grad is not None
    found.update(x=x.grad, log_z=log_z.grad.clone())
    for name, weight in net.named_parameters():
        if weight.grad is not None:
            found[name] = weight.grad.clone()
    net.zero_grad()
    log_z.grad = None
    with torch.no_grad():
        found["no graph"] = net(x, Condition(torch.tensor(0), torch.tensor(1)))
    return found


def worker(rank: int, folder: Path, results: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=NUM
    )
    try:
        net, log_z = Net(), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        found = {}
        for num in (9, 7, 1):
            net.rows = 0
            with row_sharing.together():
                assert row_sharing.is_sharing()
                found[num] = {k: v.tolist() for k, v in losses(net, log_z, num).items()}
            assert not row_sharing.is_sharing()
            assert net.rows == 2 * -(-num // NUM), "each computes its share alone"
        share = torch.arange(2.0, dtype=torch.float64).requires_grad_(True)
        with row_sharing.together():
            (total,) = row_sharing.Sums.apply(share)
            assert torch.equal(total, NUM * share)
            (back,) = grad(total.sum(), share)
            assert torch.equal(back, torch.ones(2, dtype=torch.float64)), "one loss, said by all"
        results.put((rank, found))
    finally:
        dist.destroy_process_group()


def test_three_processes_compute_what_one_does(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=worker, args=(rank, tmp_path, results)) for rank in range(NUM)
    ]
    for process in processes:
        process.start()
    try:
        found = dict(results.get(timeout=60) for _ in processes)
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    assert [process.exitcode for process in processes] == [0] * NUM
    net, log_z = Net(), torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for num in (9, 7, 1):
        expected = losses(net, log_z, num)
        assert found[0][num] == found[1][num] == found[2][num], "not the same everywhere"
        assert expected.keys() == found[0][num].keys()
        for name, value in expected.items():
            got = torch.tensor(found[0][num][name], dtype=torch.float64)
            torch.testing.assert_close(
                got, value, rtol=1e-10, atol=1e-12, msg=f"{name}, {num} rows"
            )


def test_alone_nothing_is_shared() -> None:
    with row_sharing.together():
        assert not row_sharing.is_sharing()
