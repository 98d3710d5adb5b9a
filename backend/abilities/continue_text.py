"""Continuing a text, character by character."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from backend.abilities import Problems, nats
from backend.ability import Ability, Answer, Asked
from backend.config import Config, option
from backend.observe import pictures
from backend.requests.predicting import PredictingMethod, think


class ContinueConfig(Config):
    prompt: str = option(
        "",
        "Text to go on from; empty takes the first held-out window.",
        max_length=2000,
        main=True,
    )
    num_characters: int = option(
        80, "Characters to write.", ge=1, le=2000, main=True, unit="characters", log=True
    )
    num_draws: int = option(3, "Continuations, drawn apart.", ge=1, le=100, main=True)
    num_steps: int | None = option(
        None, "Steps of thinking at each character; empty leaves it to the run.", ge=1, le=1000
    )
    temperature: float = option(
        1.0,
        "Divides the logits that a character is drawn by; near 0 the likeliest is taken.",
        gt=0,
        le=10,
        sweep=(0.1, 2.0),
        log=True,
    )


class ContinueAbility(Ability):
    """Characters drawn one after the other, each beside as much of the text before as the run sees.

    `surprise` is the mean −log₂ of the shares that the drawn characters had.
    """

    id = "continue_text"
    title = "Continuation"
    order = 1
    summary = "Writes a text on, character by character."
    references = "Shannon 1948; Gladstone et al. 2025"
    Config: ClassVar[type[Config]] = ContinueConfig

    @classmethod
    def problems(cls, asked: Asked, config: ContinueConfig) -> Problems:
        if not (isinstance(asked.method, PredictingMethod) and asked.data.alphabet):
            yield "", f"{asked.method.title} did not learn from text, so it writes none."
            return
        if strange := sorted(set(config.prompt) - set(asked.data.alphabet)):
            listed = ", ".join(map(repr, strange[:5]))
            yield "prompt", f"must be of the characters that the run knows, which {listed} are not."

    @classmethod
    def answer(cls, asked: Asked, config: ContinueConfig, generator: torch.Generator) -> Answer:
        method, data = asked.method, asked.data
        assert isinstance(method, PredictingMethod)
        alphabet, length = data.alphabet, data.event_shape[0]
        prompt = config.prompt or "".join(
            alphabet[value] for value in data.held_out_given["context"][0].tolist()
        )
        device = data.train.device
        places = [alphabet.index(character) for character in prompt]
        text = torch.tensor(places, device=device).expand(config.num_draws, -1)
        predictor, surprises = method.predictor(), []
        for _ in range(config.num_characters):
            window = text[:, -length:]
            last = window.shape[1] - 1
            # what stands after the last place is seen by none before it
            window = torch.nn.functional.pad(window, (0, length - 1 - last))
            thought = think(predictor, {"context": window}, generator, config.num_steps)
            shares = (thought.last[:, last] / config.temperature).softmax(-1)
            drawn = torch.multinomial(shares, 1, generator=generator)
            surprises.append(-shares.gather(1, drawn).log2())
            text = torch.cat([text, drawn], 1)
        written = ["".join(alphabet[value] for value in row) for row in text.tolist()]
        surprise = torch.cat(surprises, 1)
        drawn_text = text[:, len(prompt) :]
        mean = float(surprise.mean())
        summary = (
            f"“{written[0][len(prompt) :]}” goes on from “{prompt[-length:]}”; "
            f"{nats(mean)} bits a character over {config.num_draws} continuations."
        )
        arrays = {"text": pictures.float32(drawn_text)}
        arrays["surprise"] = pictures.float32(surprise)
        each = surprise.mean(1)
        lines = pictures.lines_of_text("table", data, drawn_text, each, (-surprise).exp2())
        return Answer(
            summary,
            {"surprise": mean},
            arrays,
            (replace(lines, columns=["continuation", "bits a character"], text="continuation"),),
        )
