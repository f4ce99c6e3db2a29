"""One way to run the ledger's own SQL: prepared on the server, through Django's connection and transaction.

Django's cursor interpolates parameters in the client, so PostgreSQL would plan the same statement again at
every call.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from psycopg import Cursor
from psycopg.rows import namedtuple_row


def fetch_one(statement: str, parameters: Mapping[str, Any]) -> Any:
    """Run a statement and return its first row as a named tuple, or None. Raises django.db's errors."""
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, Cursor(connection.connection, row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement, parameters, prepare=True).fetchone()
