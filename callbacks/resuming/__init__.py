"""What a killed training goes on from."""

from .training_state import TrainingState

__all__ = ["TrainingState"]
