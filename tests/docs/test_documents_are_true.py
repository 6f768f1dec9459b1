"""What the documents name is really there: links, files, tests, options, exit codes and reasons."""

import re
from pathlib import Path

import pytest

from batch.advice.settings import AdviseSettings
from batch.compare import CompareSettings
from batch.deliver import DeliverSettings
from batch.drift import DriftSettings
from batch.export import ExportSettings
from batch.model.certify import CertifySettings
from batch.model.importing.command import ImportSettings
from batch.model.listing import ListSettings
from batch.model.show import ShowSettings
from batch.model.validate import ValidateSettings
from batch.proof.settings import ProveSettings
from batch.replaying.settings import ReplaySettings as HistorySettings
from batch.retry import RetrySettings
from batch.score import ScoreSettings
from consumer.check.command import CheckSettings
from consumer.dead_letters.settings import ListSettings as LettersSettings
from consumer.dead_letters.settings import ReplaySettings
from consumer.dead_letters.settings import ShowSettings as LetterSettings
from consumer.operations.measures import FAMILIES
from consumer.settings import ConsumerSettings
from consumer.status import StatusSettings
from demo.__main__ import DemoSettings, VerdictSettings
from producer.settings import ProducerSettings
from shared.command import PRINT_COMPLETION
from shared.errors import ExitCode
from shared.models.directory import KINDS, Declaration
from shared.schema import Input, Reason
from shared.settings import CommandSettings
from tests.docs.blocks import blocks_of

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "models").rglob("*.md")),
]
COMMANDS: dict[str, type[CommandSettings]] = {
    # A command before the one whose name begins its own.
    "consumer check": CheckSettings,
    "consumer status": StatusSettings,
    "consumer dead-letters list": LettersSettings,
    "consumer dead-letters show": LetterSettings,
    "consumer dead-letters replay": ReplaySettings,
    "consumer": ConsumerSettings,
    "producer": ProducerSettings,
    "batch score": ScoreSettings,
    "batch retry": RetrySettings,
    "batch deliver": DeliverSettings,
    "batch drift": DriftSettings,
    "batch export": ExportSettings,
    "batch compare": CompareSettings,
    "batch prove": ProveSettings,
    "batch replay": HistorySettings,
    "batch advise": AdviseSettings,
    "batch model import": ImportSettings,
    "batch model certify": CertifySettings,
    "batch model show": ShowSettings,
    "batch model validate": ValidateSettings,
    "batch model list": ListSettings,
    "demo verdict": VerdictSettings,
    "demo": DemoSettings,
}
PACKAGES = ("producer", "consumer", "batch", "shared", "demo")

_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_PICTURE = re.compile(r'(?:src|srcset)="([^"]*)"')
_FENCED = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
#: Options of other programs that the text speaks of: pip, `make chaos`, Spark, `docker compose`.
_OF_OTHERS = {"--require-hashes", "--kill-broker", "--archives", "--py-files", "--profile", "--rm"}
#: A metric of Tandem, without what Prometheus adds to the name of a histogram.
_METRIC = re.compile(r"\btandem_[a-z_]+?(?=(?:_bucket)?\b)")
_VARIABLE = re.compile(r"\bTANDEM_[A-Z_]+\b")
_MODULE = re.compile(rf"`((?:{'|'.join(PACKAGES)})/[\w/]+\.py)`")


def anchors_of(document: Path) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    pictures = [(target, "") for target in _PICTURE.findall(text)]
    for target, anchor in [*_LINK.findall(text), *pictures]:
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors_of(path), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tests_that_a_document_names_exist(document: Path) -> None:
    for file, test in _TEST.findall(document.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_file_map_lists_every_module_once_and_no_other() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = _MODULE.findall(text.partition("## File map")[2])
    there = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(listed) == sorted(there)


def options_of(settings: type[CommandSettings]) -> set[str]:
    """The flags of a command."""
    names = {declared.alias or name for name, declared in settings.model_fields.items()}
    names |= {str(short) for short in (settings.model_config.get("cli_shortcuts") or {}).values()}
    switches = {name for name, declared in settings.model_fields.items() if declared.annotation is bool}
    return {
        "--help",
        *(f"--{name.replace('_', '-')}" for name in names | {f"no-{name}" for name in switches}),
    }


def command_lines(document: Path) -> list[str]:
    """Tandem's own command lines in a document's blocks, without their `python -m`."""
    scripts = [block.script for block in blocks_of(document) if block.language != "python"]
    lines = [line for script in scripts for line in script.replace("\\\n", " ").splitlines()]
    return [found[1] for line in lines if (found := re.search(r"python -m (?!pytest|pip)([^#|&]*)", line))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_command_line_names_options_of_its_command(document: Path) -> None:
    for line in command_lines(document):
        known = next((options_of(of) for name, of in COMMANDS.items() if line.startswith(name)), {"--help"})
        assert set(_OPTION.findall(line)) <= known, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_an_option_or_variable_in_the_text_is_one_of_some_command(document: Path) -> None:
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    known = set().union(*map(options_of, COMMANDS.values()))
    named = {option for code in re.findall(r"`([^`\n]+)`", text) for option in _OPTION.findall(code)}
    assert named <= known | _OF_OTHERS | {PRINT_COMPLETION}
    composed = _VARIABLE.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    variables = {f"TANDEM_{option[2:].replace('-', '_').upper()}" for option in known}
    assert set(_VARIABLE.findall(text)) <= {*variables, *composed}


def first_column(document: str, heading: str) -> list[str]:
    """The cells of the first column of the table that has such a first heading."""
    text = (ROOT / document).read_text(encoding="utf-8")
    table = text.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip(" `") for line in table.splitlines()[2:]]


def test_the_table_of_exit_codes_is_whole() -> None:
    assert first_column("docs/operations.md", "code") == [str(int(code)) for code in ExitCode]


def test_the_table_of_reasons_is_whole() -> None:
    assert first_column("docs/dead-letters.md", "reason") == [str(reason) for reason in Reason]


def test_the_table_of_metrics_is_whole() -> None:
    assert first_column("docs/monitoring.md", "metric") == [family.name for family in FAMILIES]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_metric_that_a_document_names_is_one(document: Path) -> None:
    named = set(_METRIC.findall(document.read_text(encoding="utf-8")))
    assert named <= {family.name for family in FAMILIES}


@pytest.mark.parametrize("name", [*KINDS, *Declaration.model_fields, *Input.model_fields])
def test_the_reference_of_models_names_every_kind_and_field(name: str) -> None:
    text = _FENCED.sub("", (ROOT / "docs/models.md").read_text(encoding="utf-8"))
    reference = text.partition("## model.json")[2].partition("## Explanations")[0]
    assert f"`{name}`" in reference
