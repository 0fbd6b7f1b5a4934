import pytest

from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"strategy": "ddp"}, "one of mirrored, data_parallel. .*'ddp'"),
        (
            {"strategy": "multi_worker"},
            "across machines fails in Keras 3.15.*by `cluster`",
        ),
        ({"precision": "float8"}, "float32, mixed_float16.*'float8'"),
        ({"devices": 2}, "none is given. Received: devices=2"),
        ({"strategy": "mirrored", "devices": 1}, "at least 2.*devices=1"),
        ({"strategy": "mirrored", "devices": 0}, "at least 2.*devices=0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(RefusalError, match=sentence):
        Computation(**arguments)


def test_json_holds_what_differs_and_a_row_gives_it_back():
    assert Computation().to_json() == {}
    computation = Computation("mirrored", 4, "mixed_float16", False, True)
    row = {"computation": computation.to_json()}
    assert row["computation"] == {
        "strategy": "mirrored",
        "devices": 4,
        "precision": "mixed_float16",
        "jit": False,
        "deterministic": True,
    }
    assert Computation.of(row) == computation
    assert Computation.of({}) == Computation()


def test_words_name_what_was_asked_and_nothing_else():
    assert str(Computation()) == ""
    assert str(Computation("mirrored")) == "mirrored on all devices"
    assert (
        str(Computation("data_parallel", 2, "mixed_bfloat16", True, True))
        == "data_parallel on 2 devices, mixed_bfloat16, XLA, deterministic"
    )


def test_a_strategy_of_another_backend_is_refused_with_the_way_out():
    Computation("mirrored").on("tensorflow")
    Computation(jit=True).on("torch")
    with pytest.raises(
        RefusalError, match="--backend tensorflow, or take --strategy data_par"
    ):
        Computation("mirrored").on("jax")
    with pytest.raises(
        RefusalError, match=r"--backend jax\. Received: .*torch"
    ):
        Computation("data_parallel").on("torch")


def test_xla_and_determinism_exclude_each_other_on_tensorflow_alone():
    both = Computation(jit=True, deterministic=True)
    with pytest.raises(RefusalError, match="give --jit or --deterministic"):
        both.on("tensorflow")
    both.on("jax")
    Computation(jit=False, deterministic=True).on("tensorflow")


@pytest.mark.parametrize(
    ("asked", "gpus", "devices"),
    [(None, 0, 2), (3, 0, 3), (None, 4, 4), (2, 4, 2)],
)
def test_devices_are_all_gpus_or_two_virtual_ones(asked, gpus, devices):
    found = Computation("mirrored", asked).with_devices(gpus)
    assert (found.devices, found.replicas) == (devices, devices)


@pytest.mark.parametrize(("asked", "gpus"), [(None, 1), (4, 2)])
def test_too_few_gpus_are_refused_with_the_numbers(asked, gpus):
    numbers = f"needs {asked or 2} devices, and there is {gpus} GPU"
    with pytest.raises(RefusalError, match=numbers):
        Computation("mirrored", asked).with_devices(gpus)


def test_without_a_strategy_devices_do_not_matter():
    assert Computation(jit=True).with_devices(4) == Computation(jit=True)
    assert Computation("data_parallel", devices=2).replicas == 1


def test_determinism_adds_its_flag_once_and_keeps_others():
    deterministic = Computation(deterministic=True)
    flags = deterministic.variables({"XLA_FLAGS": "--xla_a=1"})["XLA_FLAGS"]
    assert flags == "--xla_a=1 --xla_gpu_deterministic_ops=true"
    again = deterministic.variables({"XLA_FLAGS": flags})
    assert again["XLA_FLAGS"] == flags
    assert again["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert Computation(jit=True).variables({"XLA_FLAGS": "--xla_a=1"}) == {}
