"""The stage of the engines' tests."""

from tests.tts.engines.fish_stage import _stand_in, engine, fish, resident_bytes, upstream_rows

__all__ = ["_stand_in", "engine", "fish", "resident_bytes", "upstream_rows"]
