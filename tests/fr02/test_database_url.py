"""`DATABASE_URL`: whatever it says reaches every connection, the options behind its question mark too."""

import json

from tests.fr02.machine import python, run
from tests.servers import database_url

ASK = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "fr02.settings"
import django
django.setup()
from django.db import connection
from procrastinate.contrib.django.utils import connector_params
with connection.cursor() as cursor:
    cursor.execute("SELECT current_setting('application_name'), current_setting('statement_timeout')")
    told = cursor.fetchone()
parameters = connection.get_connection_params()
print(json.dumps([*told, parameters["sslmode"], parameters["connect_timeout"], connector_params()["sslmode"]]))
"""


def test_it_works(db):
    """Without its `sslmode` a database on another machine would be spoken to in clear."""
    options = (
        "sslmode=verify-full&application_name=essai&options=-c%20statement_timeout%3D54321&connect_timeout=7"
    )
    url = database_url()
    done = run(python(ASK), DATABASE_URL=f"{url}{'&' if '?' in url else '?'}{options}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["essai", "54321ms", "verify-full", "7", "verify-full"]
