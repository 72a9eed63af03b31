"""What the format reserves for later versions: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.specs.nodes import Node, Problem, plain, problem_at
from gradaudit.specs.wording import shown

NOT_YET = "this version does not audit"

DEVICES = ("gpu", "rocm", "tpu", "xpu", "xla")


def take_out(case: Node) -> tuple[Node, list[Problem]]:
    """The case without the keys whose capability comes later, and a problem for each of them."""
    if not isinstance(case.value, dict):
        return case, []
    found = {key: problem for key, node in case.value.items() for problem in _not_yet(key, node)}
    rest: dict[str, Node] = {key: node for key, node in case.value.items() if key not in found}
    return Node(rest, case.location, case.key_location, case.flag), list(found.values())


def _not_yet(key: str, node: Node) -> Iterator[Problem]:
    value = plain(node)
    if key == "device" and isinstance(value, str) and value.split(":")[0] in DEVICES:
        yield problem_at(node, f"device: {NOT_YET} on {shown(value)} yet; there are cpu, cuda and mps")
    elif (
        key in ("logits", "targets") and isinstance(value, dict) and ".safetensors" in str(value.get("file")).lower()
    ):
        yield problem_at(
            _child(node, "file"), f"{key}: this version does not read .safetensors yet; save the array as .npy"
        )


def _child(node: Node, key: str) -> Node:
    return node.value[key] if isinstance(node.value, dict) else node
