"""What a restorer leaves out of its bands of detail is added, as its file says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.model.small import picture, small_config, small_network
from vidref.errors import SettingsError
from vidref.model.bundle import save_bundle
from vidref.model.clarity import bands, clearer
from vidref.model.config import BANDS_PX, parse_config
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.separable import low_pass


def test_the_bands_and_what_is_coarser_are_the_whole_face() -> None:
    face = picture(1)[None]
    whole = torch.stack(bands(face)).sum(0) + low_pass(face, BANDS_PX[-1])
    torch.testing.assert_close(whole, face)


def test_shares_are_added_band_by_band() -> None:
    face = picture(1)[None]
    finest, middle, coarsest = bands(face)
    made = clearer(face, (0.5, 0, -0.25))
    torch.testing.assert_close(made, face + 0.5 * finest - 0.25 * coarsest)
    assert clearer(face, ()) is face and clearer(face, (0, 0, 0)) is face
    assert not torch.equal(clearer(face, (0, 0.1, 0)), face + 0.1 * finest) and middle.any()


def test_a_bundle_with_shares_restores_more_clearly(tmp_path: Path) -> None:
    network = small_network()
    weights = network.own_weights()
    clear = network.config.model_copy(update={"clarity": (0.4, 0.4, 0.4)})
    save_bundle(tmp_path / "plain", network.config, weights, "card", torch.float32)
    save_bundle(tmp_path / "clear", clear, weights, "card", torch.float32)
    crop = picture(1) * 0.1
    made = []
    for name in ("plain", "clear"):
        restorer = Restorer.load(str(tmp_path / name))
        face = Face(crop, "p1", restorer.remember([]))
        made.append(restorer.restore([face], Sampling(steps=1)))
    detail = torch.stack(bands(made[0])).sum(0)
    gained = float(((made[1] - made[0]) * detail).sum() / detail.square().sum())
    assert 0.2 < gained < 0.6  # not just 0.4: what leaves the range of colours is cut off


def test_shares_for_other_bands_are_refused() -> None:
    with pytest.raises(SettingsError, match="clarity"):
        parse_config(small_config().model_dump() | {"clarity": (0.1,)}, "here")
