"""The one way from asynchronous code to the database and to files.

Channels' `database_sync_to_async` runs every consumer of a process on one thread: ten calls of 0.5 s take 5 s.
These threads are several, bounded, and give their connection back to the pool after each call.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_database(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run short ORM work in one of the database threads and return its result.

    The call is not interrupted when the awaiting task is cancelled: a transaction is finished or undone, never left.
    """
    call = functools.partial(_with_connection, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_database_threads(), call)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run file or storage work in one of the file threads and return its result."""
    call = functools.partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_file_threads(), call)


@functools.cache
def _database_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.DATABASE_THREADS, thread_name_prefix="database")


@functools.cache
def _file_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="files")


def _with_connection(function: Callable[..., T], *args: object, **kwargs: object) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        connections.close_all()
