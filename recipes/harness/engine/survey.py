"""What a process has of the things that decide numbers.

It imports nothing but the standard library, since its source is also run in
workers that may have another Python, another Regimen, or none.
"""

import importlib.metadata
import sys

# Distributions that are imported under another name.
_MODULES = {"scikit-learn": "sklearn"}


def survey(distributions):
    """Returns versions by name, None for what is not there.

    Args:
        distributions: Names of distributions, whose builds (`+cpu`) are not
            told: the device stands in each row.

    Returns:
        A dictionary with `"python"` (without the micro version),
        `"keras_regimen"`, its `"protocol"`, and the distributions.
    """
    try:
        import keras_regimen
        from keras_regimen.recipes.harness.engine.cell import PROTOCOL
    except ImportError:
        ours = {"keras_regimen": None, "protocol": None}
    else:
        ours = {
            "keras_regimen": keras_regimen.__version__,
            "protocol": str(PROTOCOL),
        }
    return {
        "python": "{}.{}".format(*sys.version_info),
        **ours,
        **{name: _version(name) for name in distributions},
    }


def _version(name):
    # What is loaded computes, whatever was installed since.
    module = sys.modules.get(_MODULES.get(name, name))
    version = getattr(module, "__version__", None)
    if version is None:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None
    return version.partition("+")[0]
