"""TMDL is written as Power BI reads it, and read strictly."""

from __future__ import annotations

import pytest

from venue_assets.powerbi.tmdl import Node, TmdlError, read, write


def test_what_is_written_is_read_back() -> None:
    column = Node("column", "order day", properties={"dataType": "int64", "isHidden": True}, description="Two\nlines")
    code = "IF(\n    [A] > 0,\n\n    1\n)"
    measure = Node("measure", "It's 5 %", code, {"formatString": "0.0%"}, [Node("annotation", "x", "y = z")])
    nodes = [Node("table", "t", children=[measure, column]), Node("ref", "t", "table"), Node("ref", "u v", "table")]
    assert read(write(nodes)) == nodes


def test_code_of_several_lines_stands_deeper_than_properties() -> None:
    text = write([Node("table", "t", children=[Node("measure", "m", "1 +\n2", {"formatString": "0"})])])
    assert text == "table t\n\n\tmeasure m =\n\t\t\t1 +\n\t\t\t2\n\t\tformatString: 0\n"


def test_translations_have_captions() -> None:
    measure = Node("measure", "m", properties={"caption": "指标", "displayFolder": "客流"})
    model = Node("model", "Model", children=[Node("table", "t", properties={"caption": "表"}, children=[measure])])
    nodes = [Node("cultureInfo", "zh-CN", children=[Node("translations", children=[model])])]
    assert read(write(nodes)) == nodes


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("\ufefftable t\n", "line 1: a byte order mark"),
        ("table t\n\t\tcolumn c\n", "line 2: 2 tabs given, 1 expected"),
        ("table t\n    column c\n", "line 2: indented with spaces"),
        ("table t\n\tcolour: red\n", "line 2: not a property of a table"),
        ("table t\n\t// a note\n", "line 2: not a property of a table"),
        ("tabel t\n", "line 1: neither a property nor an object"),
        ("table my table\n", "line 1: neither a property nor an object"),
        ("/// lost\n\ntable t\n", "line 2: a description without an object"),
        ("/// no\nrelationship r\n\tfromColumn: a.b\n", "line 2: a relationship takes no description"),
        ("table t\n\tmeasure m =\n\t\tformatString: 0\n", "line 3: nothing after ="),
        ("table t\n\tlineageTag: 1\n\tlineageTag: 2\n", "line 3: lineageTag is given twice"),
        ("cultureInfo zh-CN\n\ttranslations\n\t\tmodel Model\n\t\t\tculture: x\n", "line 4: not a property"),
    ],
)
def test_what_power_bi_would_refuse_is_refused(text: str, mistake: str) -> None:
    with pytest.raises(TmdlError, match=mistake):
        read(text)
