"""``.csv``: columns feed inputs, text becomes labels, and nothing is guessed in silence."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.datasets import csv_files
from onnxq.datasets.csv_files import open_csv
from onnxq.datasets.loading import data_specs, load_probe_rows, load_rows
from onnxq.datasets.values import DataRequest
from onnxq.errors import DatasetError
from onnxq.events import tell_nobody
from onnxq.stages import LoadRowsRequest, NoDataRequest
from onnxq.tensors import Signature, TensorSpec

TABLE = """\
age,hours,job,income
31,40.5,clerk,low
45,38,nurse,high
28,20,clerk,low
"""


def signature(*inputs, classes=2):
    specs = tuple(TensorSpec(name, dtype, shape) for name, dtype, shape in inputs)
    return Signature(specs, (TensorSpec("scores", "float32", ("N", classes)),))


def width(count, dtype="float32"):
    return signature(("x", dtype, ("N", count)))


@pytest.fixture
def load(tmp_path):
    def load_text(text, model, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        work = tmp_path / "work"
        work.mkdir()
        request = LoadRowsRequest(
            data=DataRequest(spec=str(path), **options),
            calibration=NoDataRequest(),
            signature=model,
            declared=(),
            split=False,
        )
        result = load_rows(request, work, tell_nobody)
        rows = result.evaluation.rows
        arrays = {name: np.load(file) for name, file in rows.inputs.items()}
        labels = np.load(rows.labels).tolist() if rows.labels else None
        return arrays, labels, [(one.code, one.message) for one in result.findings]

    return load_text


def refused(load, *arguments, **options):
    with pytest.raises(DatasetError) as caught:
        load(*arguments, **options)
    assert caught.value.hint
    return caught.value


def test_the_only_input_takes_all_columns_but_the_labels(load):
    arrays, labels, findings = load("a,b,y\n1,2,0\n3,4.5,1\n", width(2))
    assert arrays["x"].dtype == np.float32
    assert arrays["x"].tolist() == [[1, 2], [3, 4.5]]
    assert (labels, findings) == ([0, 1], [])


def test_whole_numbers_feed_integers(load):
    arrays, _, findings = load("a,b\n1,2\n3,4\n", width(2, "int64"))
    assert (arrays["x"].dtype, arrays["x"].tolist()) == (np.int64, [[1, 2], [3, 4]])
    assert findings == []


def test_a_fraction_feeds_no_integers(load):
    error = refused(load, "a,b\n1,2\n3,4.0\n", width(2, "int64"))
    assert error.code == "OQ122"
    assert "write them without a fraction" in error.hint


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("age", [[31], [45], [28]]),
        ("hours,age", [[40.5, 31], [38, 45], [20, 28]]),
        ("age:hours", [[31, 40.5], [45, 38], [28, 20]]),
        (" age : hours ", [[31, 40.5], [45, 38], [28, 20]]),
    ],
)
def test_columns_are_named_one_by_one_or_by_a_range(load, columns, rows):
    model = width(len(rows[0]))
    arrays, labels, findings = load(TABLE, model, mapping={"x": columns, "labels": "income"})
    assert arrays["x"].tolist() == rows
    assert labels == [1, 0, 1]
    assert findings == [
        (
            "OQ130",
            "Labels are text: 2 classes were numbered in sorted order: 'high' is 0, 'low' is 1.",
        )
    ]


def test_inputs_named_like_columns_take_them(load):
    model = signature(("hours", "float32", ("N", 1)), ("age", "int64", ("N",)))
    arrays, labels, _ = load(TABLE, model)
    assert arrays["hours"].tolist() == [[40.5], [38], [20]]
    assert arrays["age"].tolist() == [31, 45, 28]
    assert labels is None


def test_a_list_numbers_text_labels(load, tmp_path):
    (tmp_path / "classes.txt").write_text("0=low\n1=high\n")
    mapping = {"x": "age:hours", "labels": "income"}
    _, labels, findings = load(
        TABLE, width(2), mapping=mapping, classes=str(tmp_path / "classes.txt")
    )
    assert (labels, findings) == ([0, 1, 0], [])


def test_classes_are_numbered_over_all_rows(load):
    text = "a,label\n" + "".join(f"{i},{'cba'[i % 3]}\n" for i in range(30))
    model = signature(("x", "float32", ("N", 1)), classes=3)
    arrays, labels, _ = load(text, model, limit_rows=2, seed=1)
    assert labels == [2 - int(value) % 3 for value in arrays["x"][:, 0]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_marks_and_line_ends(load, delimiter, encoding, end):
    lines = ['"a, 1"', "b", "y"], ["1", "2.5", "0"], [], ["3", " 4 ", "1"]
    text = end.join(delimiter.join(cells) for cells in lines)
    arrays, labels, _ = load(text.encode(encoding), width(2))
    assert (arrays["x"].tolist(), labels) == ([[1, 2.5], [3, 4]], [0, 1])


def test_blocks_do_not_show(load, monkeypatch):
    monkeypatch.setattr(csv_files, "_BLOCK_ROWS", 7)
    numbers = np.arange(50)
    text = "a,b,y\n" + "".join(f"{n},{n / 2},{'pq'[n % 2]}\n" for n in numbers)
    arrays, labels, _ = load(text, width(2))
    np.testing.assert_array_equal(arrays["x"], np.stack([numbers, numbers / 2], 1))
    assert labels == [n % 2 for n in numbers]


def test_a_column_without_a_name_is_left_out(load):
    arrays, _, findings = load(",a,b\n0,1,2\n1,3,4\n", width(2))
    assert arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert findings == [("OQ133", "1 column of t.csv without a name was left out.")]


@pytest.mark.parametrize(
    ("text", "options", "code", "says"),
    [
        (TABLE, {}, "OQ122", "column 'job' of t.csv cannot be fed: row 0 (line 2) holds 'clerk'"),
        (TABLE, {}, "OQ122", "--map x=age,hours"),
        (TABLE, {}, "OQ122", "--map labels=job"),
        ("a,b\n1,2\n\n3,x\n", {}, "OQ122", "column 'b' of t.csv cannot be fed: row 1 (line 4)"),
        ("a,b\n1,2\n3,1_000\n", {}, "OQ122", "holds '1_000'"),
        ('a;b\n1;2\n3;"4,5"\n', {}, "OQ122", "holds '4,5'"),
        ("a,b\n1,2\n3,12345678901234567890\n", {}, "OQ122", "more than a float64 can count"),
        ("a,b\n1,2\n3,\n", {}, "OQ123", "row 1 (line 3) has no value ('')"),
        ("a,b\n1,NA\n3,4\n", {}, "OQ123", "row 0 (line 2) has no value ('NA')"),
        ("a,b\n1,2\n3,nan\n4,?\n", {}, "OQ123", "row 1 (line 3) has no value ('nan')"),
        ("a,b\n1,2\n3,inf\n", {}, "OQ123", "not finite"),
        ("a,b,y\n1,2,\n3,4,cat\n", {}, "OQ125", "row 0 in t.csv has no label"),
        ("a,b,y\n1,2,0\n3,4,\n", {}, "OQ123", "not finite, first of row 1"),
        ("a,b\n1,2\n3\n", {}, "OQ127", "row 1 (line 3) of t.csv has 1 cell: expected 2"),
        ("1,2\n3,4\n", {}, "OQ127", "no header: its first line is 1, 2"),
        ("a,a\n1,2\n", {}, "OQ127", "several columns called 'a'"),
        ("", {}, "OQ124", "t.csv is empty"),
        ("\n\n", {}, "OQ124", "t.csv is empty"),
        ("a,b\n", {}, "OQ124", "has no rows"),
        ("a,b\n1,\u00e92\n".encode("latin1"), {}, "OQ127", "iconv -f latin1"),
        ("a,b\n1,2\n".encode("utf-16"), {}, "OQ127", "iconv -f UTF-16"),
        ("a,b\n1,2\n", {"x": "a,c"}, "OQ121", "has no column 'c'"),
        (TABLE, {"x": "agee,hours"}, "OQ121", "Did you mean 'age'?"),
        (TABLE, {"x": "age:job"}, "OQ122", "column 'job'"),
        (TABLE, {"x": "age,age"}, "OQ121", "names the column 'age' twice"),
        (TABLE, {"x": "hours:age"}, "OQ121", "names no column"),
        (TABLE, {"x": "age:hours", "labels": "incom"}, "OQ121", "Did you mean 'income'?"),
        ("a,b,y\n1,2,0\n3,4,1\n", {"x": "a:y"}, "OQ121", "which is the labels"),
        ("a,b,y,label\n1,2,0,0\n", {}, "OQ125", "--map labels=y"),
        ("a,b,c\n1,2,3\n", {}, "OQ121", "model wants"),
    ],
)
def test_what_cannot_be_read_is_said(load, text, options, code, says):
    error = refused(load, text, width(2), mapping=options)
    assert error.code == code, error.message
    assert says in f"{error.message}\n{error.hint}"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_text_for_a_language_model_is_to_be_tokenized(load, name):
    text = "text\tlabel\nhow are you\t1\nfine\t0\n"
    error = refused(load, text, signature(("ids", "int64", ("N", "seq"))), name=name)
    assert error.code == "OQ122"
    assert "tokenize" in error.hint


def test_a_table_tells_what_it_looks_like(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    data = DataRequest(spec=str(tmp_path / "t.csv"), mapping={"x": "age,hours"})
    shown = [str(one) for one in data_specs(data, channels_first=True, names=("x",))]
    assert shown == ["x float32 [N, 2]"]
    probes = load_probe_rows(data, width(2), count_rows=2)
    assert probes["x"].tolist() == [[31, 40.5], [45, 38]]


def test_all_columns_side_by_side_are_what_a_single_input_looks_like(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,0\n3,4,1\n")
    data = DataRequest(spec=str(tmp_path / "t.csv"))
    assert [str(one) for one in data_specs(data, channels_first=True, names=("x",))] == [
        "x int64 [N, 2]"
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**53), 2**53),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(",;\t|"),
)
def test_what_pythons_writer_wrote_comes_back(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("whole", "real", "words"), *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    table = open_csv(path)
    indices = np.arange(len(rows))
    whole, real = (
        np.concatenate(list(table.read_blocks(table.arrays[name], indices)))
        for name in ("whole", "real")
    )
    assert whole.tolist() == [row[0] for row in rows]
    assert real.tolist() == [row[1] for row in rows]


def test_a_real_table(shared, tmp_path):
    path = shared / "data" / "uci_adult" / "adult.csv"
    data = DataRequest(spec=str(path), mapping={"labels": "income"}, limit_rows=500)
    with pytest.raises(DatasetError) as caught:
        load_probe_rows(data, width(14), count_rows=3)
    assert (caught.value.code, "type_employer" in caught.value.message) == ("OQ122", True)
    assert "--map x=age,fnlwgt,education_num," in caught.value.hint
    mapping = {"labels": "income", "x": "age,education_num,capital_gain:hr_per_week"}
    data = DataRequest(spec=str(path), mapping=mapping, limit_rows=500)
    request = LoadRowsRequest(
        data=data, calibration=NoDataRequest(), signature=width(5), declared=(), split=False
    )
    result = load_rows(request, tmp_path, tell_nobody)
    assert (result.evaluation.rows.count_rows, result.classes) == (500, 2)
