"""The page's own script, unchanged, against a fresh FR02."""

import subprocess
import sys

from tests.recogniser import plain_words, recognise
from tests.servers import ROOT
from tests.tts.sound import measure

SCRIPT = ROOT / "fr02" / "scripts" / "client_fr02.py"
# The script speaks to port 8000; the server of the tests listens elsewhere. Its own lines stay as they are.
DOOR = """
import socket
_connect = socket.create_connection
socket.create_connection = lambda address, *rest, **options: _connect((address[0], {port}), *rest, **options)
"""


def run_script(server, person, folder):
    (folder / "sitecustomize.py").write_text(DOOR.format(port=server.port))
    environment = {"PATH": "/usr/bin:/bin", "FR02_API_KEY": person.key, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_works(server, alice, tmp_path):
    run = run_script(server, alice, tmp_path)
    assert run.returncode == 0, run.stderr
    assert "=== Vos voix privées ===\nID: " in run.stdout
    assert f"ID: {alice.starter_id} | Titre: Ma première voix" in run.stdout
    assert "=== Voix communautaires (trump) ===" in run.stdout
    assert "Audio sauvegardé: output.mp3" in run.stdout
    audio = (tmp_path / "output.mp3").read_bytes()
    seconds, peak = measure(audio)
    assert 0.3 <= seconds <= 4
    assert peak > 0.05
    assert plain_words(recognise(audio)) == "bonjour"


def test_it_tells_a_bad_key(server, alice, tmp_path):
    alice.key = "fr02_live_mauvaise"
    run = run_script(server, alice, tmp_path)
    assert run.returncode != 0
    assert "401" in run.stderr
    assert not (tmp_path / "output.mp3").exists()
