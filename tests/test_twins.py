from onnxq.twins import find_twins


def test_candidates_of_one_file_are_one_finding():
    (finding,) = find_twins({"fp32": "a", "int8": "b", "int8-minmax": "b", "fp16": "c"})
    assert finding.code == "OQ165"
    assert finding.subject == "int8"
    assert "int8 and int8-minmax are the same file" in finding.message


def test_different_files_are_no_twins():
    assert find_twins({"int8": "a", "int16": "b"}) == ()
