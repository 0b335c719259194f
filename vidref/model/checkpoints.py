"""Where other people's weights are found: a local folder, or a hub id that the user named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidref.errors import ModelError


def load_options(source: str, part: str) -> dict[str, Any]:
    """Arguments of `from_pretrained`: the part's subfolder where there is one, safetensors only.

    A hub id is taken to be a whole pipeline (as Stable Diffusion is) when it has the form
    owner/name; owner/name/part says the subfolder itself.
    """
    folder = Path(source)
    if folder.exists():
        sub = {"subfolder": part} if (folder / part / "config.json").exists() else {}
        return {**sub, "use_safetensors": True, "local_files_only": True}
    return {"subfolder": part, "use_safetensors": True}


def describe_failure(source: str, what: str, error: Exception) -> ModelError:
    """One sentence for a checkpoint that could not be read."""
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"{source}: no {what} could be loaded ({first_line.rstrip('.')}): "
        "give a local folder in diffusers format with safetensors weights, or a hub id."
    )
