"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from local import generated_docs
from local.environment import ROOT

MARKDOWN = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LONGEST_README = 200


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", read(path), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", generated_docs.expected(), ids=named)
def test_the_generated_parts_are_fresh(path: Path) -> None:
    assert read(path) == generated_docs.expected()[path], "run: python -m local docs"


@pytest.mark.parametrize("path", MARKDOWN, ids=named)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(path))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", MARKDOWN, ids=named)
def test_links_to_a_heading_find_it(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", read(path))
    assert [(to, at) for to, at in links if at not in anchors(path.parent / to if to else path)] == []


def test_every_file_and_folder_that_the_documents_name_exists() -> None:
    text = "\n".join(read(path) for path in MARKDOWN)
    found = set(re.findall(r"`((?:shared|local|tests|docs)/[\w./-]+(?:\.\w+|/))`", text))
    assert found
    assert [name for name in sorted(found) if not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(read(generated_docs.README).splitlines()) <= LONGEST_README


@pytest.mark.parametrize("name", [function.name for function in generated_docs.http_functions()])
def test_every_function_with_a_route_has_a_section(name: str) -> None:
    pages = (ROOT / "docs" / "functions").glob("*.md")
    headings = [line for path in pages for line in read(path).splitlines() if line.startswith("#")]
    assert [heading for heading in headings if f"`{name}`" in heading]
