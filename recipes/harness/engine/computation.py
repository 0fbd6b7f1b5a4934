"""How cells compute: on which devices, how precisely, compiled by what."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..refusal import RefusalError

# The backend that each strategy is of.
STRATEGIES = {"mirrored": "tensorflow", "data_parallel": "jax"}
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")

_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"

# What a strategy gets on a machine without a GPU, to be tried there.
_VIRTUAL_DEVICES = 2


@dataclass(frozen=True)
class Computation:
    """What is asked of a computation, besides what a recipe says.

    All of it can alter numbers: what differs from the default is part of a
    cell's identity, and stands in its row.

    Args:
        strategy: Optional string, `"mirrored"` (TensorFlow) or
            `"data_parallel"` (JAX): each batch is shared out over devices.
        devices: Optional integer of 2 or more. The devices of one cell; by
            default all GPUs, or two virtual devices on the CPU where there
            is none.
        precision: `"float32"`, `"mixed_float16"` or `"mixed_bfloat16"`.
        jit: Optional boolean. Whether models are compiled by XLA (on PyTorch
            by `torch.compile`) where a script leaves that open, which Keras
            decides by default.
        deterministic: Boolean. Whether operations must give the same to the
            bit each time, at the price of speed. On a CPU of one thread they
            do anyway.

    Raises:
        RefusalError: If a value is not one of those above.

    Example:

    >>> Computation(precision="mixed_bfloat16").to_json()
    {'precision': 'mixed_bfloat16'}
    >>> str(Computation("mirrored", devices=2, jit=False))
    'mirrored on 2 devices, no XLA'
    """

    strategy: str | None = None
    devices: int | None = None
    precision: str = "float32"
    jit: bool | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.strategy is not None and self.strategy not in STRATEGIES:
            # Tried: it fails in `fit`, and a worker lost stops the others.
            hint = (
                "; training across machines fails in Keras 3.15, and cells "
                "are spread over machines by `cluster` instead"
                if "multi" in self.strategy
                else ""
            )
            raise RefusalError(
                f"`strategy` must be one of {', '.join(STRATEGIES)}{hint}. "
                f"Received: {self.strategy!r}"
            )
        if self.precision not in PRECISIONS:
            raise RefusalError(
                f"`precision` must be one of {', '.join(PRECISIONS)}. "
                f"Received: {self.precision!r}"
            )
        if self.devices is not None and self.strategy is None:
            raise RefusalError(
                "`devices` says over how many a `strategy` "
                f"({' or '.join(STRATEGIES)}) shares a batch out, and none is "
                f"given. Received: devices={self.devices}"
            )
        if self.devices is not None and self.devices < 2:
            raise RefusalError(
                "`devices` must be at least 2, to share a batch out. "
                f"Received: devices={self.devices}"
            )

    def __str__(self) -> str:
        said = []
        if self.strategy:
            count = f"{self.devices} devices" if self.devices else "all devices"
            said.append(f"{self.strategy} on {count}")
        if self.precision != "float32":
            said.append(self.precision)
        if self.jit is not None:
            said.append("XLA" if self.jit else "no XLA")
        if self.deterministic:
            said.append("deterministic")
        return ", ".join(said)

    @property
    def replicas(self) -> int:
        """Among how many copies of a model TensorFlow shares a batch out."""
        return (self.devices or 1) if self.strategy == "mirrored" else 1

    def to_json(self) -> dict[str, Any]:
        """Returns what differs from the default, by name."""
        default = asdict(Computation())
        given = asdict(self).items()
        return {name: value for name, value in given if value != default[name]}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Computation":
        """Returns the computation of a row of evidence."""
        return cls(**row.get("computation", {}))

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Returns environment variables that it needs before a GPU is used.

        Args:
            environ: Those that are set.

        Example:

        >>> Computation(deterministic=True).variables({"XLA_FLAGS": "--a"})
        {'CUBLAS_WORKSPACE_CONFIG': ':4096:8', 'XLA_FLAGS': '--a \
--xla_gpu_deterministic_ops=true'}
        """
        flags = environ.get("XLA_FLAGS", "").split()
        if not self.deterministic:
            return {}
        if _DETERMINISTIC not in flags:
            flags.append(_DETERMINISTIC)
        return {
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # PyTorch's condition.
            "XLA_FLAGS": " ".join(flags),
        }

    def on(self, backend: str) -> None:
        """Refuses what a backend does not have.

        Raises:
            RefusalError: If the strategy is another backend's, which it
                names, or Keras would pass over `jit` in silence.
        """
        if backend == "tensorflow" and self.jit and self.deterministic:
            raise RefusalError(
                "Keras compiles nothing by XLA while TensorFlow is "
                "deterministic: give --jit or --deterministic"
            )
        if self.strategy and STRATEGIES[self.strategy] != backend:
            other = {of: name for name, of in STRATEGIES.items()}.get(backend)
            instead = f", or take --strategy {other}" if other else ""
            raise RefusalError(
                f"the strategy {self.strategy} needs --backend "
                f"{STRATEGIES[self.strategy]}{instead}. "
                f"Received: backend={backend!r}"
            )

    def with_devices(self, gpus: int) -> "Computation":
        """Returns the same with the number of devices filled in.

        Args:
            gpus: Integer. How many GPUs there are.

        Raises:
            RefusalError: If there are fewer than are asked for.
        """
        if self.strategy is None:
            return self
        if gpus and gpus < (self.devices or 2):
            raise RefusalError(
                f"the strategy {self.strategy} needs {self.devices or 2} "
                f"devices, and there is {gpus} GPU{'s' * (gpus > 1)}; with "
                "CUDA_VISIBLE_DEVICES= (empty) virtual devices on the CPU "
                "take their place"
            )
        return replace(self, devices=self.devices or gpus or _VIRTUAL_DEVICES)
