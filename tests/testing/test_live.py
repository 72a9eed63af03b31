"""What a live callable is taken for, and what is said of one that is none."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradaudit.errors import FlagError
from gradaudit.records.location import Location
from gradaudit.testing.live import framework_of, live_subject
from tests.testing import losses

HERE = Location("tests/test_mine.py", 3)


@pytest.mark.parametrize(
    ("loss", "framework"),
    [
        (losses.of_torch, "torch"),
        (losses.of_numpy, "numpy"),
        (losses.of_methods_alone, "torch"),
        (losses.Smoothed, "torch"),
        (losses.Smoothed(0.1), "torch"),
        (losses.SavedSoftmax, "torch"),
        (losses.SavedSoftmax.apply, "torch"),
        (losses.Callable(), "torch"),
        (losses.Callable().__call__, "torch"),
        (losses.partial, "torch"),
        (F.cross_entropy, "torch"),
        (torch.nn.CrossEntropyLoss(), "torch"),
        (torch.softmax, "torch"),
        (lambda logits, targets, upstream: losses.of_numpy(logits, targets, -upstream), "numpy"),
        (lambda z: np.exp(z) / 2, "numpy"),
        (lambda z: torch.as_tensor(np.pi) * z, "torch"),
    ],
    ids=[
        *("torch code", "NumPy code", "methods of tensors", "a class", "a module", "a Function", "its apply"),
        *("an object", "its method", "a partial", "a functional", "a loss of torch", "an operation"),
        *("a lambda around NumPy code", "a lambda of NumPy", "a lambda of torch"),
    ],
)
def test_the_framework_is_seen(loss, framework):
    assert framework_of(loss) == framework


def test_an_import_inside_the_function_is_seen_too():
    def loss(logits, targets, upstream):
        import numpy

        return numpy.float64(0.0), upstream * logits

    assert framework_of(loss) == "numpy"


def test_names_and_places_are_those_of_the_callable():
    assert live_subject(losses.of_torch, {}, HERE).name == "of_torch"
    assert live_subject(losses.of_torch, {}, HERE).target == "tests/testing/losses.py:of_torch"
    assert live_subject(losses.Smoothed(0.1), {}, HERE).name == "Smoothed"
    assert live_subject(losses.Smoothed, {"kwargs": {"smoothing": 0.1}}, HERE).target.endswith("losses.py:Smoothed")
    assert live_subject(losses.Callable(), {}, HERE).name == "Callable"
    assert live_subject(losses.partial, {}, HERE).name == "cross_entropy"
    assert live_subject(lambda z: z, {}, HERE).name == "<lambda>"
    assert live_subject(losses.of_torch, {"name": "mine"}, HERE).name == "mine"


def test_what_is_said_of_the_subject_reaches_it():
    given = {
        "kwargs": {"smoothing": 0.1},
        "input": "log_probabilities",
        "one_hot_targets": True,
        "autocast": "bfloat16",
    }
    given |= {"profile": {"accumulate": "float32"}, "derivatives": 2}
    subject = live_subject(losses.Smoothed, given, HERE)
    assert subject.live is losses.Smoothed
    assert subject.kwargs == {"smoothing": 0.1}
    assert (subject.input, subject.targets, subject.autocast) == ("log_probabilities", "one_hot", "bfloat16")
    assert subject.profile == {"accumulate": "float32"}
    assert subject.derivatives == 2
    assert subject.location == HERE


@pytest.mark.parametrize(
    ("loss", "given", "message"),
    [
        ("losses:mine", {}, "loss='losses:mine': a callable was expected, not its name; import it"),
        (3, {}, "loss=3: int is not callable; give loss(logits, targets), a Module"),
        (None, {}, "loss=None: NoneType is not callable"),
        (
            losses.of_torch,
            {"backend": "onnxruntime"},
            "backend='onnxruntime': a live loss runs in torch or jax or tensorflow or numpy",
        ),
        (losses.of_torch, {"derivatives": 3}, "derivatives=3: expected 1, or 2 for a loss written in torch or"),
        (losses.of_numpy, {"derivatives": 2}, "derivatives=2: expected 1, or 2 for a loss written in torch"),
        (losses.of_torch, {"input": "logit"}, "input='logit' is not known; did you mean 'logits'?"),
        (losses.of_torch, {"profile": {"acumulate": "float32"}}, "did you mean 'accumulate'?"),
    ],
)
def test_what_makes_no_sense_is_said_to(loss, given, message):
    with pytest.raises(FlagError) as error:
        live_subject(loss, given, HERE)
    assert message in str(error.value)
