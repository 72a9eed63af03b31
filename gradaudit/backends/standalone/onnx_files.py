"""A user's ONNX file, read as something that a stranger wrote: no file beside it, no library, no endless size.

Run by path in any Python from 3.8 with onnx; imports nothing of gradaudit.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

Model = Any

MOST_BYTES = 256 << 20
"""A loss is small, and every copy of it in another element type is as large again."""

STANDARD = ("", "ai.onnx")
SHIPPED = (*STANDARD, "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
"""Domains whose kernels come with ONNX Runtime; any other needs a library, which is not loaded."""

DTYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
"""Element types whose numbers NumPy calls otherwise than ONNX does."""


class UnreadableFileError(Exception):
    """Why a file is no ONNX model that could be run; a whole sentence."""


class Value(NamedTuple):
    """An input or output: `shape` has a number for each axis, a name or "?" for each that may be of any size, and is
    None where the file does not even tell how many axes there are."""

    name: str
    dtype: str
    shape: Optional[Tuple[Any, ...]]

    def __str__(self) -> str:
        shape = "of any shape" if self.shape is None else "[%s]" % ", ".join(map(str, self.shape))
        return "%s: %s %s" % (self.name, self.dtype, shape)

    def takes(self, shape: Any) -> bool:
        """Whether an array of this shape fits."""
        if self.shape is None:
            return True
        sizes = list(zip(self.shape, shape))
        return len(self.shape) == len(shape) and all(not isinstance(due, int) or due == size for due, size in sizes)


class OnnxFile(NamedTuple):
    """A checked model with its local functions inlined; `inputs` are those that have no value of their own."""

    path: str
    model: Model
    inputs: Dict[str, Value]
    outputs: Dict[str, Value]


def read(path: str, external_data: bool) -> OnnxFile:
    """The model in the file; UnreadableFileError where it cannot be run, or should not be."""
    import onnx
    import onnx.checker
    import onnx.inliner

    model = _parsed(path)
    if not model.ir_version or not model.graph.node:
        raise UnreadableFileError("it is no ONNX model: it holds no graph")
    _load_external(model, path, external_data)
    try:
        onnx.checker.check_model(model)
        model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # checker and inliner raise types of their own, and those of protobuf
        raise UnreadableFileError(
            "the checker of onnx %s refuses it: %s" % (onnx.__version__, first(error))
        ) from None
    foreign = sorted({(each.domain, each.op_type) for each in nodes(model.graph) if each.domain not in SHIPPED})
    if foreign:
        raise UnreadableFileError(
            "its operator %s of the domain %r needs a custom-operator library, and none is loaded for a file that is "
            "audited; write it as a function of the model, or by standard operators" % foreign[0][::-1]
        )
    own = {each.name for each in model.graph.initializer}
    own |= {each.values.name for each in model.graph.sparse_initializer}
    inputs = [value(each) for each in model.graph.input if each.name not in own]
    outputs = [value(each) for each in model.graph.output]
    return OnnxFile(path, model, {each.name: each for each in inputs}, {each.name: each for each in outputs})


def _parsed(path: str) -> Model:
    import onnx

    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("it is no regular file")
        if status.st_size == 0:
            raise UnreadableFileError("it is empty")
        if status.st_size > MOST_BYTES:
            raise UnreadableFileError("it has %d bytes; at most %d are read" % (status.st_size, MOST_BYTES))
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError("it cannot be read: %s" % error.strerror) from None
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own type, which has moved from version to version
        raise UnreadableFileError("it is no ONNX model, or a damaged one: %s" % first(error)) from None


def _load_external(model: Model, path: str, allowed: bool) -> None:
    """Read what the model keeps in other files; only where asked to, and only from below its own folder."""
    import onnx
    from onnx import external_data_helper

    tensors = [each for each in _tensors(model) if each.data_location == onnx.TensorProto.EXTERNAL]
    if not tensors:
        return
    places = [{entry.key: entry.value for entry in each.external_data} for each in tensors]
    if not allowed:
        raise UnreadableFileError(
            "it keeps %d tensors in another file (%r); write external_data: true to have it read, or save the model "
            "in one file" % (len(tensors), places[0].get("location", "?"))
        )
    folder = os.path.realpath(os.path.dirname(path))
    total = 0
    for tensor, place in zip(tensors, places):
        _check_contained(folder, place.get("location", ""))
        try:
            external_data_helper.load_external_data_for_tensor(tensor, folder)
        except Exception as error:
            raise UnreadableFileError(
                "its external data %r cannot be read: %s" % (place.get("location"), first(error))
            ) from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
        total += len(tensor.raw_data)
        if total > MOST_BYTES:
            raise UnreadableFileError("its external data has more than %d bytes" % MOST_BYTES)


def _check_contained(folder: str, location: str) -> None:
    """A regular file below the folder, with no link on the way and no second name elsewhere."""
    whole = os.path.normpath(os.path.join(folder, location))
    if not location or os.path.isabs(location) or not whole.startswith(folder + os.sep):
        raise UnreadableFileError("its external data %r does not lie below the file's own folder" % location)
    if os.path.realpath(whole) != whole:
        raise UnreadableFileError("its external data %r is reached by a link" % location)
    try:
        status = os.stat(whole)
    except OSError as error:
        raise UnreadableFileError("its external data %r cannot be read: %s" % (location, error.strerror)) from None
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise UnreadableFileError("its external data %r is no regular file with one name" % location)
    if status.st_size > MOST_BYTES:
        raise UnreadableFileError(
            "its external data %r has %d bytes; at most %d are read" % (location, status.st_size, MOST_BYTES)
        )


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor of a model, wherever it stands: initializers, attributes, subgraphs, functions."""
    for field, content in message.ListFields():
        if field.message_type is None:
            continue
        for each in [content] if hasattr(content, "ListFields") else content:
            if field.message_type.name == "TensorProto":
                yield each
            else:
                yield from _tensors(each)


def nodes(graph: Any) -> Iterator[Any]:
    """Every node, those of subgraphs too."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes(inner)


def subgraphs(node: Any) -> List[Any]:
    """The graphs that a node (If, Loop, Scan) holds."""
    found = []
    for attribute in node.attribute:
        found += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
    return found


def value(info: Any) -> Value:
    """An input or output as the file declares it."""
    from onnx import TensorProto

    if not info.type.HasField("tensor_type"):
        return Value(info.name, "no tensor but a %s" % info.type.WhichOneof("value"), None)
    tensor = info.type.tensor_type
    known = DTYPES.get(tensor.elem_type) or TensorProto.DataType.Name(tensor.elem_type).lower()
    if not tensor.HasField("shape"):
        return Value(info.name, known, None)
    sizes = tuple(
        each.dim_value if each.HasField("dim_value") else each.dim_param or "?" for each in tensor.shape.dim
    )
    return Value(info.name, known, sizes)


def first(error: BaseException) -> str:
    """What an exception says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]
