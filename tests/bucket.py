"""A real S3 server on loopback: `rclone serve s3`, which checks every signature."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from botocore.config import Config

from tests.servers import free_port

ACCESS_KEY, SECRET_KEY, BUCKET = "cle-des-essais", "secret-des-essais", "fr02-audio"
START_SECONDS = 20


@dataclass
class Bucket:
    """A running S3 server with one bucket, which is the folder `objects`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> Path:
        return self.folder / "data" / BUCKET

    @property
    def settings(self) -> dict[str, str]:
        """What an operator writes into the environment to use it."""
        return {
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": self.url,
            "S3_REGION": "eu-west-3",
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
        }

    @property
    def storage(self) -> dict[str, Any]:
        """What Django needs to reach it from the process of the tests."""
        return {
            "BACKEND": "fr02.s3.AudioBucket",
            "OPTIONS": {
                "bucket_name": BUCKET,
                "endpoint_url": self.url,
                "region_name": "eu-west-3",
                "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY,
                "client_config": Config(signature_version="s3v4", s3={"addressing_style": "path"}),
            },
        }

    def files(self) -> list[str]:
        """Return the names of all objects."""
        return sorted(
            str(path.relative_to(self.objects)) for path in self.objects.rglob("*") if path.is_file()
        )

    def stop(self) -> None:
        """Go away, as a storage does."""
        self.process.kill()
        self.process.wait()

    def come_back(self) -> None:
        """Answer again on the same port."""
        self.process = _serve(self.folder, self.port)


def start_bucket(folder: Path) -> Bucket:
    """Start the server on a free port, with an empty bucket."""
    (folder / "data" / BUCKET).mkdir(parents=True)
    port = free_port()
    return Bucket(folder, port, _serve(folder, port))


def _serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    rclone = Path(sys.executable).parent / "rclone"
    command = [
        *(str(rclone), "serve", "s3", "--config", "/dev/null", "--cache-dir", str(folder / "cache")),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--addr", f"127.0.0.1:{port}"),
        str(folder / "data"),
    ]
    with (folder / "rclone.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "rclone.log").read_text()
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=2)
            return process
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError((folder / "rclone.log").read_text())
