"""A detector in pieces that two threads can run at the same time, to the very same numbers.

Its first layers see a few pixels around each place and no more: given half of a picture and a
little of the other half, they say of it, bit for bit, what they say given the whole. That is done
twice, at an eighth and at a sixteenth of the size: at once, each half would need more of the other.
The last layers, for small faces and for large ones, do not need each other; those between must be
done by one thread, and another may have something else to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vidref.faces.beside import Beside, Result

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


@dataclass(frozen=True)
class Layers:
    """Layers up to a cut, which say of a part of what they are given what they say of the whole."""

    piece: Piece
    cut: Cut
    takes: str

    def made_of(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.piece.run({self.takes: part})[self.cut.name]


class Pieces:
    """A network in pieces; pictures are RGB uint8, their height a multiple of 32."""

    def __init__(
        self,
        first: Layers,
        second: Layers,
        later: tuple[Piece, Piece, Piece],
        ends: Sequence[str],
        beside: Beside,
    ) -> None:
        self._first, self._second = first, second
        self._shared, self._small, self._large = later
        self._ends, self._beside = ends, beside

    @classmethod
    def of(cls, path: Path, load: Callable[[bytes], Any], beside: Beside) -> Self | None:
        """None where the network in this file cannot be taken apart."""
        import onnx
        from onnx.utils import Extractor

        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
        begins, ends = model.graph.input[0].name, [out.name for out in model.graph.output]
        first = find_cut(model.graph, begins)
        second = find_cut(model.graph, first.name, needed_later=True) if first else None
        if first is None or second is None:
            return None
        small = ends[:: len(ends) // KINDS]
        large = [name for name in ends if name not in small]
        cuts = {first.name, second.name}
        for_small = _handed(model.graph, cuts, small, large)
        for_large = _handed(model.graph, cuts, large, small)
        shared = sorted({*for_small, *for_large} - cuts)
        if not (large and shared):
            return None
        whole = Extractor(model)

        def piece(given: Sequence[str], made: Sequence[str]) -> Piece:
            return Piece(load(whole.extract_model(given, made).SerializeToString()))

        return cls(
            Layers(piece([begins], [first.name]), first, begins),
            Layers(piece([first.name], [second.name]), second, first.name),
            (piece([second.name], shared), piece(for_small, small), piece(for_large, large)),
            ends,
            beside,
        )

    def suits(self, height: int) -> bool:
        """Whether a picture of so many rows is worth halving."""
        return height // self._first.cut.stride >= WORTH_HALVING * self._first.cut.reach

    def run(
        self,
        view: NDArray[np.uint8],
        planes_of: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
        meanwhile: Callable[[], Result],
    ) -> tuple[list[NDArray[np.float32]], Result]:
        """All outputs; and what else there was to do, while one thread alone can go on."""
        earlier = self._in_halves(self._first, lambda rows: planes_of(view[rows]), view.shape[0])()
        later = self._in_halves(self._second, lambda rows: earlier[:, :, rows], earlier.shape[2])
        other = self._beside.start(meanwhile)
        known = {self._first.cut.name: earlier, self._second.cut.name: later()}
        known |= self._shared.run(known)
        large = self._beside.start(lambda: self._large.run(known))
        made = self._small.run(known) | large()
        return [made[name] for name in self._ends], other()

    def _in_halves(
        self, layers: Layers, given: Callable[[slice], NDArray[np.float32]], rows: int
    ) -> Callable[[], NDArray[np.float32]]:
        """Begins with the lower half; what is returned does the rest and gives both."""
        stride, reach = layers.cut.stride, layers.cut.reach
        cells = rows // stride
        if cells < WORTH_HALVING * reach:
            return lambda: layers.made_of(given(slice(0, rows)))
        middle = cells // 2
        after = slice((middle - reach) * stride, rows)
        lower = self._beside.start(lambda: layers.made_of(given(after))[:, :, reach:])

        def finish() -> NDArray[np.float32]:
            upper = layers.made_of(given(slice(0, (middle + reach) * stride)))[:, :, :middle]
            return np.concatenate([upper, lower()], axis=2)

        return finish


def find_cut(graph: Any, given: str, needed_later: bool = False) -> Cut | None:
    """The last array on which all later ones rest and that is made by layers with a short reach.

    `needed_later`: all later ones may rest on what is given, too.
    """
    uses = Counter(name for node in graph.node for name in node.input)
    # What is still needed of what was made of the given, with its stride and reach in its pixels.
    needed = {given: (1, 0)}
    cut = None
    for node in graph.node:
        seen = [needed[name] for name in node.input if name in needed]
        if not seen:
            continue  # made of weights alone, or of what is not made of the given
        step = _step(node)
        if step is None:
            break
        stride, reach = seen[0][0], max(each[1] for each in seen)
        for name in {name for name in node.input if name in needed}:
            uses[name] -= list(node.input).count(name)
            if uses[name] == 0:
                del needed[name]
        made = node.output[0]
        needed[made] = stride * step[0], reach + stride * step[1]
        others = needed.keys() - ({made, given} if needed_later else {made})
        if not others and uses[made]:
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


def _handed(graph: Any, cuts: set[str], own: Sequence[str], others: Sequence[str]) -> list[str]:
    """What those layers begin with of which only a network's own outputs are made, no others."""
    after = set(cuts)
    makers: dict[str, Any] = {}
    for node in graph.node:
        if after & set(node.input):
            after |= set(node.output)
            makers |= dict.fromkeys(set(node.output) - cuts, node)

    def made_of(names: Sequence[str]) -> set[str]:
        found, left = set[str](), list(names)
        while left:
            name = left.pop()
            if name in makers and name not in found:
                found.add(name)
                left += makers[name].input
        return found

    shared = (made_of(own) & made_of(others)) | cuts
    alone = made_of(own) - shared
    return sorted({name for made in alone for name in makers[made].input if name in shared})
