"""The fault matrix by `tests/run faults`: goes on where the results file ends; `-- --rows 1,2 --minutes 10` and so on are matrix.py's options."""

from faults.matrix import run_matrix


def test_every_round_of_the_fault_matrix_holds(request, capsys):
    with capsys.disabled():
        print(flush=True)
        held, table = run_matrix(request.config.option, say=lambda text: print(text, flush=True))
        print(table, flush=True)
    assert held, "a round broke: see above"
