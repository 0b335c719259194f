"""A detector in pieces, on two threads, says what it says in one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from vidref import weights
from vidref.faces.beside import Beside, Soon
from vidref.faces.pieces import Cut, Pieces, find_cut

DETECTOR = weights.FACE_PACK / "detector.onnx"


def load(network: bytes | str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def planes_of(view: np.ndarray) -> np.ndarray:
    return ((view.transpose(2, 0, 1)[None].astype(np.float32)) - 127.5) / 128


@pytest.mark.parametrize("beside", [Beside(1), Beside(2)])
@pytest.mark.parametrize("size", [(640, 384), (384, 640), (96, 160), (192, 96), (608, 32)])
def test_every_output_of_the_bundled_detector_is_the_same_bit_for_bit(size, beside):
    view = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    pieces = Pieces.of(DETECTOR, load, beside)
    assert pieces is not None and pieces.suits(size[0])
    whole = load(str(DETECTOR)).run(None, {"frames": planes_of(view)})
    outputs, other = pieces.run(view, planes_of, lambda: "done meanwhile")
    assert other == "done meanwhile"
    for one, two in zip(whole, outputs, strict=True):
        assert np.array_equal(one, two)


def test_the_bundled_detector_is_cut_at_an_eighth_and_at_a_sixteenth_of_the_picture():
    graph = onnx.load(str(DETECTOR)).graph
    eighth = find_cut(graph, "frames")
    assert eighth is not None and (eighth.stride, eighth.reach) == (8, 3)
    sixteenth = find_cut(graph, eighth.name, needed_later=True)
    assert sixteenth is not None and (sixteenth.stride, sixteenth.reach) == (2, 3)


def chain(*layers: onnx.NodeProto) -> onnx.GraphProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "h", "w"])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph(list(layers), "a chain", [given], [made])


def conv(given: str, made: str, side: int, stride: int, pad: int) -> onnx.NodeProto:
    return helper.make_node(
        "Conv", [given, "w"], [made], kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4
    )


def test_a_network_is_cut_where_one_array_holds_all_and_the_reach_is_known():
    around = helper.make_node("GlobalAveragePool", ["b"], ["c"])
    last = helper.make_node("Add", ["b", "c"], ["y"])
    network = chain(conv("x", "a", 5, 2, 2), conv("a", "b", 3, 2, 1), around, last)
    assert find_cut(network, "x") == Cut("b", 4, 1)
    # What still needs an earlier array cannot be cut from it.
    beyond = helper.make_node("Add", ["a", "c"], ["y"])
    network = chain(conv("x", "a", 5, 2, 2), conv("a", "b", 3, 1, 1), around, beyond)
    assert find_cut(network, "x") == Cut("a", 2, 1)


def test_a_network_whose_first_layer_sees_everything_or_pads_oddly_is_not_cut():
    everything = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["a"])
    assert find_cut(chain(everything, conv("a", "y", 3, 1, 1)), "x") is None
    oddly = chain(conv("x", "a", 3, 2, 0), conv("a", "y", 3, 1, 1))
    assert find_cut(oddly, "x") is None


def test_a_later_cut_may_leave_what_it_begins_with_to_later_layers():
    around = helper.make_node("GlobalAveragePool", ["b"], ["c"])
    beyond = helper.make_node("Add", ["a", "c"], ["y"])
    network = chain(conv("x", "a", 5, 2, 2), conv("a", "b", 3, 2, 1), around, beyond)
    assert find_cut(network, "a") is None
    assert find_cut(network, "a", needed_later=True) == Cut("b", 2, 1)


def test_what_is_made_soon_is_there_in_the_end_and_nobody_waits_for_it():
    may_go_on = threading.Event()
    soon = Soon(lambda: may_go_on.wait() and "made")
    assert soon.now() is None
    may_go_on.set()
    assert soon.wait() == soon.now() == "made"


def test_work_beside_is_done_once_and_its_errors_are_told():
    for beside in (Beside(1), Beside(2)):
        done: list[int] = []
        wait = beside.start(lambda done=done: done.append(1))
        wait()
        assert done == [1]

        def fails() -> Path:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            beside.start(fails)()


def test_what_is_made_soon_may_wait_until_it_has_been_asked_for_often() -> None:
    begun = threading.Event()
    soon = Soon(lambda: begun.set() or "made", asked=3)
    assert [soon.now(), soon.now()] == [None, None] and not begun.wait(0.05)
    soon.now()
    assert begun.wait(5) and soon.wait() == "made" == soon.now()
    never_asked = Soon(lambda: "made at once", asked=3)
    assert never_asked.wait() == "made at once"
