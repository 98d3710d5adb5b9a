"""A race: equal terms for all racers, what its figures are worth, and `basin race`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.errors import BadInput
from backend.spec import Budget, RunSpec
from jobs import races
from jobs.cli import main
from jobs.cli.sampling.race import racer
from jobs.queueing import control
from jobs.races import Race, race_of
from jobs.records import run_store

RING = {"name": "ring", "num": 300, "num_held_out": 100}
RACERS = ({"kind": "langevin", "step_size": 0.01}, {"kind": "mala"})


def make(**changes: Any) -> Race:
    return Race(**{"data": RING, "racers": RACERS, "budget": Budget(gradients=50), **changes})


# ---------------------------------------------------------------- equal terms


def test_racers_differ_in_nothing_but_their_sampler() -> None:
    first, second = make(shared={"num_chains": 32, "chains": "data"}).specs()
    assert first.config.pop("sampler") == RACERS[0] and second.config.pop("sampler") == RACERS[1]
    assert first.config == second.config == {"num_chains": 32, "chains": "data"}
    same = {"method", "preset", "data", "budget", "seed", "device", "tags"}
    assert first.model_dump(include=same) == second.model_dump(include=same)
    assert first.method == "sampling" and first.tags == ["race"]
    assert (first.name, second.name) == ("ring, langevin", "ring, mala")


def test_every_racer_has_run_once_before_any_runs_again() -> None:
    specs = make(seed=4, num_seeds=2).specs()
    kinds = [(spec.seed, spec.config["sampler"]["kind"]) for spec in specs]
    assert kinds == [(4, "langevin"), (4, "mala"), (5, "langevin"), (5, "mala")]


def test_what_is_not_given_is_left_to_the_method() -> None:
    (spec,) = make(racers=({"kind": "hmc"},), shared={"num_warm_up": None}).specs()
    assert spec.config == {"sampler": {"kind": "hmc"}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"racers": ()}, "sampler"), ({"budget": Budget()}, "budget"), ({"seed": -1}, "seed")],
)
def test_a_race_that_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        make(**changes).specs()
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_race_is_found_again_in_its_runs(seeds: int) -> None:
    made = make(shared={"num_chains": 8}, seed=2, num_seeds=seeds, energy_of="latest")
    assert race_of(made.specs()) == made


def test_two_racers_of_one_kind_are_two_racers() -> None:
    twice = ({"kind": "mala", "step_size": 0.1}, {"kind": "mala", "step_size": 0.01})
    assert race_of(make(racers=twice).specs()).racers == twice


def test_runs_of_other_methods_are_no_race() -> None:
    with pytest.raises(BadInput, match="none of these"):
        race_of([RunSpec(method="contrastive_divergence", data=RING)])


# ---------------------------------------------------------------- basin race


def basin(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["race", *arguments])
    assert result.exit_code == code, result.output
    return result


SMALL = ("--set", "data.num=300", "--set", "data.num_held_out=100", "--chains", "16")


def test_racing_inline_runs_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (
        "ring",
        "--sampler",
        "langevin:step_size=0.01",
        "--sampler",
        "mala",
        "--gradients",
        "40",
        *SMALL,
        "--inline",
        "--json",
    )
    value = json.loads(basin(*arguments).stdout)
    first, second = value["runs"]
    assert [first["status"], second["status"]] == ["finished", "finished"]
    assert [first["exact"], second["exact"]] == [False, True]
    assert first["gradients"] == second["gradients"] == 40
    assert value["address"] == f"/lab?runs={first['id']},{second['id']}"
    spec = run_store.open_run(first["id"]).spec()
    assert spec.config["sampler"] == {"kind": "langevin", "step_size": 0.01}
    assert spec.config["num_chains"] == 16 and spec.tags == ["race"]
    assert second["figures"]["sampler/acceptance_rate"] > 0
    assert {first["verdict"], second["verdict"]} == {"not judged"}
    assert "the budget ended in the warm-up (39 of 500 steps)" in second["reading"]


def test_a_race_in_words_names_each_sampler_once() -> None:
    output = basin("ring", "--sampler", "mala", "--steps", "5", *SMALL, "--inline").stdout
    line = next(line for line in output.splitlines() if line.startswith("mala"))
    assert line.split()[:4] == ["mala", "0", "exact", "finished"]
    assert "Watch it at /lab?runs=" in output


def test_racing_queues_every_run(redis_url: str) -> None:
    result = basin(
        "ring",
        "--sampler",
        "mala",
        "--sampler",
        "hmc",
        "--seconds",
        "1",
        "--seeds",
        "2",
        *SMALL,
        "--json",
    )
    runs = json.loads(result.stdout)["runs"]
    assert control.queued() == [run["id"] for run in runs]
    assert [(run["sampler"], run["seed"]) for run in runs] == [
        ("mala", 0),
        ("hmc", 0),
        ("mala", 1),
        ("hmc", 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("ring", "--sampler", "mala"), "budget"),
        (("ring", "--gradients", "9"), "--sampler"),
        (("ring", "--sampler", "mala:step_size=-1", "--gradients", "9"), "mala.step_size"),
        (("ring", "--sampler", "mala:no_such=1", "--gradients", "9"), "mala.no_such"),
        (("ring", "--sampler", "mala:step_size", "--gradients", "9"), "--sampler"),
        (("nowhere", "--sampler", "mala", "--gradients", "9"), "data.name"),
        (("ring", "--sampler", "mala", "--gradients", "0"), "budget.gradients"),
        (("ring", "--sampler", "mala", "--gradients", "9", "--chains", "1"), "config.num_chains"),
    ],
)
def test_bad_input_is_named_by_its_field_and_launches_nothing(
    arguments: tuple[str, ...], field: str
) -> None:
    output = basin(*arguments, "--inline", "--json", code=2).stdout
    problems = json.loads(output)["error"]["problems"]
    assert [problem["field"] for problem in problems] == [field]
    assert run_store.list_runs() == []


def test_a_trained_run_is_a_target_with_its_own_data() -> None:
    trained = run_store.create_run(RunSpec(method="contrastive_divergence", data=RING))
    output = basin(trained.id, "--sampler", "mala", "--steps", "3", "--inline", "--json", code=2)
    # what it asks of the run shows that this run is the target: it has no checkpoint to sample
    (problem,) = json.loads(output.stdout)["error"]["problems"]
    assert trained.id in problem["message"]


def test_all_racers_are_looked_over_before_the_first_is_refused() -> None:
    output = basin(
        "ring",
        "--sampler",
        "mala:step_size=0",
        "--sampler",
        "hmc:num_leapfrog=0",
        "--steps",
        "3",
        "--inline",
        "--json",
        code=2,
    ).stdout
    fields = [problem["field"] for problem in json.loads(output)["error"]["problems"]]
    assert fields[0] == "mala.step_size" and fields[1].startswith("hmc.")


def test_a_sampler_is_written_with_its_fields() -> None:
    assert racer("nuts") == {"kind": "nuts"}
    assert racer("x:a=1e-2,b=[1, 2],c.d=true") == {
        "kind": "x",
        "a": 0.01,
        "b": [1, 2],
        "c": {"d": True},
    }


def test_a_race_has_one_of_the_known_budgets() -> None:
    options = {option for parameter in main.commands["race"].params for option in parameter.opts}
    assert {f"--{cost}" for cost in races.COSTS} <= options
