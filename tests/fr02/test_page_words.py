"""French typography in what the pages and the code say."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
APPS = ("fr02", "accounts", "billing", "voices", "community", "tts")
MODULES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.py"))
SAID = re.compile(
    r"""\{% translate "([^"]*)"|_\("([^"]*)"\)|\{% blocktranslate[^%]*%\}(.*?)\{% endblocktranslate""",
    re.DOTALL,
)
# The words of the page's owner stay as they wrote them.
OWNERS_WORDS = {"Scripts prêts à l'emploi", "API, WebSocket TTS & scripts prêts à l'emploi"}
FAULTS = {
    "a breakable space before a high sign": re.compile(r" [;:!?»]"),
    "no space before a high sign": re.compile(r"[a-zà-ÿ][;!?»]"),
    "a breakable space after «": re.compile(r"« "),
    "a typewriter apostrophe": re.compile(r"[a-zA-Zà-ÿ]'[a-zà-ÿ]"),
    "three dots": re.compile(r"\.\.\."),
    "a narrow space before a colon": re.compile("\u202f:"),
}


def said_in(source: str) -> list[str]:
    """Return the sentences that a module gives to gettext or says on the terminal."""
    names = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2}
    names |= {"SetupError": 1, "say": 1, "Error": 1}  # what the terminal says, before there is a translation
    return [
        text
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names
        for argument in call.args[: names[call.func.id]]
        if (text := text_of(argument))
    ] + [
        text_of(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["help"]
    ]


def text_of(node: ast.expr) -> str:
    """Return a literal text, with an x for each value that is put into it; nothing for another expression."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def faults_of(said: list[str]) -> list[str]:
    return [
        f"{fault}: {sentence}"
        for sentence in said
        for fault, pattern in FAULTS.items()
        if pattern.search(sentence)
    ]


def sentences(template: Path) -> list[str]:
    found = SAID.findall(template.read_text(encoding="utf-8"))
    said = ["".join(groups) for groups in found]
    return [
        re.sub(r"<[^>]*>|\{\{[^}]*\}\}", "x", sentence) for sentence in said if sentence not in OWNERS_WORDS
    ]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_french_typography(template):
    assert faults_of(sentences(template)) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_french_typography_in_the_code(module):
    assert faults_of(said_in(module.read_text(encoding="utf-8"))) == []


def test_french_typography_in_the_style_sheets():
    sheets = (ROOT / "static" / "css").glob("*.css")
    said = [text for sheet in sheets for text in re.findall(r'content:.*?"([^"]+)"', sheet.read_text())]
    assert "\\a0: " in said
    assert faults_of([text.replace("\\202f", "\u202f").replace("\\a0", "\u00a0") for text in said]) == []


def test_the_search_for_sentences_finds_some():
    assert sum(len(sentences(template)) for template in TEMPLATES) > 100
    assert sum(len(said_in(module.read_text(encoding="utf-8"))) for module in MODULES) > 500


@pytest.mark.parametrize(
    "source",
    [
        "_('Possible : oui.')",
        "gettext_lazy('« null »')",
        """gettext("L'heure.")""",
        "ngettext('Une voix.', 'Des voix!', 2)",
        """raise SetupError(f"Le fichier {name} n'est pas là.")""",
        "help = 'Recopie ; reprend.'",
        "_('Un long ' 'début' ' ; une suite.').format(x=1)",
    ],
)
def test_it_sees_a_fault_in_the_code(source):
    assert faults_of(said_in(source))
