"""A network's first layers on both halves of a picture at the same time.

They see a few pixels around each place and no more: given a half and a little of the other one,
they say of it, bit for bit, what they say given the whole. With the bundled detector these layers
are two fifths of a frame's time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidref.faces.beside import Beside

WORTH_HALVING = 4
"""Of a picture with fewer rows of cells than this many times the overlap, both halves would cost
nearly as much as the whole."""

Planes = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """The one array that all later layers of a network are made from."""

    name: str
    stride: int
    """Pixels a cell."""
    reach: int
    """Rows of cells beyond a half that its own last row needs."""


class Halves:
    """A network in two parts; pictures are RGB uint8, their height a multiple of the stride."""

    def __init__(self, cut: Cut, first: Any, rest: Any, beside: Beside) -> None:
        self._cut, self._first, self._rest = cut, first, rest
        self._input = first.get_inputs()[0].name
        self._beside = beside

    @classmethod
    def of(cls, path: Path, load: Callable[[bytes], Any], beside: Beside) -> Self | None:
        """None where the network in this file cannot be cut, or nobody could do the other half."""
        import onnx
        from onnx.utils import Extractor

        if not beside.is_there:
            return None
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
        cut = find_cut(model.graph)
        if cut is None:
            return None
        whole = Extractor(model)
        begins, ends = [model.graph.input[0].name], [out.name for out in model.graph.output]
        first, rest = (
            load(whole.extract_model(given, wanted).SerializeToString())
            for given, wanted in ((begins, [cut.name]), ([cut.name], ends))
        )
        return cls(cut, first, rest, beside)

    def suits(self, height: int) -> bool:
        """Whether a picture of so many rows is worth halving."""
        return height // self._cut.stride >= WORTH_HALVING * self._cut.reach

    def begin(
        self, view: NDArray[np.uint8], planes_of: Callable[[NDArray[np.uint8]], Planes]
    ) -> Callable[[], list[NDArray[np.float32]]]:
        """Begins with the lower half; what is returned does the rest and gives all outputs."""
        stride, reach = self._cut.stride, self._cut.reach
        middle = view.shape[0] // stride // 2

        def seen(part: NDArray[np.uint8]) -> Planes:
            return np.asarray(self._first.run(None, {self._input: planes_of(part)})[0], np.float32)

        lower = self._beside.start(lambda: seen(view[(middle - reach) * stride :])[:, :, reach:])

        def finish() -> list[NDArray[np.float32]]:
            upper = seen(view[: (middle + reach) * stride])[:, :, :middle]
            both = np.concatenate([upper, lower()], axis=2)
            return list(self._rest.run(None, {self._cut.name: both}))

        return finish


def find_cut(graph: Any) -> Cut | None:
    """The last array on which all later ones rest and that is made by layers with a short reach."""
    frames = graph.input[0].name
    uses = Counter(name for node in graph.node for name in node.input)
    # What is still needed of what the picture was made into, with its stride and reach in pixels.
    needed = {frames: (1, 0)}
    cut = None
    for node in graph.node:
        given = [needed[name] for name in node.input if name in needed]
        if not given:
            continue  # made of weights alone
        step = _step(node)
        if step is None:
            break
        stride, reach = given[0][0], max(each[1] for each in given)
        for name in {name for name in node.input if name in needed}:
            uses[name] -= list(node.input).count(name)
            if uses[name] == 0:
                del needed[name]
        made = node.output[0]
        needed[made] = stride * step[0], reach + stride * step[1]
        if len(needed) == 1 and uses[made]:
            cut = Cut(made, needed[made][0], -(-needed[made][1] // needed[made][0]))
    return cut


def _step(node: Any) -> tuple[int, int] | None:
    """By how much a layer shrinks its input and how far it reaches; None for an unknown kind."""
    if node.op_type in ("Relu", "Add"):
        return 1, 0
    if node.op_type != "Conv":
        return None
    numbers = {a.name: list(a.ints) for a in node.attribute}
    strides, sides = numbers["strides"], numbers["kernel_shape"]
    reach = sides[0] // 2
    plain = (
        strides == [strides[0]] * 2
        and sides == [2 * reach + 1] * 2
        and numbers.get("dilations", [1, 1]) == [1, 1]
        and numbers.get("pads") == [reach] * 4
    )
    return (strides[0], reach) if plain else None
