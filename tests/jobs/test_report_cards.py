"""The report card: what was measured with its source, nothing that was not, and who shared it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

from backend.errors import BadInput
from backend.events import Cost, encode_block
from jobs import report_cards
from jobs.cli import main
from jobs.records import run_store
from jobs.records import status as status_record
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status, hostname
from tests.jobs import tiny

RAPL = "RAPL counter of the CPU package"
KL = "quality/grid_kl"


def trained(name: str = "", **facts: object) -> RunDirectory:
    """A run that measured its KL at 1, 2 and 4 kJ: .4, .1, .02."""
    run = tiny.make()
    run.set_labels(name=name)
    run.write_status(
        **{
            "status": "finished",
            "host": hostname(),
            "device": "cpu",
            "step": 300,
            "gradients": 900,
            "started": 100.0,
            "ended": 500.0,
            "seconds": 360.0,
            "joules": 4000.0,
            "joules_source": "counter",
            "joules_of": RAPL,
            **facts,
        }
    )
    paths = [KL, f"{KL}/goal", f"{KL}/floor"]
    for seq, (kilojoules, value) in enumerate([(1, 0.4), (2, 0.1), (4, 0.02)]):
        cost = Cost(seq + 1, 3 * seq, 90.0 * kilojoules, 1000.0 * kilojoules)
        values = np.array([[value, 0.1, 0.01]], np.float32)
        run.append(
            encode_block(paths, values, run=run.id, seq=seq, time=0.0, first=cost, last=cost), False
        )
    run.close()
    run.write_metrics({KL: 0.02, f"{KL}/goal": 0.1, f"{KL}/floor": 0.01})
    return run


def row(card: str, name: str) -> str:
    return next(line for line in card.splitlines() if line.startswith(f"| {name} |"))


def test_a_card_says_joules_hours_device_and_what_was_reached_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(report_cards.GRID, raising=False)
    card = report_cards.card(trained("ring, a|b").id)
    assert card.startswith("### ring, a\\|b\n")
    assert row(card, "joules of training").endswith(f"4 kJ, counter ({RAPL}) |")
    assert "6m 00s (0.1 h)" in row(card, "time of training")
    assert "CPU cores" in row(card, "device")
    kl = row(card, "KL to the true density, nats")
    assert kl.endswith("| 0.02 | 0.01 | 0.1 | 3m 00s, 2 kJ | 0.4 | 0.095 |")
    assert "CO₂" not in card


def test_nothing_is_invented_where_nothing_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(report_cards.GRID, "400")
    card = report_cards.card(trained(joules=None, joules_source=None, joules_of="").id)
    assert row(card, "joules of training") == "| joules of training | not measured |"
    assert row(card, "CO₂ of training").endswith("| not known: joules were not measured |")
    assert "joules a sample" not in card


def test_carbon_comes_with_a_factor_of_ones_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(report_cards.GRID, "450")
    run = trained()
    assert "0.5 g at 450 g/kWh" in row(report_cards.card(run.id), "CO₂ of training")
    for wrong in ("green", "-1", "inf"):
        monkeypatch.setenv(report_cards.GRID, wrong)
        with pytest.raises(BadInput, match="BASIN_GRID_CO2"):
            report_cards.card(run.id)


def test_runs_that_shared_the_counter_are_named() -> None:
    run = Status(
        "a",
        host="h",
        started=10.0,
        ended=20.0,
        joules=5.0,
        joules_source="counter",
        joules_of="NVML counter of GPU-1, NVML counter of GPU-2",
    )
    beside = dataclasses.replace(run, id="b", started=19.0, joules_of="NVML counter of GPU-2")
    others = {
        "later": dataclasses.replace(beside, id="later", started=20.0, ended=30.0),
        "elsewhere": dataclasses.replace(beside, id="elsewhere", host="g"),
        "another device": dataclasses.replace(beside, id="c", joules_of="NVML counter of GPU-3"),
        "not begun": dataclasses.replace(beside, id="d", started=None),
        "itself": run,
    }
    assert report_cards.sharers(run, [*others.values(), beside]) == [beside]
    assert "shared at times with `b`" in report_cards.joules_in_words(run, [beside])
    estimated = dataclasses.replace(run, joules_source="estimate")
    assert report_cards.sharers(estimated, [beside]) == []


def test_joules_a_sample_come_from_the_newest_samples_that_were_asked() -> None:
    run = trained()
    assert report_cards.of_samples(run) is None
    known = {"id": "x", "step": 3, "title": "", "seed": 0, "summary": "", "figures": {}}
    known |= {"file": None, "tables": [], "frames": [], "ability": "sample", "took": 2.0}
    run.save_answer("20260101-a", {**known, "time": 1.0, "config": {"num": 10}, "joules": None})
    card = report_cards.card(run.id)
    assert "not measured; 10 drawn at once" in row(card, "joules a sample")
    measured = {"joules": 50.0, "joules_source": "sampled"}
    run.save_answer("20260102-b", {**known, "time": 2.0, "config": {"num": 100}, **measured})
    card = report_cards.card(run.id)
    assert "500 mJ, sampled; 100 drawn at once" in row(card, "joules a sample")
    assert row(card, "time a sample").endswith("20 ms |")


def test_a_comparison_has_a_row_for_each_run_and_the_command_prints_it() -> None:
    one, other = trained("one"), trained("other", joules=None, joules_source=None, started=600.0)
    done = CliRunner().invoke(main, ["card", one.id, other.id])
    assert done.exit_code == 0
    lines = [line for line in done.output.splitlines() if line.startswith("| o")]
    assert len(lines) == 2 and "| 4 kJ | counter |" in lines[0]
    assert "| not measured | – |" in lines[1] and "| 0.02 | – |" in lines[1]
    missing = CliRunner().invoke(main, ["card", "nothing"])
    assert missing.exit_code == 2


def test_every_source_is_one_that_a_status_may_hold() -> None:
    run = trained(joules=float(np.float64(3.0)), joules_source="estimate", joules_of="65 W")
    assert "3 J, estimate (65 W)" in report_cards.card(run.id)
    assert run_store.open_run(run.id).status().joules_of == "65 W"


def test_a_fork_counts_what_it_paid_itself_and_names_who_paid_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(report_cards.GRID, "450")
    parent = trained("parent")
    # forked at the second of the three looks: 180 s, 2 kJ
    origin = {"run": parent.id, "step": 2, "cost": [2, 3, 180.0, 2000.0]}
    fork = trained("fork", step=3, gradients=6, forked_from=origin)
    assert fork.status().own == (1, 3, 180.0, 2000.0)
    assert parent.status().own == (300, 900, 360.0, 4000.0)
    card = report_cards.card(fork.id)
    assert row(card, "joules of training").startswith("| joules of training | 2 kJ, counter")
    assert row(card, "time of training") == "| time of training | 3m 00s (0.05 h) |"
    assert row(card, "training") == "| training | 1 steps, 3 gradient evaluations |"
    assert row(card, "CO₂ of training").startswith("| CO₂ of training | 0.25 g")
    assert row(card, "not counted").endswith(
        f"3m 00s, 3 gradient evaluations, 2 kJ until step 2, paid by `{parent.id}` |"
    )
    # its own kilojoules took the figure from .1, its goal met before, to .02
    assert row(card, "KL to the true density, nats").endswith(
        "| 0.02 | 0.01 | 0.1 | met from the start | 0.1 | 0.04 |"
    )
    both = report_cards.comparison_card([parent.id, fork.id])
    assert "| 4 kJ | counter |" in both and "| 2 kJ | counter |" in both
    assert f"- `{fork.id}`, not counted: 3m 00s" in both and f"- `{parent.id}`, not" not in both


def test_an_origin_whose_cost_is_damaged_is_left_out() -> None:
    for cost in (["much", 0, 0, 0], "much"):
        raw = {
            "status": "finished",
            "seconds": 5.0,
            "forked_from": {"run": "a", "step": 1, "cost": cost},
        }
        status = status_record.from_dict("b", raw)
        assert status.forked_from is None and status.own.seconds == 5.0
        assert "`forked_from`" in status.damage
