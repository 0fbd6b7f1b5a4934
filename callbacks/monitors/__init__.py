"""What looks at training, changes nothing, and says what is wrong."""

from .activation_monitor import ActivationMonitor
from .curvature_monitor import CurvatureMonitor
from .diagnose import Diagnosis, diagnose
from .fit_diagnosis import FitDiagnosis
from .gradient_monitor import GradientMonitor

__all__ = [
    "ActivationMonitor",
    "CurvatureMonitor",
    "Diagnosis",
    "FitDiagnosis",
    "GradientMonitor",
    "diagnose",
]
