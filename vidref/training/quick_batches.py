"""Batches for a run on CPU cores, made with OpenCV: as batches.py makes them, for less.

Faces, views, damage and their ranges are the same; what differs is that everything is done picture
by picture on bytes, that references are cut at the size the patch encoder looks at, and that a
photograph is embedded once (the only one of a person: from a strongly varied view) and remembered.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from vidref.model.recogniser import Recogniser
from vidref.training.batches import Batch, generators
from vidref.training.degradation import NAMED, WORN, Ranges, degrade_image, draw
from vidref.training.moving_damage import draw_filming, filmed, random_numbers
from vidref.training.pairs import Pairing
from vidref.training.photos import MARGIN, Photos
from vidref.training.restorer_config import TrainingConfig
from vidref.training.video_damage import damage_video
from vidref.training.views import FIXED, SAME_PHOTO, Spread, homographies, spreads

Picture = np.ndarray


class QuickBatchMaker:
    """Makes the batch of any step, as a function of (seed, step, rank) alone."""

    device = torch.device("cpu")

    def __init__(
        self,
        photos: Photos,
        config: TrainingConfig,
        recogniser: Recogniser | None,
        rank: int = 0,
    ) -> None:
        cv2.setNumThreads(1)
        self.photos, self.config, self.recogniser, self.rank = photos, config, recogniser, rank
        data, patches = config.data, config.restorer.context.patches
        self.spreads = spreads(in_place=config.restorer.aligner is not None)
        self.pairing = Pairing(photos, data.references, data.several_share, data.wrong_share)
        self.pictures = photos.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.corners = photos.corners.numpy()
        looked_at = None if config.restorer.aligner else patches and patches.size
        self.reference_size = min(config.run.size, looked_at or config.run.size)
        self.remembered: dict[tuple[int, bool], Tensor] = {}

    @torch.no_grad()
    def make(self, step: int) -> Batch:
        """The batch of a step."""
        config, size = self.config, self.config.run.size
        draws, noise = generators(config.run.seed, step, self.rank, self.device)
        choice = self.pairing.choose(config.run.batch, draws)
        count, shown = len(choice.targets), int(choice.counts.max())
        kinds = kinds_of(config, count, draws)
        usual = self.spreads.target
        targets, degraded, real, references = [], [], [], []
        embeddings, belongs = [], []
        for row, index in enumerate(choice.targets.tolist()):
            flip = bool(one(draws) < 0.5) and config.data.flip
            to_photo = unit_map(usual if config.data.vary else FIXED, flip, draws)
            view = pixel_map(to_photo, size, self.side)
            face = self._cut(index, view, size)
            if config.data.vary:
                face = recoloured(face, usual.colour, draws)
            face = old_look(face, config.damage.faded, config.damage.grey, draws)
            targets.append(face)
            degraded.append(damaged(face, kinds[row], config.damage.encode, draws, noise))
            real.append(self._real(index, view, size))
            for j in range(shown):
                photo, same = int(choice.references[row, j]), bool(choice.same_photo[row, j])
                seen, other = self._reference(photo, same, self.reference_size, flip, draws)
                belongs.append(torch.from_numpy(np.linalg.solve(other, to_photo)).float())
                if one(draws) < config.data.worn_share:
                    seen = degraded_once(seen, WORN, draws, noise)
                references.append(seen)
                embeddings.append(self._embedding(photo, same))
        flat = to_tensor(references)
        stacked = flat.reshape(count, shown, *flat.shape[1:])
        return Batch(
            target=to_tensor(targets),
            degraded=to_tensor(degraded),
            real=torch.from_numpy(np.stack(real)).float()[:, None],
            detail=(self.photos.detail[choice.targets] * 512 / size).clamp(max=1),
            references=stacked,
            photos=choice.references[:, :shown],
            embeddings=None
            if self.recogniser is None
            else torch.stack(embeddings).reshape(count, shown, -1),
            counts=choice.counts,
            wrong=choice.wrong_person,
            belongs=torch.stack(belongs).reshape(count, shown, 3, 3),
        )

    @property
    def side(self) -> int:
        """Pixels along a stored photograph."""
        return int(self.pictures.shape[1])

    def _cut(self, index: int, view: np.ndarray, size: int) -> Picture:
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REFLECT
        picture = self.pictures[index]
        return np.asarray(
            cv2.warpPerspective(picture, view, (size, size), flags=flags, borderMode=border)
        )

    def _real(self, index: int, view: np.ndarray, size: int) -> np.ndarray:
        """1 inside the photograph's own area; of round photographs, inside the circle."""
        corners = (self.corners[index] * self.side - 0.5).astype(np.float32)
        seen = cv2.perspectiveTransform(corners[None], np.linalg.inv(view))[0]
        inside = np.zeros((size, size), np.uint8)
        # eight bits of fraction, so that the edge is where it is and not at a whole pixel
        cv2.fillConvexPoly(inside, np.round(seen * 256).astype(np.int32), 1, cv2.LINE_8, 8)
        if self.photos.circular[index]:
            sides = np.linalg.norm(np.roll(seen, -1, 0) - seen, axis=1)
            disc = np.zeros_like(inside)
            centre = tuple(int(v) for v in seen.mean(0).round())
            cv2.circle(disc, centre, int(0.97 * sides.min() / 2), 1, -1)
            inside &= disc
        return inside

    def _reference(
        self, index: int, same: bool, size: int, flip: bool, draws: torch.Generator
    ) -> tuple[Picture, np.ndarray]:
        """A view and its map to the photograph; mirrored as the target is."""
        augment = self.config.data.augment_references
        usual, strong = self.spreads.reference, self.spreads.same_photo
        spread = (strong if same else usual) if augment else FIXED
        # cut at a size that the photograph does not alias at, then averaged to the wanted one
        fine = size * max(1, round(self.side / MARGIN / size))
        to_photo = unit_map(spread, flip, draws)
        face = self._cut(index, pixel_map(to_photo, fine, self.side), fine)
        if fine != size:
            face = np.asarray(cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA))
        return recoloured(face, spread.colour, draws), to_photo

    def _embedding(self, index: int, same: bool) -> Tensor:
        if self.recogniser is None:
            return torch.zeros(0)
        if (index, same) not in self.remembered:
            identity = self.config.restorer.context.identity
            mirrored = identity is None or identity.normalised
            draws = torch.Generator().manual_seed(index)
            spread = SAME_PHOTO if same else FIXED
            size = round(self.side / MARGIN)
            view = pixel_map(unit_map(spread, False, draws), size, self.side)
            face = self._cut(index, view, size)
            face = recoloured(face, spread.colour, draws)
            self.remembered[index, same] = self.recogniser.embed(to_tensor([face]), mirrored)[0]
        return self.remembered[index, same]


def one(draws: torch.Generator) -> float:
    """One uniform number."""
    return float(torch.rand(1, generator=draws))


def to_tensor(pictures: list[Picture]) -> Tensor:
    """Bytes (H, W, 3) -> (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def kinds_of(config: TrainingConfig, count: int, draws: torch.Generator) -> list[str]:
    """How each picture of a batch is damaged: shares of the batch, with a random offset."""
    names = (*NAMED, "video", "filmed")
    shares = torch.tensor([float(getattr(config.damage, name)) for name in names])
    edges = (shares / shares.sum()).cumsum(0)
    places = (torch.arange(count) + one(draws)) / count
    return [names[min(int((place > edges).sum()), len(names) - 1)] for place in places]


def unit_map(spread: Spread, flip: bool, draws: torch.Generator) -> np.ndarray:
    """A random view: the face square's [-1, 1] -> the stored photograph's [-1, 1]."""
    return np.asarray(homographies(spread, torch.tensor([flip]), draws)[0].double().numpy())


def pixel_map(unit: np.ndarray, size: int, stored: int) -> np.ndarray:
    """A view as OpenCV wants it: pixels of the face square -> pixels of the photograph."""
    to_unit = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    half = stored / 2
    to_pixels = np.array([[half, 0, half - 0.5], [0, half, half - 0.5], [0, 0, 1]])
    return np.asarray(to_pixels @ unit @ to_unit)


def recoloured(face: Picture, amount: float, draws: torch.Generator) -> Picture:
    """`views.jitter` as one affine map of colours."""
    values = 1 + (2 * torch.rand(4, generator=draws) - 1) * amount
    if amount == 0:
        return face
    bright, contrast, saturation, warmth = values.tolist()
    mean = float(face.mean()) / 127.5 - 1
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    tint = np.array([warmth, 1, 2 - warmth])
    turn = contrast * tint[:, None] * mix
    shift = tint * ((1 - contrast) * mean + bright - 1) + tint - 1
    offset = 127.5 * (shift + 1 - turn.sum(1))
    return np.asarray(cv2.transform(face, np.concatenate([turn, offset[:, None]], 1)))


def old_look(face: Picture, faded: float, grey: float, draws: torch.Generator) -> Picture:
    """`video_damage.look` on bytes: an old picture's colours, or none."""
    is_faded, is_grey = one(draws) < faded, one(draws) < grey
    if is_faded:
        floor = 0.12 * one(draws)
        gain = 1 - floor - 0.2 * one(draws)
        cast = 1 + 0.08 * torch.randn(3, generator=draws).numpy()
        gamma = math.exp(0.25 * float(torch.randn(1, generator=draws)))
        levels = (np.arange(256) / 255).clip(1e-4) ** gamma * gain + floor
        table = (levels[:, None] * cast * 255).round().clip(0, 255).astype(np.uint8)
        face = np.asarray(cv2.LUT(face, np.ascontiguousarray(table[None])))
    if is_grey:
        face = np.repeat(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    return face


def damaged(
    face: Picture, kind: str, encode: bool, draws: torch.Generator, noise: torch.Generator
) -> Picture:
    """One face after its kind of damage."""
    if kind == "filmed":
        return filmed(face, draw_filming(face.shape[0], draws), random_numbers(noise))
    if kind == "video":
        unit = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
        levels = damage_video(unit, draws, noise, encode)[0] * 255
        return np.ascontiguousarray(levels.round().byte().permute(1, 2, 0).numpy())
    return degraded_once(face, NAMED[kind], draws, noise)


def degraded_once(
    face: Picture, ranges: Ranges, draws: torch.Generator, noise: torch.Generator
) -> Picture:
    """One face by the published degradation."""
    drawn = draw(ranges, 1, face.shape[0], draws)
    in_bgr = degrade_image(np.ascontiguousarray(face[..., ::-1]), drawn, random_numbers(noise))
    return np.ascontiguousarray(in_bgr[..., ::-1])
