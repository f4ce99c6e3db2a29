"""Clients that read late or never: who reads late gets every byte, who never reads costs the server little."""

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from wsproto import ConnectionType, WSConnection
from wsproto.events import BytesMessage, CloseConnection, Request, TextMessage

from tests.servers import Server, start_server
from tests.tts.test_socket import PATH
from tests.tts.test_uvicorn import UVICORN
from tts.models import Generation

TEXT = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. " * 6
LATE_S = 4.0  # longer than a server usually waits for the answer to its close frame
MEGABYTE = 1024 * 1024
FILE_BYTES = 24 * MEGABYTE


@contextlib.contextmanager
def connected(server: Server, buffer_bytes: int = 4096) -> Iterator[socket.socket]:
    """Open a connection whose own buffer holds next to nothing."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.port))
        yield connection


def memory_bytes(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def wait_for_row(person: Any, seconds: float) -> Generation:
    """Return the only synthesis once it is closed, or as it is after so long."""
    deadline = time.monotonic() + seconds
    while True:
        row = Generation.objects.filter(user=person.user).first()
        if (row is not None and row.status != "pending") or time.monotonic() > deadline:
            assert row is not None
            return row
        time.sleep(0.1)


@pytest.fixture
def path() -> Iterator[str]:
    """The signed path of a large file."""
    name = storages["default"].save("essai/long.wav", ContentFile(bytes(FILE_BYTES)))
    yield "/media/" + storages["default"].url(name).partition("/media/")[2]
    storages["default"].delete(name)


def get(connection: socket.socket, path: str) -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def test_a_socket_that_is_read_late_gets_every_byte_and_a_clean_close(server, alice):
    client = WSConnection(ConnectionType.CLIENT)
    size, code = 0, None
    with connected(server) as connection:
        key = [(b"X-API-Key", alice.key.encode())]
        connection.sendall(client.send(Request(host="localhost", target=PATH, extra_headers=key)))
        client.receive_data(connection.recv(4096))
        assert list(client.events())
        connection.sendall(client.send(TextMessage(json.dumps({"text": TEXT, "format": "pcm"}))))
        wait_for_row(alice, seconds=20)
        time.sleep(LATE_S)
        while code is None:
            client.receive_data(connection.recv(16_384) or None)
            for event in client.events():
                if isinstance(event, BytesMessage):
                    size += len(event.data)
                elif isinstance(event, CloseConnection):
                    code = event.code
        connection.sendall(client.send(event.response()))
    row = wait_for_row(alice, seconds=20)
    assert (code, row.status) == (1000, "done")
    assert size == row.size > MEGABYTE / 2


def test_an_answer_that_is_read_late_is_whole(server, path):
    with connected(server, buffer_bytes=64 * 1024) as connection:
        get(connection, path)
        time.sleep(LATE_S)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, len(answer.read())) == (200, FILE_BYTES)


def test_who_never_reads_costs_little_memory(server, path):
    with contextlib.ExitStack() as stack:
        before = memory_bytes(server)
        for _ in range(5):
            get(stack.enter_context(connected(server)), path)
        time.sleep(LATE_S)
        assert memory_bytes(server) - before < 32 * MEGABYTE


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_who_stands_still_is_dropped(kind, path, stage, media_dir, tmp_path):
    command = UVICORN if kind == "uvicorn" else None
    server = start_server(tmp_path, media_dir, command, CLIENT_STILL_SECONDS="1")
    try:
        with connected(server) as connection:
            get(connection, path)
            time.sleep(LATE_S)
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while data := connection.recv(MEGABYTE):
                    received += len(data)
        assert received < FILE_BYTES
    finally:
        server.stop()
