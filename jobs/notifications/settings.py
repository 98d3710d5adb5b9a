"""Settings of notifications: who is told when runs end, and by which way.

They come from the environment, else from BASIN_HOME/notify.toml. They are secrets, so no spec, log
or message holds them:

    BASIN_NOTIFY_WEBHOOK   address that takes {"text": ...}: Slack, Mattermost, Discord's /slack
    BASIN_NOTIFY_EMAIL     addresses of people, separated by commas
    BASIN_SMTP_URL         smtp://USER:PASSWORD@HOST:PORT (STARTTLS where offered), or smtps://
    BASIN_NOTIFY_FROM      the sender, else USER of BASIN_SMTP_URL
    BASIN_ADDRESS          of the pages, as people reach them, for links

In the file they are called webhook, email, smtp_url, sender and address.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from backend.errors import BadInput
from backend.system.home import home

FILE = "notify.toml"
_VARIABLES = {
    "webhook": "BASIN_NOTIFY_WEBHOOK",
    "email": "BASIN_NOTIFY_EMAIL",
    "smtp_url": "BASIN_SMTP_URL",
    "sender": "BASIN_NOTIFY_FROM",
    "address": "BASIN_ADDRESS",
}


@dataclass(frozen=True)
class Settings:
    """Ways by which word is sent; "" for those that are not wanted."""

    webhook: str = ""
    email: tuple[str, ...] = ()
    smtp_url: str = ""
    sender: str = ""
    address: str = ""

    @property
    def is_wanted(self) -> bool:
        """Return True when there is anybody to tell."""
        return bool(self.webhook or self.email)

    def in_words(self) -> str:
        """Describe where word goes, without what is secret in it."""
        ways = []
        if self.webhook:
            ways.append(f"a webhook at {urlsplit(self.webhook).hostname}")
        if self.email:
            ways.append(f"{', '.join(self.email)} by {urlsplit(self.smtp_url).hostname}")
        return " and ".join(ways) or "nobody"


def settings() -> Settings:
    """Read the settings. Raises BadInput, at the name of what is wrong."""
    values = {**_from_file(), **_from_environment()}
    webhook, smtp_url = values.get("webhook", ""), values.get("smtp_url", "")
    email = tuple(part.strip() for part in values.get("email", "").split(",") if part.strip())
    if webhook:
        _address(webhook, "webhook", ("https", "http"))
    for each in email:
        if "@" not in each or any(letter.isspace() for letter in each):
            raise BadInput.at(_VARIABLES["email"], f"{each!r} is no e-mail address.")
    if email and not smtp_url:
        raise BadInput.at(_VARIABLES["smtp_url"], "is needed to send e-mail: smtp://HOST:PORT.")
    sender = values.get("sender", "")
    if smtp_url:
        parts = _address(smtp_url, "smtp_url", ("smtp", "smtps"))
        user = unquote(parts.username or "")
        sender = sender or (user if "@" in user else f"basin@{parts.hostname}")
    return Settings(webhook, email, smtp_url, sender, values.get("address", "").rstrip("/"))


def _from_environment() -> dict[str, str]:
    texts = {name: os.environ.get(variable, "") for name, variable in _VARIABLES.items()}
    return {name: text.strip() for name, text in texts.items() if text.strip()}


def _from_file() -> dict[str, str]:
    path = home() / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput.at(FILE, f"{path} cannot be read as TOML.") from error
    values = {}
    for name, value in content.items():
        if name not in _VARIABLES:
            known = ", ".join(_VARIABLES)
            raise BadInput.at(FILE, f"there is no setting `{name}`. Known: {known}.")
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in listed):
            raise BadInput.at(FILE, f"`{name}` must be text, or a list of texts.")
        values[name] = ",".join(listed)
    return values


def _address(text: str, name: str, schemes: tuple[str, ...]) -> SplitResult:
    """Parse an address; it is not quoted in an error, since it may hold a password."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        _ = parts.port  # raises where it is none
        if parts.scheme in schemes and parts.hostname:
            return parts
    kinds = " or ".join(f"{scheme}://HOST" for scheme in schemes)
    raise BadInput.at(_VARIABLES[name], f"must be an address such as {kinds}.")
