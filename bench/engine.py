"""Measure the local engine without the web: first audio, totals, crowds, session options.

    python -m bench.engine [latency|total|crowd|first|options|all]

Prints plain tables; the numbers in docs/decisions.md come from here.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import threading
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import onnxruntime
import psutil
from django.conf import settings

from tts.engines.base import EngineBusy, EngineOrder
from tts.engines.kokoro import LIMITS, KokoroEngine
from tts.engines.kokoro_model import SAMPLE_RATE, KokoroModel, core_count
from tts.engines.phonemes import phonemize, tokens_of
from tts.text.normalise import normalise
from tts.text.segments import Limits, split_text

SIXTY = "Le voyage commence demain matin à huit heures, place d'Italie"
PARAGRAPH = (
    "La plateforme permet aux développeurs français d'intégrer une voix naturelle dans leurs produits, "
    "sans attendre. "
    "Chaque texte est découpé en phrases, et chaque phrase est prononcée dès qu'elle est prête. "
    "Le client entend le début pendant que la suite se prépare, ce qui change tout pour une conversation. "
    "M. Dupont a reçu sa facture de 1 234,56 € le 12/05/2024 à 15 h 30 ; il l'a réglée le lendemain. "
)
LONG = (PARAGRAPH * 6)[:2_000]
THREE = PARAGRAPH[:307]
VOICE = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
BLEND = [("ff_siwis", 1.0)]
SHORT = "Bonjour à tous et bienvenue."
CROWDS = ((2, LONG), (3, LONG), (4, SIXTY), (4, THREE), (4, LONG), (10, SHORT), (10, SIXTY))


def main() -> None:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*MEASURES, "all"])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
    chosen = parser.parse_args().what
    for name, measure in MEASURES.items():
        if chosen in (name, "all"):
            print(f"\n== {name}")
            asyncio.run(measure())
    print(f"\nmemory: {psutil.Process().memory_info().rss / 2**20:.0f} MiB resident")


async def latency() -> None:
    """First audio and total of a 60-character sentence, median of seven, for each format and latency."""
    engine = new_engine()
    for audio_format, wait in itertools.product(("mp3", "pcm"), ("low", "balanced", "normal")):
        runs = [await listen(engine, order(SIXTY, format=audio_format, latency=wait)) for _ in range(7)]
        first = statistics.median(run.first_s for run in runs)
        total = statistics.median(run.total_s for run in runs)
        print(f"{len(SIXTY)} characters {audio_format:5}{wait:9} first {first:.3f} s  total {total:.3f} s")
    await engine.close()


async def total() -> None:
    """2,000 characters through the engine against the bare model on the same segments."""
    engine = new_engine()
    segments = split_text(LONG)
    tokens = [found for segment in segments if (found := tokens_of(phonemize(normalise(segment))))]
    model = new_model()
    model.prepare()
    for _ in range(2):
        run = await listen(engine, order(LONG))
        bare_s = {}
        for is_alone in (True, False):
            started = perf_counter()
            samples = sum(
                len(model.synthesise(part, blend=BLEND, speed=1.0, is_alone=is_alone)) for part in tokens
            )
            bare_s[is_alone] = perf_counter() - started
        print(
            f"{len(LONG)} characters, {len(segments)} segments, {samples / SAMPLE_RATE:.1f} s of sound: "
            f"engine {run.total_s:.2f} s (first {run.first_s:.2f} s, worst stall {run.stall_s:.2f} s), "
            f"bare model {bare_s[True]:.2f} s on every core, {bare_s[False]:.2f} s on one"
        )
    await engine.close()


async def crowd() -> None:
    """Simultaneous listeners: first audio, worst stall, refusals."""
    for count, text in CROWDS:
        engine = new_engine()
        await listen(engine, order(THREE))
        runs = await asyncio.gather(*(listen(engine, order(text)) for _ in range(count)))
        served = [run for run in runs if run.refused_s is None]
        refused = [round(run.refused_s) for run in runs if run.refused_s is not None]
        firsts = sorted(round(run.first_s, 2) for run in served)
        print(
            f"{count:3} x {len(text):5} characters: served {len(served)}, first audio {firsts} s, "
            f"worst stall {max(run.stall_s for run in served):.2f} s, refused, retry after {refused} s"
        )
        await engine.close()
    engine = new_engine()
    long_run = asyncio.create_task(listen(engine, order(LONG * 4)))
    await asyncio.sleep(6)
    shorts = [await listen(engine, order(SHORT)) for _ in range(6)]
    firsts = [run.first_s for run in shorts if run.refused_s is None]
    print(f"short texts beside one of 8,000: first {[round(first, 2) for first in firsts]} s")
    print(f"  the long one: worst stall {(await long_run).stall_s:.2f} s")
    await engine.close()


async def first() -> None:
    """The size of the first segment against first audio and stalls, for a lone listener."""
    kept = LIMITS["balanced"]
    for size in (15, 20, 28, 34, 40, 48, 60, 90):
        LIMITS["balanced"] = Limits(first=size)
        engine = new_engine()
        runs = [await listen(engine, order(THREE)) for _ in range(3)]
        print(
            f"first <= {size:3}: cut at {len(split_text(THREE, LIMITS['balanced'])[0]):3} characters, "
            f"first audio {statistics.median(run.first_s for run in runs):.3f} s, "
            f"worst stall {max(run.stall_s for run in runs):.2f} s, "
            f"total {statistics.median(run.total_s for run in runs):.2f} s"
        )
        await engine.close()
    LIMITS["balanced"] = kept


async def options() -> None:
    """Session options: time per second of sound for a clause and a sentence, alone and two at once.

    Memory.
    """
    clause = tokens_of(phonemize(normalise(SIXTY)))
    sentence = tokens_of(phonemize(normalise(PARAGRAPH[:112])))
    row = new_model().style_row(BLEND, 60)
    for name, configure in OPTIONS.items():
        session = session_with(configure)
        inputs = [given(tokens, row) for tokens in (clause, sentence)]
        alone = [statistics.median(timed(session, prepared) for _ in range(4)) for prepared in inputs]
        cpu = process_time()
        both = together(session, inputs[1])
        cpu = process_time() - cpu
        memory = psutil.Process().memory_info().rss / 2**20
        print(
            f"{name:32} clause {alone[0]:.3f} s  sentence {alone[1]:.3f} s  two at once {both:.3f} s each "
            f"(cpu {cpu:.2f} s)  resident {memory:.0f} MiB"
        )
        del session


def order(text: str, **changes: object) -> EngineOrder:
    """Return an order in the default voice."""
    return replace(EngineOrder(text=text, voice_ref=VOICE), **changes)  # type: ignore[arg-type]


class Run:
    """Keep what one listener saw: first audio, total, the worst moment without sound, or the refusal."""

    def __init__(self) -> None:
        self.first_s = 0.0
        self.total_s = 0.0
        self.stall_s = 0.0
        self.refused_s: float | None = None


async def listen(engine: KokoroEngine, wanted: EngineOrder) -> Run:
    """Consume one stream as a player would."""
    run, started, heard_ms = Run(), perf_counter(), 0
    try:
        async for piece in engine.stream(wanted):
            elapsed = perf_counter() - started
            if not run.first_s:
                run.first_s = elapsed
            run.stall_s = max(run.stall_s, elapsed - run.first_s - heard_ms / 1000)
            heard_ms = piece.duration_ms
    except EngineBusy as busy:
        run.refused_s = busy.retry_after_s
    run.total_s = perf_counter() - started
    return run


def new_engine() -> KokoroEngine:
    """Return a prepared engine of its own."""
    engine = KokoroEngine(
        model_path=Path(settings.KOKORO_MODEL_PATH),
        voices_dir=Path(settings.KOKORO_VOICES_DIR),
        workers=settings.KOKORO_WORKERS,
    )
    engine.prepare()
    return engine


def new_model() -> KokoroModel:
    """Return the bare model."""
    return KokoroModel(
        model_path=Path(settings.KOKORO_MODEL_PATH),
        voices_dir=Path(settings.KOKORO_VOICES_DIR),
        cores=core_count(),
    )


def session_with(configure: dict[str, object]) -> onnxruntime.InferenceSession:
    """Open the model with some session options changed; names with a dot are configuration entries."""
    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 4
    for name, value in configure.items():
        if "." in name:
            session_options.add_session_config_entry(name, str(value))
        else:
            setattr(session_options, name, value)
    return onnxruntime.InferenceSession(str(settings.KOKORO_MODEL_PATH), session_options)


def given(tokens: list[int], row: np.ndarray) -> dict[str, np.ndarray]:
    """Return the model's inputs."""
    padded = np.array([[0, *tokens, 0]], dtype=np.int64)
    return {"tokens": padded, "style": row, "speed": np.array([1.0], dtype=np.float32)}


def timed(session: onnxruntime.InferenceSession, inputs: dict) -> float:
    started = perf_counter()
    session.run(None, inputs)
    return perf_counter() - started


def together(session: onnxruntime.InferenceSession, inputs: dict) -> float:
    times: list[float] = []
    threads = [threading.Thread(target=lambda: times.append(timed(session, inputs))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(times)


OPTIONS: dict[str, dict[str, object]] = {
    "1 thread": {"intra_op_num_threads": 1},
    "1 thread, no arena": {"intra_op_num_threads": 1, "enable_cpu_mem_arena": False},
    "1 thread, no memory pattern": {"intra_op_num_threads": 1, "enable_mem_pattern": False},
    "2 threads": {"intra_op_num_threads": 2},
    "2 threads, spinning stops": {"intra_op_num_threads": 2, "session.force_spinning_stop": 1},
    "2 threads, no spinning": {"intra_op_num_threads": 2, "session.intra_op.allow_spinning": 0},
}
MEASURES = {"latency": latency, "total": total, "crowd": crowd, "first": first, "options": options}

if __name__ == "__main__":
    main()
