"""Draft: the RunSpec a person is putting together, before it is launched. No Streamlit here."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec, from_dict, merge, parse
from backend.system.home import make_private
from dashboard.forms import sweep
from dashboard.forms.form_fields import Values, defaults, difference, fields_of
from jobs.queueing import enqueue
from jobs.queueing.enqueue import Check
from jobs.records import run_store
from jobs.system.atomic_files import written_aside

SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".dat", ".parquet")
MOST_UPLOAD_BYTES = 200_000_000
MOST_SEEDS = 10
MOST_KNOWN = 200
"""Files of the data folder that are offered."""
FIRST = {"method": "contrastive_divergence", "preset": "persistent", "data": {"name": "ring"}}
"""What a first visitor finds: one click shows the ring's landscape form."""
LINKED = ("from", "data", "method", "preset")
"""What a link to the form may say."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Source:
    """Beginning of a draft: the fields of a RunSpec that a link, a run or a file gives."""

    values: dict[str, Any]
    title: str = ""
    """what it was taken from, in words"""
    notes: tuple[str, ...] = ()
    """sentences on what was left out of it"""

    @property
    def key(self) -> str:
        """Identity of the source, for the session."""
        return json.dumps(self.values, sort_keys=True)


def from_query(query: dict[str, str], catalogue: dict[str, Any]) -> Source:
    """Build the draft a link asks for: `from` a run, or `data`, `method` and `preset`.

    Raises BadInput or NotAvailable when the run cannot be read.
    """
    if run_id := query.get("from"):
        directory = run_store.open_run(run_id)
        spec = directory.spec()
        name = directory.status().name or spec.name
        return Source(spec.as_dict(), name or directory.id)
    values: dict[str, Any] = dict(FIRST)
    if query.get("method") in catalogue["methods"]:
        values = {**values, "method": query["method"], "preset": "default"}
    if query.get("preset") in catalogue["methods"][values["method"]]["presets"]:
        values["preset"] = query["preset"]
    made_for = catalogue["methods"][values["method"]]["presets"][values["preset"]].get("data")
    if query.get("data") in catalogue["datasets"]:
        values["data"] = {"name": query["data"]}
    elif made_for is not None:
        values["data"] = dict(made_for)
    return Source(values)


def suits(catalogue: dict[str, Any], preset: dict[str, Any], images: bool) -> bool:
    """Return False for a preset that is made for images where the data are none."""
    return images or not _of_images(catalogue, preset)


def preset_for(
    catalogue: dict[str, Any], presets: dict[str, Any], data: str, images: bool
) -> str | None:
    """The preset made for a data set or, where it holds images, for images; None without one."""
    known = {name: item for name, item in presets.items() if not item.get("wants_gpu")}
    own = [name for name, item in known.items() if (item.get("data") or {}).get("name") == data]
    alike = [name for name, item in known.items() if images and _of_images(catalogue, item)]
    return next(iter([*own, *alike]), None)


def _of_images(catalogue: dict[str, Any], preset: dict[str, Any]) -> bool:
    name = (preset.get("data") or {}).get("name")
    return bool(catalogue["datasets"].get(name, {}).get("images", False))


def from_text(text: str, catalogue: dict[str, Any] | None = None) -> Source:
    """Build the draft of a pasted or uploaded file. Raises BadInput.

    Fields that its method does not have, for which the form has no place to mend them, are left
    out, and the notes say so.
    """
    spec = parse(text)
    values = spec.as_dict()
    method = (catalogue or {"methods": {}})["methods"].get(spec.method)
    if method is None or spec.preset not in method["presets"]:
        return Source(values, "your file")
    schema = method["schema"]
    whole = merge(preset_values(method, spec.preset), spec.config)
    known = set(fields_of(schema, whole))
    values["config"], unknown = _known_alone(spec.config, known)
    notes = [f"Left out: `{field}`, which {method['title']} does not have." for field in unknown]
    return Source(values, "your file", tuple(notes))


def _known_alone(
    config: Values, known: set[str], at: tuple[str, ...] = ()
) -> tuple[Values, list[str]]:
    """Split a config into the fields that are known and the names of the others."""
    values: Values = {}
    unknown: list[str] = []
    for name, value in config.items():
        dotted = ".".join((*at, name))
        if isinstance(value, dict) and any(each.startswith(f"{dotted}.") for each in known):
            values[name], more = _known_alone(value, known, (*at, name))
            unknown += more
        elif dotted in known or (name == "kind" and at):
            values[name] = value
        else:
            unknown.append(dotted)
    return values, unknown


@dataclass(frozen=True)
class Answer:
    """Answer of the check worker about one draft."""

    text: str
    """the draft it was asked about, as JSON"""
    check: Check | None
    silence: str = ""
    """why there is no answer"""

    @property
    def is_ok(self) -> bool:
        """Return True when the draft can be launched."""
        return self.check is not None and self.check.ok

    @property
    def sentences(self) -> tuple[dict[str, str], dict[str, str]]:
        """The problems and what settings amount to, by the field they stand under."""
        if self.check is None:
            return {}, {}
        problems = {item["field"]: item["message"] for item in self.check.problems}
        return problems, self.check.derived

    def spec(self) -> RunSpec:
        """The draft as it was checked, else as it could not be checked. Raises BadInput."""
        if self.check is not None and self.check.spec is not None:
            return self.check.spec
        return from_dict(json.loads(self.text))


def check(raw: dict[str, Any], text: str) -> Answer:
    """Ask the check worker about a draft; the answer says why there is none."""
    try:
        return Answer(text, enqueue.check(raw, "browser"))
    except NotAvailable as error:
        return Answer(text, None, str(error))


def preset_values(method: dict[str, Any], preset: str) -> Values:
    """Return every field of a method's Config as a preset has it."""
    return {**defaults(method["schema"], method["schema"]), **method["presets"][preset]["config"]}


def raw_spec(
    chosen: dict[str, Any], data: Values, config: Values, catalogue: dict[str, Any]
) -> dict[str, Any]:
    """Build the RunSpec of a draft: only what differs from the preset and the data's defaults."""
    method = catalogue["methods"][chosen["method"]]
    schema = catalogue["datasets"][data["name"]]["schema"]
    fields = {key: value for key, value in data.items() if key != "name"}
    raw = {
        **chosen,
        "data": {"name": data["name"], **difference(fields, defaults(schema, schema))},
        "config": difference(config, preset_values(method, chosen["preset"])),
    }
    return {key: value for key, value in raw.items() if value not in ("", [], {}, None)}


def text_of(raw: dict[str, Any]) -> str:
    """Write a draft as JSON; several values of a field as a list."""
    return json.dumps(raw, sort_keys=True, default=lambda several: list(several.values))


def check_all(raw: dict[str, Any], known: dict[str, Answer]) -> list[Answer]:
    """Ask about each of `sweep.probes`; answers that are known are not asked for again."""
    number = sweep.number_of(raw)
    if number > sweep.MOST_RUNS:
        problem = f"at most {sweep.MOST_RUNS} runs are launched at once, these are {number}."
        refusal = Check(False, [{"field": "", "message": problem}])
        return [Answer(text_of(raw), refusal)]
    answers = []
    for probe in sweep.probes(raw):
        text = text_of(probe)
        answer = known.get(text)
        if answer is None or answer.check is None:
            answer = check(probe, text)
        answers.append(answer)
        if answer.check is None:
            break  # whoever did not answer once lets one wait for the others too
    return answers


def joined(raw: dict[str, Any], probes: list[Answer]) -> Answer:
    """Join the answers about the members of a sweep into one about the draft."""
    text = text_of(raw)
    silent = next((probe for probe in probes if probe.check is None), None)
    if silent is not None:
        return Answer(text, None, silent.silence)
    checks = [probe.check for probe in probes if probe.check is not None]
    if len(checks) == 1:
        return Answer(text, checks[0])
    problems = {(item["field"], item["message"]): item for c in checks for item in c.problems}
    joint = replace(
        checks[0],
        ok=all(each.ok for each in checks),
        problems=list(problems.values()),
        cost=_joint_cost([each.cost for each in checks if each.cost]),
    )
    return Answer(text, joint)


def _joint_cost(costs: list[dict[str, Any]]) -> dict[str, Any]:
    """Average costs; the spread is of all of them."""
    if not costs or any(cost.get("seconds") is None for cost in costs):
        return costs[0] if costs else {}
    spreads = [end for cost in costs for end in cost["seconds_spread"]]
    means: dict[str, Any] = {}
    for name in ("seconds", "gradients", "looking", "judging"):
        amounts = [amount for cost in costs if (amount := cost.get(name)) is not None]
        if len(amounts) == len(costs):
            means[name] = sum(amounts) / len(amounts)
    if len({cost["steps"] for cost in costs}) > 1:
        means["steps"] = None
    return {**costs[0], **means, "seconds_spread": [min(spreads), max(spreads)]}


def specs_of(answer: Answer, raw: dict[str, Any]) -> list[RunSpec]:
    """Build the runs of a draft: the one that was checked, or all of a sweep. Raises BadInput."""
    if sweep.number_of(raw) == 1:
        return [answer.spec()]
    return [from_dict(member) for member in sweep.members(raw)]


def keep_upload(name: str, content: bytes) -> Path:
    """Save an uploaded file in the data folder under a name of its own.

    It is only kept here; a worker reads and checks it. Raises BadInput for another type or one too
    large.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput.at("data.path", f"must be one of {', '.join(SUFFIXES)}, got {name!r}.")
    if len(content) > MOST_UPLOAD_BYTES:
        raise BadInput.at(
            "data.path",
            f"must be at most 200 MB, got {len(content) / 1e6:.0f} MB. Put it into "
            f"{run_store.data_folder()} instead and name its path.",
        )
    folder = uploads()
    stem = safe_stem(name)
    path = folder / f"{stem}{suffix}"
    if path.exists() and path.read_bytes() != content:
        path = folder / f"{stem}-{secrets.token_hex(2)}{suffix}"
    try:
        make_private(folder)
        with written_aside(path) as file:
            file.write(content)
    except OSError as error:
        raise BadInput.at("data.path", f"cannot be kept: {error.strerror}.") from error
    return path


def safe_stem(name: str) -> str:
    """Return the name of an upload without its ending, as a file here may be called."""
    return _UNSAFE.sub("_", Path(name).stem).strip("._")[:60] or "data"


def uploads() -> Path:
    """Return the folder of uploaded files."""
    return run_store.data_folder() / "uploads"


def known_files() -> list[Path]:
    """List files and image folders in the data folder that a run may name, newest first.

    What cannot be looked at (a link that leads nowhere, something just removed) is left out.
    """
    files = []
    for folder in (run_store.data_folder(), uploads()):
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue
        for path in entries:
            with contextlib.suppress(OSError):
                if path != uploads() and _is_data(path):
                    files.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(files, reverse=True)[:MOST_KNOWN]]


def delete_upload(path: Path) -> None:
    """Delete a file or folder of the uploads. Raises BadInput for anything else, and OSError."""
    if path.parent != uploads() or not path.name.strip("."):
        raise BadInput.at("data.path", f"{path} was not uploaded here, so it is not deleted here.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_data(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False  # no page can show its name
    return path.is_dir() or (path.suffix.lower() in SUFFIXES and path.is_file())
