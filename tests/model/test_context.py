"""Composite Context against its equation, and the recogniser it takes its first token from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from skimage.transform import SimilarityTransform

from tests.model.small import DIMENSION, picture, recogniser_file, small_config, small_network
from tests.model.test_clip_tower import openai_names, vision_model
from vidref.errors import ModelError
from vidref.model.bundle import RestorerNetwork
from vidref.model.config import ContextConfig
from vidref.model.context import CompositeContext, Reference
from vidref.model.onnx_graph import OnnxGraph
from vidref.model.recogniser import Recogniser

JUDGE = Path(__file__).resolve().parents[3] / "shared/data/teachers/identity-judge.onnx"
SQUARE = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]]
)
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip


def farl_context(folder: Path) -> ContextConfig:
    path = folder / "farl.safetensors"
    save_file({k: v.clone() for k, v in openai_names(vision_model()).items()}, path)
    return ContextConfig.model_validate(
        {
            "width": 40,
            "identity": {"dimension": DIMENSION, "normalised": False},
            "semantic": {"source": str(path), "tokens": 197, "dimension": 128},
        }
    )


def test_the_context_is_the_papers_equation(tmp_path: Path) -> None:
    context = CompositeContext(farl_context(tmp_path)).eval()
    image, embedding = picture(1, 224)[None], torch.randn(1, DIMENSION)
    with torch.no_grad():
        found = context(Reference(image, embedding))
        identity, semantic = context.providers
        tokens = [embedding @ identity.project.weight.T + identity.project.bias]
        for token in semantic.tower(image)[0]:
            tokens.append((semantic.project.weight @ token + semantic.project.bias)[None])
        wanted = torch.cat(tokens) + context.position
    assert found.shape == (1, 198, 40)
    torch.testing.assert_close(found[0], wanted, atol=1e-5, rtol=1e-5)


def test_towers_are_frozen_and_projections_learn(tmp_path: Path) -> None:
    context = CompositeContext(farl_context(tmp_path))
    context(Reference(picture(1, 224)[None], torch.randn(1, DIMENSION))).sum().backward()
    learning = {name for name, weight in context.named_parameters() if weight.grad is not None}
    assert learning == {
        "position",
        "providers.0.project.weight",
        "providers.0.project.bias",
        "providers.1.project.weight",
        "providers.1.project.bias",
    }


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ({"identity": {"dimension": DIMENSION}}, 1),
        ({"patches": {"grid": 3, "widths": [32, 32]}}, 9),
        ({"identity": {"dimension": DIMENSION}, "patches": {"grid": 2, "widths": [32]}}, 5),
    ],
)
def test_providers_are_interchangeable(parts: dict[str, object], count: int) -> None:
    network = RestorerNetwork(small_config(context={"width": 32, **parts}))
    tokens = network.context(Reference(picture(0)[None], torch.randn(1, DIMENSION)))
    assert tokens.shape == (1, count, 32)


def test_an_unknown_embedding_is_a_token_of_its_own_and_never_a_guess() -> None:
    context = small_network().context
    image = picture(1)[None]
    with torch.no_grad():
        unknown = context(Reference(image))
        zeros = context(Reference(image, torch.zeros(1, DIMENSION)))
        known = context(Reference(image, torch.randn(1, DIMENSION)))
    assert torch.equal(unknown, zeros)
    assert not torch.equal(unknown[:, 0], known[:, 0])
    assert torch.equal(unknown[:, 1:], known[:, 1:])


def test_embeddings_of_another_recogniser_are_refused_with_a_sentence() -> None:
    with pytest.raises(ModelError, match="trained with 24"):
        small_network().context(Reference(picture(1)[None], torch.randn(1, 512)))


def test_dropping_a_context_leaves_the_null_token_alone() -> None:
    context = small_network().context
    tokens, mask = torch.randn(2, 10, 32), torch.ones(2, 10)
    dropped, kept = context.drop(tokens, mask, torch.tensor([True, False]))
    assert torch.equal(dropped[0, 0], context.null) and kept[0].tolist() == [1] + [0] * 9
    assert torch.equal(dropped[1], tokens[1]) and torch.equal(kept[1], mask[1])


def test_the_torch_recogniser_agrees_with_onnxruntime(tmp_path: Path) -> None:
    path = recogniser_file(tmp_path)
    face = np.random.default_rng(0).standard_normal((3, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"input": face})[0]
    found = OnnxGraph(path)(torch.from_numpy(face)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.skipif(not JUDGE.exists(), reason="the teachers are not here")
def test_a_real_mobile_recogniser_agrees_too() -> None:
    face = np.random.default_rng(1).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(JUDGE), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"input": face})[0]
    found = OnnxGraph(JUDGE)(torch.from_numpy(face)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max(), rtol=1e-4)


def test_the_recogniser_sees_the_face_as_it_is_aligned_at_detection(tmp_path: Path) -> None:
    recogniser = Recogniser(recogniser_file(tmp_path))
    rng = np.random.default_rng(2)
    face = cv2.GaussianBlur(rng.uniform(0, 255, (512, 512, 3)).astype(np.float32), (0, 0), 6)
    # the least-squares similarity, as insightface aligns
    matrix = SimilarityTransform.from_estimate(SQUARE, TEMPLATE).params[:2]
    wanted = cv2.warpAffine(face, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    tensor = torch.from_numpy(face).permute(2, 0, 1)[None]
    found = recogniser.cut(tensor)[0].permute(1, 2, 0).numpy()
    spread = wanted.std()
    assert np.abs(found - wanted).mean() < 0.05 * spread
    half = torch.nn.functional.interpolate(tensor, (256, 256), mode="area")
    smaller = recogniser.cut(half)[0].permute(1, 2, 0).numpy()
    assert np.abs(smaller - wanted).mean() < 0.1 * spread


@pytest.mark.parametrize("crop", ["aligned", "whole", "centre"])
def test_the_recogniser_passes_gradients_to_the_face(crop: str, tmp_path: Path) -> None:
    recogniser = Recogniser(recogniser_file(tmp_path), crop)  # type: ignore[arg-type]
    face = torch.randn(2, 3, 128, 128, requires_grad=True)
    embedding = recogniser(face)
    assert embedding.shape == (2, recogniser.dimension)
    embedding.square().sum().backward()
    assert face.grad is not None and face.grad.abs().sum() > 0
    assert all(not weight.requires_grad for weight in recogniser.parameters())
    assert len(recogniser.features(face)) == 3


def test_an_operation_no_recogniser_uses_is_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["x"], ["y"], equation="ij->ji")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [x], [y])), tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match="Einsum"):
        OnnxGraph(tmp_path / "odd.onnx")
