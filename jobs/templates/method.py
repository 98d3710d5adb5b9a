"""Template name: tells data from one wide Gaussian; put your own loss into `step`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import Config, option
from backend.energies import AnyNetwork, NetworkEnergy, build_network
from backend.method import Method, Preset, Task
from backend.training import Fitter, TrainConfig


class TemplateNameConfig(Config):
    """Every field is in the form, in `--set`, in YAML and in the help; none may change nothing."""

    energy: AnyNetwork = option({"kind": "mlp"}, "The network that is fitted.", group="Energy")
    noise_scale: float = option(
        1.6, "Standard deviation of the noise.", gt=0, le=100, unit="data sd", main=True
    )
    train: TrainConfig = option(TrainConfig(beta1=0.9), "How the weights are fitted.")


class TemplateName(Method):
    """Logistic regression of data against noise: log p(x) − log q(x) of the odds, p = exp(−E)."""

    id = "template_name"
    title = "Template name"
    summary = "Tells data from noise of known density; the energy is the odds between them."
    references = "Gutmann & Hyvärinen 2010"
    Config = TemplateNameConfig
    presets = {"default": Preset("A perceptron, for points.")}

    def __init__(self, config: TemplateNameConfig, task: Task) -> None:
        super().__init__(config, task)
        self.network = build_network(config.energy, task)
        self.fitter = Fitter(config.train, self.network)

    def step(self, progress: float) -> dict[str, Tensor]:
        """One update; 0-d tensors on the device, under the same paths at every step."""
        x_data = self.task.data.batch(self.config.train.batch_size, self.generator)
        noise = torch.empty_like(x_data).normal_(generator=self.generator)
        x = torch.cat([x_data, self.config.noise_scale * noise])
        energy = self.network(x)
        law = torch.distributions.Normal(0.0, self.config.noise_scale)
        on_data, on_noise = (-energy - law.log_prob(x).flatten(1).sum(1)).chunk(2)
        loss = F.softplus(-on_data).mean() + F.softplus(on_noise).mean()
        self.gradient_evaluations += 1
        return {
            "loss/total": loss.detach(),
            "energy/data": energy[: len(x_data)].detach().mean(),
            "energy/max": energy.detach().abs().amax(),
            **self.fitter.update(loss, progress),
        }

    def energy(self) -> NetworkEnergy:
        """E(x), low where data are likely."""
        return self.fitter.fitted
