"""Keys from the command line, laid over the cases of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradaudit.specs.nodes import Node


@dataclass(frozen=True, slots=True)
class Overrides:
    """Nodes by the key they replace; `function.reduction` and its like are parameters of the function."""

    nodes: Mapping[str, Node] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def keys(self) -> frozenset[str]:
        """The keys of a case that are replaced."""
        return frozenset(key.split(".")[0] for key in self.nodes)

    def applied_to(self, case: Node) -> Node:
        """A case with the overrides laid over it; the case itself stays as it is."""
        if not self.nodes or not isinstance(case.value, dict):
            return case
        entries = dict(case.value)
        for key, node in self.nodes.items():
            if "." not in key:
                entries[key] = node
        for key, node in self.nodes.items():
            if "." in key:
                head, parameter = key.split(".", 1)
                entries[head] = _with_parameter(entries.get(head), parameter, node)
        return Node(entries, case.location, case.key_location, case.flag)


NO_OVERRIDES = Overrides()


def _with_parameter(function: Node | None, parameter: str, node: Node) -> Node:
    """The function, written as a mapping, with one parameter replaced."""
    if function is None:
        return Node({parameter: node}, node.location, node.key_location, node.flag)
    value = function.value if isinstance(function.value, dict) else {"name": function}
    return Node({**value, parameter: node}, function.location, function.key_location, function.flag)
