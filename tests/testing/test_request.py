"""The arguments of `assert_gradients` as a case: what is taken, what is filled in, what is refused."""

import numpy as np
import pytest
import torch

from gradaudit.errors import RequestError
from gradaudit.records.case import InlineArray, RandomArray
from gradaudit.records.location import Location
from gradaudit.testing import assert_gradients
from gradaudit.testing.request import ARGUMENTS, requested
from tests.testing import losses

HERE = Location("tests/test_mine.py", 3)


def case_of(function="cross_entropy", given=None, loss=losses.of_torch, **parameters):
    return requested(loss, function, given or {}, parameters, HERE)[0]


def test_without_logits_there_are_seven_rows_of_eleven_classes_and_drawn_labels():
    case = case_of()
    assert case.shape == (7, 11)
    assert isinstance(case.targets, RandomArray)
    assert case.targets.distribution == "indices"
    assert (case.backends, len(case.subjects)) == ((), 1)
    assert case.source == HERE
    assert case.name == "of_torch"


def test_as_many_classes_as_weights_where_nothing_else_is_said():
    assert case_of(weight=np.array([1.0, 2.0, 0.5])).shape == (7, 3)


def test_standard_probes_are_those_of_the_case():
    from gradaudit.specs import probes

    case = case_of()
    assert len(case.probes) > 5
    assert case.probes == probes.names(case)
    assert case_of(given={"probes": "none"}).probes == ()
    assert case_of(given={"probes": [case.probes[0]]}).probes == case.probes[:1]


@pytest.mark.parametrize("logits", [(4, 3), torch.Size([4, 3])])
def test_a_tuple_of_integers_is_a_shape(logits):
    case = case_of(given={"logits": logits})
    assert case.shape == (4, 3)
    assert isinstance(case.logits, RandomArray)


@pytest.mark.parametrize(
    "logits",
    [[[0.5, 2.0], [1.0, -1.0]], np.array([[0.5, 2.0], [1.0, -1.0]]), torch.tensor([[0.5, 2.0], [1.0, -1.0]])],
    ids=["list", "array", "tensor"],
)
def test_values_are_taken_as_they_are(logits):
    case = case_of(given={"logits": logits, "targets": [0, 1]})
    assert isinstance(case.logits, InlineArray)
    assert case.logits.values.dtype == np.float64
    assert case.logits.values.tolist() == [[0.5, 2.0], [1.0, -1.0]]
    assert case.targets.values.tolist() == [0, 1]


def test_a_tensor_that_requires_a_gradient_and_sixteen_bits_are_taken_too():
    logits = torch.tensor([[0.5, 2.0]], dtype=torch.bfloat16, requires_grad=True)
    case = case_of(given={"logits": logits, "targets": torch.tensor([1])})
    assert case.logits.values.tolist() == [[0.5, 2.0]]


def test_probabilities_are_drawn_by_their_name_and_taken_as_arrays():
    assert case_of(given={"targets": "probabilities"}).targets.distribution == "probabilities"
    soft = np.full((2, 4), 0.25)
    case = case_of(given={"logits": (2, 4), "targets": soft})
    assert case.targets.values.tolist() == soft.tolist()


def test_an_activation_has_no_targets():
    case = case_of("softmax", loss=torch.softmax)
    assert case.targets is None


def test_parameters_of_the_function_are_validated_like_those_of_a_spec():
    case = case_of(reduction="sum", label_smoothing=0.1)
    assert case.function.parameters["reduction"] == "sum"
    assert case.function.parameters["label_smoothing"] == 0.1


def test_settings_and_expectations_are_taken():
    given = {"seed": 5, "fail_on": "warning", "select": "BUG", "ignore": "POW", "expect": ["CAN105"]}
    case, settings = requested(losses.of_torch, "cross_entropy", given, {}, HERE)
    assert (settings.seed, settings.fail_on, settings.select) == (5, "warning", ("BUG",))
    assert case.ignore == ("POW",)
    assert [each.code for each in case.expect] == ["CAN105"]


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        (
            {},
            {"label_smothing": 0.1},
            "label_smothing=: no argument of assert_gradients and no parameter of cross_entropy; did you mean "
            "'label_smoothing'?",
        ),
        ({}, {"logit": [1.0]}, "logit=: no argument of assert_gradients and no parameter of cross_entropy; did you"),
        ({}, {"target": [1]}, "did you mean 'targets'?"),
        ({}, {"zzz": 1}, "zzz=: no argument of assert_gradients and no parameter of cross_entropy; that has "),
        ({}, {"reduction": "average"}, "function.reduction: 'average'"),
        ({"targets": [0, 1]}, {}, "targets=: targets: shape [2] does not fit logits [7, 11]"),
        ({"logits": (2, 3), "targets": [0, 3]}, {}, "targets: there is no class 3; labels are 0 to 2"),
        ({"logits": "many"}, {}, "logits=: 'many' is no array of numbers"),
        ({"logits": [[1.0], [1.0, 2.0]]}, {}, "is no array of numbers"),
        ({"dtypes": "float31"}, {}, "did you mean 'float32'?"),
        ({"probes": "standrad"}, {}, "probes=: probes"),
        ({"upstream": object()}, {}, "upstream=: object is no value of a spec"),
        ({"upstream": [1.0, 2.0]}, {}, "upstream.values: shape [2] does not fit the output"),
        ({"seed": -1}, {}, "seed=-1: expected a whole number from 0 on"),
        ({"fail_on": "eror"}, {}, "fail_on='eror': expected error, warning, info"),
        ({"select": "XYZ"}, {}, "select= 'XYZ': no rule's code begins with it"),
        ({"expect": ["BUG999"]}, {}, "expect: no rule has the code 'BUG999'"),
    ],
)
def test_what_makes_no_sense_is_answered_with_what_would(given, parameters, message):
    with pytest.raises(RequestError) as error:
        case_of(given=given, **parameters)
    assert message in str(error.value)


def test_every_argument_is_known_by_name():
    assert set(ARGUMENTS) == set(assert_gradients.__kwdefaults__)


def test_a_function_that_is_no_name_is_refused():
    with pytest.raises(RequestError, match="function: 3 is no name of a function"):
        case_of(3)
    with pytest.raises(RequestError, match="did you mean 'cross_entropy'"):
        case_of("cross_entrpy")
