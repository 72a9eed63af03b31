"""A sample of the soak, and that the soak itself can fail, be taken up again and count."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gradaudit.records.evaluation import Evaluation
from tests.soak import running
from tests.soak.audits import PLANT_EVERY, Outcome, soaked
from tests.soak.planting import KINDS
from tests.soak.sound_case import Stratum
from tests.soak.strata import strata

SEED = 7
EVERY = strata()

QUICK = range(3, len(EVERY), 8)
"""An eighth of the strata, in the round that plants faults."""

PARTS = 4
"""So many tests share the other strata, so that they can run side by side."""


def unsound(outcomes: list[Outcome]) -> list[str]:
    return [f"{each.index} {each.stratum}: {each.alarms} {each.text}" for each in outcomes if each.alarms]


def missed(outcomes: list[Outcome]) -> list[str]:
    return [f"{each.index} {each.stratum}: {each.planted}" for each in outcomes if each.planted and not each.caught]


@pytest.fixture(scope="module")
def sample() -> list[Outcome]:
    return [soaked(index, SEED, EVERY) for index in QUICK]


def test_no_sound_case_of_a_sample_is_accused(sample):
    assert unsound(sample) == []


def test_no_fault_planted_in_a_sample_is_missed(sample):
    assert missed(sample) == []
    assert sum(each.planted is not None for each in sample) > len(sample) / 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_stratum_and_some_without_faults(part):
    """All strata in the round that plants faults, and a quarter of them in the next, which plants none.

    What a whole round more would find is the affair of `make soak`, which goes through hundreds of them.
    """
    rest = sorted(set(range(len(EVERY))) - set(QUICK))
    plain = range(len(EVERY), 2 * len(EVERY), 4)
    outcomes = [soaked(index, SEED, EVERY) for index in (*rest[part::PARTS], *plain[part::PARTS])]
    assert unsound(outcomes) == []
    assert missed(outcomes) == []
    assert {each.planted for each in outcomes} >= set(KINDS)
    assert sum(each.skipped != "" for each in outcomes) < len(outcomes) / 4


def test_a_whole_soak_visits_every_stratum_often_enough_and_plants_one_in_ten():
    cases = -(-max(100_000, running.LEAST * len(EVERY)) // len(EVERY)) * len(EVERY)
    assert cases >= 100_000
    assert cases // len(EVERY) >= running.LEAST
    rounds = range(cases // len(EVERY))
    assert sum(number % PLANT_EVERY == 0 for number in rounds) * PLANT_EVERY >= len(rounds)


def test_strata_have_names_of_their_own_and_span_what_they_should():
    names = [stratum.name for stratum in EVERY]
    assert len(set(names)) == len(names)
    fields = [name.split(" | ") for name in names]
    assert {each[0] for each in fields} == {"user", "numpy", "torch", "onnxruntime"}
    assert {each[1] for each in fields} >= {"softmax", "log_softmax", "logsumexp", "cross_entropy", "focal", "margin"}
    assert {each[3] for each in fields} == {"float16", "bfloat16", "float32", "float64"}
    assert {each[4] for each in fields} >= {"mean", "sum", "none"}


def test_a_case_is_the_same_whenever_it_is_drawn():
    assert soaked(5, SEED, EVERY) == soaked(5, SEED, EVERY)
    first, second = (EVERY[5].draw(seed).inputs.logits for seed in (1, 2))
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_an_accusation_and_a_miss_are_seen(monkeypatch):
    """A candidate that is off by a thousandth raises alarms, and an auditor that is blind misses faults."""
    (stratum,) = [each for each in EVERY if each.name == "user | cross_entropy | fused | float64 | sum"]
    index = EVERY.index(stratum)

    def off(seed: int):
        case = stratum.draw(seed)

        def evaluate():
            result = case.evaluate()
            assert isinstance(result, Evaluation)
            return dataclasses.replace(result, gradient=result.gradient * 1.001)

        return dataclasses.replace(case, evaluate=evaluate)

    wrong = (*EVERY[:index], Stratum(stratum.name, off), *EVERY[index + 1 :])
    assert unsound([soaked(index, SEED, wrong)])
    monkeypatch.setattr("tests.soak.audits._errors", lambda *_, **__: ((), ""))
    assert missed([soaked(index, SEED, EVERY)])


def test_a_soak_is_taken_up_where_it_stopped_and_summed_up(tmp_path: Path, monkeypatch, capsys):
    asked = []

    def quick(index: int, seed: int, every: tuple[Stratum, ...]) -> Outcome:
        asked.append(index)
        alarms = ("DIV301",) if index == 4 else ()
        return Outcome(index, every[index].name, 11, 7, alarms, "wrong" if alarms else "", "row", ("DIV301",))

    monkeypatch.setattr(running, "soaked", quick)
    running.run_part(tmp_path, 0, 2, 10, SEED)
    assert asked == [0, 2, 4, 6, 8]
    with (tmp_path / "part-0.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"index": 10, "strat')
    running.run_part(tmp_path, 0, 2, 14, SEED)
    assert asked == [0, 2, 4, 6, 8, 10, 12]
    running.run_part(tmp_path, 1, 2, 14, SEED)
    summary = running.summed_up(running.outcomes(tmp_path), "python -m tests.soak", SEED)
    assert (summary["cases"], summary["strata"], summary["fewest cases of a stratum"]) == (14, 14, 1)
    assert (summary["false alarms"], summary["false alarms by code"]) == (1, {"DIV301": 1})
    assert (summary["faults planted"], summary["faults missed"]) == (14, 0)
    assert json.loads(json.dumps(summary)) == summary
    assert "part 1: 7 of 7 cases" in capsys.readouterr().err
