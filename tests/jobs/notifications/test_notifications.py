"""Word of runs that end, sent to servers of the test's own on this machine."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.errors import BadInput
from backend.spec import RunSpec
from jobs.cli import main
from jobs.notifications import sending, watching
from jobs.notifications.settings import Settings, settings
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from jobs.records.status import Status

SECRET = "T0/B0/hunter2"


@contextmanager
def webhook(code: int = 200) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An address that takes what Slack's does, and what came there."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            came.append({"path": self.path, **json.loads(self.rfile.read(length))})
            self.send_response(code)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/{SECRET}", came
    server.shutdown()
    server.server_close()


@contextmanager
def mail_server(refuses: bool = False) -> Iterator[tuple[str, list[str]]]:
    """An SMTP server without TLS, and the lines it was sent."""
    lines: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            def say(text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

            say("220 here")
            in_body = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                lines.append(line)
                if in_body:
                    if line == ".":
                        in_body = False
                        say("250 taken")
                    continue
                word = line[:4].upper()
                if word == "EHLO":
                    say("250-here\r\n250 AUTH PLAIN LOGIN")
                elif word == "AUTH":
                    say(f"535 no, not hunter2: {line}" if refuses else "235 come in")
                elif word == "DATA":
                    in_body = True
                    say("354 go on")
                elif word == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 good")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"smtp://me%40lab.example:hunter2@127.0.0.1:{server.server_address[1]}", lines
        server.shutdown()


def ended(state: str = "finished", **more: object) -> RunDirectory:
    directory = run_store.create_run(
        RunSpec(method="contrastive_divergence", data={"name": "ring"}, name=f"<!channel> {state}")
    )
    told = {"status": state, "attempt": 1, "step": 1200, "ended": time.time(), **more}
    directory.write_status(**told)
    return directory


def wait_for(came: list[object], num: int) -> None:
    deadline = time.monotonic() + 10
    while len(came) < num:
        assert time.monotonic() < deadline, came
        time.sleep(0.01)


def test_ends_are_told_once_and_together_by_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GATHER_SECONDS", 0.05)
    before = ended(ended=time.time() - 60)
    with webhook() as (address, came):
        monkeypatch.setenv("BASIN_NOTIFY_WEBHOOK", address)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        one, other = watching.Watcher(), watching.Watcher()
        reason = "Diverged at step 1200."
        runs = [ended("diverged", reason=reason), ended("lost"), ended("stopped"), ended("paused")]
        for _ in range(3):
            for watcher in (one, other):
                watcher.look(run_store.list_runs(), "http://127.0.0.1:8501")
        wait_for(came, 1)
        time.sleep(0.3)
    (word,) = came
    assert word["path"] == f"/services/{SECRET}"
    assert word["text"].startswith("2 runs ended: 1 diverged, 1 lost\n")
    assert (
        "&lt;!channel&gt; diverged: diverged at step 1,200. Diverged at step 1200.\n"
        in word["text"]
    )
    assert f"http://127.0.0.1:8501/run?id={runs[0].id}" in word["text"]
    assert not any(each.id in word["text"] for each in (before, *runs[2:]))


def test_a_run_that_goes_on_by_itself_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GATHER_SECONDS", 0.0)
    told: list[Status] = []
    monkeypatch.setattr(watching, "tell", lambda runs, to: told.extend(runs) or [])
    monkeypatch.setenv("BASIN_NOTIFY_WEBHOOK", "http://127.0.0.1:9/")
    watcher = watching.Watcher()
    ended("lost", interrupted=True)
    last = ended("failed")
    watcher.look(run_store.list_runs())
    wait_for(told, 1)
    assert [run.id for run in told] == [last.id]


def test_a_second_attempt_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GATHER_SECONDS", 0.0)
    told: list[Status] = []
    monkeypatch.setattr(watching, "tell", lambda runs, to: told.extend(runs) or [])
    monkeypatch.setenv("BASIN_NOTIFY_WEBHOOK", "http://127.0.0.1:9/")
    watcher = watching.Watcher()
    directory = ended("lost")
    watcher.look(run_store.list_runs())
    directory.write_status(status="finished", attempt=2)
    watcher.look(run_store.list_runs())
    wait_for(told, 2)
    assert [(run.status, run.attempt) for run in told] == [("lost", 1), ("finished", 2)]


def test_ends_are_told_by_mail() -> None:
    run = ended("failed", reason="Failed after step 1,200: ValueError: no.").status()
    with mail_server() as (address, lines):
        to = Settings(email=("ada@lab.example",), smtp_url=address, sender="me@lab.example")
        assert sending.tell([run], to) == []
    mail = message_from_string("\n".join(lines[lines.index("data") + 1 :]))
    assert mail["Subject"] == "[Basin] <!channel> failed: failed"
    assert mail["To"] == "ada@lab.example" and mail["From"] == "me@lab.example"
    text = bytes(mail.get_payload(decode=True)).decode()
    assert "failed at step 1,200. Failed after step 1,200: ValueError: no.\n" in text


def test_what_fails_is_said_without_its_secret() -> None:
    run = ended().status()
    with webhook(500) as (hook, _), mail_server(refuses=True) as (mail, _):
        troubles = sending.tell([run], Settings(hook, ("ada@lab.example",), mail, "me@lab.example"))
    assert troubles == [
        "The webhook at 127.0.0.1 answered 500: no word sent.",
        "The mail server 127.0.0.1 did not take the e-mail (SMTPAuthenticationError).",
    ]
    dead = Settings("http://127.0.0.1:9/hunter2", ("a@b",), "smtp://u:hunter2@127.0.0.1:9", "a@b")
    troubles = sending.tell([run], dead)
    assert len(troubles) == 2 and "hunter2" not in "".join(troubles)
    assert "hunter2" not in dead.in_words() and SECRET not in Settings(hook).in_words()


def test_the_word_follows_no_redirect() -> None:
    with webhook(302) as (hook, came):
        assert len(sending.tell([ended().status()], Settings(hook))) == 1
    assert [word["path"] for word in came] == [f"/services/{SECRET}"]


def test_many_runs_are_one_short_message() -> None:
    subject, text = sending.message([Status("x", "finished", name=f"n{i}") for i in range(90)], "")
    assert subject == "90 runs ended: 90 finished" and "and 70 more." in text
    assert len(text) < 4000


def test_settings_are_read_from_the_file_and_the_environment_wins(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (basin_home / "notify.toml").write_text(
        'webhook = "https://hooks.example/one"\nemail = ["a@b.example", "c@d.example"]\n'
        'smtp_url = "smtps://mail.example"\naddress = "https://basin.example/"\n'
    )
    monkeypatch.setenv("BASIN_NOTIFY_WEBHOOK", "https://hooks.example/two")
    to = settings()
    assert to.webhook == "https://hooks.example/two" and to.email == ("a@b.example", "c@d.example")
    assert to.sender == "basin@mail.example" and to.address == "https://basin.example"
    assert (
        to.in_words() == "a webhook at hooks.example and a@b.example, c@d.example by mail.example"
    )


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"BASIN_NOTIFY_WEBHOOK": "hooks.slack.com/hunter2"}, "BASIN_NOTIFY_WEBHOOK`: must be an"),
        ({"BASIN_NOTIFY_WEBHOOK": "https://x:hunter2/"}, "BASIN_NOTIFY_WEBHOOK`: must be an add"),
        ({"BASIN_NOTIFY_EMAIL": "ada"}, "'ada' is no e-mail address"),
        ({"BASIN_NOTIFY_EMAIL": "a@b\nBcc: x@y"}, "is no e-mail address"),
        ({"BASIN_NOTIFY_EMAIL": "a@b"}, "BASIN_SMTP_URL`: is needed to send e-mail"),
        ({"BASIN_SMTP_URL": "http://u:hunter2@h"}, "BASIN_SMTP_URL`: must be an address such as"),
    ],
)
def test_settings_that_are_wrong_say_which(
    values: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as caught:
        settings()
    assert words in str(caught.value) and "hunter2" not in str(caught.value)


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["webhook =", "hook = 'x'", "webhook = 3"])
def test_a_file_that_is_wrong_says_so(text: str, basin_home: Path) -> None:
    (basin_home / "notify.toml").write_text(text)
    with pytest.raises(BadInput, match=r"notify\.toml"):
        settings()


def test_the_command_sends_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = CliRunner().invoke(main, ["notify"])
    assert refused.exit_code == 2 and "BASIN_NOTIFY_WEBHOOK" in refused.stderr
    with webhook() as (address, came):
        monkeypatch.setenv("BASIN_NOTIFY_WEBHOOK", address)
        done = CliRunner().invoke(main, ["notify", "--json"])
    assert json.loads(done.stdout) == {"to": "a webhook at 127.0.0.1", "troubles": []}
    assert came[0]["text"] == "Basin tells here when runs end." and SECRET not in done.output
