"""Kokoro-82M on onnxruntime: tokens and a style in, 24 kHz sound out."""

import functools
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tts.engines.base import EngineFailed
from tts.engines.workers import Stopped

Sound = NDArray[np.float32]
Blend = Sequence[tuple[str, float]]

SAMPLE_RATE = 24_000
STYLE_ROWS, STYLE_SIZE = 510, 256
MAX_TOKENS = 510
_STYLE_NAME = re.compile(r"[a-z0-9_]{1,40}")


class KokoroModel:
    """Hold one process's sessions: a single-threaded one that many threads share, and one that uses every
    core.

    Loads on first use; raises EngineFailed with one clear sentence when the model or a voice is missing or
    damaged.
    """

    def __init__(self, *, model_path: Path, voices_dir: Path, cores: int):
        self._model_path = model_path
        self._voices_dir = voices_dir
        self._cores = cores
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()
        self._style = functools.lru_cache(maxsize=64)(self._load_style)

    def prepare(self) -> None:
        """Load the model now instead of on the first order."""
        self._session(1)
        self._session(self._cores)

    def synthesise(
        self,
        tokens: Sequence[int],
        *,
        blend: Blend,
        speed: float,
        is_alone: bool = False,
        options: onnxruntime.RunOptions | None = None,
    ) -> Sound:
        """Speak at most 510 tokens; returns float32 mono samples at 24 kHz.

        `is_alone` spends every core on this run; otherwise it costs one thread, the caller's. Setting
        `options.terminate` from another thread ends the run within milliseconds and raises Stopped.
        """
        if not 0 < len(tokens) <= MAX_TOKENS:
            raise ValueError(f"between 1 and {MAX_TOKENS} tokens, not {len(tokens)}")
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": self.style_row(blend, len(tokens)),
            "speed": np.array([speed], dtype=np.float32),
        }
        session = self._session(self._cores if is_alone else 1)
        try:
            return session.run(None, inputs, options)[0].reshape(-1)
        except Exception as error:
            if options is not None and options.terminate:
                raise Stopped from error
            raise EngineFailed(f"the Kokoro model could not speak {len(tokens)} tokens: {error}") from error

    def style_row(self, blend: Blend, token_count: int) -> NDArray[np.float32]:
        """Return the weighted mean of the styles' rows for this many tokens, shape (1, 256)."""
        total = sum(weight for _, weight in blend)
        if not blend or total <= 0:
            raise EngineFailed("a Kokoro voice needs at least one style with a positive weight")
        row = sum(self._style(name)[token_count - 1] * np.float32(weight / total) for name, weight in blend)
        return np.asarray(row, dtype=np.float32).reshape(1, STYLE_SIZE)

    def _load_style(self, name: str) -> NDArray[np.float32]:
        path = self._voices_dir / f"{name}.bin"
        if not _STYLE_NAME.fullmatch(name) or not path.is_file():
            raise EngineFailed(f"the Kokoro voice {name!r} is not in {self._voices_dir}")
        values = np.fromfile(path, dtype="<f4")
        if values.size != STYLE_ROWS * STYLE_SIZE:
            raise EngineFailed(
                f"the Kokoro voice file {path} is damaged: {values.size} numbers instead of 130560"
            )
        return values.reshape(STYLE_ROWS, STYLE_SIZE)

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        with self._lock:
            if threads not in self._sessions:
                self._sessions[threads] = _open_session(self._model_path, threads)
            return self._sessions[threads]


def core_count() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if threads > 1:
        # Its helper threads wait by spinning only while a run lasts: between runs the cores belong to the
        # workers.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if not path.is_file():
        raise EngineFailed(f"the Kokoro model is missing: {path}")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineFailed(f"the Kokoro model cannot be read, it may be damaged: {path} ({error})") from error
