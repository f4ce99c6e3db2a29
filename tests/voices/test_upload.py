"""Hostile recordings: whatever a file says it is, only sound that we decoded ourselves goes on."""

import http.client
import io
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections

from fr02.errors import FileTooLarge, InvalidRequest
from tests.voices.sounds import CODECS, RATE, encode, encoded, flac_bomb, hum, opus_bomb, wav
from voices import uploads
from voices.uploads import clean_recordings, sniff

# Runs the decoder and tells what it cost: nothing can be opened after it, so the file is open before.
MEASURED = """
import re, resource, runpy, sys
status = open("/proc/self/status")
decoder, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(decoder, run_name="__main__")
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
print(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
"""
HTML = b"<!doctype html><script>fetch('http://127.0.0.1/')</script>"


def upload(*contents: bytes, name="prise.wav"):
    return [SimpleUploadedFile(name, content) for content in contents]


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)


def refused(*contents: bytes, **options) -> str:
    with pytest.raises(InvalidRequest) as caught, clean_recordings(upload(*contents, **options)):
        pass
    assert caught.value.pointers
    return caught.value.extra["reason"]


@pytest.fixture(scope="module")
def canary():
    """A port of this machine that notes who knocks."""
    knocks = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        is_done = threading.Event()

        def listen():
            while not is_done.is_set():
                try:
                    connection, _address = listener.accept()
                except TimeoutError:
                    continue
                knocks.append(1)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()[1], knocks
        is_done.set()
        thread.join()


def test_it_works_for_every_kind_that_is_accepted():
    contents = [encoded(4, kind) for kind in CODECS]
    with clean_recordings(upload(*contents)) as found:
        for item in found:
            assert item.duration_ms == pytest.approx(4_000, abs=60)
            data = item.path.read_bytes()
            assert data[:4] == b"fLaC"
            # Sample rate, channels and bits as they stand in the STREAMINFO block.
            assert struct.unpack(">I", data[18:22])[0] >> 12 == 44_100


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFF\0\0\0\0AVI ", ""),
        (b"fLaC\0", "flac"),
        (b"OggS\0", "ogg"),
        (b"\0\0\0 ftypM4A ", "mov"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xff\xff\xff", ""),
        (b"#EXTM3U\n", ""),
        (HTML[:16], ""),
        (b"", ""),
    ],
)
def test_the_first_bytes_decide(head, demuxer):
    assert sniff(head) == demuxer


def test_a_wav_that_lies_about_its_length_is_measured():
    sound = hum(12).tobytes()
    for said in (0, 100, 2**32 - 1):
        if said == 100:
            # What stands beyond the said end is not sound.
            assert refused(wav(sound, said_bytes=said)) == "too_short"
            continue
        with clean_recordings(upload(wav(sound, said_bytes=said))) as (item,):
            assert item.duration_ms == 12_000
    assert refused(wav(hum(1).tobytes(), said_bytes=RATE * 2 * 60)) == "too_short"


@pytest.mark.parametrize(("make", "name"), [(flac_bomb, "flac"), (opus_bomb, "ogg")])
def test_a_bomb_is_put_out_early(make, name, tmp_path):
    bomb = make(1.0)
    assert len(bomb) < 1_000_000
    assert refused(bomb, name=f"bombe.{name}") == "too_long"
    (tmp_path / "bomb").write_bytes(bomb)
    job = {"files": [[str(tmp_path / "bomb"), name, str(tmp_path / "out")]], "max_s": 377, "total_s": 600}
    started = time.monotonic()
    done = run_python(MEASURED, str(uploads.DECODER), json.dumps(job))
    refusal, cpu_s, peak_kib = done.stdout.split("\n")[:3]
    assert json.loads(refusal) == {"refusal": "too_long"}
    assert float(cpu_s) < 5
    assert int(peak_kib) < 200 * 1024
    assert time.monotonic() - started < 15


def test_a_playlist_in_disguise_opens_no_socket(canary):
    port, knocks = canary
    playlist = f"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n".encode()
    assert refused(playlist) == "unknown_format"
    # Even with a head that looks right.
    assert refused(wav(b"")[:12] + playlist) == "not_decodable"
    assert refused(b"ID3\x03\0\0\0\0\0\0" + playlist, name="a.mp3") == "not_decodable"
    assert knocks == []


def test_the_decoder_itself_can_open_nothing(tmp_path, canary):
    """Even told to read a playlist, as a faulty parser might be."""
    port, knocks = canary
    playlist = tmp_path / "a.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n")
    job = {"files": [[str(playlist), "hls", str(tmp_path / "out.flac")]], "max_s": 10, "total_s": 10}
    done = subprocess.run(
        [sys.executable, "-I", str(uploads.DECODER), json.dumps(job)],
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert json.loads(done.stdout) == {"refusal": "not_decodable"}
    assert knocks == []


def test_what_is_hidden_beside_the_sound_does_not_survive():
    chunk = b"LIST" + struct.pack("<I", len(HTML) + len(HTML) % 2) + HTML + b"\0" * (len(HTML) % 2)
    polyglot = wav(hum(12).tobytes()) + chunk + HTML
    with clean_recordings(upload(polyglot)) as (item,):
        assert b"script" not in item.path.read_bytes()
    assert refused(HTML, name="page.wav") == "unknown_format"
    assert refused(wav(b"")[:12] + HTML) == "not_decodable"


@pytest.mark.parametrize("kind", CODECS)
def test_files_of_noise_are_refused(kind):
    whole = encoded(4, kind)
    noise = np.random.default_rng(1).integers(0, 256, 60_000, np.uint8).tobytes()
    assert refused(whole[:16] + noise) in ("not_decodable", "too_short", "too_long")


def test_one_bad_file_among_good_ones_is_named():
    good = encoded(6)
    with pytest.raises(InvalidRequest) as caught, clean_recordings(upload(good, good[:400], good)):
        pass
    assert [pointer for pointer, _detail in caught.value.pointers] == ["/voices/1"]


def test_too_little_too_much_too_soft():
    assert refused(encoded(2)) == "too_short"
    assert refused(encoded(4)) == "too_short"  # alone it is not enough
    assert refused(encoded(12, level=0.002)) == "too_quiet"
    assert refused(encode(hum(400, rate=8_000), "flac", "flac", 8_000)) == "too_long"
    assert refused() == "missing"
    assert refused(*[b"x"] * 21) == "too_many"
    assert refused(b"") == "unknown_format"


def test_what_is_too_long_ends_the_decoding(tmp_path, settings):
    """By itself or with those before it: the files behind it are not decoded, and not blamed."""
    (tmp_path / "sound").write_bytes(encoded(6))
    file = [str(tmp_path / "sound"), "flac", str(tmp_path / "out")]
    for limits, refusal in (
        ({"max_s": 5, "total_s": 600}, "too_long"),
        ({"max_s": 377, "total_s": 5}, "too_long_together"),
    ):
        job = json.dumps({"files": [file] * 3} | limits)
        command = [sys.executable, "-I", str(uploads.DECODER), job]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        assert done.stdout.splitlines() == [json.dumps({"refusal": refusal})]
    settings.CLONE_MAX_SECONDS = 10
    with pytest.raises(InvalidRequest) as caught, clean_recordings(upload(*[encoded(6)] * 4)):
        pass
    assert caught.value.extra["reason"] == "too_long"
    assert [pointer for pointer, _detail in caught.value.pointers] == ["/voices"]


@pytest.fixture
def slow_decoder(tmp_path, monkeypatch):
    """A decoder that waits until it is told to go on, then does what the real one does."""
    script = tmp_path / "decoder.py"
    script.write_text(
        "import pathlib, runpy, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'begun').touch()\n"
        "while not (here / 'go').exists(): time.sleep(0.01)\n"
        f"runpy.run_path({str(uploads.DECODER)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(uploads, "DECODER", script)
    yield SimpleNamespace(has_begun=(tmp_path / "begun").exists, go_on=(tmp_path / "go").touch)
    (tmp_path / "go").touch()


@contextmanager
def checking(client, person, slow_decoder):
    """An upload that is being decoded while the block runs; gives a list that holds its answer afterwards."""
    answers = []

    def send():
        try:
            form = {"title": "Ma voix", "consent": "true", "voices": upload(encoded(12))}
            answers.append(client.post("/api/v1/voices/", form, headers=person.headers))
        finally:
            connections.close_all()

    thread = threading.Thread(target=send)
    thread.start()
    until = time.monotonic() + 20
    while not slow_decoder.has_begun() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield answers
    finally:
        slow_decoder.go_on()
        thread.join()


def connections_in_use():
    stats = connection.pool.get_stats()
    return stats["pool_size"] - stats["pool_available"]


def test_decoding_holds_no_connection_to_the_database(stage, client, alice, fish, slow_decoder):
    connection.close()
    before = connections_in_use()
    with checking(client, alice, slow_decoder) as answers:
        assert connections_in_use() <= before
    assert answers[0].status_code == 201


def test_an_account_has_one_upload_checked_at_a_time(stage, client, alice, bob, fish, slow_decoder):
    form = {"title": "Ma voix", "consent": "true"}
    with checking(client, alice, slow_decoder):
        again = client.post("/api/v1/voices/", form | {"voices": upload(encoded(12))}, headers=alice.headers)
        slow_decoder.go_on()
        other = client.post("/api/v1/voices/", form | {"voices": upload(encoded(12))}, headers=bob.headers)
    assert (again.status_code, again.json()["code"]) == (429, "rate_limited")
    assert other.status_code == 201
    assert again["Retry-After"]


def test_an_account_has_so_many_uploads_checked_a_minute(client, alice, fish, monkeypatch):
    monkeypatch.setattr(uploads, "CHECKS_PER_MINUTE", 2)
    form = {"title": "Ma voix", "consent": "true"}
    answers = [
        client.post("/api/v1/voices/", form | {"voices": upload(b"non")}, headers=alice.headers)
        for _time in range(3)
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert answers[2]["RateLimit-Policy"] == '"recordings";q=2;w=60'


def test_without_a_free_decoder_it_says_so_at_once(client, alice, fish, monkeypatch):
    monkeypatch.setattr(uploads, "_decoders", threading.BoundedSemaphore(1))
    form = {"title": "Ma voix", "consent": "true", "voices": upload(encoded(12))}
    with uploads._decoders:
        answer = client.post("/api/v1/voices/", form, headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_busy")
    assert answer["Retry-After"] == "10"


def test_at_the_quota_nothing_is_decoded(client, alice, fish, settings):
    settings.VOICES_PER_ACCOUNT = 0
    form = {"title": "Ma voix", "consent": "true", "voices": upload(b"non")}
    assert client.post("/api/v1/voices/", form, headers=alice.headers).status_code == 409


def test_a_slow_file_is_given_up(monkeypatch):
    monkeypatch.setattr(uploads, "DECODER_SECONDS", 0.01)
    monkeypatch.setattr(uploads, "DECODER_SECONDS_PER_FILE", 0.0)
    assert refused(encoded(12)) == "not_decodable"


def test_the_weight_is_limited(settings):
    settings.CLONE_UPLOAD_BYTES = 1_000
    with pytest.raises(FileTooLarge), clean_recordings(upload(b"x" * 1_001)):
        pass


def test_a_hundred_megabytes_are_refused_before_they_are_sent(server, alice):
    """The server answers by the head of the request alone."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("POST", "/api/v1/voices/")
    connection.putheader("X-API-Key", alice.key)
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(100 * 2**20))
    started = time.monotonic()
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["code"] == "file_too_large"
    assert time.monotonic() - started < 1
    connection.close()


def test_a_body_without_a_length_is_cut_off(server, alice):
    """Chunk by chunk, past a megabyte where no file is expected."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        head = f"POST /api/v1/tts/quote HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {alice.key}\r\n"
        raw.sendall((head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
        for _number in range(20):
            raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert b"413" in io.BufferedReader(socket.SocketIO(raw, "r")).readline()
