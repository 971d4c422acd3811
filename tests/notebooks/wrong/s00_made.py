"""Of the notebook that the plugin's own test makes."""

WRONG = {
    1: [("x = 4\nquiz.judge(x, 2)", "exactly twice"), ("x = 1\nquiz.judge(x, 2)", "exactly half")],
    2: [("x = 2\nquiz.judge(x, 2)", "exactly twice"), ("x = 5\nquiz.judge(x, 2)", "exactly twice")],
}
