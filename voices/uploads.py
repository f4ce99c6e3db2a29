"""Check recordings from strangers: what goes on to Fish Audio is sound that we decoded and wrote anew ourselves.

Size, then the first bytes, then decoding in a limited process (voices.decoder), then the true length and
level. Nothing that a file says of itself is believed.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.utils.translation import gettext as _

from fr02.errors import EngineBusy, FileTooLarge, InvalidRequest, RateLimited
from fr02.per_minute import count_in_minute
from voices.mirror import clean_text

MAX_RECORDINGS = 20
MIN_RECORDING_S, MAX_RECORDING_S = 3.0, 377.0  # Fish Audio takes no longer reference
QUIET_RMS_DB, QUIET_PEAK_DB = -50.0, -36.0
FORM_BYTES = 512 * 1024  # what a form weighs besides its files
MAX_CLEAN_BYTES = 48 * 1024 * 1024  # Fish Audio refuses bodies of more than 50 MiB
DECODER = Path(__file__).with_name("decoder.py")
DECODER_SECONDS, DECODER_SECONDS_PER_FILE = 10.0, 3.0
HEAD_BYTES = 16
CHECKS_PER_MINUTE = 10
# Decoding takes a core for seconds: the others of a machine belong to speech.
_decoders = threading.BoundedSemaphore(2)
_busy_accounts: set[int] = set()
_busy_lock = threading.Lock()


@dataclass(frozen=True)
class CleanRecording:
    """Point to a recording that is safe: FLAC, 16 bits, mono, 44.1 kHz, without any tag."""

    name: str
    path: Path
    duration_ms: int
    text: str = ""


@contextmanager
def only_check(user_id: int) -> Iterator[None]:
    """Let an account have one upload checked at a time, and so many a minute, in each process.

    Raises RateLimited.
    """
    with _busy_lock:
        if user_id in _busy_accounts:
            detail = _("Vos enregistrements précédents sont encore en cours de vérification.")
            raise RateLimited(detail, retry_after_s=5)
        _busy_accounts.add(user_id)
    try:
        _count_check(user_id)
        yield
    finally:
        _busy_accounts.discard(user_id)


@contextmanager
def clean_recordings(
    files: Sequence[UploadedFile], texts: Sequence[str] = ()
) -> Iterator[list[CleanRecording]]:
    """Give the cleaned recordings, until the block ends. `texts` are the words of each, in the same order.

    Decoding takes seconds: outside a transaction, the connection to the database goes back to the pool first.
    Raises InvalidRequest with one pointer per bad file and `reason`, a stable word: missing, too_many,
    unknown_format, not_decodable, too_short, too_long or too_quiet; FileTooLarge; EngineBusy.
    """
    _check_count(files, texts)
    if sum(file.size or 0 for file in files) > settings.CLONE_UPLOAD_BYTES:
        raise too_large()
    demuxers = [sniff(_head(file)) for file in files]
    _refuse([(index, "unknown_format") for index, demuxer in enumerate(demuxers) if not demuxer], files)
    with tempfile.TemporaryDirectory(prefix="fr02-recordings-") as folder:
        targets = [Path(folder) / f"{index}.flac" for index in range(len(files))]
        jobs = [
            (_on_disk(file, Path(folder) / f"{index}.source"), demuxer, target)
            for index, (file, demuxer, target) in enumerate(zip(files, demuxers, targets, strict=True))
        ]
        if not connection.in_atomic_block:
            connection.close()
        measured = _decode(jobs)
        _refuse([(index, reason) for index, item in enumerate(measured) if (reason := _fault(item))], files)
        _check_total(measured, targets)
        words = [*texts, *[""] * (len(files) - len(texts))]
        yield [
            CleanRecording(
                name=clean_text(file.name or "", 200)
                or _("enregistrement {number}").format(number=index + 1),
                path=target,
                duration_ms=item["duration_ms"],
                text=clean_text(text, 2_000),
            )
            for index, (file, target, item, text) in enumerate(
                zip(files, targets, measured, words, strict=True)
            )
        ]


def sniff(head: bytes) -> str:
    """Return the demuxer for what the first bytes are, or nothing. The file's name and type are not asked."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[4:8] == b"ftyp":
        return "mov"
    is_frame = len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 != 0xF0
    return "mp3" if head[:3] == b"ID3" or is_frame else ""


def check_length(headers: Mapping[str, Any]) -> None:
    """Raise FileTooLarge by what the request says of its length, before its body is read. `headers`: META."""
    length = str(headers.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > settings.CLONE_UPLOAD_BYTES + FORM_BYTES:
        raise too_large()


def too_large() -> FileTooLarge:
    """Return the refusal of recordings that weigh too much together."""
    limit = settings.CLONE_UPLOAD_BYTES
    detail = _("Les enregistrements dépassent {limit} Mio ensemble. Raccourcissez-les ou envoyez du FLAC.")
    return FileTooLarge(detail.format(limit=limit // 2**20), limit_bytes=limit)


def _check_count(files: Sequence[UploadedFile], texts: Sequence[str]) -> None:
    if not files:
        raise _refusal("missing", [("/voices", _("Joignez au moins un enregistrement."))])
    if len(files) > MAX_RECORDINGS:
        detail = _("Joignez au plus {count} enregistrements.").format(count=MAX_RECORDINGS)
        raise _refusal("too_many", [("/voices", detail)])
    if len(texts) > len(files):
        raise _refusal("too_many", [("/texts", _("Il y a plus de textes que d’enregistrements."))])


def _count_check(user_id: int) -> None:
    detail = _("Au plus {count} envois d’enregistrements par minute.").format(count=CHECKS_PER_MINUTE)
    count_in_minute(str(user_id), name="recordings", limit=CHECKS_PER_MINUTE, detail=detail)


def _head(file: UploadedFile) -> bytes:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _on_disk(file: UploadedFile, path: Path) -> Path:
    """Return where the upload lies; a small one lies in memory and is written."""
    if hasattr(file, "temporary_file_path"):
        return Path(file.temporary_file_path())
    with path.open("wb") as target:
        for chunk in file.chunks():
            target.write(chunk)
    return path


def _decode(jobs: Sequence[tuple[Path, str, Path]]) -> list[dict[str, Any]]:
    """Run the limited process and return what it found, one item a file; what is too long is the last."""
    order = {
        "files": [[str(source), demuxer, str(target)] for source, demuxer, target in jobs],
        "max_s": MAX_RECORDING_S,
        "total_s": settings.CLONE_MAX_SECONDS,
    }
    if not _decoders.acquire(blocking=False):
        raise EngineBusy(_("Trop d’enregistrements sont vérifiés en ce moment. Réessayez."), retry_after_s=10)
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(DECODER), json.dumps(order)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DECODER_SECONDS + DECODER_SECONDS_PER_FILE * len(jobs),
            env={"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
            check=False,
        )
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    finally:
        _decoders.release()
    found = [json.loads(line) for line in output.splitlines()]
    if found and found[-1].get("refusal") in ("too_long", "too_long_together"):
        return found
    # A file that ends the process has no line, nor have those after it.
    return [*found, *[{"refusal": "not_decodable"}] * (len(jobs) - len(found))]


def _fault(item: dict[str, Any]) -> str:
    if item.get("refusal") == "too_long_together":
        return ""  # the fault of all of them (_check_total)
    if "refusal" in item:
        return item["refusal"]
    if item["duration_ms"] < MIN_RECORDING_S * 1000:
        return "too_short"
    if item["duration_ms"] > MAX_RECORDING_S * 1000:
        return "too_long"
    is_quiet = item["rms_db"] < QUIET_RMS_DB or item["peak_db"] < QUIET_PEAK_DB
    return "too_quiet" if is_quiet else ""


def _check_total(measured: list[dict[str, Any]], targets: Sequence[Path]) -> None:
    if "refusal" in measured[-1]:
        detail = _("Il faut au plus {most} secondes de voix en tout.")
        detail = detail.format(most=round(settings.CLONE_MAX_SECONDS))
        raise _refusal("too_long", [("/voices", detail)])
    seconds = sum(item["duration_ms"] for item in measured) / 1000
    if seconds < settings.CLONE_MIN_SECONDS:
        detail = _("Il faut au moins {least} secondes de voix en tout\u202f; il y en a {count}.")
        detail = detail.format(least=round(settings.CLONE_MIN_SECONDS), count=round(seconds))
        raise _refusal("too_short", [("/voices", detail)])
    if sum(target.stat().st_size for target in targets) > MAX_CLEAN_BYTES:
        raise _refusal(
            "too_long", [("/voices", _("Les enregistrements sont trop volumineux une fois décodés."))]
        )


def _refuse(faults: list[tuple[int, str]], files: Sequence[UploadedFile]) -> None:
    if not faults:
        return
    pointers = [
        (
            f"/voices/{index}",
            f"«\u202f{clean_text(files[index].name or '', 80)}\u202f»\u00a0: {_explained(reason)}",
        )
        for index, reason in faults
    ]
    raise _refusal(faults[0][1], pointers)


def _refusal(reason: str, pointers: list[tuple[str, str]]) -> InvalidRequest:
    return InvalidRequest(
        " ".join(detail for _pointer, detail in pointers[:3]), pointers=pointers, reason=reason
    )


def _explained(reason: str) -> str:
    return {
        "unknown_format": _("format inconnu. Envoyez du WAV, MP3, FLAC, Ogg, M4A ou WebM."),
        "not_decodable": _("le son ne peut pas être lu. Le fichier est endommagé ou n’est pas de l’audio."),
        "too_short": _("trop court. Il faut au moins {count} secondes.").format(count=round(MIN_RECORDING_S)),
        "too_long": _("trop long. Un enregistrement dure au plus {count} secondes.").format(
            count=round(MAX_RECORDING_S)
        ),
        "too_quiet": _("presque silencieux. Rapprochez le micro et recommencez."),
    }[reason]
