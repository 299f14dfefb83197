"""What notebooks show: tables with bars, the family tree, progress below a cell."""

from __future__ import annotations

import importlib.util
from xml.etree import ElementTree

import pytest
from test_trace_page import Reader
from traces import letters

import smcdsl
from smcdsl.models.toy import ToyModel
from smcdsl.report import progress


def test_the_table_has_a_bar_as_long_as_its_probability():
    result = letters(seed=2)
    source = result._repr_html_()
    reader = Reader(source)
    widths = [
        float(own["style"].removeprefix("width:").split("%")[0])
        for tag, own in reader.elements
        if tag == "div" and own.get("style", "").startswith("width")
    ]
    shown = [100 * item.probability for item in result.support[:10]]
    assert widths[: len(shown)] == pytest.approx(shown, abs=0.05)
    assert sum(widths) == pytest.approx(100, abs=0.6)
    assert "log Z" in source


def test_values_in_the_table_are_text():
    model = ToyModel(
        {"vocab": ["<b>&\x1b\u202e\n", "<end>"], "eos": 1, "lm": {"order": 0, "table": [[[], [0.5, 0.5]]]}}
    )
    program = smcdsl.compile('smc 1\ngenerate {\n  text "[[x: /[^z]{1,9}/]]"\n}\n')
    result = program.run(model, particles=4)
    source = result._repr_html_()
    Reader(source)
    assert "&lt;b&gt;&amp;\\x1b\\u202e" in source
    assert not set(source) & set("\x1b\u202e")
    assert "\\x1b\\u202e" in str(result)
    assert not set(str(result)) & set("\x1b\u202e")


def test_text_has_bars():
    result = letters(seed=2)
    first = str(result).splitlines()[0]
    assert first == "  0.30  ███▋          ca"
    assert str(result).splitlines()[-1].startswith("  log Z")


def test_a_trace_is_a_picture_and_a_text():
    trace = letters(seed=2).trace
    assert ElementTree.fromstring(trace._repr_svg_()).attrib["class"] == "smcdsl-trace tree"
    assert trace._repr_html_().startswith("<svg")
    assert "deaths 1" in repr(trace)
    assert str(trace).splitlines()[0].startswith("letters   smc   16 particles")


def test_a_trace_of_nothing_says_so():
    program = smcdsl.compile('smc 1\ngenerate {\n  text "[[x: /a/]]"\n}\n')
    model = ToyModel({"vocab": ["a", "<end>"], "eos": 1, "lm": {"order": 0, "table": [[[], [0.5, 0.5]]]}})
    (result,) = program.batch(model, [{}])
    assert result.trace._repr_svg_() is None
    assert "nothing" in str(result.trace)


def test_a_saved_trace_is_the_same(tmp_path):
    trace = letters(seed=2).trace
    trace.save(tmp_path / "run.jsonl")
    assert type(trace).load(tmp_path / "run.jsonl").events == trace.events
    trace.page(tmp_path / "run.html")
    assert (tmp_path / "run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_progress_is_shown_when_asked_for(capfd):
    letters(seed=2, progress=True)
    assert "particles 16/16 alive" in capfd.readouterr().err
    letters(seed=2)
    assert capfd.readouterr().err == ""
    assert not progress.is_notebook()


@pytest.mark.long
def test_a_notebook_shows_progress_table_and_tree():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    if importlib.util.find_spec("ipykernel") is None or importlib.util.find_spec("ipywidgets") is None:
        pytest.skip("needs the extra `notebook` and a kernel")
    notebook = nbformat.v4.new_notebook()
    folder = str(__import__("pathlib").Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r})\nfrom traces import letters\nresult = letters(seed=2)\nresult"
    notebook.cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("result.trace")]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.outputs]
    assert any("0.297" in str(data.get("text/html")) for data in outputs)
    assert any(str(data.get("image/svg+xml", "")).startswith("<svg") for data in outputs)
    assert "particles 16/16 alive" in str(notebook.metadata["widgets"])
