"""How a metric's figures are told to somebody who never saw its name."""

import math
import re
from dataclasses import dataclass

from ..terminal.styles import number

# As they are typeset; a linter takes them for others.
MISSING, MINUS, TIMES = "\u2013", "\u2212", "\u00d7"

_PARTS = {"test": "test", "val": "validation", "train": "training"}
_BODIES = {"rmse": "RMSE", "mae": "MAE"}


@dataclass(frozen=True)
class Quantity:
    """What a metric measures, in words, and the unit it is told in.

    Args:
        noun: String. Such as `"test error"`.
        unit: String. What a difference is counted in, such as `"point"` for
            a hundredth of an error rate; empty where there is no name.
        factor: Float. From the metric's figure to that unit.
        smallest: Optional float. The smallest effect that matters, in the
            metric's figure: differences are told to a tenth of it.
        when: String. At which moment, such as `"at the end of training"`.

    Example:

    >>> error = quantity("final test_error", smallest=0.01)
    >>> error.noun, error.amount(0.0367), error.amount(0.01)
    ('test error', '3.7 points', '1 point')
    >>> error.level(0.0515)
    '5.1 %'
    """

    noun: str
    unit: str = ""
    factor: float = 1.0
    smallest: float | None = None
    when: str = ""

    def figure(self, value: float | None) -> str:
        """Returns a difference as a figure, without its unit."""
        if value is None or not math.isfinite(value):
            return MISSING
        value *= self.factor
        if self.smallest is None:
            return _typeset(number(value))
        decimals = _decimals(self.smallest * self.factor)
        if decimals > 6:
            return _typeset(number(value))
        text = f"{value:,.{decimals}f}"
        if float(text.replace(",", "")) == 0:
            text = "0"
        elif "." in text and not text.partition(".")[2].strip("0"):
            text = text.partition(".")[0]  # A whole number of the unit.
        return _typeset(text)

    def amount(self, value: float | None) -> str:
        """Returns a difference with its unit."""
        text = self.figure(value)
        if not self.unit:
            return text
        return f"{text} {self.unit}{'' if text in ('1', f'{MINUS}1') else 's'}"

    @property
    def matters(self) -> str:
        """The smallest effect that matters, as it was declared."""
        if self.smallest is None:
            return MISSING
        text = _typeset(f"{self.smallest * self.factor:.4g}")
        if not self.unit:
            return text
        return f"{text} {self.unit}{'' if text == '1' else 's'}"

    def level(self, value: float | None) -> str:
        """Returns a figure of one arm, as a rate where it is one."""
        if value is None or not math.isfinite(value):
            return MISSING
        if self.unit == "point":
            return f"{_typeset(_decimal(value * self.factor))} %"
        return _typeset(number(value))


def quantity(label: str, smallest: float | None = None) -> Quantity:
    """Returns how a metric is told.

    Args:
        label: String. The metric's label, as rows hold it.
        smallest: Optional float. The smallest effect that matters.

    Example:

    >>> quantity("updates to val_error ≤ 0.1").noun
    'number of updates to a validation error of 10 %'
    """
    if match := re.fullmatch(r"(updates|evaluations) to (\w+) ≤ (\S+)", label):
        count, name, threshold = match.groups()
        reached = Quantity(*_named(name)).level(float(threshold))
        reached = reached.replace(".0 %", " %")
        noun = f"number of {count} to a {_named(name)[0]} of {reached}"
        return Quantity(noun, count.removesuffix("s"), 1.0, smallest)
    if match := re.fullmatch(r"(\w+) gap \((\w+) - train\)", label):
        noun, unit, factor = _named(match[1])
        noun = noun.removeprefix("training ")
        told = f"gap between {match[2]} and training {noun}"
        return Quantity(told, unit, factor, smallest, "after training")
    if match := re.fullmatch(r"final (\w+)", label):
        return Quantity(*_named(match[1]), smallest, "at the end of training")
    if match := re.fullmatch(r"(\w+) at the best (\w+)", label):
        when = f"at the epoch with the best {_named(match[2])[0]}"
        return Quantity(*_named(match[1]), smallest, when)
    if match := re.fullmatch(r"(?:best )?(val_\w+)", label):
        # What a search goes by without a claim.
        return Quantity(*_named(match[1]), smallest, "at its best epoch")
    return Quantity(label.replace("_", " "), smallest=smallest)


def curve_name(name: str) -> str:
    """Returns a curve's name in words.

    >>> curve_name("val_loss"), curve_name("error")
    ('validation loss', 'training error')
    """
    return _named(name)[0]


def _named(name: str) -> tuple[str, str, float]:
    part, _, body = name.rpartition("_")
    if part not in _PARTS:
        part, body = "train", name
    noun = _BODIES.get(body, body.replace("_", " "))
    unit, factor = ("point", 100.0) if body == "error" else ("", 1.0)
    return f"{_PARTS[part]} {noun}", unit, factor


def _decimals(smallest: float) -> int:
    return max(0, 1 - math.floor(math.log10(smallest) + 1e-9))


def _decimal(value: float) -> str:
    return number(value) if 0 < abs(value) < 0.05 else f"{value:.1f}"


def _typeset(text: str) -> str:
    """Returns a figure with a true minus, and powers of ten written out."""
    text = text.replace("-", MINUS)
    match = re.fullmatch(rf"({MINUS}?[\d.]+)e(.)(\d+)", text)
    if not match:
        return text
    sign = "⁻" if match[2] == MINUS else ""
    power = f"10{sign}{match[3].lstrip('0').translate(_SUPERSCRIPTS)}"
    if float(match[1].replace(MINUS, "-")) == 1:
        return power
    return f"{match[1]} {TIMES} {power}"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
