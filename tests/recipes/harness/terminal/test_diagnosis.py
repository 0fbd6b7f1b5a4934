from keras_regimen.recipes.harness.finding import Finding
from keras_regimen.recipes.harness.terminal.console import plain
from keras_regimen.recipes.harness.terminal.diagnosis import diagnosis


def test_each_line_has_state_check_and_what_to_do():
    findings = [
        Finding("python", "ok", "3.11.7"),
        Finding("keras", "problem", "does not [work]", "pip install keras"),
        Finding("disk", "warning", "nearly full", "make room"),
        Finding("cache", "warning", "x" * 100),
    ]
    lines = plain(diagnosis(findings)).splitlines()
    assert lines[0].split() == ["ok", "python", "3.11.7"]
    assert lines[1] == "problem  keras   does not [work]"
    assert lines[2].strip() == "→ pip install keras"
    assert lines[-1] == "2 warnings, 1 problem"
    assert max(map(len, lines)) <= 80


def test_a_sound_machine_gets_a_word():
    findings = [Finding("python", "ok", "3.11.7")]
    assert plain(diagnosis(findings)).splitlines()[-1] == "all is well"
