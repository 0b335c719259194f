"""A detector in pieces that two threads can run at the same time, to the very same numbers.

Its first layers see a few pixels around each place and no more: given half of a picture and a
little of the other half, they say of it, bit for bit, what they say given the whole. The last
layers, for small faces and for large ones, do not need each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidref.faces.beside import Beside

KINDS = 3
"""Outputs of each stride: scores, boxes, points; all strides of one kind follow one another."""
WORTH_HALVING = 4
"""Of a picture with fewer rows of cells than this many times the overlap, both halves would cost
nearly as much as the whole."""

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Cut:
    """The one array that all later layers of a network are made from."""

    name: str
    stride: int
    """Pixels a cell."""
    reach: int
    """Rows of cells beyond a half that its own last row needs."""


class Piece:
    """Some of a network's layers."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._takes = [given.name for given in session.get_inputs()]
        self._gives = [made.name for made in session.get_outputs()]

    def run(self, known: Arrays) -> Arrays:
        """What it makes of those of the arrays that it takes."""
        made = self._session.run(None, {name: known[name] for name in self._takes})
        return dict(zip(self._gives, made, strict=True))


class Pieces:
    """A network in pieces; pictures are RGB uint8, their height a multiple of the stride."""

    def __init__(
        self, cut: Cut, pieces: Sequence[Piece], begins: str, ends: Sequence[str], beside: Beside
    ) -> None:
        self._cut, self._begins, self._ends = cut, begins, ends
        self._first, self._shared, self._small, self._large = pieces
        self._beside = beside

    @classmethod
    def of(cls, path: Path, load: Callable[[bytes], Any], beside: Beside) -> Self | None:
        """None where the network in this file cannot be taken apart."""
        import onnx
        from onnx.utils import Extractor

        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
        cut = find_cut(model.graph)
        if cut is None:
            return None
        begins, ends = model.graph.input[0].name, [out.name for out in model.graph.output]
        small = ends[:: len(ends) // KINDS]
        large = [name for name in ends if name not in small]
        for_small = _handed(model.graph, cut.name, small, large)
        for_large = _handed(model.graph, cut.name, large, small)
        shared = sorted({*for_small, *for_large} - {cut.name})
        if not (large and shared):
            return None
        whole = Extractor(model)
        pieces = [
            Piece(load(whole.extract_model(given, made).SerializeToString()))
            for given, made in (
                ([begins], [cut.name]),
                ([cut.name], shared),
                (for_small, small),
                (for_large, large),
            )
        ]
        return cls(cut, pieces, begins, ends, beside)

    def suits(self, height: int) -> bool:
        """Whether a picture of so many rows is worth halving."""
        return height // self._cut.stride >= WORTH_HALVING * self._cut.reach

    def begin(
        self,
        view: NDArray[np.uint8],
        planes_of: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> Callable[[], list[NDArray[np.float32]]]:
        """Begins with the lower half; what is returned does the rest and gives all outputs."""
        stride, reach = self._cut.stride, self._cut.reach
        middle = view.shape[0] // stride // 2

        def seen(part: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self._first.run({self._begins: planes_of(part)})[self._cut.name]

        lower = self._beside.start(lambda: seen(view[(middle - reach) * stride :])[:, :, reach:])

        def finish() -> list[NDArray[np.float32]]:
            upper = seen(view[: (middle + reach) * stride])[:, :, :middle]
            known = {self._cut.name: np.concatenate([upper, lower()], axis=2)}
            known |= self._shared.run(known)
            large = self._beside.start(lambda: self._large.run(known))
            made = self._small.run(known) | large()
            return [made[name] for name in self._ends]

        return finish


def find_cut(graph: Any) -> Cut | None:
    """The last array on which all later ones rest and that is made by layers with a short reach."""
    uses = Counter(name for node in graph.node for name in node.input)
    # What is still needed of what the picture was made into, with its stride and reach in pixels.
    needed = {graph.input[0].name: (1, 0)}
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


def _handed(graph: Any, cut: str, own: Sequence[str], others: Sequence[str]) -> list[str]:
    """What those layers begin with of which only a network's own outputs are made, no others."""
    after = {cut}
    makers: dict[str, Any] = {}
    for node in graph.node:
        if after & set(node.input):
            after |= set(node.output)
            makers |= dict.fromkeys(node.output, node)

    def made_of(names: Sequence[str]) -> set[str]:
        found, left = set[str](), list(names)
        while left:
            name = left.pop()
            if name in makers and name not in found:
                found.add(name)
                left += makers[name].input
        return found

    shared = (made_of(own) & made_of(others)) | {cut}
    alone = made_of(own) - shared
    return sorted({name for made in alone for name in makers[made].input if name in shared})
