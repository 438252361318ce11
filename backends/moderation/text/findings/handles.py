"""Accounts on social platforms: `@name`, `snap: name`, `t.me/name`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from moderation.text.findings.base import Span, apart

# Names that stand before an account, with the platform that they mean.
_NAMES: Final = {
    "snapchat": ("snapchat", "snap", "👻"),
    "instagram": ("instagram", "insta", "ig"),
    "telegram": ("telegram", "tele", "tg"),
    "whatsapp": ("whatsapp", "whats app"),
    "tiktok": ("tiktok", "tik tok"),
    "discord": ("discord",),
    "kik": ("kik",),
    "onlyfans": ("onlyfans", "only fans"),
    "wechat": ("wechat", "weixin"),
    "skype": ("skype",),
    "twitch": ("twitch",),
    "facebook": ("facebook", "fb"),
    "vk": ("vk", "vkontakte"),
    "youtube": ("youtube", "yt"),
    "reddit": ("reddit",),
    "x": ("twitter",),
}
_PLATFORM: Final = {name: platform for platform, names in _NAMES.items() for name in names}
_WORDS: Final = "|".join(re.escape(name) for name in sorted(_PLATFORM, key=len, reverse=True))
_ACCOUNT: Final = r"(?P<account>(?=[\w.-]{0,31}[^\W\d_])[A-Za-z0-9_](?:[A-Za-z0-9_.-]{1,30}[A-Za-z0-9_]))"
_NAMED: Final = re.compile(
    rf"(?<!\w)(?P<name>{_WORDS})\s{{0,3}}(?:(?:id|name|user(?:name)?|handle|acc(?:ount)?)\s{{0,3}})?"
    rf"(?:[:=>~➡→-]{{1,3}}\s{{0,3}}@?|@)\s?{_ACCOUNT}(?![\w@])",
    re.IGNORECASE,
)
_MARK: Final = re.compile(r"(?:@\s?|[:=>~➡→-]\s{0,4})(?=[\w.-]{0,31}[^\W\d_])[A-Za-z0-9_]")
"""Stands in every account with its first letter; most lines have none."""
_AT_NAME: Final = re.compile(rf"(?<![\w.@/+-])@{_ACCOUNT}(?![\w@])")
# Hosts and the path before the account.
_SITES: Final = {
    "t.me": "telegram", "telegram.me": "telegram", "instagram.com": "instagram", "snapchat.com": "snapchat",
    "wa.me": "whatsapp", "tiktok.com": "tiktok", "discord.gg": "discord", "onlyfans.com": "onlyfans",
    "twitch.tv": "twitch", "facebook.com": "facebook", "fb.com": "facebook", "m.me": "facebook", "vk.com": "vk",
    "youtube.com": "youtube", "reddit.com": "reddit", "x.com": "x", "twitter.com": "x",
}  # fmt: skip
_PATH: Final = re.compile(r"/(?:(?:add|u|user|c|invite)/)?[@+]?([A-Za-z0-9_.-]{2,32})/?$")
_NO_ACCOUNTS: Final = frozenset([
    "about", "ads", "explore", "help", "home", "login", "p", "policies", "privacy", "r", "reel", "search",
    "settings", "share", "terms",
])  # fmt: skip


def handles(text: str, urls: Sequence[Span]) -> Iterator[Span]:
    """Accounts; the detail is the platform, or empty.

    Args:
        text: as a keyboard would have it.
        urls: the links in it.
    """
    known: list[Span] = []
    if not urls and not _MARK.search(text):
        return
    for url in urls:
        parts = urlsplit(url.value)
        platform = _SITES.get(url.detail.removeprefix("www.").removeprefix("m."))
        account = _PATH.fullmatch(parts.path)
        if platform and account and account[1].lower() not in _NO_ACCOUNTS:
            known.append(Span(url.start, url.end, account[1], platform))
    for match in _NAMED.finditer(text):
        known.append(Span(*match.span(), match["account"], _PLATFORM[match["name"].lower()]))
    yield from known
    yield from apart((Span(*match.span(), match["account"], "") for match in _AT_NAME.finditer(text)), known)
