"""Start FR02 as its users meet it: a real daphne process on the test database, for tests that look from outside."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def database_url() -> str:
    """Return the address of the database that this test works on."""
    parameters = connection.settings_dict
    host, port = parameters["HOST"], parameters["PORT"]
    login = (
        f"{parameters['USER']}:{parameters['PASSWORD']}@"
        if parameters["PASSWORD"]
        else f"{parameters['USER']}@"
    )
    if str(host).startswith("/"):
        return f"postgresql://{login}/{parameters['NAME']}?host={host}&port={port or 5432}"
    return f"postgresql://{login}{host}:{port or 5432}/{parameters['NAME']}"


@dataclass
class Server:
    """A running FR02. `url` has no trailing slash."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def stop(self) -> None:
        """End the process, politely first."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()


def start_server(folder: Path, media_dir: Path, command: list[str] | None = None, **extra: str) -> Server:
    """Start daphne on the test database and wait until it answers; `extra` are settings from the environment."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "FR02_VAR_DIR": str(settings.VAR_DIR),
        "FR02_MEDIA_DIR": str(media_dir),
        "PORT": str(port),
        "SITE_URL": f"http://localhost:{port}",
        "KOKORO_MODEL_PATH": str(settings.KOKORO_MODEL_PATH),
        "KOKORO_VOICES_DIR": str(settings.KOKORO_VOICES_DIR),
        **extra,
    }
    log = folder / f"server-{port}.log"
    daphne = [
        sys.executable,
        "-m",
        "fr02.serve",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "fr02.asgi:application",
    ]
    arguments = [part.format(port=port) for part in command] if command else daphne
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=output, stderr=output)
    server = Server(process, port, log, dict(extra))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{server.url}/healthz", timeout=2).status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.stop()
    raise AssertionError(f"the server did not answer: {log.read_text()}")
