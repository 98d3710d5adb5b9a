"""Sending word of runs that ended: by a webhook in Slack's format, by e-mail."""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from backend.errors import NotAvailable
from jobs.notifications.settings import Settings
from jobs.records.status import Status

TOLD = ("finished", "failed", "diverged", "lost")
"""States that are told; what a person stopped or paused is known to that person."""
SECONDS = 10.0
"""How long a server may take."""
_HERE = ("localhost", "127.0.0.1", "::1")
_MOST_LISTED = 20


def message(runs: Sequence[Status], address: str) -> tuple[str, str]:
    """Build the first line and the whole text about runs that ended."""
    if len(runs) == 1:
        subject = f"{_name(runs[0])}: {runs[0].status}"
    else:
        counts = {state: sum(run.status == state for run in runs) for state in TOLD}
        listed = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        subject = f"{len(runs)} runs ended: {listed}"
    lines = [_line(run, address) for run in runs[:_MOST_LISTED]]
    if len(runs) > _MOST_LISTED:
        lines.append(f"and {len(runs) - _MOST_LISTED} more.")
    return subject, "\n\n".join([subject, *lines])


def _name(run: Status) -> str:
    return run.name or f"{run.method}/{run.preset} on {run.data}, seed {run.seed}"


def _line(run: Status, address: str) -> str:
    parts = [f"{_name(run)}: {run.status} at step {run.step:,}."]
    if run.headline:
        parts.append(f"{run.headline['path']} {run.headline['value']:.4g}.")
    if run.reason:
        parts.append(run.reason)
    parts += [f"{alarm['message']}" for alarm in run.alarms[:3]]
    return "\n".join([" ".join(parts), f"{address}/run?id={run.id}" if address else run.id])


def tell(runs: Sequence[Status], to: Settings) -> list[str]:
    """Send word of runs that ended; returns a sentence for each way that failed."""
    return send(*message(runs, to.address), to)


def send(subject: str, text: str, to: Settings) -> list[str]:
    """Send a text by every way that is wanted; returns a sentence for each that failed."""
    troubles = []
    for way, is_wanted in ((_post, to.webhook), (_mail, to.email)):
        if is_wanted:
            try:
                way(subject, text, to)
            except NotAvailable as error:
                troubles.append(str(error))
    return troubles


def _post(subject: str, text: str, to: Settings) -> None:
    body = json.dumps({"text": _escaped(text)}).encode()
    request = urllib.request.Request(
        to.webhook, body, {"Content-Type": "application/json", "User-Agent": "basin"}
    )
    host = urlsplit(to.webhook).hostname or ""
    opener = urllib.request.build_opener(*_direct(host), _NoRedirect())
    try:
        with opener.open(request, timeout=SECONDS):
            pass
    except urllib.error.HTTPError as error:
        raise NotAvailable(f"The webhook at {host} answered {error.code}: no word sent.") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        kind = type(why).__name__ if isinstance(why, Exception) else "no answer"
        raise NotAvailable(f"The webhook at {host} cannot be reached ({kind}).") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the word is for the address that was given."""

    def redirect_request(self, *_: object) -> None:
        return None


def _direct(host: str) -> list[urllib.request.BaseHandler]:
    """Build what keeps a question to this machine itself from any proxy."""
    return [urllib.request.ProxyHandler({})] if host in _HERE else []


def _escaped(text: str) -> str:
    """Escape what Slack takes for mark-up: names of runs may hold a link or call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mail(subject: str, text: str, to: Settings) -> None:
    parts = urlsplit(to.smtp_url)
    mail = EmailMessage()
    mail["Subject"] = f"[Basin] {' '.join(subject.split())}"
    mail["From"], mail["To"] = to.sender, ", ".join(to.email)
    mail.set_content(text)
    host, context = parts.hostname or "", ssl.create_default_context()
    try:
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=SECONDS)
        with server:
            if parts.scheme == "smtp":
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=context)
                elif parts.password and host not in _HERE:
                    raise NotAvailable(f"{host} offers no TLS: the password is not sent to it.")
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(mail)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        kind = type(error).__name__  # its text may quote what was sent
        raise NotAvailable(f"The mail server {host} did not take the e-mail ({kind}).") from None
