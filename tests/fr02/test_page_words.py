"""French typography in what the pages say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
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
}


def sentences(template: Path) -> list[str]:
    found = SAID.findall(template.read_text(encoding="utf-8"))
    said = ["".join(groups) for groups in found]
    return [
        re.sub(r"<[^>]*>|\{\{[^}]*\}\}", "x", sentence) for sentence in said if sentence not in OWNERS_WORDS
    ]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_french_typography(template):
    faults = [
        f"{fault}: {sentence}"
        for sentence in sentences(template)
        for fault, pattern in FAULTS.items()
        if pattern.search(sentence)
    ]
    assert faults == []


def test_the_search_for_sentences_finds_some():
    assert sum(len(sentences(template)) for template in TEMPLATES) > 100
