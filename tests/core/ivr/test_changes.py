from __future__ import annotations

from cti.core.ivr.changes import unified


def test_only_what_changed_is_told_in_the_order_of_names() -> None:
    old = {"b.yaml": "one\ntwo\n", "a.yaml": "x\n", "same.yaml": "s\n"}
    new = {"b.yaml": "one\n2\n", "c.yaml": "new\n", "same.yaml": "s\n"}
    assert unified(old, new, "version 1", "folder") == (
        "--- version 1/a.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "--- version 1/b.yaml\n+++ folder/b.yaml\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        "--- /dev/null\n+++ folder/c.yaml\n@@ -0,0 +1 @@\n+new\n"
    )


def test_the_same_is_nothing() -> None:
    assert unified({"a": "1"}, {"a": "1"}) == ""


def test_a_missing_line_end_is_a_difference() -> None:
    assert unified({"a": "1\n"}, {"a": "1"}).endswith("-1\n+1\n\\ No newline at end of file\n")


def test_an_empty_file_that_comes_or_goes() -> None:
    assert unified({}, {"a": ""}) == "--- /dev/null\n+++ b/a\n"
