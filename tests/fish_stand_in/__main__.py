"""Serve the stand-in by itself: `python -m tests.fish_stand_in --port 8765`."""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Sequence

import django

from tests.fish_stand_in.app import App
from tests.fish_stand_in.running import serve
from tests.fish_stand_in.sound import EngineSpeaker, Speaker, ToneSpeaker

STYLES = ("ff_siwis", "af_heart", "am_michael", "bf_emma", "bm_george", "if_sara", "im_nicola", "pf_dora")


def main() -> None:
    """Listen until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="fish_stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--models", type=int, default=2_000, help="voices in the catalogue")
    parser.add_argument("--tone", action="store_true", help="hum instead of speaking: fast, needs no model")
    options = parser.parse_args()
    speaker = ToneSpeaker() if options.tone else local_speaker()
    app = App(speaker=speaker, catalogue_size=options.models)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_listen(app, options.port))


def local_speaker(styles: Sequence[str] = STYLES) -> Speaker:
    """Return a speaker with these voices of the local engine, one of which each voice id gets."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
    django.setup()
    from tts.engines.base import EngineOrder  # Django must be set up before the engines can be imported
    from tts.engines.kokoro import kokoro_engine

    return EngineSpeaker(kokoro_engine(), EngineOrder, list(styles))


async def _listen(app: App, port: int) -> None:
    server = await serve(app, port=port)
    print(f"Faux Fish Audio\u00a0: http://127.0.0.1:{port}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
