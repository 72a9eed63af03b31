"""Numbers drawn by torch in its worker are those that a user's own script draws."""

from __future__ import annotations

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.errors import WorkerError

Processes = dict[str, workers.BackendProcess]


def test_draws_are_torch_s_bit_by_bit(processes: Processes) -> None:
    """The numbers are those that the documentation of torch prints for `torch.manual_seed(0)`."""
    uniform = processes["torch"].draw("uniform", (3,), 0)
    normal = processes["torch"].draw("normal", (3,), 0)
    assert uniform.dtype == normal.dtype == np.float32
    np.testing.assert_array_equal(uniform, np.array([0.49625658988952637, 0.7682217955589294, 0.08847743272781372]))
    np.testing.assert_array_equal(normal, np.array([1.5409960746765137, -0.293428897857666, -2.1787893772125244]))


def test_a_draw_depends_on_its_seed_alone(processes: Processes) -> None:
    first = processes["torch"].draw("normal", (4, 5), 42)
    other = processes["torch"].draw("normal", (4, 5), 43)
    again = processes["torch"].draw("normal", (4, 5), 42)
    np.testing.assert_array_equal(first, again)
    assert not (first == other).any()


def test_a_backend_that_draws_nothing_says_so(processes: Processes) -> None:
    with pytest.raises(WorkerError, match=r"drawing normal numbers of shape \[2\] by numpy: AttributeError.*draw"):
        processes["numpy"].draw("normal", (2,), 0)
