"""What a codec leaves of a face that moves: a still portrait becomes a short clip and is coded.

A codec forgets a still picture slowly and a moving, noisy one at once: the detail of a head that
turns by fractions of a pixel is what prediction cannot carry and quantisation throws away. So the
head moves over a few frames, each with noise of its own, the frames go through a real encoder, and
one of the later, predicted ones is cut out again in place, as `vidref restore` cuts it out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vidref.training.encoding import code_frames, workers

Picture = np.ndarray

NARROWEST_PX, WIDEST_PX = 44, 320
"""Side of the face square in the coded clip."""
CODECS = (("libx264", 0.7), ("mpeg2video", 0.15), ("mpeg4", 0.15))
ROOM = 1.3
"""Side of the coded frame against the face square's."""


@dataclass(frozen=True)
class Filming:
    """One draw: how large the face is in the clip, how it moves, what camera and codec do."""

    side_px: int
    frames: int
    shown: int
    """Which of the frames is kept."""
    turn: float
    """Degrees by which the head leans in the frame that is kept."""
    pace: tuple[float, float, float, float]
    """A frame's movement: right and down in pixels, degrees, share of the size."""
    jitter_px: float
    blur_px: float
    noise: float
    """Deviation in levels of 255, and half as much of it in colour."""
    codec: str
    severity: float
    twice: bool
    """Coded once before, finely, as most material has been."""


def draw_filming(size: int, draws: torch.Generator) -> Filming:
    """Draw one, for face squares of at most `size` pixels."""

    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand(1, generator=draws))

    def normal(deviation: float) -> float:
        return deviation * float(torch.randn(1, generator=draws))

    widest = max(NARROWEST_PX, min(size, WIDEST_PX))
    side = round(math.exp(uniform(math.log(NARROWEST_PX), math.log(widest))))
    frames = 5 + int(uniform(0, 5))
    pick, place = uniform(), 0.0
    codec = CODECS[-1][0]
    for name, share in CODECS:
        place += share
        if pick < place:
            codec = name
            break
    return Filming(
        side_px=side,
        frames=frames,
        shown=frames - 1 - int(uniform(0, 4)),
        turn=normal(6),
        pace=(normal(0.012 * side), normal(0.008 * side), normal(0.4), normal(0.003)),
        jitter_px=uniform(0, 0.3),
        blur_px=max(0.0, uniform(-0.8, 1.2)),
        noise=max(0.0, uniform(-3, 9)),
        codec=codec,
        # of the smallest faces the coarsest quantisers leave nothing at all
        severity=uniform() * min(1.0, 0.4 + side / 150),
        twice=uniform() < 0.25,
    )


def filmed(face: Picture, how: Filming, rng: np.random.Generator) -> Picture:
    """(S, S, 3) uint8 RGB -> the same square, cut out of a coded clip of it."""
    size = face.shape[0]
    canvas = round(how.side_px * ROOM / 2) * 2
    # averaged before it is moved: a camera's pixel is an average
    small = cv2.resize(face, (how.side_px,) * 2, interpolation=cv2.INTER_AREA)
    clip, places = [], []
    for number in range(how.frames):
        place = _place(how, number, canvas, rng)
        places.append(place)
        clip.append(_exposed(small, place, canvas, how, rng))
    if how.twice:
        clip = code_frames(clip, "libx264", 0.1)
    coded = code_frames(clip, how.codec, how.severity)[how.shown]
    back = np.array([[how.side_px / size, 0, 0], [0, how.side_px / size, 0], [0, 0, 1.0]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    to_coded = np.linalg.inv(half) @ places[how.shown] @ back @ half
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            coded, to_coded[:2], (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    )


def film_batch(images: Tensor, draws: torch.Generator, noise: torch.Generator) -> Tensor:
    """(B, 3, S, S) in [0, 1], wherever they are -> the same, each in a clip of its own."""
    pictures = (images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    hows = [draw_filming(images.shape[-1], draws) for _ in pictures]
    numbers = [random_numbers(noise) for _ in pictures]
    shown = np.stack(list(workers().map(filmed, pictures, hows, numbers)))
    return torch.from_numpy(shown).permute(0, 3, 1, 2).to(images) / 255


def random_numbers(noise: torch.Generator) -> np.random.Generator:
    """NumPy's generator begun from torch's, on whatever device that is."""
    seed = torch.randint(2**62, (1,), generator=noise, device=noise.device)
    return np.random.default_rng(int(seed))


def _place(how: Filming, number: int, canvas: int, rng: np.random.Generator) -> np.ndarray:
    """Where the small face square lies in a frame: its map, edges of pixels counted."""
    since = number - how.shown
    right, down, turned, grown = how.pace
    angle = math.radians(how.turn + turned * since)
    scale = (1 + grown) ** since
    cos, sin, half = scale * math.cos(angle), scale * math.sin(angle), how.side_px / 2
    x, y = canvas / 2 + np.array([right, down]) * since + how.jitter_px * rng.standard_normal(2)
    turn = np.array([[cos, -sin], [sin, cos]])
    shift = np.array([x, y]) - turn @ np.array([half, half])
    return np.vstack([np.hstack([turn, shift[:, None]]), [0, 0, 1]])


def _exposed(
    small: Picture, place: np.ndarray, canvas: int, how: Filming, rng: np.random.Generator
) -> Picture:
    """One frame as the camera hands it to the encoder."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    to_frame = np.linalg.inv(half) @ place @ half
    frame = cv2.warpAffine(
        small, to_frame[:2], (canvas, canvas), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    if how.blur_px:
        frame = cv2.GaussianBlur(frame, (0, 0), how.blur_px)
    if how.noise:
        grey = how.noise * rng.standard_normal((canvas, canvas, 1), np.float32)
        colour = 0.5 * how.noise * rng.standard_normal((canvas, canvas, 3), np.float32)
        frame = np.clip(np.rint(frame + grey + colour), 0, 255).astype(np.uint8)
    return np.asarray(frame)
