"""`--c2pa`: the finished file signed with a C2PA manifest (Content Credentials).

The manifest says, in the standard's own words, that faces in the picture were edited by a trained
model, when and where; and, in an assertion of ours, from which references. It is written without
asking any server: no time stamp, no lookup.
"""

from __future__ import annotations

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidref.errors import MissingDependencyError, OutputError, SettingsError
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.account import Account, TrackAccount
from vidref.version import __version__

ASSERTION = "org.vidref.restoration"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
KINDS = {
    ".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime", ".avi": "video/avi",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".tif": "image/tiff", ".tiff": "image/tiff",
}  # fmt: skip
MOST_REGIONS = 200
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
ORIGINAL = "vidref:original"


@dataclass(frozen=True)
class Credentials:
    """Who signs: both as PEM text, and the algorithm that the key is for."""

    chain: str
    key: str
    algorithm: str


def check_container(output: Path) -> None:
    """Refuse a file that no manifest fits into."""
    if output.suffix.lower() not in KINDS:
        raise OutputError(
            f"C2PA has no place for a manifest in {output.suffix or 'such'} files: write one of "
            f"{' '.join(KINDS)}, or leave out --c2pa (the sidecar says the same)."
        )


def read_credentials(certificate: Path, key: Path) -> Credentials:
    """The signer's files; what is wrong with them is said before any long work."""
    _library()
    chain, private = _text(certificate, "--cert"), _text(key, "--key")
    if "BEGIN CERTIFICATE" not in chain:
        raise SettingsError(f"--cert: {certificate} holds no certificate in PEM: check the path.")
    return Credentials(chain, private, _algorithm(private, key))


def sign(output: Path, source: Path, account: Account, signer: Credentials) -> None:
    """Put the manifest into `output`; the file is replaced when it is signed and verified."""
    c2pa = _library()
    kind = KINDS[output.suffix.lower()]
    unfinished = UnfinishedFile(output)
    try:
        info = c2pa.C2paSignerInfo(
            signer.algorithm.encode(), signer.chain.encode(), signer.key.encode(), None
        )
        offline = c2pa.Context(c2pa.Settings.from_dict(OFFLINE))
        builder = c2pa.Builder(json.dumps(manifest(output.name, kind, account)), offline)
        _add_original(c2pa, builder, source)
        with output.open("rb") as plain, unfinished.path.open("w+b") as signed:
            builder.sign(c2pa.Signer.from_info(info), kind, plain, signed)
        with unfinished.path.open("rb") as signed:
            state = c2pa.Reader(kind, signed, context=offline).get_validation_state()
        if state == "Invalid":
            raise OutputError(
                f"{output} was signed, but its manifest does not verify: it is left unsigned. "
                "Check that --cert and --key belong together and may sign documents."
            )
    except c2pa.C2paError as error:
        unfinished.discard()
        raise OutputError(
            f"{output} could not be signed ({str(error)[:200]}); it is left as it is, unsigned. "
            "Check --cert and --key."
        ) from error
    except BaseException:
        unfinished.discard()
        raise
    unfinished.keep()


def manifest(title: str, kind: str, account: Account) -> dict[str, Any]:
    """What the manifest asserts."""
    tracks = [track for track in account.tracks if track.restored]
    names = {person.id: person.name for person in account.people}
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [ORIGINAL]}}
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPE,
        "description": f"{len({t.person for t in tracks})} people's faces were restored.",
        "softwareAgent": {"name": "vidref", "version": __version__},
        "parameters": {"model": account.model.name, "model_sha256": account.model.sha256},
        "changes": [_region(account, track, names) for track in tracks[:MOST_REGIONS]],
    }
    return {
        "claim_generator_info": [{"name": "vidref", "version": __version__}],
        "title": title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [opened, edited]}},
            {"label": ASSERTION, "data": _restoration(account)},
        ],
    }


def _restoration(account: Account) -> dict[str, Any]:
    """Our own assertion: model, settings, references by their hashes, and who was left alone."""
    return {
        "vidref": account.vidref,
        "source": {"name": account.source.name, "bytes": account.source.bytes},
        "model": {"name": account.model.name, "sha256": account.model.sha256},
        "settings": account.settings,
        "people": [
            {
                "name": person.name,
                "restored": person.restored,
                "references": [
                    {"photo": reference.photo, "sha256": reference.sha256}
                    if reference.photo is not None
                    else {"seconds": round(account.source.seconds(reference.pts or 0), 3)}
                    for reference in person.references
                ],
            }
            for person in account.people
        ],
        "left_alone": [{"track": item.track, "why": item.why} for item in account.left_alone],
    }


def _region(account: Account, track: TrackAccount, names: dict[str, str]) -> dict[str, Any]:
    """When and where a face was edited: the rectangle that holds all of its path."""
    source = account.source
    squares = np.array([knot[1:4] for knot in track.path])
    aspect = float(Fraction(source.pixel_aspect))
    # a turned square reaches further than an upright one
    reach = squares[:, 2:] * np.sqrt(0.5)
    left, top = np.maximum((squares[:, :2] - reach).min(0), 0)
    limit = (source.width * aspect, source.height)
    right, bottom = np.minimum((squares[:, :2] + reach).max(0), limit)
    base = Fraction(source.time_base)
    first, last = (
        f"{max(0.0, float((pts - source.first_pts) * base)):.3f}"
        for pts in (track.path[0][0], track.path[-1][0])
    )
    return {
        "name": f"face of {names[track.person]}",
        "description": track.why,
        "region": [
            {"type": "temporal", "time": {"type": "npt", "start": first, "end": last}},
            {
                "type": "spatial",
                "shape": {
                    "type": "rectangle",
                    "unit": "pixel",
                    "origin": {"x": round(float(left) / aspect, 1), "y": round(float(top), 1)},
                    "width": round(float(right - left) / aspect, 1),
                    "height": round(float(bottom - top), 1),
                },
            },
        ],
    }


def _add_original(c2pa: Any, builder: Any, source: Path) -> None:
    """Name the original as what the file was made from, with its own manifest if it has one."""
    told = json.dumps({"title": source.name, "relationship": "parentOf", "instance_id": ORIGINAL})
    kind = KINDS.get(source.suffix.lower()) if source.is_file() else None
    if kind is not None:
        with source.open("rb") as stream, suppress(c2pa.C2paError):
            builder.add_ingredient(told, kind, stream)
            return
    # what C2PA cannot look into is named alone
    builder.add_ingredient(told, "application/octet-stream", io.BytesIO())


def _algorithm(private: str, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private.encode(), None)
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"--key: {path} is no private key in PEM without a password: convert it."
        ) from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        by_size = {256: "es256", 384: "es384", 521: "es512"}
        if key.curve.key_size in by_size:
            return by_size[key.curve.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise SettingsError(f"--key: {path} is of a kind that C2PA does not sign with: use ES256.")


def _text(path: Path, flag: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{flag}: {path} is not readable as PEM: check the path.") from error


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise MissingDependencyError(
            "--c2pa needs the package c2pa-python: pip install 'vidref[c2pa]'."
        ) from error
    return c2pa
