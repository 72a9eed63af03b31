"""The functions that are installed, and what each documents of itself."""

from __future__ import annotations

import inspect

import pytest

from gradaudit import plugins
from gradaudit.errors import PluginError
from gradaudit.functions import registry
from gradaudit.functions.interface import LOGIT_PARAMETERS, Function

FORMULATIONS = {
    "softmax": ("fused", "log_softmax", "unshifted"),
    "log_softmax": ("fused", "unfused", "unshifted"),
    "logsumexp": ("fused", "unshifted"),
    "cross_entropy": ("fused", "log_softmax", "unfused", "unshifted"),
    "focal": (),
    "kl_divergence": (),
    "margin": (),
    "poly": (),
    "softcap": (),
    "z_loss": (),
}
LOSSES = {"cross_entropy", "focal", "kl_divergence", "margin", "poly", "z_loss"}


def test_the_functions_that_there_are() -> None:
    assert registry.names() == tuple(sorted(FORMULATIONS))


@pytest.mark.parametrize("name", FORMULATIONS)
def test_a_function_is_complete(name: str) -> None:
    function = registry.get(name)
    assert function.name == name
    assert function.formulations == FORMULATIONS[name]
    texts = (function.summary, function.formula, function.gradient_formula, function.jacobian, function.source)
    for text in (*texts, *function.invariants):
        assert text.strip() == text
        assert text
    assert function.summary.endswith(".")
    assert "add" in " ".join(function.invariants), "what a shift of the logits does"
    assert function.gradient_row_sum in {"zero", "upstream", "varies"}
    for formula in (function.output, function.gradient, *(spelling.output for spelling in function.spellings)):
        assert formula is None or inspect.getdoc(formula)
    assert function.formulations or function.spellings
    assert len({spelling.name for spelling in function.spellings}) == len(function.spellings)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_outputs_and_targets_are_declared(name: str) -> None:
    function = registry.get(name)
    assert function.has_row_output == (name in LOSSES | {"logsumexp"})
    assert function.takes_targets == (name in LOSSES)
    assert function.targets == {"focal": "indices", "poly": "indices", "margin": "indices"}.get(
        name, "probabilities" if name == "kl_divergence" else "any"
    )


@pytest.mark.parametrize("name", FORMULATIONS)
def test_parameters_are_documented_and_their_defaults_are_valid(name: str) -> None:
    function = registry.get(name)
    names = [parameter.name for parameter in function.parameters]
    assert len(set(names)) == len(names)
    assert function.parameters[: len(LOGIT_PARAMETERS)] == LOGIT_PARAMETERS
    for parameter in function.parameters:
        assert parameter.doc
        assert not parameter.doc.endswith(".")
        assert parameter.kind in {"float", "int", "choice", "floats", "ints"}
        if parameter.kind == "choice":
            assert parameter.default in parameter.choices
        else:
            assert not parameter.choices
        if parameter.kind == "float":
            if parameter.default is None:
                continue
            assert isinstance(parameter.default, float)
            assert parameter.minimum is None or parameter.default >= parameter.minimum
            assert parameter.maximum is None or parameter.default <= parameter.maximum
            assert parameter.exclusive_minimum is None or parameter.default > parameter.exclusive_minimum


def test_parameters_of_cross_entropy_are_those_of_torch_and_neutral_ones() -> None:
    defaults = {parameter.name: parameter.default for parameter in registry.get("cross_entropy").parameters}
    assert defaults == {
        "temperature": 1.0,
        "logit_scale": 1.0,
        "masked_classes": (),
        "reduction": "mean",
        "label_smoothing": 0.0,
        "weight": None,
        "ignore_index": -100,
        "softcap": None,
        "z_loss": 0.0,
        "entropy_regularization": 0.0,
        "logit_adjustment": None,
    }
    assert registry.get("cross_entropy").native(defaults)
    assert not registry.get("cross_entropy").native(defaults | {"softcap": 30.0})


def test_the_neutral_parameters_change_nothing() -> None:
    bounds = {parameter.name: parameter.exclusive_minimum for parameter in LOGIT_PARAMETERS}
    assert bounds == {"temperature": 0.0, "logit_scale": 0.0, "masked_classes": None}


def test_what_is_registered_but_no_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "get", lambda group, name: {"group": group, "name": name})
    with pytest.raises(PluginError, match=r"^gradaudit\.functions: 'softmax' is a dict, not a Function$"):
        registry.get("softmax")


def test_the_registry_gives_the_object_of_the_module() -> None:
    from gradaudit.functions.softmax import FUNCTION

    assert registry.get("softmax") is FUNCTION
    assert isinstance(FUNCTION, Function)
