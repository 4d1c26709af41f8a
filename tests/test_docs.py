"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from local import docs
from local.environment import ROOT

MARKDOWN = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("path", docs.expected(), ids=lambda path: path.name)
def test_the_generated_parts_are_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.expected()[path], "run: python -m local docs"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_file_that_the_documents_name_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in MARKDOWN)
    named = set(re.findall(r"`((?:shared|local|tests|docs)/[\w./-]+\.\w+)`", text))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
