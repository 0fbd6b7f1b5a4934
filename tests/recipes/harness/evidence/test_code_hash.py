import subprocess
import sys
import textwrap

import pytest

from keras_regimen.recipes.harness.evidence.code_hash import (
    code_files,
    code_hash,
)
from keras_regimen.recipes.harness.evidence.discovery import shipped

PACKAGE = {
    "__init__.py": '__version__ = "1"',
    "custom_layers/__init__.py": """
        from .dropout import Drop
        from .dropout import decay as rates
        from .norm import Norm
    """,
    "custom_layers/dropout/__init__.py": """
        from .drop import Drop, decay
    """,
    "custom_layers/dropout/drop.py": '''
        """Drops."""

        import math

        from ..noise import Noise


        class Drop(Noise):
            """Drops units."""

            def call(self, x):
                """Drops."""
                return x * 0.5  # Half of it.


        def decay(n):
            from .steps import STEPS

            return STEPS[n]
    ''',
    "custom_layers/dropout/steps.py": "STEPS = [1, 2]",
    # A circle: noise imports what imports noise.
    "custom_layers/noise.py": """
        class Noise:
            def draw(self):
                from .dropout.drop import Drop

                return Drop, 7
    """,
    "custom_layers/norm.py": "class Norm: epsilon = 1e-3",
    "callbacks/__init__.py": """
        _HOME = {"Stop": "stop", "Decay": ".rates.decay"}

        def __getattr__(name):
            return getattr(import_module(f".{_HOME[name]}", __name__), name)
    """,
    "callbacks/stop.py": "class Stop: patience = 3",
    "callbacks/rates/__init__.py": "",
    "callbacks/rates/decay.py": "class Decay: factor = 0.1",
    "recipes/__init__.py": "",
    "recipes/harness/__init__.py": '_HOME = {"Recipe": "recipe"}',
    "recipes/harness/recipe.py": "class Recipe: protocol = 1",
    "recipes/basics/__init__.py": "",
    "recipes/basics/first.py": '''
        """First: does it help?"""

        from keras_regimen.callbacks import Decay, Stop
        from keras_regimen.custom_layers import Drop
        from keras_regimen.recipes.harness import Arm, Claim, Recipe, final


        def build(hp, data):
            """Builds."""
            return Drop(hp.Float("rate", 0.0, 0.9))


        recipe = Recipe(
            claims=[Claim("It helps.", metric=final("test_error"))],
            arms={"on": Arm({"rate": 0.5}, tuned={"lr": 0.1})},
            seeds=10,
            epochs=3,
            build=build,
        )

        if __name__ == "__main__":
            recipe.main()
    ''',
    "recipes/basics/second.py": """
        from keras_regimen.custom_layers import Norm
    """,
}


@pytest.fixture
def package(tmp_path):
    return write(tmp_path / "package", PACKAGE)


def write(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return folder


def edit(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def files_of(package, text, beside=None):
    """Returns what a recipe outside of the package depends on, by name."""
    home = write(package.parent / "home", {"mine.py": text, **(beside or {})})
    first, *others = code_files(home / "mine.py", package)
    assert first == "mine.py"
    return others


def test_names_are_followed_through_folders_to_the_files_that_define_them(
    package,
):
    first = package / "recipes" / "basics" / "first.py"
    assert list(code_files(first, package)) == [
        "first.py",
        "keras_regimen/callbacks/rates/decay.py",
        "keras_regimen/callbacks/stop.py",
        "keras_regimen/custom_layers/dropout/drop.py",
        "keras_regimen/custom_layers/dropout/steps.py",
        "keras_regimen/custom_layers/noise.py",
    ]
    second = package / "recipes" / "basics" / "second.py"
    assert list(code_files(second, package)) == [
        "second.py",
        "keras_regimen/custom_layers/norm.py",
    ]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("custom_layers/dropout/drop.py", "0.5", "0.4"),
        ("custom_layers/dropout/drop.py", "import math", "import cmath"),
        ("custom_layers/dropout/steps.py", "2", "3"),
        ("custom_layers/noise.py", "7", "8"),
        ("callbacks/stop.py", "3", "4"),
        ("callbacks/rates/decay.py", "0.1", "0.2"),
        ("recipes/basics/first.py", "epochs=3", "epochs=4"),
        ("recipes/basics/first.py", "0.9", "0.8"),
        ("recipes/basics/first.py", "return Drop", "yield Drop"),
    ],
)
def test_changed_code_changes_the_hash_of_those_who_use_it(
    package, file, old, new
):
    recipes = package / "recipes" / "basics"
    before = [
        code_hash(recipes / n, package) for n in ("first.py", "second.py")
    ]
    edit(package / file, old, new)
    after = [code_hash(recipes / n, package) for n in ("first.py", "second.py")]
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        # Docstrings, comments, layout.
        ("custom_layers/dropout/drop.py", "Drops units.", "Drops some units."),
        ("custom_layers/dropout/drop.py", '"""Drops."""\n\nimport', "import"),
        ("custom_layers/dropout/drop.py", "  # Half of it.", ""),
        ("custom_layers/dropout/drop.py", "x * 0.5", "(\n            x * .50)"),
        ("recipes/basics/first.py", "does it help?", "and does it help?"),
        ("recipes/basics/first.py", '    """Builds."""\n', ""),
        # Claims with what only they import, arms, seeds, the script's end.
        ("recipes/basics/first.py", "It helps.", "It helps a lot."),
        ("recipes/basics/first.py", "Recipe, final", "Recipe, gap, final"),
        ("recipes/basics/first.py", '"lr": 0.1', '"lr": 0.2'),
        ("recipes/basics/first.py", "seeds=10", "seeds=20"),
        ("recipes/basics/first.py", "recipe.main()", "recipe.run(seeds=3)"),
        # Other names that a folder hands on, and what those are.
        (
            "custom_layers/__init__.py",
            "from .norm import Norm",
            "from .norm import Norm, Other",
        ),
        (
            "custom_layers/dropout/__init__.py",
            "from .drop import Drop",
            "from .drop import Drop\nfrom .new import New",
        ),
        ("callbacks/__init__.py", "_HOME = {", '_HOME = {"Other": "other", '),
        ("custom_layers/norm.py", "1e-3", "1e-5"),
        ("__init__.py", "1", "2"),
        # The harness has its protocol number.
        ("recipes/harness/recipe.py", "1", "2"),
    ],
)
def test_what_alters_no_number_leaves_the_hash(package, file, old, new):
    first = package / "recipes" / "basics" / "first.py"
    before = code_hash(first, package)
    edit(package / file, old, new)
    assert code_hash(first, package) == before


def test_harness_name_that_the_recipe_uses_counts(package):
    first = package / "recipes" / "basics" / "first.py"
    edit(first, "build=build", "build=build, data=d()")
    edit(first, "Recipe, final", "Recipe, digits as d, final")
    before = code_hash(first, package)
    edit(first, "digits as d", "wine as d")
    assert code_hash(first, package) != before


def test_own_name_and_place_do_not_count(package):
    text = (package / "recipes" / "basics" / "first.py").read_text()
    hashes = {
        code_hash(write(package.parent / home, {name: text}) / name, package)
        for home, name in [("a", "one.py"), ("b", "one.py"), ("b", "two.py")]
    }
    assert len(hashes) == 1


def test_hash_is_pinned_for_all_versions_of_python(package):
    text = """
        @register(package="p")
        class Layer(Base):
            def call(self, x, *args, training=None, **kwargs):
                return f"{x=} {x:.{args[0]}f}" if training else {**kwargs}, ...
    """
    home = write(package.parent / "home", {"mine.py": text})
    assert code_hash(home / "mine.py", package) == "d9c629f80b1589d4"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # A whole folder, under three names.
        ("import keras_regimen.callbacks as c", ["rates/decay.py", "stop.py"]),
        ("from keras_regimen import callbacks", ["rates/decay.py", "stop.py"]),
        (
            "from keras_regimen.callbacks import *",
            ["rates/decay.py", "stop.py"],
        ),
        # A file or a name below a folder.
        ("from keras_regimen.callbacks import stop", ["stop.py"]),
        ("import keras_regimen.callbacks.stop", ["stop.py"]),
        ("from keras_regimen.callbacks.stop import Stop", ["stop.py"]),
        (
            "from keras_regimen.callbacks.rates.decay import *",
            ["rates/decay.py"],
        ),
        ("def f():\n    from keras_regimen.callbacks import Stop", ["stop.py"]),
        # A name that is not to be found: everything it could be.
        (
            "from keras_regimen.callbacks import Missing",
            ["rates/decay.py", "stop.py"],
        ),
        ("import keras.callbacks", []),
        ("from keras_regimen.recipes.harness import recipe", []),
        ("if __name__ == '__main__':\n    import keras_regimen.callbacks", []),
    ],
)
def test_forms_of_import(package, line, expected):
    found = files_of(package, line)
    assert found == [f"keras_regimen/callbacks/{name}" for name in expected]


def test_modules_beside_a_recipe_of_ones_own_count(package):
    found = files_of(
        package,
        """
        import helper
        from folder import f
        from folder.deep import g
        from init_only import h
        import numpy
        """,
        {
            "helper.py": "import second_helper",
            "second_helper.py": "import mine",
            "numpy_notes.py": "",
            "folder/__init__.py": "from .file import f",
            "folder/file.py": "",
            "folder/deep.py": "from . import near\nfrom .file import f",
            "folder/near.py": "",
            "folder/other.py": "",
            "init_only/__init__.py": "def h(): pass",
        },
    )
    assert found == [
        "folder/deep.py",
        "folder/file.py",
        "folder/near.py",
        "helper.py",
        "init_only/__init__.py",
        "second_helper.py",
    ]


def test_code_in_an_init_counts_where_its_folder_is_imported(package):
    found = files_of(
        package,
        "import helper",
        {"helper/__init__.py": "def f(): return 1", "helper/more.py": ""},
    )
    assert found == ["helper/__init__.py", "helper/more.py"]


def test_modules_beside_a_recipe_of_the_package_do_not_shadow_others(package):
    write(package / "recipes" / "basics", {"numpy.py": ""})
    second = package / "recipes" / "basics" / "second.py"
    edit(second, "import Norm", "import Norm\nimport numpy")
    assert "numpy.py" not in " ".join(code_files(second, package))


def test_folder_may_hand_on_a_name_under_another(package):
    found = files_of(package, "from keras_regimen.custom_layers import rates")
    assert "keras_regimen/custom_layers/dropout/drop.py" in found
    assert "keras_regimen/custom_layers/norm.py" not in found


def test_folder_may_hand_on_a_submodule(package):
    edit(
        package / "custom_layers" / "__init__.py",
        "from .norm import Norm",
        "from . import norm",
    )
    found = files_of(package, "from keras_regimen.custom_layers import norm")
    assert found == ["keras_regimen/custom_layers/norm.py"]


@pytest.mark.parametrize("where", ["mine.py", "helper.py"])
def test_syntax_error_names_file_and_line(tmp_path, package, where):
    files = {"mine.py": "import helper", "helper.py": ""}
    home = write(tmp_path / "home", {**files, where: "x = 1\ny = = 2"})
    with pytest.raises(ValueError, match=rf"{where}, line 2: invalid syntax"):
        code_hash(home / "mine.py", package)


@pytest.mark.parametrize("content", [b"x = '\xff'", b"x = 1\0"])
def test_file_that_is_no_text_is_refused_by_name(tmp_path, content):
    (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.py"):
        code_hash(tmp_path / "mine.py")


def test_shipped_recipes_are_hashed_quickly_and_without_keras():
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from keras_regimen.recipes.harness.evidence.code_hash "
        "import code_hash\n"
        "start = time.process_time()\n"
        "for file in sys.argv[1:]: code_hash(Path(file))\n"
        "print(time.process_time() - start)\n"
        "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)\n"
    )
    files = [str(file) for file in shipped().values()]
    command = [sys.executable, "-c", program, *files]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    # 30 ms measured for a first recipe, less for each further one.
    assert float(shown.stdout) < 0.2 * max(1, len(files))
