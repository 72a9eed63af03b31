"""The laws of the house, held against the package; and each against a package that breaks it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest

import gradaudit
from tests.architecture import import_laws, record_laws, registration_laws, source, source_laws, standalone_laws
from tests.architecture.source import Package

Law = Callable[[Package], Iterator[str]]

LAWS: tuple[Law, ...] = (
    import_laws.floors_import_downwards,
    import_laws.modules_form_no_circle,
    import_laws.dependencies_stay_in_their_floors,
    import_laws.frameworks_are_imported_in_functions,
    import_laws.imports_are_written_out,
    source_laws.modules_are_short,
    source_laws.public_names_are_documented,
    source_laws.names_are_not_vague,
    source_laws.no_tolerance_is_tuned,
    source_laws.nothing_is_unpickled,
    record_laws.records_are_frozen_and_slotted,
    record_laws.records_hold_values,
    standalone_laws.adapters_parse_in_old_python,
    standalone_laws.adapters_run_in_old_python,
    standalone_laws.adapters_stand_alone,
    registration_laws.plugins_are_registered,
)


@pytest.fixture(scope="module")
def package() -> Package:
    return source.read(Path(gradaudit.__file__).parent)


def test_the_package_is_read_whole(package: Package) -> None:
    floors = {package.floor(name) for name in package.modules}
    assert floors - {""} <= set(import_laws.FLOORS)
    assert {"records", "numerics", "functions", "reference", "measurement", "rules", "reports", "pipeline"} <= floors
    assert len(package.modules) > 100
    assert sum(len(found) for found in package.imports.values()) > 400


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_package_keeps(package: Package, law: Law) -> None:
    broken = list(law(package))
    assert not broken, f"{len(broken)} times:\n" + "\n".join(broken)


def test_what_is_installed_is_what_is_declared(package: Package) -> None:
    assert not list(
        registration_laws.installed_differs(registration_laws.declared(package), distribution("gradaudit"))
    )


# -------------------------------------------------------------------------------------- the laws can be seen to fail

Files = Mapping[str, str]

RULE = 'RULE = Rule(code="XYZ901", name="a-fault")\n'
REGISTERED = """
    [project]
    name = "gradaudit"
    [project.entry-points."gradaudit.backends"]
    [project.entry-points."gradaudit.functions"]
    [project.entry-points."gradaudit.reports"]
    [project.entry-points."gradaudit.rules"]
"""

PLANTED: tuple[tuple[Law, Files, str], ...] = (
    (
        import_laws.floors_import_downwards,
        {"numerics/ball.py": "from gradaudit.reference import truth\n", "reference/truth.py": ""},
        "gradaudit/numerics/ball.py:1: numerics imports gradaudit.reference.truth, which stands above numerics",
    ),
    (
        import_laws.floors_import_downwards,
        {"rules/judge.py": "def judge():\n    import gradaudit.cli.main\n"},
        "gradaudit/rules/judge.py:2: rules imports gradaudit.cli.main, which stands above rules",
    ),
    (
        import_laws.floors_import_downwards,
        {
            "specs/models.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from ..pipeline import Settings\n",
            "pipeline.py": "Settings = 1\n",
        },
        "gradaudit/specs/models.py:3: specs imports gradaudit.pipeline, which stands above specs",
    ),
    (
        import_laws.floors_import_downwards,
        {"reports/concise.py": "from gradaudit.rules import registry\n"},
        "gradaudit/reports/concise.py:1: reports imports gradaudit.rules, which is not among errors, records",
    ),
    (
        import_laws.floors_import_downwards,
        {"reports/concise.py": "import gradaudit.numerics.formats as f\n"},
        "reports imports gradaudit.numerics.formats, which is not among errors, records",
    ),
    (
        import_laws.floors_import_downwards,
        {"tools.py": ""},
        "gradaudit/tools.py:1: 'tools' is no floor; there are records, errors,",
    ),
    (
        import_laws.modules_form_no_circle,
        {
            "rules/__init__.py": "",
            "rules/a.py": "from gradaudit.rules import b\n",
            "rules/b.py": "def f():\n    from gradaudit.rules.c import g\n",
            "rules/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import h\n",
        },
        "gradaudit.rules.a imports gradaudit.rules.b imports gradaudit.rules.c imports gradaudit.rules.a",
    ),
    (
        import_laws.dependencies_stay_in_their_floors,
        {"measurement/facts.py": "def f():\n    import torch\n"},
        "gradaudit/measurement/facts.py:2: torch belongs into backends.standalone",
    ),
    (
        import_laws.dependencies_stay_in_their_floors,
        {"backends/torch.py": "def f():\n    from torch.nn import functional\n"},
        "gradaudit/backends/torch.py:2: torch belongs into backends.standalone",
    ),
    (
        import_laws.dependencies_stay_in_their_floors,
        {"rules/judge.py": "from rich.text import Text\n"},
        "gradaudit/rules/judge.py:1: rich belongs into reports, cli",
    ),
    (
        import_laws.dependencies_stay_in_their_floors,
        {"cli/main.py": "import click\n"},
        "gradaudit/cli/main.py:1: click is no dependency of gradaudit",
    ),
    (
        import_laws.frameworks_are_imported_in_functions,
        {"numerics/arb.py": "import flint\n"},
        "gradaudit/numerics/arb.py:1: flint is imported outside a function (module)",
    ),
    (
        import_laws.frameworks_are_imported_in_functions,
        {"backends/standalone/torch_adapter.py": "class A:\n    import torch\n"},
        "gradaudit/backends/standalone/torch_adapter.py:2: torch is imported outside a function (module)",
    ),
    (
        import_laws.frameworks_are_imported_in_functions,
        {"numerics/arb.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flint import arb\n"},
        "gradaudit/numerics/arb.py:3: flint is imported outside a function (typing)",
    ),
    (
        import_laws.imports_are_written_out,
        {"rules/judge.py": "import importlib\ncli = importlib.import_module('gradaudit.cli')\n"},
        "gradaudit/rules/judge.py:2: import_module hides what is imported",
    ),
    (
        source_laws.modules_are_short,
        {"rules/judge.py": "x = 1\n" * 401},
        "gradaudit/rules/judge.py:401: 401 lines, 400 are allowed",
    ),
    (source_laws.public_names_are_documented, {"rules/judge.py": "x = 1\n"}, "the module has no docstring"),
    (
        source_laws.public_names_are_documented,
        {"rules/judge.py": '"""Judge."""\n\n\ndef judge():\n    return 1\n'},
        "gradaudit/rules/judge.py:4: judge has no docstring",
    ),
    (
        source_laws.public_names_are_documented,
        {"rules/judge.py": '"""Judge."""\n\n\nclass Judge:\n    """One."""\n\n    def say(self): ...\n'},
        "gradaudit/rules/judge.py:7: Judge.say has no docstring",
    ),
    (source_laws.names_are_not_vague, {"numerics/utils.py": ""}, "the module name 'utils' is vague"),
    (source_laws.names_are_not_vague, {"common/case.py": ""}, "the module name 'common' is vague"),
    (
        source_laws.names_are_not_vague,
        {"rules/judge.py": "class RuleManager:\n    pass\n"},
        "gradaudit/rules/judge.py:1: the name 'RuleManager' is vague",
    ),
    (
        source_laws.names_are_not_vague,
        {"rules/judge.py": "def _error_handler(): ...\n"},
        "the name '_error_handler' is vague",
    ),
    (
        source_laws.no_tolerance_is_tuned,
        {"rules/judge.py": "import math\nx = math.isclose(1, 2)\n"},
        "gradaudit/rules/judge.py:2: isclose: tolerances are derived, not tuned",
    ),
    (source_laws.no_tolerance_is_tuned, {"rules/judge.py": "from numpy import allclose as near\n"}, ":1: allclose"),
    (source_laws.no_tolerance_is_tuned, {"rules/judge.py": "f(1, 2, rtol=1e-5)\n"}, ":1: rtol"),
    (source_laws.no_tolerance_is_tuned, {"rules/judge.py": "def f(a, *, atol): ...\n"}, ":1: atol"),
    (source_laws.no_tolerance_is_tuned, {"rules/judge.py": "f(**{'rtol': 1e-5})\n"}, ":1: rtol"),
    (
        source_laws.nothing_is_unpickled,
        {"workers/channel.py": "def f():\n    import pickle\n"},
        "gradaudit/workers/channel.py:2: pickle unpickles",
    ),
    (
        source_laws.nothing_is_unpickled,
        {"workers/channel.py": "import numpy as np\nnp.load('a', allow_pickle=True)\n"},
        "gradaudit/workers/channel.py:2: allow_pickle is not False",
    ),
    (
        source_laws.nothing_is_unpickled,
        {"a.py": "from multiprocessing import connection\n"},
        "multiprocessing unpickles",
    ),
    (
        source_laws.nothing_is_unpickled,
        {"a.py": "def f():\n    import torch\n    torch.load('a')\n"},
        ":3: load unpickles",
    ),
    (
        record_laws.records_are_frozen_and_slotted,
        {"records/case.py": "@dataclass(frozen=True)\nclass Case:\n    name: str\n"},
        "gradaudit/records/case.py:2: Case is no dataclass with slots=True",
    ),
    (
        record_laws.records_are_frozen_and_slotted,
        {"records/case.py": "@dataclass(frozen=False, slots=True)\nclass Case:\n    name: str\n"},
        "Case is no dataclass with frozen=True",
    ),
    (
        record_laws.records_are_frozen_and_slotted,
        {"records/case.py": "class Case:\n    pass\n"},
        "Case is no dataclass with frozen, slots=True",
    ),
    (
        record_laws.records_hold_values,
        {"records/case.py": "class Case:\n    names: dict[str, set[int]] | None\n"},
        "gradaudit/records/case.py:2: names is a set",
    ),
    (
        standalone_laws.adapters_parse_in_old_python,
        {"backends/standalone/a.py": "match 1:\n    case 1:\n        pass\n"},
        "gradaudit/backends/standalone/a.py:3: Pattern matching is only supported in Python 3.10 and greater",
    ),
    *(
        (standalone_laws.adapters_run_in_old_python, {"backends/standalone/a.py": text}, expected)
        for text, expected in (
            ("x = 1\n", "without `from __future__ import annotations` annotations are evaluated"),
            ("from __future__ import annotations\nA = dict[str, int]\n", ":2: dict[str, int] is evaluated"),
            ("from __future__ import annotations\nA = int | None\n", ":2: | of types and dictionaries"),
            ("from __future__ import annotations\nd |= {}\n", ":2: | of types and dictionaries"),
            ("from __future__ import annotations\nfrom functools import cache\n", ":2: functools.cache is newer"),
            ("from __future__ import annotations\nimport math\nmath.lcm(1)\n", ":3: .lcm is newer"),
            ("from __future__ import annotations\n'ab'.removeprefix('a')\n", ":2: .removeprefix is newer"),
            ("from __future__ import annotations\nzip([], [], strict=True)\n", ":2: zip(strict=) is newer"),
        )
    ),
    (
        standalone_laws.adapters_stand_alone,
        {"backends/standalone/a.py": "def f():\n    from gradaudit.records import case\n", "records/case.py": ""},
        "gradaudit/backends/standalone/a.py:2: gradaudit.records.case is not there where an adapter runs",
    ),
    (
        standalone_laws.adapters_stand_alone,
        {"backends/standalone/a.py": "from . import b\n", "backends/standalone/b.py": ""},
        "gradaudit/backends/standalone/a.py:1: gradaudit.backends.standalone.b is not there",
    ),
    (standalone_laws.adapters_stand_alone, {"backends/standalone/a.py": "import scipy\n"}, "scipy is not there"),
    (
        registration_laws.plugins_are_registered,
        {"rules/power/a_fault.py": RULE, "../pyproject.toml": REGISTERED},
        "gradaudit/rules/power/a_fault.py:1: RULE is not registered under gradaudit.rules",
    ),
    (
        registration_laws.plugins_are_registered,
        {"../pyproject.toml": REGISTERED + '    XYZ901 = "gradaudit.rules.power.a_fault:RULE"\n'},
        "gradaudit.rules: XYZ901 = 'gradaudit.rules.power.a_fault:RULE' stands for nothing",
    ),
    (
        registration_laws.plugins_are_registered,
        {"rules/a.py": RULE, "../pyproject.toml": REGISTERED + '    XYZ902 = "gradaudit.rules.a:RULE"\n'},
        "XYZ902 = 'gradaudit.rules.a:RULE' is called 'XYZ901' by itself",
    ),
    (
        registration_laws.plugins_are_registered,
        {"../pyproject.toml": REGISTERED.replace("gradaudit.reports", "gradaudit.renderers")},
        "the group gradaudit.renderers is not expected",
    ),
)


def planted(parent: Path, files: Files) -> Package:
    root = parent / "gradaudit"
    root.mkdir()
    for name, text in files.items():
        path = (root / name).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return source.read(root)


@pytest.mark.parametrize(("law", "files", "expected"), PLANTED, ids=[law.__name__ for law, _, _ in PLANTED])
def test_a_violation_is_reported(tmp_path: Path, law: Law, files: Files, expected: str) -> None:
    broken = list(law(planted(tmp_path, files)))
    assert len(broken) >= 1
    assert any(expected in text for text in broken), broken


def test_every_law_is_seen_to_fail() -> None:
    assert {law for law, _, _ in PLANTED} == set(LAWS)


SOUND = {
    "__init__.py": '"""A package."""\n',
    "records/__init__.py": '"""Values."""\n',
    "records/case.py": '''
        """A case."""
        from dataclasses import dataclass

        @dataclass(frozen=True, slots=True)
        class Case:
            """One."""

            names: tuple[str, ...]
    ''',
    "errors.py": '"""Errors."""\nfrom gradaudit.records.case import Case\n',
    "numerics/arb.py": '"""Arb."""\n\n\ndef f() -> None:\n    """One."""\n    import flint\n',
    "cli/main.py": '"""Main."""\nimport typer\nfrom gradaudit.numerics import arb\nfrom gradaudit.cli import check\n',
    "rules/common_offset.py": '''
        """Two signatures."""
        from typing import overload

        @overload
        def f(a: int) -> int: ...
        @overload
        def f(a: str) -> str: ...
        def f(a):
            """One."""
    ''',
    "cli/check.py": '"""Uncommon handling of utility, approximately."""\n',
    "backends/standalone/a.py": '''
        """An adapter."""
        from __future__ import annotations
        from typing import Dict
        Request = Dict[str, int]

        def f(a: dict[str, int] | None) -> list[int]:
            """One."""
            import numpy as np
            b: dict[str, int] = {}
            np.nextafter(1.0, np.isnan(2.0) | np.isinf(2.0))
            return np.load("a", allow_pickle=False)
    ''',
    "rules/power/a_fault.py": '"""XYZ901: a fault."""\n' + RULE,
    "../pyproject.toml": REGISTERED + '    XYZ901 = "gradaudit.rules.power.a_fault:RULE"\n',
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_sound_package_is_not_accused(tmp_path: Path, law: Law) -> None:
    assert list(law(planted(tmp_path, SOUND))) == []


def test_an_installation_that_is_out_of_date_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "gradaudit-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: gradaudit\nVersion: 0\n")
    (folder / "entry_points.txt").write_text("[gradaudit.rules]\nXYZ901 = gradaudit.rules.a:RULE\n")
    wanted = {"gradaudit.rules": {"XYZ902": "gradaudit.rules.b:RULE"}}
    assert list(registration_laws.installed_differs(wanted, PathDistribution(folder))) == [
        "gradaudit.rules: XYZ901 = 'gradaudit.rules.a:RULE' is installed and not in pyproject.toml",
        "gradaudit.rules: XYZ902 = 'gradaudit.rules.b:RULE' is not installed and in pyproject.toml",
    ]
