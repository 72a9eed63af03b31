"""A user's function against itself: what its value does along seeded directions, beside what its gradient says.

phi(x) = <v, f(x)> is evaluated at x + h d and x - h d for a ladder of powers of two h and several directions d, in
float64 where the function takes it, else in the dtype of the request. v is the upstream gradient, or drawn where that
does not fit what comes back. Nothing is judged here. The arrays, all float64 (D directions, H steps):

    self.h                [H]         the steps, largest first
    self.plus, .minus     [D, H]      phi(x + h d), phi(x - h d)
    self.linear_plus, .linear_minus   [D, H]  <g, x+ - x>, <g, x - x->, of the points as they were rounded
    self.center           []          phi(x); "self.size" [] is sum |v f(x)|
    self.norm             [D]         sum |g d|, and "self.reach" [] is sum |g x|
    self.exchanged        [D, H]      how far the slope may change because numbers exchange roles within the step
    self.neighbours       [S, 9]      phi at 9 points close together, for several distances
    self.bends            [S]         how far exchanged roles may bend phi between those points
    self.gradient         as the logits; g, 0 where a logit is not finite
    self.jvp              [D]         <v, J d> by forward mode or complex step, NaN where there is none
    self.index, .pairs, .slopes       [M], [M, 2, 2], [M]  coordinates by their flat index: phi(x + h e), phi(x - h e)
                                      for two steps, and g there; "self.steps" [2] are the steps

The note "self" tells the dtype, and why something is missing. Run by path in any Python from 3.8 with NumPy; imports
nothing of gradaudit.
"""

from __future__ import annotations

import time
import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Optional

Array = Any
Request = Dict[str, Any]

STEPS = [2.0**-k for k in range(2, 27, 2)]
DIRECTIONS = 5
DISTANCES = (2.0**-40, 2.0**-30, 2.0**-20, 2.0**-14)
FARTHEST = 2.0**-10
NEIGHBOURS = 9
GRAIN = 2.0**-8
"""Directions are multiples of it, so that x + h d is exact in float64 where x has the digits of a float32."""

MOST_COORDINATES = 64
MOST_SORTED = 1 << 18
"""Logits whose order is looked at."""
SHARE_OF_TIMEOUT = 0.25
DEFAULT_BUDGET = 10.0
"""Seconds, where a request has no timeout."""


class Differentiable(NamedTuple):
    """A function at a point. `value(x)` returns phi, sum |v f| and x as it was rounded; `jvp(d)` may raise."""

    x: Array
    gradient: Array
    value: Callable[[Array], Any]
    jvp: Optional[Callable[[Array], float]]
    dtype: str
    upstream: str
    jvp_by: str = "forward mode"


def run(request: Request, make: Callable[[str], Differentiable]) -> Any:
    """The arrays and the note; `make(dtype)` readies the user's function, and may raise."""
    refused: Dict[str, str] = {}
    for dtype in dict.fromkeys(("float64", request["dtype"])):
        try:
            function = make(dtype)
            function.value(function.x)
        except Exception as error:
            refused[dtype] = "%s: %s" % (type(error).__name__, str(error)[:300])
            continue
        budget = request.get("timeout") or 0.0
        walk = _Walk(function, request, SHARE_OF_TIMEOUT * budget if budget else DEFAULT_BUDGET)
        with walk.np.errstate(all="ignore"):  # a value that is no number is told by its name
            arrays = walk.arrays()
        note = {"dtype": dtype, "upstream": function.upstream, "jvp_by": function.jvp_by, "refused": refused}
        note.update(walk.note)
        return {"self." + name: array for name, array in arrays.items()}, {"self": note}
    return {}, {"self": {"dtype": "", "refused": refused}}


class _Walk:
    """The evaluations of one function, until the time is up."""

    def __init__(self, function: Differentiable, request: Request, budget: float) -> None:
        import numpy as np

        self.np, self.function = np, function
        self.axes = list(request.get("axis") or [-1])
        self.random = np.random.RandomState(request["seed"] % (1 << 32))
        self.finite = np.isfinite(function.x)
        self.gradient = np.where(self.finite, function.gradient, 0.0)
        self.note: Dict[str, Any] = {}
        self.until = time.perf_counter() + budget
        self.center, self.size, _ = function.value(function.x)
        start = time.perf_counter()
        function.value(function.x)  # a first call may be the one that loads or compiles
        self.seconds = max(time.perf_counter() - start, 1e-6)

    def arrays(self) -> Dict[str, Array]:
        """Everything that could be evaluated in time."""
        np, ladder = self.np, [self._unit() * h for h in STEPS]
        walked: List[Any] = []
        directions, norms, exchanged = [], [], []
        for d in self._directions():
            directions.append(d)
            walked.append([self._pair(h * d) for h in ladder])
            exchanged.append(self._exchanged(d, ladder))
            norms.append(float(np.abs(self.gradient * d).sum()))
        table = np.array(walked, np.float64).reshape(len(walked), len(ladder), 4)
        found = {
            "h": ladder,
            "plus": table[..., 0],
            "minus": table[..., 1],
            "linear_plus": table[..., 2],
            "linear_minus": table[..., 3],
            "center": self.center,
            "size": self.size,
            "exchanged": np.reshape(exchanged, (len(walked), len(ladder))),
            "norm": norms,
            "reach": float(np.abs(self.gradient * np.where(self.finite, self.function.x, 0.0)).sum()),
            "gradient": self.gradient,
        }
        found.update(self._neighbours())
        found.update(self._coordinates(ladder, table))
        # Last, for a first use of forward mode may import for longer than all of the above takes.
        found["jvp"] = [self._jvp(d) for d in directions]
        return {name: np.asarray(value, np.float64) for name, value in found.items()}

    def _directions(self) -> Any:
        """The gradient's own direction, then random ones."""
        np = self.np
        largest = np.abs(self.gradient).max(initial=0.0)
        done = 0
        for number in range(DIRECTIONS):
            if done and time.perf_counter() + 2 * len(STEPS) * self.seconds > self.until:
                self.note["stopped"] = "one call takes %.2g s: %d of %d directions" % (self.seconds, done, DIRECTIONS)
                return
            if number == 0:
                if not (0.0 < largest < float("inf")):
                    continue
                d = self.gradient / largest
            else:
                d = self.random.standard_normal(self.function.x.shape)
            d = np.where(self.finite, np.round(d / GRAIN) * GRAIN, 0.0)
            done += 1
            yield d

    def _unit(self) -> float:
        """What steps are counted in: 1 in float64; in a narrower format, where a step of 1 would be lost beside large
        logits, a power of two of their size."""
        np = self.np
        largest = np.abs(np.where(self.finite, self.function.x, 0.0)).max(initial=0.0)
        if self.function.dtype == "float64" or largest <= 1.0:
            return 1.0
        return float(2.0 ** np.floor(np.log2(largest)))

    def _exchanged(self, d: Array, ladder: List[float]) -> List[float]:
        """For every step, by how much the slope along d is another one where each place in the order of a row keeps
        its gradient and the numbers that hold it change, and where each number that changes its sign has lost its
        gradient or got that of another. Ties and zeros are as the smallest step leaves them: what happens there is a
        kink at the point itself."""
        np = self.np
        if self.function.x.size > MOST_SORTED:
            return [0.0] * len(ladder)
        x, g, along = (self._rows(np.where(self.finite, a, 0.0)) for a in (self.function.x, self.gradient, d))
        largest = np.abs(g).max(initial=0.0)
        found = np.zeros(len(ladder))
        for side in (1.0, -1.0):
            first = x + side * ladder[-1] * along
            order = np.argsort(first, axis=-1, kind="stable")
            roles, before = np.take_along_axis(g, order, -1), np.take_along_axis(along, order, -1)
            for k, h in enumerate(ladder):
                there = x + side * h * along
                after = np.take_along_axis(along, np.argsort(there, axis=-1, kind="stable"), -1)
                turned = np.sign(there) * np.sign(first) < 0.0
                lost = np.abs((roles * (after - before)).sum(-1)).sum() + largest * np.abs(along[turned]).sum()
                found[k] = max(found[k], lost)
        return [float(each) for each in found]

    def _rows(self, a: Array) -> Array:
        """[rows, classes]."""
        np = self.np
        axes = [axis % a.ndim for axis in self.axes]
        moved = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
        return moved.reshape(-1, int(np.prod([a.shape[axis] for axis in axes])))

    def _pair(self, step: Array) -> List[float]:
        np, x = self.np, self.function.x
        plus, _, above = self.function.value(np.where(self.finite, x + step, x))
        minus, _, below = self.function.value(np.where(self.finite, x - step, x))
        up, down = np.where(self.finite, above - x, 0.0), np.where(self.finite, x - below, 0.0)
        return [plus, minus, float((self.gradient * up).sum()), float((self.gradient * down).sum())]

    def _neighbours(self) -> Dict[str, Any]:
        """phi at points so close together that only its noise differs between them, but for kinks."""
        np, x, half = self.np, self.function.x, NEIGHBOURS // 2
        d = np.where(self.finite, np.sign(self.random.standard_normal(x.shape)), 0.0)
        rows, bends = [], []
        for distance in DISTANCES:
            # Relative to the logits as well: one unit in the last place of a large one is a step too.
            unit = np.minimum(distance * np.maximum(1.0, np.abs(np.where(self.finite, x, 0.0))), FARTHEST) * d
            rows.append([self.function.value(x + i * unit)[0] for i in range(-half, half + 1)])
            bends.append(half * self._exchanged(unit, [float(half), GRAIN])[0])
        return {"neighbours": rows, "bends": bends}

    def _jvp(self, d: Array) -> float:
        if self.function.jvp is None or "jvp" in self.note:
            return float("nan")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch says that forward mode is young
                return float(self.function.jvp(d))
        except Exception as error:
            self.note["jvp"] = "%s: %s" % (
                type(error).__name__,
                str(error).splitlines()[0][:200] if str(error) else "",
            )
            return float("nan")

    def _coordinates(self, ladder: List[float], table: Array) -> Dict[str, Any]:
        """Single coordinates, where the value and the gradient seem to part: those where they part most."""
        np = self.np
        step = self._parting(ladder, table)
        flat = np.flatnonzero(self.finite)
        if step is None or not flat.size:
            return {}
        if flat.size > MOST_COORDINATES:
            flat = self._worst_block(flat, step)[:MOST_COORDINATES]
        pairs = []
        for index in flat:
            if time.perf_counter() > self.until:
                break
            pairs.append([self._single(index, step), self._single(index, step / 2.0)])
        chosen = flat[: len(pairs)]
        return {
            "index": chosen,
            "pairs": np.array(pairs, np.float64).reshape(len(pairs), 2, 2),
            "slopes": self.gradient.reshape(-1)[chosen],
            "steps": [step, step / 2.0],
        }

    def _parting(self, ladder: List[float], table: Array) -> Optional[float]:
        """The step at which differences have settled on another slope; None where they have not."""
        np = self.np
        for rows in table:
            slopes = (rows[:, 0] - rows[:, 1]) / (2.0 * np.array(ladder))
            linear = (rows[:, 2] + rows[:, 3]) / (2.0 * np.array(ladder))
            unsettled = np.abs(np.diff(slopes))
            if not np.isfinite(unsettled).any():
                continue
            best = int(np.nanargmin(unsettled))
            around = 8.0 * float(unsettled[max(best - 1, 0) : best + 2].sum())
            if not (abs(slopes[best] - linear[best]) <= around):
                return float(ladder[best])
        return None

    def _worst_block(self, flat: Array, step: float) -> Array:
        """Of blocks of coordinates, the one along which value and gradient part most."""
        np = self.np
        blocks = np.array_split(flat, MOST_COORDINATES)
        signs = np.where(self.random.standard_normal(self.function.x.size) < 0.0, -1.0, 1.0)
        worst, parted = blocks[0], -1.0
        for block in blocks:
            if time.perf_counter() > self.until:
                break
            d = np.zeros(self.function.x.size)
            d[block] = signs[block]
            plus, minus, up, down = self._pair(step * d.reshape(self.function.x.shape))
            difference = abs((plus - minus) - (up + down))
            if difference > parted:
                worst, parted = block, difference
        return worst

    def _single(self, index: int, step: float) -> List[float]:
        d = self.np.zeros(self.function.x.size)
        d[index] = step
        return self._pair(d.reshape(self.function.x.shape))[:2]


def of_torch(request: Request, arrays: Dict[str, Array], own: Any, runs: Any) -> Any:
    """The experiments on a torch subject; `own` is the adapter's file, `runs` that of its calls."""
    import numpy as np
    import torch

    def make(dtype: str) -> Differentiable:
        asked = dict(request, dtype=dtype, layout="contiguous")
        function, _ = own.subject(asked)
        kind = getattr(torch, dtype)
        given = {n: t.to(kind) if t.is_floating_point() else t for n, t in own.given(request, arrays).items()}
        head: List[Any] = []
        own.settled(request["seed"])
        state = torch.random.get_rng_state()

        def call(x: Any) -> Any:
            torch.random.set_rng_state(state)
            fed = runs.feed(asked, dict(given, logits=x))
            return fed, runs.forward(function, asked, fed)

        fed, output = call(given["logits"])
        unusable = runs.why_no_gradient(output)
        if unusable:
            raise TypeError(unusable)
        fits = fed.upstream is not None and fed.upstream.shape == output.shape
        generator = torch.Generator().manual_seed(request["seed"])
        drawn = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
        head.append(fed.upstream.to(output.dtype) if fits else drawn.to(output.device))
        (gradient,) = runs.backward(output, [fed.leaf], head[0])
        if gradient is None:
            raise TypeError("what it returned does not depend on the logits")

        def value(x: Array) -> Any:
            tensor = torch.from_numpy(np.array(x, np.float64)).to(kind)
            _, result = call(tensor)
            parts = head[0].double() * result.detach().double()
            return float(parts.sum()), float(parts.abs().sum()), tensor.double().numpy()

        def jvp(d: Array) -> float:
            import torch.autograd.forward_ad as forward_mode

            with forward_mode.dual_level():
                dual = forward_mode.make_dual(given["logits"].clone(), torch.from_numpy(np.array(d)).to(kind))
                rest = [] if "targets" not in given else [given["targets"]]
                tangent = forward_mode.unpack_dual(function(*[dual, *rest])).tangent
                if tangent is None:
                    raise TypeError("no tangent came back")
                return float((head[0].double() * tangent.double()).sum())

        forward = None if request["subject"].get("autocast") else jvp
        start = given["logits"].double().numpy()
        said = "given" if fits else "drawn"
        return Differentiable(start, gradient.detach().cpu().double().numpy(), value, forward, dtype, said)

    return run(request, make)


def of_numpy(request: Request, arrays: Dict[str, Array], own: Any) -> Any:
    """The experiments on a NumPy subject; `own` is the adapter's file."""
    import numpy as np

    def make(dtype: str) -> Differentiable:
        asked = dict(request, dtype=dtype, layout="contiguous")
        function, _ = own.subject(asked)
        kind = own.dtype_of(dtype)
        given = {n: a if a.dtype.kind == "i" else a.astype(kind) for n, a in own.given(request, arrays).items()}
        first = own.called(function, asked, given)
        if first.output is None or first.gradient is None:
            raise TypeError(first.unusable or first.returned)
        if first.output.shape != given["upstream"].shape:
            random = np.random.RandomState(request["seed"] % (1 << 32))
            given["upstream"] = random.standard_normal(first.output.shape).astype(kind)
            first = own.called(function, asked, given)
        head = given["upstream"].astype(np.float64)

        def value(x: Array) -> Any:
            rounded = np.asarray(x).astype(kind)
            parts = head * own.called(function, asked, dict(given, logits=rounded)).output.astype(np.float64)
            return float(parts.sum()), float(np.abs(parts).sum()), rounded.astype(np.float64)

        start = given["logits"].astype(np.float64)
        return Differentiable(start, first.gradient.astype(np.float64), value, None, dtype, "given")

    return run(request, make)
