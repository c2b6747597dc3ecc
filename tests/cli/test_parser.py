"""What a mistyped command line answers: one line that says what to write instead, exit code 2."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from eastwest.cli.main import COMMANDS, _build, main


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["flwos"], "there is no command 'flwos'; did you mean flows?"),
        (["xyz"], "eastwest --help lists them"),
        (["flows", "dst_namespace", "=", "orders"], "in quotes: 'dst_namespace = orders'"),
        (["flows", "--namspace", "orders"], "did you mean --namespace?"),
        (["enforce", "set", "orders", "audt"], "'audt' is none of off, audit, enforce; did you mean audit?"),
        (["policy", "chek"], "did you mean check?"),
        (["top", "node"], "'node' is none of pod, workload, namespace"),
        (["map", "--server", "127.0.0.1:7420"], "http://127.0.0.1:7420"),
        (["server", "--manifests", "/no/such/folder"], "/no/such/folder: no such file or folder"),
        (["record", "-o", "/proc/nowhere"], "cannot write to /proc"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr().err
    assert code == 2
    assert answer in said
    assert len(said.splitlines()) <= 2


WITHOUT = (
    "import sys; sys.modules[sys.argv[1]] = None; from eastwest.cli.main import main; sys.exit(main(sys.argv[2:]))"
)


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("rich", ["map"], "eastwest[cli]"),
        ("fastapi", ["server"], "eastwest[server]"),
        ("yaml", ["policy", "lint", "."], "eastwest[policy]"),
        ("httpx", ["policy", "generate", "-o", "x"], "eastwest[policy,cli]"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(package: str, words: list[str], extra: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, package, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"the Python package {package!r} is not installed" in done.stderr
    assert extra in done.stderr


def test_no_words_show_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in COMMANDS)


def _actions(parser: argparse.ArgumentParser) -> list[str]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [name for group in groups for name in group.choices]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_action_has_an_example_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = _build(command)[1]
    assert parser is not None
    for words in ([command], *([command, action] for action in _actions(parser))):
        with pytest.raises(SystemExit) as end:
            main([*words, "--help"])
        assert end.value.code == 0
        said = capsys.readouterr().out
        assert f"  eastwest {' '.join(words)}" in said.partition("examples:")[2], words


def test_readme_names_only_commands_that_exist() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    named = {line.split()[2] for line in readme.splitlines() if line.startswith("$ eastwest ")}
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("words", [["server"], ["server", "token", "--cluster", "c", "--node", "n"]])
def test_a_relative_data_folder_is_meant_from_where_one_is(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = _build("server")[0].parse_args([*words, "--data", "kept"])
    assert args.data == tmp_path / "kept"
