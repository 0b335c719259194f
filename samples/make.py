"""Make `samples/clip.mp4` and `samples/person/` from one public-domain photograph.

Run by hand: `python samples/make.py`. The photograph is scikit-image's `astronaut` (Eileen
Collins, NASA). It is set in motion as a relief: the camera zooms, drifts and shakes, the head
turns, nods and leans before the background, the eyes blink. The clip then goes through a model of a
worn home tape; the photos of the person do not. Same packages, same files: nothing here is random
that is not seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

HERE = Path(__file__).parent
WIDTH, HEIGHT, RATE, FRAMES = 640, 480, 25, 125
SOUND_RATE = 48_000
SEED = 1995  # the year of the flight after which such a tape could have been made

# Places in the 512x512 photograph, in its pixels (x, y).
NECK = (226.0, 185.0)
HEAD, HEAD_RADII = (226.0, 95.0), (84.0, 98.0)
FACE, FACE_RADII = (224.0, 118.0), (60.0, 78.0)
EYES = ((202.5, 100.0), (246.5, 101.5))
NOSE, CHIN = (223.0, 121.0), (224.0, 168.0)


@dataclass(frozen=True)
class Pose:
    """How the head is held; lengths in pixels of the photograph."""

    turn: float = 0.0  # how far the middle of the face moves sideways against the ears
    nod: float = 0.0
    lean_deg: float = 0.0
    shift_xy: tuple[float, float] = (0.0, 0.0)
    blink: float = 0.0  # 0 open, 1 closed
    jaw: float = 0.0


@dataclass(frozen=True)
class Camera:
    """Which part of the photograph is seen: a centre, a width, a roll."""

    centre_xy: tuple[float, float]
    width: float
    roll_deg: float = 0.0
    keystone: tuple[float, float] = (0.0, 0.0)  # perspective: relative change across the picture


def make_clip(path: Path) -> None:
    photo = data.astronaut().astype(np.float32) / 255
    tape = Tape(np.random.default_rng(SEED))
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as file:
        picture = file.add_stream("libx264", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # One thread: x264's decisions depend on how many there are.
        picture.options = {"crf": "29", "preset": "slow", "threads": "1"}
        picture.options |= {"maxrate": "750k", "bufsize": "750k"}
        context = picture.codec_context
        context.colorspace, context.color_range = 5, 1  # BT.601 (625 lines), limited range
        context.color_primaries, context.color_trc = 5, 6
        sound = file.add_stream("aac", rate=SOUND_RATE, layout="mono")
        sound.bit_rate = 64_000
        for stream in (picture, sound):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for index in range(FRAMES):
            camera, pose = performance(index / RATE)
            frame = video_frame(tape.play(look(photo, camera, pose, (WIDTH, HEIGHT))))
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        for frame in sound_frames(soundtrack(FRAMES / RATE)):
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))


def make_photos(folder: Path) -> None:
    """Four undamaged views: other crops, light, angle and white balance than the clip's."""
    folder.mkdir(exist_ok=True)
    photo = data.astronaut().astype(np.float32) / 255
    portrait, square = (480, 600), (560, 560)
    views = {
        "studio": (Camera((228, 118), 190), Pose(), portrait, Light()),
        "window": (
            Camera((232, 112), 210, 3.0, (0.05, 0.0)),
            Pose(turn=6, nod=-1.5, lean_deg=-3),
            square,
            Light(side=0.5, gain=(1.06, 1.0, 0.92), gamma=1.05),
        ),
        "evening": (
            Camera((218, 114), 200, -4.0, (-0.04, 0.02)),
            Pose(turn=-6, nod=2, lean_deg=4),
            square,
            Light(side=-0.5, gain=(1.1, 0.97, 0.8), gamma=1.3),
        ),
        "outdoors": (
            Camera((224, 160), 250, 1.5, (0.0, -0.05)),
            Pose(turn=2, nod=3.5, lean_deg=1),
            portrait,
            Light(side=0.1, gain=(0.94, 1.0, 1.1), gamma=0.85),
        ),
    }
    for name, (camera, pose, size, light) in views.items():
        face_x = size[0] * (0.5 + (FACE[0] - camera.centre_xy[0]) / camera.width)
        picture = light.on(look(photo, camera, pose, size), face_x)
        soft = cv2.GaussianBlur(picture, None, 1.6)
        sharp = np.clip(picture + 0.35 * (picture - soft), 0, 1)
        pixels = np.rint(sharp * 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(folder / f"{name}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])


def performance(time: float) -> tuple[Camera, Pose]:
    """The camera creeps in by hand while the person looks about, nods and blinks twice."""
    creep = ease(time / 4.2)
    shake = [wander(time, seed, 1.4) for seed in (1, 2, 3)]
    camera = Camera(
        (247 - 15 * creep + 1.6 * shake[0], 149 - 30 * creep + 1.3 * shake[1]),
        360 - 75 * creep,
        0.35 * shake[2],
    )
    glance = ease((time - 0.5) / 0.9) - 2 * ease((time - 2.0) / 1.1) + ease((time - 3.9) / 0.9)
    nod = bump(time, 1.5, 0.28) + 0.8 * bump(time, 3.4, 0.3)
    pose = Pose(
        turn=7.0 * glance + 0.8 * wander(time, 4, 0.5),
        nod=4.0 * nod + 0.7 * wander(time, 5, 0.6),
        lean_deg=2.6 * glance + 0.8 * wander(time, 6, 0.5),
        shift_xy=(3.0 * glance + wander(time, 7, 0.4), 2.0 * nod + wander(time, 8, 0.4)),
        blink=max(bump(time, 1.12, 0.07), bump(time, 3.62, 0.08)),
        jaw=0.6 * (1 + wander(time, 9, 2.6)),
    )
    return camera, pose


def ease(t: float) -> float:
    """From 0 to 1 with no jerk at either end."""
    t = min(max(t, 0.0), 1.0)
    return t * t * t * (t * (6 * t - 15) + 10)


def bump(time: float, when: float, width: float) -> float:
    return float(np.exp(-(((time - when) / width) ** 2)))


def wander(time: float, seed: int, hertz: float) -> float:
    """A smooth, unhurried drift in about [-1, 1]."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 3)
    speeds = hertz * np.array([0.55, 1.0, 1.73])
    return float(np.dot([0.5, 0.33, 0.17], np.sin(2 * np.pi * speeds * time + phases)))


def look(photo: np.ndarray, camera: Camera, pose: Pose, size: tuple[int, int]) -> np.ndarray:
    """The photograph seen by `camera` with the head held in `pose`."""
    x, y = camera_rays(camera, size)
    x, y = unpose(x, y, pose)
    return np.clip(cv2.remap(photo, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT), 0, 1)


def camera_rays(camera: Camera, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = (x - width / 2) / width, (y - height / 2) / width
    depth = 1 + camera.keystone[0] * 2 * x + camera.keystone[1] * 2 * y
    angle = np.deg2rad(camera.roll_deg)
    across = (x * np.cos(angle) - y * np.sin(angle)) / depth
    down = (x * np.sin(angle) + y * np.cos(angle)) / depth
    return (
        camera.centre_xy[0] + camera.width * across - 0.5,
        camera.centre_xy[1] + camera.width * down - 0.5,
    )


def unpose(x: np.ndarray, y: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """From a place in the posed picture to its place in the photograph."""
    # 1 on the head, falling softly to 0, so that the background stretches instead of tearing.
    far = np.hypot((x - HEAD[0]) / HEAD_RADII[0], (y - HEAD[1]) / HEAD_RADII[1])
    held = 1 / (1 + np.exp((far - 1.22) / 0.075))
    angle = -np.deg2rad(pose.lean_deg) * held
    dx, dy = x - NECK[0] - pose.shift_xy[0] * held, y - NECK[1] - pose.shift_xy[1] * held
    x, y = (
        NECK[0] + dx * np.cos(angle) - dy * np.sin(angle),
        (NECK[1] + dx * np.sin(angle) + dy * np.cos(angle)),
    )
    # The face is a dome with a nose on it; turning moves what is near more than what is far.
    dome = 1 - ((x - FACE[0]) / FACE_RADII[0]) ** 2 - ((y - FACE[1]) / FACE_RADII[1]) ** 2
    relief = np.sqrt(np.logaddexp(0, 12 * dome) / 12) + 0.22 * blob(x, y, NOSE, 7, 10)
    x, y = x - pose.turn * relief, y - pose.nod * relief
    y = y - 2.2 * pose.jaw * blob(x, y, CHIN, 30, 17)
    # A lid: the skin above the eye is drawn down over it.
    for eye in EYES:
        y = y - 8.0 * pose.blink * blob(x, y, (eye[0], eye[1] + 1.5), 12, 4.6)
    return x.astype(np.float32), y.astype(np.float32)


def blob(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], wide: float, high: float
) -> np.ndarray:
    return np.exp(-0.5 * (((x - at[0]) / wide) ** 2 + ((y - at[1]) / high) ** 2))


@dataclass(frozen=True)
class Light:
    """Light from one side, its colour, and the exposure."""

    side: float = 0.0  # > 0 from the left
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0

    def on(self, picture: np.ndarray, face_x: float) -> np.ndarray:
        across = (np.arange(picture.shape[1]) - face_x) / picture.shape[1]
        falloff = 1 - self.side * np.tanh(2.5 * across)
        lit = picture**self.gamma * falloff[None, :, None] * np.array(self.gain)
        knee, room = 0.75, 0.25  # highlights roll off instead of clipping
        return np.where(lit < knee, lit, knee + room * np.tanh((lit - knee) / room))


class Tape:
    """A worn home tape, a copy of a copy: what it does to each picture it plays."""

    LUMA_BLUR, CHROMA_BLUR = 3.1, 10.0  # sigma along the line, pixels
    CHROMA_LATE_XY = (5.0, 2.0)  # colour lags behind the picture

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.drift = np.zeros(HEIGHT)
        self.scratch: tuple[int, float] | None = None

    def play(self, picture: np.ndarray) -> np.ndarray:
        """RGB in [0, 1] to Y'CbCr: Y' in [0, 1], Cb and Cr in [-0.5, 0.5]."""
        luma, chroma = self.record(*split(picture))
        luma, chroma = self.wobble(luma, chroma)
        luma, chroma = self.noise(luma, chroma)
        luma, chroma = self.drop_out(luma, chroma)
        luma, chroma = self.switch_heads(luma, chroma)
        return np.clip(np.concatenate([luma[..., None], chroma], axis=2), -0.5, 1.0)

    def record(self, luma: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Little bandwidth, and the recorder's peaking that hides it with halos."""
        luma = along(luma, self.LUMA_BLUR, 1.7)
        luma = luma + 0.6 * (luma - along(luma, 4.5, 0.0))
        chroma = along(chroma, self.CHROMA_BLUR, 2.2)
        shift = np.float32([[1, 0, self.CHROMA_LATE_XY[0]], [0, 1, self.CHROMA_LATE_XY[1]]])
        size = (WIDTH, HEIGHT)
        chroma = cv2.warpAffine(chroma, shift, size, borderMode=cv2.BORDER_REPLICATE)
        return 0.055 + 0.86 * luma, 0.82 * chroma + np.array([-0.012, 0.016])

    def wobble(self, luma: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each line starts a little early or late; the topmost bend away."""
        fresh = along(self.random.normal(size=(HEIGHT, 1)).astype(np.float32), 0.0, 2.5)[:, 0]
        self.drift = 0.72 * self.drift + 1.5 * fresh
        lines = np.arange(HEIGHT)
        bend = 5.0 * np.exp(-lines / 9.0) * (1 + 0.4 * self.random.normal())
        x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), lines.astype(np.float32))
        x += (self.drift + 0.18 * self.random.normal(size=HEIGHT) + bend)[:, None].astype("f4")
        played = [
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for plane in (luma, chroma)
        ]
        return played[0], played[1]

    def noise(self, luma: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grain = along(self.random.normal(size=luma.shape).astype(np.float32), 1.0, 0.4)
        streaks = along(self.random.normal(size=luma.shape).astype(np.float32), 40.0, 0.0)
        blotches = along(self.random.normal(size=chroma.shape).astype(np.float32), 9.0, 2.5)
        level = 1.015 ** self.random.normal()  # the gain hunts
        luma = level * luma + 0.044 * grain / grain.std() + 0.009 * streaks / streaks.std()
        return luma, chroma + 0.02 * blotches / blotches.std()

    def drop_out(self, luma: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flakes of missing oxide: short bright dashes, and now and then a travelling crease."""
        for _ in range(self.random.poisson(1.6)):
            line, start = self.random.integers(HEIGHT), self.random.integers(WIDTH)
            length, tall = self.random.integers(12, 140), self.random.integers(1, 3)
            tail = np.exp(-np.arange(length) / (0.5 * length))
            place = np.s_[line : line + tall, start : start + length]
            visible = luma[place].shape[1]
            bright = self.random.uniform(0.35, 0.8) * self.random.choice([1, 1, 1, -0.6])
            luma[place] += bright * tail[:visible]
            chroma[place] *= 0.3
        if self.scratch is None and self.random.random() < 0.04:
            self.scratch = (
                int(self.random.integers(6, 12)),
                HEIGHT * self.random.uniform(0.5, 0.9),
            )
        if self.scratch is not None:
            left, line = self.scratch
            rows = np.arange(int(line), min(int(line) + 5, HEIGHT))
            jolt = (9 * self.random.normal(size=rows.size)).astype(int)
            for row, by in zip(rows, jolt, strict=True):
                luma[row] = np.roll(luma[row], by) + 0.16 * self.random.normal(size=WIDTH)
                chroma[row] *= 0.4
            self.scratch = (left - 1, line - 21.0) if left > 1 and line > 21 else None
        return luma, chroma

    def switch_heads(self, luma: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The bottom lines, where one head hands over to the next, are torn and noisy."""
        first = HEIGHT - 9 - int(self.random.integers(0, 3))
        tear = 26 + 6 * self.random.normal()
        for row in range(first, HEIGHT):
            into = (row - first) / 9
            by = int(tear * (0.4 + into) + 4 * self.random.normal())
            hiss = along(self.random.normal(size=(1, WIDTH)).astype(np.float32), 1.2, 0.0)[0]
            luma[row] = 0.75 * np.roll(luma[row], by) + 0.3 * hiss
            chroma[row] = 0.5 * np.roll(chroma[row], by, axis=0)
        return luma, chroma


def along(plane: np.ndarray, across: float, down: float) -> np.ndarray:
    """Gaussian blur with its own sigma along the line and across lines; 0 is none."""
    tiny = 1e-3
    kernels = [
        cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma)) + 1, max(sigma, tiny))
        for sigma in (across, down)
    ]
    return cv2.sepFilter2D(plane, -1, *kernels, borderType=cv2.BORDER_REPLICATE)


def split(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BT.601, as a camera of that time."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, np.stack([(blue - luma) / 1.772, (red - luma) / 1.402], axis=2)


def video_frame(picture: np.ndarray) -> av.VideoFrame:
    """Y'CbCr as 4:2:0 in limited range."""
    luma = np.rint(16 + 219 * np.clip(picture[..., 0], 0, 1))
    small = cv2.resize(picture[..., 1:], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    chroma = np.rint(128 + 224 * np.clip(small, -0.5, 0.5))
    planes = [luma.ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()]
    stacked = np.concatenate(planes).astype(np.uint8).reshape(HEIGHT * 3 // 2, WIDTH)
    return av.VideoFrame.from_ndarray(stacked, format="yuv420p")


def soundtrack(seconds: float) -> np.ndarray:
    """A slow melody on a plucked string, with the tape's wow, its hum and its hiss."""
    random = np.random.default_rng(SEED)
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    # Wow and flutter: the tape runs unevenly.
    played = time + 0.0011 * np.sin(2 * np.pi * 0.7 * time) + 0.00005 * np.sin(55 * time)
    sound = np.zeros_like(time)
    notes = (0, 4, 7, 12, 11, 7, 9, 5, 2, 7)  # semitones above the A below middle C
    for place, note in enumerate(notes):
        age = played - place * seconds / len(notes)
        pitch = 220.0 * 2 ** (note / 12)
        for harmonic in range(1, 6):
            ring = np.exp(-np.maximum(age, 0) * (1.6 + 1.1 * harmonic))
            string = np.sin(2 * np.pi * pitch * harmonic * age) / harmonic**1.4
            sound += 0.16 * np.where(age > 0, ring * string * np.minimum(age / 0.008, 1), 0)
    hum = sum(np.sin(2 * np.pi * 50 * k * time + k) / k**1.2 for k in (1, 2, 3, 5))
    hiss = random.normal(size=time.size)
    hiss = np.convolve(hiss, [0.25, 0.5, 0.25], mode="same")
    mixed = sound + 0.012 * hum + 0.011 * hiss
    fade = np.minimum(1, np.minimum(time, seconds - time) / 0.15)
    return (np.tanh(1.2 * mixed) * fade).astype(np.float32)


def sound_frames(samples: np.ndarray) -> Iterator[av.AudioFrame]:
    for start in range(0, samples.size, 1024):
        piece = np.ascontiguousarray(samples[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, start
        frame.time_base = Fraction(1, SOUND_RATE)
        yield frame


if __name__ == "__main__":
    make_clip(HERE / "clip.mp4")
    make_photos(HERE / "person")
