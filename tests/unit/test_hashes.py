"""Lists of known pictures: every near hash is found, and list files are read or refused with all their faults."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.errors import ConfigError, PolicyError
from moderation.hashes.lists import HashEntry, HashList, from_entries, read
from moderation.hashes.pdq import MAX_DISTANCE, PdqIndex, PdqMatch
from moderation.hashes.records import Column
from moderation.hashes.sha256 import ExactMatch, Sha256Index

A, B, C = "00" * 32, "0f" + "00" * 31, "ff" * 32


def flipped(digest: str, bits: list[int]) -> str:
    """The hash with some of its 256 bits turned over."""
    return f"{int(digest, 16) ^ sum(1 << bit for bit in set(bits)):064x}"


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


_hashes = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
_bits = st.lists(st.integers(0, 255), max_size=40)
# Flips that all fall into one 16-bit slot, or into its neighbourhood: the worst case of indexes made of slots.
_slot_bits = st.tuples(st.integers(0, 15), st.lists(st.integers(0, 15), max_size=16)).map(
    lambda slot: [16 * slot[0] + bit for bit in slot[1]]
)
_spread_bits = st.integers(0, 15).map(lambda offset: [16 * slot + offset for slot in range(16)])
_flips = st.lists(_bits | _slot_bits | _spread_bits, max_size=3).map(
    lambda parts: [bit for part in parts for bit in part]
)


@given(st.lists(_hashes, max_size=10), _hashes, st.lists(_flips, max_size=20), st.integers(0, 64))
@settings(deadline=None)
def test_a_search_finds_exactly_what_comparing_everything_finds(
    others: list[str], query: str, flips: list[list[int]], limit: int
) -> None:
    """Promise: no entry within the distance is missed and none beyond it is found, wherever the bits differ."""
    entries = [*others, *(flipped(query, bits) for bits in flips)] or [query]
    index = PdqIndex.from_entries(HashEntry(digest, str(number)) for number, digest in enumerate(entries))
    found = index.search(query, limit, limit=len(entries))
    wanted = sorted((distance(query, digest), number) for number, digest in enumerate(entries))
    assert [(match.distance, int(match.id)) for match in found] == [pair for pair in wanted if pair[0] <= limit]


@given(st.integers(1, 30), st.integers(0, 60))
def test_a_flood_of_equal_pictures_gives_the_nearest_few(limit: int, copies: int) -> None:
    """Promise: the answer is bounded and best first, however many entries are near."""
    entries = [HashEntry(flipped(A, list(range(number % 20))), str(number)) for number in range(copies + 1)]
    found = PdqIndex.from_entries(entries).search(A, limit=limit)
    distances = sorted(number % 20 for number in range(copies + 1))
    assert [match.distance for match in found] == distances[:limit]


def test_a_match_says_what_the_list_says() -> None:
    """Promise: id, source and note come back; an entry without an id is named by its hash."""
    index = PdqIndex.from_entries([HashEntry(B.upper()), HashEntry(C, "bank-1", "partner", "seen in May")])
    assert index.search(A) == [PdqMatch(B, 4, "", "")]
    assert index.search(flipped(C, [0, 255])) == [PdqMatch("bank-1", 2, "partner", "seen in May")]
    assert index.search(flipped(C, list(range(MAX_DISTANCE)))) != []
    assert index.search(flipped(C, list(range(MAX_DISTANCE + 1)))) == []
    assert len(index) == 2


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00 " * 21 + "0", A + "0", "à" * 64])
def test_what_is_no_hash_is_refused(text: str) -> None:
    """Promise: a broken hash is an error and never just not found."""
    with pytest.raises(ConfigError, match="64 characters"):
        PdqIndex.from_entries([HashEntry(A)]).search(text)
    with pytest.raises(ConfigError, match="64 characters"):
        Sha256Index.from_entries([HashEntry(A)]).search(text)
    with pytest.raises(PolicyError, match="64 characters"):
        from_entries([HashEntry(A), HashEntry(text)])


@given(
    st.lists(st.tuples(_hashes | st.sampled_from([A, B, C]), st.sampled_from("xyz")), min_size=1, max_size=30), _hashes
)
@settings(deadline=None)
def test_exact_search_agrees_with_a_dictionary(entries: list[tuple[str, str]], other: str) -> None:
    """Promise: a digest is found with every name that it has, others not."""
    index = Sha256Index.from_entries(HashEntry(digest, name) for digest, name in entries)
    for query in (*(digest for digest, _ in entries), other):
        names = list(dict.fromkeys(name for digest, name in entries if digest == query))
        assert index.search(query) == [ExactMatch(name, "", "") for name in names]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known.csv"


def rows(found: HashList) -> list[tuple[str, str, str, str]]:
    return [
        (digest.tobytes().hex(), found.ids[row], found.sources[row], found.notes[row])
        for row, digest in enumerate(found.digests)
    ]


def test_a_csv_names_its_columns(file: Path) -> None:
    """Promise: columns come in any order, only `hash` is needed, and commas may stand in quotes."""
    file.write_text(f'# bank\n\nNote,hash,id\n"May, 2026",{B.upper()},b-1\n ,{C}\n', encoding="utf-8-sig")
    found = read(file)
    assert rows(found) == [(B, "b-1", "", "May, 2026"), (C, "", "", "")]
    assert found.version == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_plain_list_has_one_hash_a_line(file: Path) -> None:
    """Promise: a file of nothing but hashes works too, with comments and Windows line ends."""
    file.write_bytes(f"# bank\r\n{A}\r\n\r\n  {B}  \r\n".encode())
    assert rows(read(file)) == [(A, "", "", ""), (B, "", "", "")]


def test_all_faults_of_a_list_come_at_once(file: Path) -> None:
    """Promise: every bad line is named with its number and what is wrong."""
    lines = ["hash,id,sauce", A, "zz,1", f"{B},1,2,3", f"{C},{'x' * 1001}"]
    file.write_bytes("\n".join(lines).encode() + b"\n" + C.encode() + b",\xff\n" + b"\xff\n")
    with pytest.raises(PolicyError) as caught:
        read(file)
    wanted = [
        ("1", "has the column `sauce`; allowed: hash, id, source, note"),
        ("3", "is 'zz'; a hash has 64 characters"),
        ("4", "has 4 fields; 3 expected"),
        ("5", "the limit is 1000"),
        ("7", "a hash has 64 characters"),
    ]
    for fault, (line, words) in zip(caught.value.faults, wanted, strict=True):
        assert fault.startswith(f"known.csv:{line}: ")
        assert words in fault


def test_a_thousand_faults_are_counted_and_not_all_shown(file: Path) -> None:
    """Promise: a wrong file gives a readable message."""
    file.write_text("nothing\n" * 1000)
    with pytest.raises(PolicyError) as caught:
        read(file)
    assert len(caught.value.faults) == 101
    assert caught.value.faults[-1] == "and 900 more"


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "no entries"), (b"hash,id\n", "no entries"), (b'hash\n"' + b"0" * 200_000, "CSV")]
)
def test_a_list_that_holds_nothing_is_refused(file: Path, content: bytes, words: str) -> None:
    """Promise: an empty or broken list does not silently find nothing."""
    file.write_bytes(content)
    with pytest.raises(PolicyError, match=words):
        read(file)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Promise: the reason of the system is passed on."""
    with pytest.raises(PolicyError, match=r"none\.csv:1: cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_entries_that_repeat_are_reported_and_do_no_harm(file: Path) -> None:
    """Promise: the same hash under the same id is named with both lines; under another id it is another entry."""
    file.write_text(f"hash,id\n{A},1\n{B},1\n{A},2\n{A},1\n")
    found = read(file)
    assert found.duplicates == ("known.csv:5: repeats known.csv:2",)
    assert Sha256Index(found).search(A) == [ExactMatch("1", "", ""), ExactMatch("2", "", "")]


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_is_read_or_refused(file: Path, content: bytes) -> None:
    """Promise: whatever stands in a file, the answer is a list or a PolicyError with faults."""
    file.write_bytes(content)
    try:
        read(file)
    except PolicyError as error:
        assert error.faults  # noqa: PT017 - reading may also succeed


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_a_column_gives_back_what_was_put_in(values: list[str]) -> None:
    """Promise: lean storage loses nothing."""
    column = Column()
    for value in values:
        column.append(value)
    column.close()
    assert [column[row] for row in range(len(column))] == values


def test_an_index_keeps_its_own_copy() -> None:
    """Promise: an index does not change when the memory that it was made of does."""
    entries = from_entries([HashEntry(A)])
    digests = entries.digests.copy()
    index = PdqIndex(HashList(digests, entries.ids, entries.sources, entries.notes))
    digests[:] = np.uint8(255)
    assert index.search(A) == [PdqMatch(A, 0, "", "")]
