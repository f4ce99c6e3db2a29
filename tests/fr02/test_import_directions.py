"""The house has one way through it: who may import whom (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ALLOWED = {
    "fr02": {"accounts", "billing", "voices", "community", "tts"},
    "tts": {"voices", "billing", "accounts"},
    "community": {"voices", "accounts"},
    "billing": {"accounts"},
    "voices": {"accounts"},
    "accounts": set(),
}
# What everyone may use of the composition root.
SHARED = {
    *(
        "fr02.errors",
        "fr02.bridge",
        "fr02.locks",
        "fr02.media",
        "fr02.env",
        "fr02.json_body",
        "fr02.quota",
        "fr02.per_minute",
        "fr02.typography",
    ),
}


def imports_of(source: str) -> list[tuple[str, int, bool]]:
    """Return (module, line, stands at the top) of each import."""
    tree = ast.parse(source)
    top = set(map(id, tree.body))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "fr02"
                else [node.module]
            )
            found += [(name, node.lineno, id(node) in top) for name in names]
    return found


def violations(app: str, path: str, source: str) -> list[str]:
    """Return the imports of a file that go against the direction."""
    wrong = []
    for module, line, is_top in imports_of(source):
        target = module.split(".")[0]
        if target not in ALLOWED or target == app:
            continue
        is_shared = any(module == shared or module.startswith(shared + ".") for shared in SHARED)
        if (target == "fr02" and not is_shared) or (target != "fr02" and target not in ALLOWED[app]):
            wrong.append(f"{path}:{line} imports {module}")
        # Django loads apps.py before there are models to import.
        if not is_top and not path.endswith("/apps.py"):
            wrong.append(f"{path}:{line} imports {module} inside a function")
    return wrong


@pytest.mark.parametrize("app", ALLOWED)
def test_it_works(app):
    files = list((ROOT / app).rglob("*.py"))
    assert files
    wrong = [
        line for path in files for line in violations(app, str(path.relative_to(ROOT)), path.read_text())
    ]
    assert wrong == []


def test_it_sees_a_wrong_import():
    assert violations("accounts", "accounts/x.py", "from billing.services import hold_credit")
    assert violations("voices", "voices/x.py", "from fr02 import settings")
    assert violations("billing", "billing/x.py", "def f():\n    from accounts import keys")
    assert not violations("tts", "tts/x.py", "from fr02 import errors\nfrom voices.models import Voice")
