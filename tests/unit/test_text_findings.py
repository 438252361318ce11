"""Personal data and links are found through common disguises, and ordinary text is left alone."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderation.errors import ConfigError
from moderation.text.findings import KINDS, Finding, find
from moderation.text.findings.numbers import IBAN_LENGTHS, iban_is_valid, luhn


def found(text: str, kind: str, *regions: str) -> list[tuple[str, str, str]]:
    """Value, detail and place of everything of a kind."""
    return [(f.value, f.detail, text[f.start : f.end]) for f in find(text, [kind], regions)]


@pytest.mark.parametrize(
    ("text", "value", "place"),
    [
        ("write to Jo.Doe+x@Example.co.uk.", "Jo.Doe+x@example.co.uk", "Jo.Doe+x@Example.co.uk"),
        ("name (at) mail (dot) com", "name@mail.com", "name (at) mail (dot) com"),
        ("name[at]mail[.]com!", "name@mail.com", "name[at]mail[.]com"),
        ("name at mail dot com", "name@mail.com", "name at mail dot com"),
        ("first dot last at mail dot co dot uk", "last@mail.co.uk", "last at mail dot co dot uk"),
        ("ｎａｍｅ＠ｍａｉｌ．ｃｏｍ", "name@mail.com", "ｎａｍｅ＠ｍａｉｌ．ｃｏｍ"),
        ("na\u200bme@ma\u00adil.com", "name@mail.com", "na\u200bme@ma\u00adil.com"),
        ("name @ gmail . com", "name@gmail.com", "name @ gmail . com"),
        ("name@gmail,com", "name@gmail.com", "name@gmail,com"),
        ("name@bücher.de", "name@xn--bcher-kva.de", "name@bücher.de"),
        ("邮箱name@mail.com。", "name@mail.com", "name@mail.com"),
        ("me@work.example.org.Thanks", "me@work.example.org", "me@work.example.org"),
    ],
)
def test_an_address_is_found(text: str, value: str, place: str) -> None:
    """Promise: e-mail addresses are found as typed, as written out, and as text recognition sees them."""
    assert found(text, "email") == [(value, value.partition("@")[2], place)]


@pytest.mark.parametrize(
    "text",
    [
        "look at example.com",
        "meet me at the dot com party",
        "me at this dot com",
        "@someone",
        "a @ b",
        "x@y.notaregistry",
        "5 apples @ 1.20",
        "co.uk@",
    ],
)
def test_ordinary_text_has_no_address(text: str) -> None:
    """Promise: `at` and `@` alone make no address; the ending must be one that a registry gives out."""
    assert found(text, "email") == []


@pytest.mark.parametrize(
    ("text", "value", "host", "place"),
    [
        ("see https://www.Example.com/a?b=c#d.", "https://www.example.com/a?b=c#d", "www.example.com", None),
        ("(http://example.com/x_(y))", "http://example.com/x_(y", "example.com", None),
        ("hxxps://evil[.]example[.]com/x", "https://evil.example.com/x", "evil.example.com", None),
        ("go to example.com now", "http://example.com", "example.com", "example.com"),
        ("EXAMPLE.COM", "http://example.com", "example.com", None),
        ("evil dot com", "http://evil.com", "evil.com", "evil dot com"),
        ("bit.ly/3xYz", "http://bit.ly/3xYz", "bit.ly", None),
        ("t.me/joinme", "http://t.me/joinme", "t.me", None),
        ("x.com", "http://x.com", "x.com", None),
        ("about.me", "http://about.me", "about.me", None),
        ("www. example. com/path", "http://www.example.com/path", "www.example.com", None),
        ("https: //example .com", "https://example.com", "example.com", None),
        ("shop at bücher.de!", "http://xn--bcher-kva.de", "xn--bcher-kva.de", "bücher.de"),
        ("аpple.com", "http://xn--pple-43d.com", "xn--pple-43d.com", None),  # Cyrillic а
        ("https://your-bank.com@evil.com/login", "https://evil.com/login", "evil.com", None),
        ("http://192.0.2.7:8080/x", "http://192.0.2.7:8080/x", "192.0.2.7", None),
        ("пример.рф", "http://xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai", None),
        ("visit example。com", "http://example.com", "example.com", "example。com"),
    ],
)
def test_a_link_is_found(text: str, value: str, host: str, place: str | None) -> None:
    """Promise: links and bare domains are found with their host in ASCII, for domain lists to match."""
    ((seen, detail, where),) = found(text, "url")
    assert (seen, detail) == (value, host)
    assert place is None or where == place


@pytest.mark.parametrize(
    "text",
    [
        "thanks.it was fun", "at home.In the morning", "README.md", "run setup.py", "e.g. this", "i.e. that", "v1.2.3",
        "10 a.m.", "12.30", "Mr.Smith", "end.Start", "...", "a.b", "connect the dot in red", "polka dot net",
        "the dot com bubble", "no.5", "model.fit", "libx.so", "http://", "www.", "http://localhost",
    ],
)  # fmt: skip
def test_ordinary_text_has_no_link(text: str) -> None:
    """Promise: missing spaces, file names, numbers and abbreviations are no links."""
    assert found(text, "url") == []


@pytest.mark.parametrize(
    ("text", "regions", "value", "region"),
    [
        ("call +49 30 901820 now", (), "+4930901820", "DE"),
        ("030/901820", ("DE",), "+4930901820", "DE"),
        ("(212) 736-5000", ("US",), "+12127365000", "US"),
        ("+44 (0)20 7946 0018", (), "+442079460018", "GB"),
        ("O2O 7946 OO18", ("GB",), "+442079460018", "GB"),
        ("２１２-７３６-５０００", ("US",), "+12127365000", "US"),
        ("٠٢٠ ٧٩٤٦ ٠٠١٨", ("GB",), "+442079460018", "GB"),
        ("2\ufe0f\u20e31\ufe0f\u20e32 736 5000", ("US",), "+12127365000", "US"),
        ("212 736 5000", ("GB", "US"), "+12127365000", "US"),
    ],
)
def test_a_telephone_number_is_found(text: str, regions: tuple[str, ...], value: str, region: str) -> None:
    """Promise: numbers with a country code always count, national ones in the countries asked for."""
    assert [pair[:2] for pair in found(text, "phone", *regions)] == [(value, region)]


@pytest.mark.parametrize(
    "text",
    ["on 12.03.2024 at 12:30", "1234567", "4111 1111 1111 1111", "192.168.100.200", "DE89 3704 0044 0532 0130 00",
     "http://example.com/2127365000", "price 1,299.00 or 2,499.00", "030 901820",
     "0.68/1.63/2.61/4.41", "212736.5000", "21273    65000"],
)  # fmt: skip
def test_other_numbers_are_no_telephone_numbers(text: str) -> None:
    """Promise: dates, prices, cards, addresses and parts of links are left alone; so are countries not asked for."""
    assert found(text, "phone", "US") == []


@pytest.mark.parametrize(
    ("text", "digits", "brand"),
    [
        ("4111 1111 1111 1111", "4111111111111111", "visa"),
        ("5500-0000-0000-0004.", "5500000000000004", "mastercard"),
        ("card:378282246310005", "378282246310005", "amex"),
        ("６０１１ ０００９ ９０１３ ９４２４", "6011000990139424", "discover"),
        ("3530 1113 3330 0000", "3530111333300000", "jcb"),
    ],
)
def test_a_payment_card_is_found(text: str, digits: str, brand: str) -> None:
    """Promise: a number with the first digits of a brand, its length and its check digit is a card."""
    assert [pair[:2] for pair in found(text, "card")] == [(digits, brand)]


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1112", "0000 0000 0000 0000", "1234567890123452", "x4111111111111111", "4111111111111111.5"],
)
def test_other_numbers_are_no_cards(text: str) -> None:
    """Promise: wrong check digits and unknown first digits are no cards; neither are parts of longer numbers."""
    assert found(text, "card") == []


@given(st.from_regex(r"[0-9]{12,18}", fullmatch=True))
def test_luhn_catches_every_single_wrong_digit(digits: str) -> None:
    """Promise: exactly one last digit is right, and changing any digit breaks it."""
    (check,) = [d for d in "0123456789" if luhn(digits + d)]
    whole = digits + check
    for place, digit in enumerate(whole):
        wrong = str((int(digit) + 1) % 10)
        assert not luhn(whole[:place] + wrong + whole[place + 1 :])


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("gb82west12345698765432", "GB82WEST12345698765432"),
        ("IBAN:NO9386011117947, thanks", "NO9386011117947"),
        ("DE89 37O4 OO44 O532 O13O OO", "DE89370400440532013000"),
        ("pay FR14 2004 1010 0505 0001 3M02 606 to me", "FR1420041010050500013M02606"),
    ],
)
def test_an_iban_is_found(text: str, iban: str) -> None:
    """Promise: IBANs are found in any spacing, also where O was read for 0."""
    assert [pair[:2] for pair in found(text, "iban")] == [(iban, iban[:2])]


@pytest.mark.parametrize(
    "text",
    [
        "DE89 3704 0044 0532 0130 01",
        "DE89 3704 0044 0532 0130",
        "XX89 3704 0044 0532 0130 00",
        "DE89370400440532013000X",
    ],
)
def test_other_numbers_are_no_ibans(text: str) -> None:
    """Promise: country, length and check digits must agree."""
    assert found(text, "iban") == []


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_exactly_one_pair_of_check_digits_is_right(country: str, data: st.DataObject) -> None:
    """Promise: of the pairs 02 to 98, ISO 13616 makes one valid for each account."""
    size = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=size, max_size=size))
    assert sum(iban_is_valid(f"{country}{check:02}{account}") for check in range(2, 99)) == 1


@pytest.mark.parametrize(
    ("text", "address", "scope"),
    [
        ("at 8.8.8.8.", "8.8.8.8", "global"),
        ("192.168.0.1:80", "192.168.0.1", "private"),
        ("2001:4860:4860:0:0:0:0:8888", "2001:4860:4860::8888", "global"),
        ("[fe80::1ff:fe23:4567:890a]", "fe80::1ff:fe23:4567:890a", "link_local"),
        ("http://8.8.4.4/x", "8.8.4.4", "global"),
    ],
)
def test_an_ip_address_is_found(text: str, address: str, scope: str) -> None:
    """Promise: both versions are found in canonical form with their reach."""
    assert [pair[:2] for pair in found(text, "ip")] == [(address, scope)]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4",
        "v1.2.3.4",
        "lib>=1.2.3.4",
        "1.2.3.4.5",
        "256.1.1.1",
        "12:30:45",
        "std::abs",
        "::",
        "a::b",
        "1.2.3",
    ],
)
def test_other_numbers_are_no_ip_addresses(text: str) -> None:
    """Promise: versions, times and code are left alone."""
    assert found(text, "ip") == []


@pytest.mark.parametrize(
    ("text", "account", "platform"),
    [
        ("snap: cool_name99", "cool_name99", "snapchat"),
        ("👻 : foo.bar", "foo.bar", "snapchat"),
        ("IG @cool_name", "cool_name", "instagram"),
        ("add my telegram - @cool_name", "cool_name", "telegram"),
        ("Insta username: cool_name", "cool_name", "instagram"),
        ("t.me/joinme", "joinme", "telegram"),
        ("https://www.instagram.com/cool.name/?x=1", "cool.name", "instagram"),
        ("tiktok.com/@cool", "cool", "tiktok"),
        ("ｓｎａｐ：ｃｏｏｌ", "cool", "snapchat"),
        ("follow @cool_name!", "cool_name", ""),
    ],
)
def test_an_account_is_found(text: str, account: str, platform: str) -> None:
    """Promise: accounts are found by `@`, by the name of a platform before them, and in links."""
    assert [pair[:2] for pair in found(text, "handle")] == [(account, platform)]


@pytest.mark.parametrize(
    "text",
    ["me@example.com", "3 @ 5", "@ home", "@5", "oh snap, really", "snap judgement: no", "https://x.com/search", "C@t"],
)
def test_ordinary_text_has_no_account(text: str) -> None:
    """Promise: addresses, prices and words that only begin like platforms are no accounts."""
    assert found(text, "handle") == []


def test_an_address_inside_a_link_is_both() -> None:
    """Promise: a link does not hide whose address it carries."""
    text = "http://x.example.com/?to=me@mail.com"
    assert [(f.kind, f.value) for f in find(text)] == [("url", text), ("email", "me@mail.com")]


def test_kinds_are_told_apart_and_come_in_order() -> None:
    """Promise: a number or name is one thing; a link to an account is both link and account."""
    text = "a@b.com 4111111111111111 t.me/cool +4930901820"
    assert [(f.kind, f.value) for f in find(text)] == [
        ("email", "a@b.com"),
        ("card", "4111111111111111"),
        ("handle", "cool"),
        ("url", "http://t.me/cool"),
        ("phone", "+4930901820"),
    ]
    assert [f.kind for f in find(text, ["card"])] == ["card"]


def test_a_masked_value_shows_only_its_end() -> None:
    """Promise: reasons and logs can name a finding without giving it away."""
    assert Finding("card", 0, 16, "4111111111111111", "visa").masked == "************1111"
    assert Finding("email", 0, 7, "a@b.com", "b.com").masked == "*@*.*om"
    assert Finding("handle", 0, 2, "ab", "").masked == "**"


@pytest.mark.parametrize(("kinds", "regions"), [(["emails"], []), (["email"], ["de"]), (["email"], ["EU"])])
def test_unknown_kinds_and_regions_are_refused(kinds: list[str], regions: list[str]) -> None:
    """Promise: a typing error in a policy is no search for nothing."""
    with pytest.raises(ConfigError, match="not known; allowed"):
        find("x", kinds, regions)


_pieces = st.sampled_from(
    ["@", ".", " dot ", " at ", "http://", "www.", "com", "example", "4111", "1111", "+49", "::", "DE89", "snap:", "(",
     ")", " ", "\u200b", "é", "ß", "１", "👻", "t.me/", "-", ",", "e\u0301"]
)  # fmt: skip


@given(
    st.text(alphabet=st.characters(exclude_categories=()), max_size=80) | st.lists(_pieces, max_size=25).map("".join)
)
@settings(deadline=None)
def test_any_text_can_be_searched(text: str) -> None:
    """Promise: no text makes the search fail, and every finding lies in the text."""
    for finding in find(text, regions=["DE", "US"]):
        assert finding.kind in KINDS
        assert 0 <= finding.start < finding.end <= len(text)
        assert finding.value


@given(st.sampled_from(["DE", "US", "GB", "FR", "IN", "BR", "JP"]), st.text("abc xyz", max_size=10))
@settings(deadline=None)
def test_every_example_number_is_found(region: str, before: str) -> None:
    """Promise: what the rules call a valid number is found in the middle of text."""
    number = phonenumbers.example_number(region)
    assert number is not None
    text = f"{before} {phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)} ok"
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert [pair[0] for pair in found(text, "phone")] == [value]


@pytest.mark.timeout(30)  # the square would take minutes
@pytest.mark.parametrize(
    "unit",
    ["a.", "@", "a@", "1 ", "a-", ".com ", "http://", "1234 ", "DE89", "a:", "www. ", "@a", " at ", "(dot)", "snap:a"],
)
def test_time_grows_with_the_text_and_not_with_its_square(unit: str) -> None:
    """Promise: no repetition of what findings are made of takes the search more than ordinary work."""
    text = unit * (20_000 // len(unit))
    assert all(finding.end <= len(text) for finding in find(text, regions=["US"]))
