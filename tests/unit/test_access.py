"""Tokens: what is accepted, what never is, and who a token speaks for."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from moderation.access import internal, keys
from moderation.access.principal import NOBODY
from moderation.access.settings import Access, Issuer
from moderation.access.tokens import MAX_TOKEN_BYTES, Verifier
from moderation.errors import AccessError, ConfigError
from tokens import AUDIENCE, ISSUER, Provider, bearer, public_jwk

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def provider(folder: Path, algorithm: str = "ES256") -> Provider:
    made = Provider(folder / "jwks.json", algorithm)
    made.add("a")
    made.publish()
    return made


def verifier(folder: Path, **more: Any) -> Verifier:
    issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks=folder / "jwks.json", **more)
    return Verifier(Access(mode="required", clock_skew_s=5, issuers=(issuer,)))


def reason(check: Verifier, token: str) -> str:
    with pytest.raises(AccessError) as refused:
        check.identify(bearer(token))
    assert token not in refused.value.message
    return refused.value.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_verifies(tmp_path: Path, algorithm: str) -> None:
    """Promise: RS256, ES256 and EdDSA tokens give their tenant, client and scopes."""
    made = provider(tmp_path, algorithm)
    found = verifier(tmp_path).identify(bearer(made.token(scope="moderate audit shopping")))
    assert (found.tenant, found.client, found.issuer) == ("acme", "client-1", ISSUER)
    assert found.scopes == {"moderate", "audit"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_is_never_a_secret(tmp_path: Path, algorithm: str) -> None:
    """Promise: a token signed with HS256 and the public key as secret is refused (RFC 8725 2.1)."""
    made = provider(tmp_path, algorithm)
    public = made.keys["a"].public_key()
    claims = jwt.decode(made.token(), options={"verify_signature": False})
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert reason(verifier(tmp_path), hmac_token(claims, secret, "a")) == "key"


def hmac_token(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    """HS256 by hand: PyJWT refuses to sign with a public key."""
    import hashlib
    import hmac

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "kid": kid}).encode()) + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.new(secret, head, hashlib.sha256).digest())).decode()


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
def test_unsigned_tokens_are_refused(tmp_path: Path, name: str) -> None:
    """Promise: `alg: none` in any spelling is nobody's algorithm."""
    made = provider(tmp_path)
    claims = jwt.decode(made.token(), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", "none", headers={"kid": "a"})
    head = base64.urlsafe_b64encode(json.dumps({"alg": name, "kid": "a"}).encode()).rstrip(b"=").decode()
    assert reason(verifier(tmp_path), head + unsigned[unsigned.index(".") :]) in ("key", "malformed")


def test_a_key_is_good_for_its_own_algorithm_only(tmp_path: Path) -> None:
    """Promise: algorithms that the issuer may not use are refused, however well signed."""
    made = provider(tmp_path, "RS256")
    with pytest.raises(ConfigError, match="has no key for ES256"):
        verifier(tmp_path, algorithms=("ES256",))
    other = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": 9e9}, made.keys["a"], "PS256", headers={"kid": "a"})
    assert reason(verifier(tmp_path), other) == "key"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": lambda now: now - 6}, "expired"),
        ({"nbf": lambda now: now + 8}, "not_yet"),
        ({"exp": None}, "claims"),
        ({"aud": None}, "claims"),
        ({"aud": "x"}, "audience"),
        ({"iss": None}, "issuer"),
        ({"tenant": None}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "x" * 300}, "tenant"),
        ({"tenant": ["acme"]}, "tenant"),
        ({"scope": ""}, "scope"),
        ({"scope": 5}, "scope"),
    ],
    ids=str,
)
def test_wrong_claims_are_refused(tmp_path: Path, claims: dict[str, Any], expected: str) -> None:
    """Promise: each claim is needed and checked, each with a reason of its own."""
    made, now = provider(tmp_path), int(time.time())
    values = {name: value(now) if callable(value) else value for name, value in claims.items()}
    token = made.token(**values)
    assert reason(verifier(tmp_path), token) == expected


def test_clocks_may_differ_a_little(tmp_path: Path) -> None:
    """Promise: exp and nbf are taken with the configured skew."""
    made, now = provider(tmp_path), int(time.time())
    check = verifier(tmp_path)
    assert check.identify(bearer(made.token(exp=now - 2)))
    assert check.identify(bearer(made.token(nbf=now + 3)))


def test_a_known_token_still_expires(tmp_path: Path) -> None:
    """Promise: remembering verified tokens does not prolong them."""
    made = provider(tmp_path)
    check = Verifier(
        Access(
            mode="required",
            clock_skew_s=0,
            issuers=(Issuer(issuer=ISSUER, audience=AUDIENCE, jwks=made.path),),
        )
    )
    token = made.token(exp=time.time() + 1.5)
    assert check.identify(bearer(token)) == check.identify(bearer(token))
    time.sleep(1.6)
    assert reason(check, token) == "expired"


def test_keys_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: a new file counts at the next look; a broken one changes nothing; a key taken out is refused."""
    monkeypatch.setattr(keys, "LOOK_S", 0.0)
    made = provider(tmp_path)
    check = verifier(tmp_path)
    old = made.token()
    assert check.identify(bearer(old))
    made.add("b")
    new = made.token(kid="b")
    assert reason(check, new) == "key"
    made.path.write_text('{"keys": [')
    assert check.identify(bearer(old))
    made.publish("b")
    assert check.identify(bearer(new))
    assert reason(check, old) == "key"
    made.path.unlink()
    assert check.identify(bearer(new))


def test_shared_secrets_are_for_small_set_ups(tmp_path: Path) -> None:
    """Promise: HS256 works with a secret of 32 bytes or more, and only where the issuer is set up with one."""
    (tmp_path / "secret").write_bytes(b"s" * 32)
    issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, secret=tmp_path / "secret", tenant="home", scopes=("moderate",))
    check = Verifier(Access(mode="required", issuers=(issuer,)))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 60}
    found = check.identify(bearer(jwt.encode(claims, b"s" * 32, "HS256")))
    assert (found.tenant, sorted(found.scopes)) == ("home", ["moderate"])
    assert reason(check, jwt.encode(claims, b"t" * 32, "HS256")) == "signature"
    (tmp_path / "secret").write_bytes(b"s" * 31)
    with pytest.raises(ConfigError, match="31 bytes; HS256 needs 32"):
        Verifier(Access(mode="required", issuers=(issuer,)))


def test_keys_that_are_not_safe_are_refused_at_start(tmp_path: Path) -> None:
    """Promise: short RSA keys, secret keys in a JWKS and files that are no JWKS stop the start."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = jwt.get_algorithm_by_name("RS256").to_jwk(
        rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True
    )
    for entry, sentence in (
        (public_jwk("RS256", short, "a"), "1024 bits; RSA needs 2048"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "is secret"),
        (private, "is secret"),
        ({"kty": "RSA"}, "is no usable key"),
    ):
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [entry]}))
        with pytest.raises(ConfigError, match=sentence):
            verifier(tmp_path)
    for text in ("", "[]", '{"keys": 3}', '{"keys": []}'):
        (tmp_path / "jwks.json").write_text(text)
        with pytest.raises(ConfigError, match=r"is no JWKS|has no key"):
            verifier(tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer " + "x" * (MAX_TOKEN_BYTES + 1),
        "Bearer ü",
        7,
        "Bearer a.b.c",
    ],
)
def test_what_is_no_bearer_token_is_refused(tmp_path: Path, value: Any) -> None:
    """Promise: odd headers are refused with a sentence, never with a crash."""
    provider(tmp_path)
    with pytest.raises(AccessError, match="unauthenticated"):
        verifier(tmp_path).identify({"authorization": value})


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Verifier, str]:
    folder = tmp_path_factory.mktemp("jwks")
    return verifier(folder) if (made := provider(folder)) else None, made.token()  # type: ignore[return-value]


@given(st.data())
def test_no_changed_token_is_accepted(stable: tuple[Verifier, str], data: st.DataObject) -> None:
    """Promise: a token with any character of its content changed speaks for nobody."""
    check, token = stable
    signature = token.rindex(".")
    place = data.draw(st.integers(0, signature - 1))
    letter = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(AccessError):
            check.identify(bearer(changed))


@given(st.text(max_size=200))
def test_no_text_crashes_the_verifier(stable: tuple[Verifier, str], text: str) -> None:
    """Promise: whatever stands in the header, the answer is a refusal in words."""
    with pytest.raises(AccessError):
        stable[0].identify({"authorization": f"Bearer {text}"})


def test_without_authentication_everybody_is_nobody() -> None:
    """Promise: mode `none` asks for nothing and tells nobody apart."""
    assert Verifier(Access()).identify({}) is NOBODY
    assert Verifier(Access()).identify({"authorization": "Bearer x"}) is NOBODY


def test_the_internal_key_keeps_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: with a key only calls that carry it pass; its file is private; a lost file opens nothing."""
    path = internal.create(tmp_path / "key")
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(internal.ENVIRONMENT, str(path))
    internal.key.cache_clear()
    try:
        internal.check("m", internal.parameters())
        for wrong in ({}, {internal.PARAMETER: ""}, {internal.PARAMETER: "x"}, {internal.PARAMETER: None}):
            with pytest.raises(AccessError, match="answers to the pipeline only"):
                internal.check("m", wrong)
        path.unlink()
        internal.key.cache_clear()
        with pytest.raises(ConfigError):
            internal.check("m", {})
        monkeypatch.delenv(internal.ENVIRONMENT)
        internal.key.cache_clear()
        internal.check("m", {})
        assert internal.parameters() == {}
    finally:
        internal.key.cache_clear()


def test_verifying_twice_is_cheap(tmp_path: Path) -> None:
    """Promise: the same token is verified once, whatever its algorithm costs (count, not time)."""
    made = provider(tmp_path)
    check = verifier(tmp_path)
    token = made.token()
    first = check.identify(bearer(token))
    assert check.identify(bearer(token)) is first
    assert os.environ.get(internal.ENVIRONMENT) is None
