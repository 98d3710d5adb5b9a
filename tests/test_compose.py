"""compose.yaml: every command in it is real, and nothing is published that should not be."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from jobs.queueing import redis_store
from jobs.records.status import hostname
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BASIN_COMMANDS = {
    name: service["command"]
    for name, service in SERVICES.items()
    if service["command"][0] == "basin"
}


def as_minutes(duration: str) -> float:
    match = re.fullmatch(r"(\d+)(s|m)", duration)
    assert match, duration
    return int(match[1]) / (60 if match[2] == "s" else 1)


def dockerfile_command() -> list[str]:
    return yaml.safe_load(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, flags=re.MULTILINE)[-1])


def test_the_services() -> None:
    assert set(SERVICES) == {"redis", "dashboard", "quick", "check", "train", "train-cpu"}
    assert set(BASIN_COMMANDS) == set(SERVICES) - {"redis"}


@pytest.mark.parametrize(
    "command", [*BASIN_COMMANDS.values(), dockerfile_command()], ids=[*BASIN_COMMANDS, "Dockerfile"]
)
def test_commands_are_real(command: list[str]) -> None:
    from jobs.cli import main

    program, subcommand, *arguments = command
    assert program == "basin"
    assert isinstance(main, click.Group)
    shown = CliRunner().invoke(main, [subcommand, "--help"])
    assert shown.exit_code == 0, shown.output
    found = main.get_command(click.Context(main), subcommand)
    assert found is not None
    # Parses every option and its value as the real call would, and runs nothing.
    with found.make_context(subcommand, list(arguments)) as context:
        given = [argument for argument in arguments if argument.startswith("--")]
        known = [option for parameter in found.params for option in parameter.opts]
        assert set(given) <= set(known) and not context.args


def test_there_is_one_train_worker_for_each_profile_and_the_others_for_both() -> None:
    assert SERVICES["train"]["profiles"] == ["gpu"]
    assert SERVICES["train-cpu"]["profiles"] == ["cpu"]
    for always in ("redis", "dashboard", "quick", "check"):
        assert "profiles" not in SERVICES[always]
    queues = {
        name: command[command.index("--queue") + 1]
        for name, command in BASIN_COMMANDS.items()
        if "--queue" in command
    }
    assert queues == {"quick": "quick", "check": "check", "train": "train", "train-cpu": "train"}


def test_gpu_is_reserved_for_the_gpu_worker_alone() -> None:
    (device,) = SERVICES["train"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    assert "cuda:0" in SERVICES["train"]["command"]
    assert [name for name, service in SERVICES.items() if "deploy" in service] == ["train"]


def test_only_the_dashboard_is_published_and_on_loopback_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"dashboard": ["127.0.0.1:${PORT:-8501}:8501"]}
    assert not any("network_mode" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_restarted_and_keeps_its_work_on_a_volume(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped" and service["init"] is True
    # what is unhealthy for long ends, so that it is restarted
    assert service["healthcheck"]["test"][:2] == ["CMD", "/app/scripts/healthy.sh"]
    assert as_minutes(service["healthcheck"]["interval"]) <= 1
    assert list(COMPOSE["volumes"]) == ["artifacts", "queue"]
    if name == "redis":
        assert service["volumes"] == ["queue:/data"], "nothing of runs, secrets and energy files"
        assert list(service["environment"]) == ["BASIN_REDIS_PASSWORD"]
    else:
        assert service["volumes"] == ["artifacts:/data"]
        assert service["environment"]["BASIN_HOME"] == "/data"
        assert service["depends_on"]["redis"]["condition"] == "service_healthy"
        assert "@redis:6379/" in service["environment"]["BASIN_REDIS_URL"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_do_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True and not service.get("privileged")
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    assert service["mem_limit"] and service["pids_limit"]


def test_who_listens_beyond_its_container_asks_for_the_link_or_a_login() -> None:
    for command in (SERVICES["dashboard"]["command"], dockerfile_command()):
        assert command[command.index("--host") + 1] == "0.0.0.0"
        assert "--without-login" in command
    assert "docker compose exec dashboard basin link" in (ROOT / "compose.yaml").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_health_checks_in_python_compile(name: str) -> None:
    test = SERVICES[name]["healthcheck"]["test"]
    if test[2:4] == ["python", "-c"]:
        compile(test[4], name, "exec")


def test_a_worker_is_healthy_while_it_beats_and_while_redis_is_away(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = SERVICES["train"]["healthcheck"]["test"][4]

    def status() -> int:
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode

    assert status() == 1, "Redis answers, and knows no worker of this container"
    said = {"name": "train@here", "queue": "train", "host": hostname(), "pid": os.getpid()}
    redis_store.beat(redis_store.connect(), said)
    assert status() == 0
    monkeypatch.setenv("BASIN_REDIS_URL", "redis://127.0.0.1:1/0")
    assert status() == 0, "what trains without Redis is not to be ended"


def test_what_is_unhealthy_for_long_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as first:
        environment = {
            **os.environ,
            "FAILURES": str(tmp_path / "failures"),
            "FIRST_PROCESS": str(first.pid),
        }

        def look(command: str) -> int:
            check = [ROOT / "scripts" / "healthy.sh", command]
            return subprocess.run(check, env=environment).returncode

        assert [look(command) for command in ("false", "false", "false", "true")] == [1, 1, 1, 0]
        assert [look("false") for _ in range(3)] == [1, 1, 1]
        assert first.poll() is None, "a good look in between begins anew"
        assert look("false") == 1
        assert first.wait(5) == -signal.SIGTERM


def test_redis_keeps_its_data_and_asks_for_a_password() -> None:
    script = SERVICES["redis"]["command"][-1]
    assert "appendonly yes" in script and "requirepass $$BASIN_REDIS_PASSWORD" in script
    assert "dir /data\n" in script and "maxmemory 2gb" in script
    for service in SERVICES.values():
        for value in service["environment"].values():
            if "PASSWORD" in value:
                assert "${BASIN_REDIS_PASSWORD:?" in value, "no password may stand in the file"


def test_image_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert users == ["basin"]


def test_all_services_run_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {service["image"] for service in SERVICES.values()} == {f"basin:{project['version']}"}


def test_docker_compose_accepts_the_file() -> None:
    if shutil.which("docker") is None:
        pytest.skip("no docker here")
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker has no compose plugin here")
    environment = {**os.environ, "BASIN_REDIS_PASSWORD": "secret"}
    for profile in ("gpu", "cpu"):
        done = subprocess.run(
            ["docker", "compose", "--profile", profile, "config", "-q"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_image_is_built_and_works() -> None:
    """With buildah, as root and without a daemon; TORCH_INDEX names an index of CPU wheels."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("no buildah here, or not root")
    base = re.findall(r"^FROM (\S+)$", DOCKERFILE, flags=re.MULTILINE)[0]

    def buildah(*arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=1000
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    if subprocess.run(["buildah", "from", "--name", "basin-base", base]).returncode != 0:
        pytest.skip(f"no {base} here, and none can be fetched")
    index = f"TORCH_INDEX={os.environ.get('TORCH_INDEX', '')}"
    try:
        buildah("bud", "--isolation", "chroot", "--build-arg", index, "-t", "basin-test", ".")
        buildah("from", "--name", "basin-test-run", "basin-test")
        inside = ("run", "--isolation", "chroot", "basin-test-run", "--")
        found = json.loads(buildah(*inside, "basin", "doctor", "--json"))
        assert found["ok"], found
        run = buildah(
            *inside,
            "sh",
            "-c",
            "echo 'method: sampling\ndata: {name: ring}\nbudget: {steps: 5}' "
            "| basin run - --inline --json",
        )
        assert json.loads(run)["status"] == "finished"
    finally:
        for name in ("basin-test-run", "basin-base"):
            subprocess.run(["buildah", "rm", name], capture_output=True)
