"""Keep audio in a bucket and hand it out by links that S3 signs."""

import threading
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

from boto3.s3.transfer import TransferConfig
from storages.backends.s3 import S3Storage

from fr02.media import CONTENT_TYPES


class AudioBucket(S3Storage):
    """Store audio in S3, with the types that FR02's own links give it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Whoever stores runs in a thread already.
        self.transfer_config = TransferConfig(use_threads=False)
        # One client for all threads: Django answers each request in a thread of its own, and a client takes 0.1 s.
        self._connections = SimpleNamespace()
        self._making = threading.Lock()

    @property
    def connection(self) -> Any:
        with self._making:
            return super().connection

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        suffix = PurePath(name).suffix
        own = {"ContentDisposition": f'inline; filename="fr02{suffix}"'}
        if suffix in CONTENT_TYPES:
            own["ContentType"] = CONTENT_TYPES[suffix]
        return super().get_object_parameters(name) | own
