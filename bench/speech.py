"""Measure speech over the socket of a running server, beside the bare model on the same text in the same minute.

Run it by `python -m bench.speech`. It works in a database of its own, `fr02_bench`, on the cluster of DATABASE_URL or the
embedded one. The bare model is called for the same segments, one after the other, with both cores: what the server adds
(HTTP, credit, encoding, storage, scheduling) is the ratio. Ends with 1 when a goal is missed.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from httpx_ws import WebSocketDisconnect, connect_ws
from wsproto.events import BytesMessage

from bench.place import use_own_database
from tests.servers import Server, start_server

SENTENCE = "Votre commande est prête, vous pouvez venir la chercher ici."
LONG = (
    "La gare de Lyon accueille chaque jour des milliers de voyageurs, qui viennent de toute la France. "
    "Le train de midi part à l'heure, et le contrôleur salue les familles sur le quai. "
) * 12
ROUNDS = 5
LISTENERS = 4
# The goals: what the server adds to the bare model, how long a listener may wait once it plays, and a list meanwhile.
MOST_RATIO = 1.10
MOST_SILENCE_S = 0.02
MOST_PAGE_MS = 100.0


def main() -> int:
    """Print the table; return how many goals were missed."""
    use_own_database("fr02_bench")
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder), Path(folder))
        try:
            missed = measure(server, _key())
        finally:
            server.stop()
    for goal in missed:
        print(f"objectif manqué : {goal}", file=sys.stderr)
    return len(missed)


def measure(server: Server, key: str) -> list[str]:
    """Print first audio and total, server and bare model in turns; return the goals that were missed."""
    text = LONG[:2000]
    model = _BareModel()
    _listen(server.url, key, SENTENCE)
    model.speak([SENTENCE])
    rows: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        rows.setdefault(name, []).append(value)

    for round_number in range(ROUNDS):
        segments = model.segments(SENTENCE)
        note("60 bare first segment", model.speak(segments[:1]))
        note("60 bare whole", model.speak([SENTENCE]))
        first, total, _sound = _listen(server.url, key, SENTENCE)
        note("60 server first", first)
        note("60 server total", total)
        if round_number < 3:
            segments = model.segments(text)
            note("2000 bare first segment", model.speak(segments[:1]))
            note("2000 bare first sentence", model.speak([text[: text.index(".") + 1]]))
            note("2000 bare total", model.speak(segments))
            first, total, sound = _listen(server.url, key, text)
            note("2000 server first", first)
            note("2000 server total", total)
            note("2000 sound", sound)
    median = {name: statistics.median(values) for name, values in rows.items()}
    print(f"\n60 caractères ({ROUNDS} tours, médianes, secondes)")
    print(f"  premier son par la WebSocket      {median['60 server first']:.3f}")
    print(f"  modèle nu, même premier segment   {median['60 bare first segment']:.3f}")
    print(f"  modèle nu, phrase entière         {median['60 bare whole']:.3f}")
    print(f"  total par la WebSocket            {median['60 server total']:.3f}")
    print("2 000 caractères (3 tours, médianes, secondes)")
    print(f"  premier son par la WebSocket      {median['2000 server first']:.3f}")
    print(f"  modèle nu, même premier segment   {median['2000 bare first segment']:.3f}")
    print(f"  modèle nu, première phrase        {median['2000 bare first sentence']:.3f}")
    print(f"  total par la WebSocket            {median['2000 server total']:.2f}")
    print(f"  modèle nu, mêmes segments, 2 fils {median['2000 bare total']:.2f}")
    ratio = median["2000 server total"] / median["2000 bare total"]
    print(f"  rapport serveur / modèle nu       {ratio:.2f}")
    print(f"  son produit                       {median['2000 sound']:.1f}")
    missed = _measure_listeners(server, key)
    if ratio > MOST_RATIO:
        missed.append(f"le serveur prend {ratio:.2f} fois le temps du modèle nu")
    if median["2000 server first"] > median["2000 bare first sentence"]:
        missed.append("un long texte ne s’entend pas avant la fin de sa première phrase")
    return missed


def _measure_listeners(server: Server, key: str) -> list[str]:
    """Print what several simultaneous listeners hear, and how long a list takes meanwhile; return what is too long."""
    results: list[str] = []
    missed: list[str] = []
    threads = [
        threading.Thread(target=_play, args=(server.url, key, LONG[:600], results, missed))
        for _ in range(LISTENERS)
    ]
    for thread in threads:
        thread.start()
    waits: dict[str, list[float]] = {"/api/v1/voices/": [], "/developpeurs/": []}
    with httpx.Client(base_url=server.url, headers={"X-API-Key": key}) as client:
        while any(thread.is_alive() for thread in threads):
            for path, times in waits.items():
                started = time.perf_counter()
                client.get(path).raise_for_status()
                times.append((time.perf_counter() - started) * 1000)
                time.sleep(0.05)
    print(f"{LISTENERS} écoutes simultanées de 600 caractères")
    print("\n".join(f"  {result}" for result in sorted(results)))
    for path, times in waits.items():
        times.sort()
        p50, p95 = times[len(times) // 2], times[len(times) * 95 // 100]
        print(f"  {path:16} pendant ce temps  p50 {p50:.0f} ms, p95 {p95:.0f} ms")
        if p95 > MOST_PAGE_MS:
            missed.append(f"{path} prend {p95:.0f} ms à côté de {LISTENERS} écoutes")
    return missed


class _BareModel:
    """The model with nothing around it, in this process."""

    def __init__(self) -> None:
        from tts.engines.kokoro import LIMITS, _calls
        from tts.engines.kokoro_model import KokoroModel, core_count
        from tts.engines.phonemes import phonemize
        from tts.text.normalise import normalise
        from tts.text.segments import split_text

        self.segments = lambda text: split_text(text, LIMITS["balanced"])
        self._calls = lambda text: _calls(phonemize(normalise(text), "fr-fr"))
        self._model = KokoroModel(
            model_path=settings.KOKORO_MODEL_PATH, voices_dir=settings.KOKORO_VOICES_DIR, cores=core_count()
        )

    def speak(self, segments: list[str]) -> float:
        """Return the seconds that the model needs for the segments."""
        calls = [tokens for segment in segments for tokens in self._calls(segment)]
        started = time.perf_counter()
        for tokens in calls:
            self._model.synthesise(tokens, blend=[("ff_siwis", 1.0)], speed=1.0, is_alone=True)
        return time.perf_counter() - started


def _listen(url: str, key: str, text: str) -> tuple[float, float, float]:
    """Return the seconds to the first byte and to the close, and the seconds of sound."""
    arrivals, code, started = _hear(url, key, text)
    if code != 1000:
        raise RuntimeError(f"the socket closed with {code}")
    return (
        arrivals[0][0] - started,
        time.perf_counter() - started,
        sum(size for _at, size in arrivals) / 48_000,
    )


def _play(url: str, key: str, text: str, results: list[str], missed: list[str]) -> None:
    """Note the first sound and the longest silence of a listener who plays as it arrives."""
    arrivals, code, started = _hear(url, key, text)
    if code != 1000:
        results.append(f"refusée en {time.perf_counter() - started:.2f} s")
        return
    played_until, silence = arrivals[0][0], 0.0
    for at, size in arrivals:
        silence = max(silence, at - played_until)
        played_until = max(played_until, at) + size / 48_000
    results.append(f"premier son {arrivals[0][0] - started:.2f} s, plus long silence {silence:.2f} s")
    if silence > MOST_SILENCE_S:
        missed.append(f"une écoute se tait {silence:.2f} s")


def _hear(url: str, key: str, text: str) -> tuple[list[tuple[float, int]], int, float]:
    """Return when each frame came and its bytes, the close code, and when it was asked for."""
    arrivals: list[tuple[float, int]] = []
    client = httpx.Client(base_url=url, timeout=60)
    started = time.perf_counter()
    socket: Any
    with client, connect_ws("/api/v1/tts/stream", client, headers={"X-API-Key": key}) as socket:
        socket.send_text(json.dumps({"text": text, "format": "pcm"}))
        while True:
            try:
                event = socket.receive(timeout=120)
            except WebSocketDisconnect as closed:
                return arrivals, closed.code, started
            if isinstance(event, BytesMessage):
                arrivals.append((time.perf_counter(), len(event.data)))


def _key() -> str:
    from accounts.services import create_api_key, create_verified_user
    from billing.ledger import grant_credit

    user = create_verified_user(email=f"mesure-{time.time_ns()}@exemple.fr", password="mesure de vitesse")
    grant_credit(user_id=user.pk, amount_micros=1_000_000_000, reason="Mesure")
    return create_api_key(user=user, name="Mesure")[1]


if __name__ == "__main__":
    sys.exit(main() > 0)
