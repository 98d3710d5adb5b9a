"""The peers' training step in the training benchmark; runs in the peers' environment.

    .venv-peers/bin/python -m benchmarks.training_peers torchebm|ebmkit < rounds

Each by its own loss, sampler and buffer, as its guide says: a line asks for so many updates, the
answer is CPU seconds for one. torchebm keeps no averaged weights and clips no gradient of a chain.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.training_work import Work, network


def torchebm_update(work: Work) -> Callable[[], Any]:
    """One update by torchebm's persistent contrastive divergence."""
    from torchebm.core import BaseModel
    from torchebm.losses import PersistentContrastiveDivergence
    from torchebm.samplers import LangevinDynamics

    class Model(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.net = network(work)

        def forward(self, x: Any) -> Any:
            return self.net(x)[:, 0]

    model = Model()
    loss = PersistentContrastiveDivergence(
        model,
        LangevinDynamics(model, step_size=work.step_size),
        k_steps=work.num_steps,
        buffer_size=work.buffer_size,
        new_sample_ratio=work.reinit_rate,
        energy_reg_weight=work.energy_l2,
        init_steps=0,
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=work.rate, betas=(0.0, 0.999), fused=True)
    data = torch.randn(work.num_data, 2)

    def update() -> None:
        optimiser.zero_grad(set_to_none=True)
        value, _ = loss(data[torch.randint(work.num_data, (work.batch,))])
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return update


def ebmkit_update(work: Work) -> Callable[[], Any]:
    """One update by ebmkit's contrastive divergence with a buffer and its trainer."""
    from ebm.buffer import ReplayBuffer
    from ebm.losses import ContrastiveDivergence
    from ebm.samplers import LangevinDynamics
    from ebm.training import Trainer

    net = network(work)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any) -> Any:
            return self.net(x)[:, 0]

    model = Model()
    loss = ContrastiveDivergence(
        LangevinDynamics(work.step_size, work.num_steps, grad_clip=work.gradient_clip),
        ReplayBuffer(work.buffer_size, (2,), reinit_prob=work.reinit_rate),
        energy_reg=work.energy_l2,
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=work.rate, betas=(0.0, 0.999), fused=True)
    trainer = Trainer(model, loss, optimiser, ema_decay=work.ema_decay, grad_clip_norm=1.0)
    data = torch.randn(work.num_data, 2)

    def update() -> None:
        trainer.fit(data, steps=1, batch_size=work.batch, verbose=False)

    return update


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    update = {"torchebm": torchebm_update, "ebmkit": ebmkit_update}[sys.argv[1]](Work())
    for line in sys.stdin:
        number = int(line)
        began = time.process_time()
        for _ in range(number):
            update()
        print((time.process_time() - began) / number, file=answers, flush=True)


if __name__ == "__main__":
    main()
