"""`nnlab configs list | show | copy | check | schema`."""

import json
from pathlib import Path

import pytest

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.lab.config import json_schema, shipped_configs
from tests.command_line import Result, nnlab


def good(*arguments: str | Path) -> Result:
    result = nnlab("configs", *arguments)
    assert (result.code, result.err) == (0, ""), result
    return result


def refusal(*arguments: str | Path) -> str:
    result = nnlab("configs", *arguments)
    assert (result.code, result.out) == (2, ""), result
    assert result.err.startswith("nnlab: ")
    return result.err


def test_list_names_every_config_and_what_it_shows() -> None:
    shown = good("list").out
    for name, file in shipped_configs().items():
        (line,) = [line for line in shown.splitlines() if line.split()[0] == name]
        about = file.read_text("utf-8").splitlines()[1].removeprefix("# ")
        assert about in line


def test_show_prints_the_file() -> None:
    for name, file in shipped_configs().items():
        assert good("show", name).out == file.read_text("utf-8")
        assert good("show", file).out == file.read_text("utf-8")
    assert "did you mean xor?" in refusal("show", "xorr")


def test_copy_makes_a_config_that_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for target, made in (([], "xor.yaml"), (["mine.yml"], "mine.yml"), (["folder"], "folder/xor.yaml")):
        assert good("copy", "xor", *target).out == f"{made}\n"
        assert (tmp_path / made).read_text("utf-8") == shipped_configs()["xor"].read_text("utf-8")
        assert good("check", made).out == f"{made}: good\n"


def test_copy_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xor.yaml").write_text("mine")
    (tmp_path / "link.yaml").symlink_to("nowhere.yaml")
    for target in ([], ["xor.yaml"], ["."], ["link.yaml"]):
        message = refusal("copy", "xor", *target)
        assert "exists already; name another file: nnlab configs copy xor FILE" in message
    assert (tmp_path / "xor.yaml").read_text() == "mine"
    assert not (tmp_path / "nowhere.yaml").exists()


def test_copy_of_nothing_and_to_nowhere(tmp_path: Path) -> None:
    assert "no shipped config is named xorr; did you mean xor?" in refusal("copy", "xorr", tmp_path)
    assert "cannot be written (No such file or directory)" in refusal(
        "copy", "xor", tmp_path / "no" / "x.yaml"
    )
    assert list(tmp_path.iterdir()) == []


def test_check_says_good_for_every_shipped_config() -> None:
    names = list(shipped_configs())
    assert good("check", *names).out == "".join(f"{name}: good\n" for name in names)


def test_check_stops_at_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("experiment: classify\ndata: {name: digits}\nmodel: {name: mlp, hiden: [3]}\n")
    result = nnlab("configs", "check", "xor", file)
    assert (result.code, result.out) == (2, "xor: good\n")
    assert result.err.startswith(
        f"nnlab: {file}, line 3: unknown key model.hiden (value [3]); did you mean hidden?"
    )


def test_schema_is_json() -> None:
    assert json.loads(good("schema").out) == json_schema(EXPERIMENTS)
