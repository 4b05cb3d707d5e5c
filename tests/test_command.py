"""Command lines say in one line what the user can mend."""

import pytest

from helpers.command import FAILED, explain


def test_a_missing_package_is_one_line_that_names_the_way_out():
    status, line = explain(ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn"), "--help")
    assert status == FAILED
    assert "uvicorn" in line and "requirements-serve.txt" in line


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("gone", name="helpers.gone"), ValueError("a fault of ours")]
)
def test_faults_of_the_code_keep_their_traceback(error):
    assert explain(error, "--help")[1] is None
