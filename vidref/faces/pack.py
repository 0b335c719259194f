"""A face pack: a folder of ONNX files that finds faces and tells people apart.

insightface's own `FaceAnalysis` loads any insightface pack, and can load the bundled one, whose
files are known and opened one by one. This file knows where packs are, checks them before they are
loaded, and never downloads. With `finder.py`, which does the looking, it turns insightface's
objects into plain arrays in source pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref import weights
from vidref.errors import MissingDependencyError, ModelError
from vidref.faces.beside import Beside, Soon
from vidref.faces.bundled import RECOGNISER, Once, detector_of
from vidref.faces.detected import DetectedFace
from vidref.faces.finder import FILLING_PX, Finder
from vidref.faces.geometry import Placement, similarity
from vidref.faces.light import evenly_lit
from vidref.faces.pieces import Pieces
from vidref.faces.refiner import FILE as REFINER_FILE
from vidref.faces.refiner import Refiner
from vidref.faces.scrfd import Scrfd
from vidref.imports import only_promised
from vidref.machine import usable_cores

BUNDLED = "bundled"
LOCAL_PACKS = Path("~/.insightface/models")
FACE_PX = 112
TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where the eyes, the nose and the mouth's corners belong in the ArcFace square."""
NON_COMMERCIAL = (
    "insightface's model packs may be used for non-commercial research only, unless insightface "
    "licensed them to you: see https://github.com/deepinsight/insightface#license."
)

LEAST_SCORE = 0.5
BUNDLED_SAME_PERSON = 0.51
OTHER_SAME_PERSON = 0.35
PIECES_PAY = 30
"""Searches of a frame after which the detector is taken to pieces: that takes 0.2 s of CPU time,
half of it for the import of onnx, and each then saves some 10 ms of waiting."""


class FacePack:
    """A loaded pack. Frames and crops are RGB uint8; embeddings are rows of length one."""

    def __init__(
        self,
        name: str,
        folder: Path,
        finder: Finder,
        recogniser: Callable[[], Any],
        least_score: float,
        same_person: float,
        beside: Beside,
    ) -> None:
        self.name = name
        self.folder = folder
        self.least_score = least_score
        """Score from which something found is taken to be a face."""
        self.same_person = same_person
        """Cosine above which two faces are taken to be one person."""
        self._finder = finder
        self._recogniser = recogniser
        self._beside = beside

    def with_least_score(self, score: float) -> FacePack:
        """The same networks, taking more or less for a face."""
        return FacePack(
            self.name,
            self.folder,
            self._finder,
            self._recogniser,
            score,
            self.same_person,
            self._beside,
        )

    @property
    def licence_note(self) -> str | None:
        """What a user of this pack must know; None for the bundled one."""
        return None if self.name == BUNDLED else NON_COMMERCIAL

    def detect(self, frame: NDArray[np.uint8]) -> list[DetectedFace]:
        """All faces of a frame, the best score first."""
        return self._finder.anywhere(frame, self.least_score)

    def detect_near(self, frame: NDArray[np.uint8], expected: Placement) -> list[DetectedFace]:
        """The faces around where one is expected, the best score first."""
        return self._finder.near(frame, expected, self.least_score)

    def propose(self, frame: NDArray[np.uint8]) -> list[DetectedFace]:
        """What the detector takes for faces before anything looks again."""
        return self._finder.proposals(frame, self.least_score)

    def embed(self, frame: NDArray[np.uint8], faces: list[DetectedFace]) -> NDArray[np.float32]:
        """One embedding a face of this frame, (n, d)."""
        return self.embed_aligned([aligned(frame, face.landmarks_xy) for face in faces])

    def embed_aligned(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeddings of 112 px aligned crops, each averaged with its mirror image, (n, d).

        Faces are lit evenly for our own recogniser only: what others make of that was not measured.
        """
        recogniser = self._recogniser()
        if not crops:
            return np.zeros((0, recogniser.output_shape[-1]), np.float32)
        lit = [evenly_lit(crop) for crop in crops] if self.name == BUNDLED else crops
        views = [np.ascontiguousarray(crop[..., ::-1]) for crop in lit]
        mirrored = self._beside.start(
            lambda: _vectors(recogniser, [np.ascontiguousarray(view[:, ::-1]) for view in views])
        )
        straight = _vectors(recogniser, views)
        return _unit(straight + mirrored())


def load_pack(source: str = BUNDLED, threads: int = 0, detect_px: int = 640) -> FacePack:
    """The pack that `--faces` names: `bundled`, an insightface pack's name, or a folder.

    `threads` 0 takes all cores that the process may use. To be searched, a frame's longer side is
    made `detect_px` long, and once more a good deal shorter, for faces that fill the frame.
    """
    folder = find_pack(source)
    weights.verify(folder)
    bundled = folder == weights.FACE_PACK
    # The networks of other packs are large enough for a thread to help with every layer.
    cores = (threads or usable_cores()) if bundled else 1
    each = max(1, cores // 2) if bundled else threads
    own = bundled and _only_processors()
    detection, recogniser = _own_networks(folder, each) if own else _networks(folder, each)
    providers = detection.session.get_providers()
    beside = Beside(cores if providers == ["CPUExecutionProvider"] else 1)

    def load(network: Path | bytes) -> Any:
        return _session(network, each, providers)

    pieces = None
    if beside.is_there:
        pieces = Soon(lambda: Pieces.of(Path(detection.model_file), load, beside), PIECES_PAY)
    return FacePack(
        BUNDLED if bundled else source,
        folder,
        Finder(Scrfd(detection, pieces, beside), _refiner(folder, load, beside), detect_px),
        recogniser,
        LEAST_SCORE,
        BUNDLED_SAME_PERSON if bundled else OTHER_SAME_PERSON,
        beside,
    )


def find_pack(source: str) -> Path:
    """The folder that a pack is in; nothing is ever downloaded here."""
    if source == BUNDLED:
        if not any(weights.FACE_PACK.glob("*.onnx")):
            raise ModelError(f"{weights.FACE_PACK} holds no face pack: install vidref anew.")
        return weights.FACE_PACK
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = LOCAL_PACKS.expanduser() / source
    if not folder.is_dir():
        what = "folder" if "/" in source or source.startswith(".") else "face pack on this machine"
        remedy = (
            "check the path"
            if what == "folder"
            else f"`vidref models fetch {source}` gets it from insightface, "
            "`vidref models list` shows what is here"
        )
        raise ModelError(f"There is no {what} {source}: {remedy}.")
    inner = folder / folder.name  # Some of insightface's archives hold a folder of their own name.
    return inner if inner.is_dir() and not any(folder.glob("*.onnx")) else folder


def _networks(folder: Path, threads: int) -> tuple[Any, Callable[[], Any]]:
    """Any pack's detector and recogniser, as insightface finds them."""
    analysis = _analysis(folder, threads)
    models = analysis.models
    if "recognition" not in models:
        raise ModelError(
            f"{folder} holds no recogniser (a 112 px ArcFace-format ONNX file): "
            "choose another pack with --faces."
        )
    analysis.prepare(ctx_id=0, det_size=(FILLING_PX, FILLING_PX))
    return models["detection"], lambda: models["recognition"]


def _own_networks(folder: Path, threads: int) -> tuple[Any, Callable[[], Any]]:
    """The bundled pack's, which need no finding; the recogniser is loaded with the first face."""
    if find_spec("insightface") is None:
        raise _missing("No module named 'insightface'")

    def recogniser() -> Any:
        _insightface()
        from insightface.model_zoo import get_model

        return get_model(str(folder / RECOGNISER), sess_options=_session_options(threads))

    detector = detector_of(folder, lambda path: _session(path, threads, ["CPUExecutionProvider"]))
    return detector, Once(recogniser)


def _only_processors() -> bool:
    """Whether there is nothing else here that insightface would choose to compute on."""
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(str(error)) from error
    found = onnxruntime.get_available_providers()
    return not {"CoreMLExecutionProvider", "CUDAExecutionProvider"} & {*found}


def _missing(what: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"Finding faces needs insightface and onnxruntime ({what}): "
        "pip install insightface onnxruntime."
    )


def _insightface() -> Any:
    """insightface's `FaceAnalysis`, without what it imports for other uses than ours."""
    # Its way of aligning, which is not ours, takes scipy and skimage; its downloads, requests.
    with only_promised("scipy.spatial", "skimage.transform", "requests"):
        from insightface.app import FaceAnalysis
    return FaceAnalysis


def _analysis(folder: Path, threads: int) -> Any:
    """insightface's object for a folder, its ways of failing turned into one sentence."""
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

        face_analysis = _insightface()
    except ImportError as error:
        raise _missing(str(error)) from error
    damaged = (
        DecodeError,
        OSError,
        RuntimeError,
        ValueError,
        runtime_errors.Fail,
        runtime_errors.InvalidArgument,
        runtime_errors.InvalidGraph,
        runtime_errors.InvalidProtobuf,
    )
    try:
        return face_analysis(
            name=str(folder.resolve()),
            allowed_modules=["detection", "recognition"],
            sess_options=_session_options(threads),
        )
    except AssertionError as error:
        raise ModelError(
            f"{folder} holds no face detector that insightface knows (SCRFD-format ONNX): "
            "choose another pack with --faces."
        ) from error
    except damaged as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "not ONNX"
        raise ModelError(
            f"{folder} cannot be loaded as a face pack ({reason}): fetch it anew."
        ) from error


def _session_options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning take the cores from decoding: measured, 28 s of CPU instead of
    # 15 for the analysis of 500 frames on two cores, and a third less speed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(network: Path | bytes, threads: int, providers: list[str]) -> Any:
    import onnxruntime

    given = network if isinstance(network, bytes) else str(network)
    return onnxruntime.InferenceSession(given, _session_options(threads), providers=providers)


def _refiner(folder: Path, load: Callable[[Path], Any], beside: Beside) -> Refiner | None:
    """The pack's refiner, if it has one, on the device that its detector is on."""
    path = folder / REFINER_FILE
    if not path.is_file():
        return None
    try:
        session = load(path)
    except Exception as error:  # onnxruntime raises classes of its own, one a kind of damage
        raise ModelError(f"{path} cannot be loaded ({error}): install the pack anew.") from error
    return Refiner(session, beside)


def aligned(frame: NDArray[np.uint8], landmarks_xy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The 112 px ArcFace square of a face; large faces are reduced first so nothing aliases."""
    import cv2

    matrix = similarity(landmarks_xy.astype(np.float64), TEMPLATE_112)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    source: Any = frame
    if scale < 0.5:
        # Only the face's surroundings: reducing a whole 4K frame for one face costs too much.
        reach = 1.5 * FACE_PX / scale
        centre = landmarks_xy.mean(0)
        left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
        right, bottom = np.ceil(centre + reach).astype(int)
        part = np.ascontiguousarray(frame[top:bottom, left:right])
        size = [max(1, round(2 * scale * side)) for side in part.shape[1::-1]]
        source = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        across = np.array(part.shape[1::-1]) / size
        # Places are counted from the middle of the first pixel, which moves when pixels grow.
        matrix[:, 2] += matrix[:, :2] @ (np.array([left, top]) + (across - 1) / 2)
        matrix[:, :2] *= across
    crop = cv2.warpAffine(source, matrix, (FACE_PX, FACE_PX), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def _vectors(recogniser: Any, views: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """A recogniser's word on BGR views, each of length one."""
    return _unit(np.asarray(recogniser.get_feat(views), np.float32))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
    )
    return result
