"""The adversarial corpus as data: reads e2e/adversarial/*.yaml (see its README.md)."""

import os
import re
from dataclasses import dataclass, field

import yaml

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "adversarial")
POLICIES = ("strict", "lenient")
VIAS = ("simple", "extended", "binary", "raw", "psql", "psycopg_text", "psycopg_binary")
RAW_VIAS = ("simple", "extended", "binary", "raw")
EXPECTATIONS = ("refused", "masked", "either")

# What a case may leave behind, and the next one should not find.
WRITES = re.compile(
    r"\b(create|into|alter|insert|update|delete|drop|analyze|vacuum|refresh|do|call|truncate|import|comment|"
    r"grant|revoke|merge|reindex|cluster|security|setval|nextval|lo\w*_\w+|lo_\w+|dblink\w*|"
    r"copy[^;]*\bfrom|rename|prepare transaction|query_to_xml|write)\b", re.IGNORECASE)


class CorpusError(Exception):
    pass


@dataclass
class Step:
    """One thing that the client does: SQL (perhaps with values for $1, $2, ...) on one of its
    connections, protocol messages, or what the administrator does meanwhile."""
    sql: str = None
    values: list = None
    raw: list = None
    admin: str = None
    session: str = "a"

    def text(self):
        return self.sql or self.admin or str(self.raw)


@dataclass
class Case:
    name: str
    file: str
    steps: list
    via: list
    policy: list
    expect: object = "either"  # or for each policy: {strict: refused, lenient: masked}
    leaks: bool = True
    still: object = None
    also: list = field(default_factory=list)
    startup: dict = field(default_factory=dict)
    setup: list = field(default_factory=list)
    cleanup: list = field(default_factory=list)
    fresh: bool = None
    ends: bool = False

    def __post_init__(self):
        if self.fresh is None:
            self.fresh = bool(self.setup) or any(WRITES.search(s.text()) for s in self.steps)

    def expects(self, policy):
        return self.expect.get(policy, "either") if isinstance(self.expect, dict) else self.expect

    @property
    def id(self):
        return f"{os.path.basename(self.file)[:-len('.yaml')]}:{self.name}"


def _list(value):
    return value if isinstance(value, list) else [value]


def _step(data, where):
    if isinstance(data, str):
        return Step(sql=data)
    unknown = set(data) - {"sql", "values", "raw", "admin", "session"}
    if unknown or len({"sql", "raw", "admin"} & set(data)) != 1:
        raise CorpusError(f"{where}: no step: {data}")
    return Step(**data)


def _check(case):
    if not set(case.via) <= set(VIAS) or not set(case.policy) <= set(POLICIES):
        raise CorpusError(f"{case.id}: via {case.via}, policy {case.policy}")
    if not {case.expects(p) for p in POLICIES} <= set(EXPECTATIONS) or not case.steps:
        raise CorpusError(f"{case.id}: expect {case.expect}")
    for step in case.steps:
        if (step.raw is not None and case.via != ["raw"]) or (
                step.values is not None and not set(case.via) <= {"extended", "binary"}) or (
                (step.admin or step.session != "a") and not set(case.via) <= set(RAW_VIAS)):
            raise CorpusError(f"{case.id}: this step cannot go via {case.via}")


def _every_via(steps, is_still):
    """All that can carry these steps and, for `still`, give rows as texts."""
    if any(s.raw is not None for s in steps):
        return ["raw"]
    if any(s.values is not None for s in steps):
        return ["extended"] if is_still else ["extended", "binary"]
    vias = ["simple", "extended"] + ([] if is_still else ["binary"])
    if any(s.admin or s.session != "a" or WRITES.search(s.text()) for s in steps):
        return vias  # by clients as well takes longer than it shows
    return vias + ["psycopg_text", "psycopg_binary"] + ([] if is_still else ["psql"])


def _case(data, defaults, file):
    if "name" not in data:
        raise CorpusError(f"{file}: a case without a name: {data}")
    where = f"{file}: {data['name']}"
    data = {"policy": list(POLICIES), **defaults, **data}
    if ("sql" in data) == ("steps" in data):
        raise CorpusError(f"{where}: either sql or steps")
    steps = data.pop("steps", None) or [data.pop("sql")]
    unknown = set(data) - set(Case.__dataclass_fields__)
    if unknown:
        raise CorpusError(f"{where}: unknown keys {unknown}")
    if "still" in data:
        data.setdefault("leaks", False)
    for name in ("via", "policy", "also", "setup", "cleanup"):
        if name in data:
            data[name] = _list(data[name])
    steps = [_step(s, where) for s in steps]
    data.setdefault("via", _every_via(steps, "still" in data))
    case = Case(file=file, steps=steps, **data)
    _check(case)
    return case


def load(folder=FOLDER):
    """All cases, in the order of the files."""
    cases = []
    for name in sorted(os.listdir(folder)):
        if not re.match(r"\d\d-.*\.yaml$", name):
            continue
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as f:
            content = yaml.safe_load(f)
        defaults = content.get("defaults", {})
        cases += [_case(dict(c), defaults, path) for c in content["cases"]]
    seen = set()
    for case in cases:
        if case.id in seen:
            raise CorpusError(f"{case.id}: twice")
        seen.add(case.id)
    return cases


def secrets(folder=FOLDER):
    """{value: how many of its last characters a policy of the corpus shows}."""
    with open(os.path.join(folder, "planted.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)["secrets"]
