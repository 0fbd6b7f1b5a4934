import contextlib

import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.engine import computing
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.error_metric import error_logged
from keras_regimen.recipes.harness.refusal import RefusalError


def compiled(**options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **options)
    return model


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")],
)
def test_models_compute_as_precisely_as_asked_and_no_longer(precision, dtype):
    with computing.computing(Computation(precision=precision)):
        model = compiled()
    assert model.layers[0].compute_dtype == dtype
    assert model.layers[0].variable_dtype == "float32"
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (dtype == "float16")
    assert compiled().layers[0].compute_dtype == "float32"


@pytest.mark.parametrize("jit", [True, False])
def test_jit_decides_where_a_script_leaves_it_open(jit):
    default = compiled().jit_compile
    with computing.computing(Computation(jit=jit)):
        assert compiled().jit_compile is jit
        assert compiled(jit_compile="auto").jit_compile is jit
        assert compiled(jit_compile=not jit).jit_compile is not jit
    assert compiled().jit_compile is default


@pytest.mark.parametrize("error_first", [True, False])
def test_the_error_is_logged_as_well(error_first):
    jit = keras.config.backend() == "tensorflow"  # Not what Keras would.
    contexts = [error_logged("real"), computing.computing(Computation(jit=jit))]
    with contextlib.ExitStack() as stack:
        for context in contexts if error_first else reversed(contexts):
            stack.enter_context(context)
        model = compiled()
    assert model.jit_compile is jit
    x, y = np.ones((1, 2)), np.ones((1, 1))
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs.keys() == {"loss", "rmse"}


def test_an_exception_puts_everything_back():
    compile_ = keras.Model.compile
    computation = Computation(precision="mixed_bfloat16", jit=True)
    with (
        pytest.raises(ZeroDivisionError),
        computing.computing(computation),
    ):
        raise ZeroDivisionError
    assert keras.Model.compile is compile_
    assert keras.config.dtype_policy().name == "float32"


def test_a_process_is_set_up_for_its_own_backend_alone():
    computing.set_up(Computation(precision="mixed_bfloat16"))
    other = (
        "mirrored"
        if keras.config.backend() != "tensorflow"
        else "data_parallel"
    )
    with pytest.raises(RefusalError, match=f"strategy {other} needs --backend"):
        computing.set_up(Computation(other))
