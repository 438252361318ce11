"""List files are plain text that anybody can write, and faults in them are all shown at once, with their lines."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.errors import PolicyError
from moderation.text.domains import DomainEntry, DomainIndex
from moderation.text.entries import Entry
from moderation.text.lists import parse_term, read_domains, read_terms
from moderation.text.matching import Matcher

SHIPPED = Path(__file__).parents[2] / "model_repository/moderation-decision-logic/1/lists"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sample.txt"


def test_a_list_holds_every_kind_of_entry(file: Path) -> None:
    """Promise: a line is a word or a phrase unless a word before a colon says otherwise."""
    file.write_text(
        "\ufeff# a comment\n\nfree bitcoin\r\n  weed  \nprefix: crypto\nfuzzy: bitcoin\nFuzzy 2: cryptocurrency\n"
        "regex: \\bbuy \\d+ likes\nphrase: regex: a book\nnote: well\nhttp://x.example\n",
        encoding="utf-8",
    )
    found = read_terms(file)
    assert found.faults == ()
    assert found.entries == (
        Entry("sample", "free bitcoin", "phrase"),
        Entry("sample", "weed", "word"),
        Entry("sample", "crypto", "prefix"),
        Entry("sample", "bitcoin", "fuzzy", 1),
        Entry("sample", "cryptocurrency", "fuzzy", 2),
        Entry("sample", r"\bbuy \d+ likes", "regex"),
        Entry("sample", "regex: a book", "phrase"),
        Entry("sample", "note: well", "phrase"),
        Entry("sample", "http://x.example", "word"),
    )
    assert found.version == hashlib.sha256(file.read_bytes()).hexdigest()


def test_all_faults_of_a_term_list_come_at_once(file: Path) -> None:
    """Promise: each fault has its line, what is wrong and how to mend it; the rest of the list is still read."""
    file.write_text("good\n!!\nregexp: a\nregex: (\nprefix:\nfuzzy: abc\nfuzzy 7: bitcoin\nword 2: x\n" + "x" * 201)
    found = read_terms(file)
    assert [entry.term for entry in found.entries] == ["good"]
    wanted = [
        ("2", "no letter and no digit"),
        ("3", "did you mean `regex:`"),
        ("4", "missing )"),
        ("5", "nothing after `prefix:`"),
        ("6", "needs 5 to 24"),
        ("7", "allowed: 1 or 2"),
        ("8", "only fuzzy takes one"),
        ("9", "201 characters; a term may have 200"),
    ]
    assert len(found.faults) == len(wanted)
    for fault, (line, words) in zip(found.faults, wanted, strict=True):
        assert fault.startswith(f"lists/sample.txt:{line}: ")
        assert words in fault


@pytest.mark.parametrize(
    ("content", "fault"), [(b"a\n\xff", "2: is not UTF-8"), (b"# only this\n", "1: has no entries")]
)
def test_a_file_without_usable_text_is_refused(file: Path, content: bytes, fault: str) -> None:
    """Promise: an empty or wrongly encoded list does not silently find nothing."""
    file.write_bytes(content)
    for read in (read_terms, read_domains):
        (found,) = read(file).faults
        assert found.startswith(f"lists/sample.txt:{fault}")


@given(st.text(max_size=80).filter(lambda line: "\n" not in line))
def test_any_line_is_an_entry_or_a_fault(line: str) -> None:
    """Promise: whatever stands in a line, the answer is an entry or a sentence."""
    parsed = parse_term("sample", line.strip())
    assert parsed if isinstance(parsed, str) else parsed.list_name == "sample"


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_list_accepts_a_matcher_accepts(file: Path, content: bytes) -> None:
    """Promise: a list without faults can always be searched for."""
    file.write_bytes(content)
    found = read_terms(file)
    assert found.entries or found.faults
    Matcher(found.entries).search(["any text"])


def test_a_domain_covers_what_is_below_it() -> None:
    """Promise: listed domains match themselves and their subdomains, in any spelling, and never their neighbours."""
    index = DomainIndex(
        [DomainEntry("bad", "Evil.example.com"), DomainEntry("bad", "bücher.de"), DomainEntry("x", "bücher.de")]
    )
    assert index.match("www.EVIL.example.com.") == [DomainEntry("bad", "evil.example.com")]
    assert index.match("evil.example.com") == [DomainEntry("bad", "evil.example.com")]
    assert [found.list_name for found in index.match("shop.xn--bcher-kva.de")] == ["bad", "x"]
    assert index.match("notevil.example.com") == []
    assert index.match("example.com") == []
    assert index.match("no host") == []


def test_all_faults_of_a_domain_list_come_at_once(file: Path) -> None:
    """Promise: links, typing errors and endings that belong to everybody are refused with their lines."""
    file.write_text("evil.com\nhttps://evil.com/x\nco.uk\nevil.comm\ngithub.io\n")
    found = read_domains(file)
    assert [entry.domain for entry in found.entries] == ["evil.com", "github.io"]
    assert [fault.split(":")[1] for fault in found.faults] == ["2", "3", "4"]
    assert "without https://" in found.faults[0]
    assert "belongs to a registry" in found.faults[1]
    assert "no registry gives out" in found.faults[2]
    with pytest.raises(PolicyError, match=r"co\.uk"):
        DomainIndex([DomainEntry("bad", "co.uk")])


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.txt")), ids=lambda path: path.stem)
def test_the_shipped_lists_have_no_faults(path: Path) -> None:
    """Promise: the starter lists can be used as they are."""
    read = read_domains if path.stem.endswith(("-domains", "-shorteners")) else read_terms
    assert read(path).faults == ()
