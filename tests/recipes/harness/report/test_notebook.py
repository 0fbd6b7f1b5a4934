from keras_regimen.recipes.harness.report.notebook import notebook


def arm(**changes):
    return {
        "arm": "loaded",
        "data": "noisy",
        "settings": {},
        "seeds": 3,
        "failed": 0,
        "metric": "final test_error",
        "mean": 0.1,
        "sd": 0.02,
        "cpu_seconds": 2.0,
        **changes,
    }


def test_a_result_is_a_table_words_and_plots(claim, exact, read):
    html = notebook(
        "dice", "Does it?", [claim(), exact()], [arm(), arm(data="clean")], []
    )
    found = read(html)
    (table,) = found.tables["arms"]
    assert table[0][:3] == ["arm", "data", "final test_error"]
    assert table[1] == ["loaded", "noisy", "10.0 % ± 2.0 %", "3", "0", "2"]
    assert "lowered the test error by 4 points" in found.text
    assert sum(tag == "svg" for tag, _ in found.tags) == 2


def test_names_of_users_are_escaped_and_failures_listed(read):
    evil = "<img src=x onerror=alert(1)>"
    row = {"data": "", "arm": evil, "seed": 3, "error": evil}
    html = notebook(evil, evil, [], [arm(arm=evil)], [row])
    assert "<img" not in html
    assert f"{evil}, seed 3: {evil}" in read(html).text


def test_styles_reach_nothing_else_in_the_notebook(claim):
    html = notebook("dice", "Does it?", [claim()], [arm()], [])
    style = html.partition("<style>")[2].partition("</style>")[0]
    for rule in style.split("}")[:-1]:
        for selector in rule.partition("{")[0].split(","):
            assert selector.strip().startswith((".regimen-result", ".plot"))
    assert "<script" not in html


def test_a_result_without_arms_or_claims_is_shown():
    assert "dice" in notebook("dice", "", [], [], [])
