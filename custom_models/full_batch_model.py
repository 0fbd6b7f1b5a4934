"""A model that is trained on all samples at once, by a closure optimizer."""

import warnings

import keras
from keras import tree

from ..custom_optimizers.autodiff import Objective, compiled
from ..custom_optimizers.closure import ClosureOptimizer
from ..custom_optimizers.closure.closure_optimizer import (
    read_report,
    why_stuck,
)
from ._batches import (
    as_data,
    is_array,
    leaves,
    num_samples,
    split_off_validation,
)
from ._checks import check_arguments
from ._chunked_objective import ChunkedObjective, chunks, read
from ._compiled_fit import _is_due
from ._logs import as_floats


@keras.saving.register_keras_serializable(package="keras_regimen")
class FullBatchModel(keras.Model):
    """Trains a model on all samples at once, by a closure optimizer.

    Use it where the data are few enough that the whole gradient is cheap, and
    first-order training is slow or its learning rate a nuisance:
    `FullBatchModel(model)`, compiled with `LBFGS()` or another closure
    optimizer of `keras_regimen.custom_optimizers`, and then `fit`, `evaluate`,
    `predict` and `save` as usual. An epoch is one iteration of the optimizer,
    `steps_per_epoch` makes it several. The wrapped model shares its weights
    and stays usable by itself.

    Each epoch logs the loss on all training samples *after* it, in training
    mode, penalties included, and `evaluations`: how often the loss was
    evaluated with its gradient (or multiplied with its Hessian). Dropout draws
    one mask for an iteration, so that the line search compares like with like;
    layers with state (batch normalization's averages, random seeds) advance
    once an epoch. Where no further step lowers the loss, training stops, and
    `history.params["stopped"]` says why; the weights are the best found.

    Args:
        model: A `keras.Model`.
        chunk_size: Positive integer. How many samples are on the device at
            once; loss and gradient are the sums over chunks, and equal those
            of all samples up to rounding. For data or activations that are
            larger than the memory: `x` and `y` may be memory-mapped arrays.
            Batch normalization then has statistics per chunk. Defaults to
            `None`, all samples.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If `model` is not a `keras.Model`, or `chunk_size` not a
            positive integer.

    Example:

    >>> from keras_regimen.custom_optimizers import LBFGS
    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model = FullBatchModel(net)
    >>> model.compile(optimizer=LBFGS(), loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> history = model.fit(x, x[:, :1] - x[:, 1:], epochs=10, verbose=0)
    >>> history.history["loss"][-1] < 1e-6
    True

    Reference:

    - Le, Ngiam, Coates, Lahiri, Prochnow and Ng, "On Optimization Methods for
      Deep Learning", ICML 2011. They also use large mini-batches; here every
      sample counts in every step.
    """

    def __init__(
        self, model: keras.Model, chunk_size: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if not isinstance(model, keras.Model):
            raise ValueError(
                f"`model` must be a `keras.Model`. Received: model={model!r}"
            )
        if chunk_size is not None and not (
            isinstance(chunk_size, int) and chunk_size > 0
        ):
            raise ValueError(
                "`chunk_size` must be a positive integer, or `None` for all "
                f"samples at once. Received: chunk_size={chunk_size}"
            )
        self.model = model
        self.chunk_size = chunk_size
        self.built = model.built
        self._functions: dict = {}

    def build(self, input_shape):
        if not self.model.built:
            self.model.build(input_shape)
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    @property
    def output_names(self):
        """The wrapped model's, so that losses may be given by name."""
        return self.model.output_names

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            optimizer: A closure optimizer, such as `LBFGS()`.
            loss: As for `keras.Model.compile`.
            **kwargs: Its further arguments, such as `metrics`.
        """
        if isinstance(optimizer, dict):
            optimizer = keras.optimizers.deserialize(optimizer)
        if not isinstance(optimizer, ClosureOptimizer):
            raise ValueError(
                "A `FullBatchModel` needs a closure optimizer: `LBFGS`, "
                "`BFGS`, `NonlinearConjugateGradient` or `Newton` of "
                "`keras_regimen.custom_optimizers`. "
                f"Received: optimizer={optimizer!r}"
            )
        # The line search compares losses: there is nothing to scale.
        kwargs["auto_scale_loss"] = False
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self._functions = {}

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Trains on all samples at once, as `keras.Model.fit` would else.

        Args:
            x: Input array, or a list, tuple or dict of them.
            y: Target array or arrays.
            batch_size: Must be `None`: `chunk_size` bounds the memory.
            epochs: Integer. The epoch after which to stop.
            verbose: `"auto"`, 0, 1 or 2.
            callbacks: List of `keras.callbacks.Callback`s. An iteration counts
                as a batch.
            validation_split: Float in `[0, 1)`, as for Keras.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a dataset.
            shuffle: Without effect: all samples are used.
            class_weight: Must be `None`: `sample_weight` says it, too.
            sample_weight: Array of weights, one per sample (or time step).
            initial_epoch: Integer. The epoch at which to start.
            steps_per_epoch: Integer, the iterations of an epoch. Defaults to
                one.
            validation_steps: As for Keras.
            validation_batch_size: Integer. Defaults to `chunk_size`, or all
                samples.
            validation_freq: Integer or list of integers, as for Keras.

        Returns:
            A `History`.
        """
        del shuffle
        check_arguments(
            self,
            {
                "x": x,
                "y": y,
                "sample_weight": sample_weight,
                "steps_per_epoch": steps_per_epoch,
                "validation_batch_size": validation_batch_size,
                "validation_split": validation_split,
                "validation_data": validation_data,
            },
        )
        self._check_fit(x, y, sample_weight, batch_size, class_weight)
        arrays = (x, y, sample_weight)
        if validation_split and validation_data is None:
            arrays, validation_data = split_off_validation(
                arrays, validation_split
            )
        samples = num_samples(arrays)
        data = [arrays]
        if self.chunk_size is not None:
            data = list(chunks(arrays, self.chunk_size))
        self._build_on(next(chunks(arrays, 1)))
        self.optimizer.built_for(self.trainable_variables)
        # The data may be others than in the last call.
        self.optimizer.forget(memory=False)
        advance = self._advancing(arrays, data)
        if self.chunk_size is None:
            data = [as_data(*arrays)]

        steps = steps_per_epoch or 1
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.callbacks.CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=steps,
                model=self,
            )
        self.stop_training = False
        stopped, logs = None, None
        # Searched for once, which takes a while, and not in each epoch.
        measured = len(self.metrics) > 1
        observed = measured or bool(self.model.non_trainable_variables)
        callbacks.on_train_begin()
        # Private, but how `BackupAndRestore` says where to go on.
        for epoch in range(self._initial_epoch or initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            evaluations = 0
            for step in range(steps):
                callbacks.on_train_batch_begin(step)
                report = read_report(advance())
                evaluations += int(report.evaluations)
                callbacks.on_train_batch_end(step, {"loss": report.value})
                if report.stuck:
                    stopped = why_stuck(report)
                    break
            logs = {
                **(self._observed(data, measured) if observed else {}),
                "loss": report.value,
                "evaluations": evaluations,
            }
            if validation_data is not None and _is_due(epoch, validation_freq):
                logs |= self._validated(
                    validation_data,
                    validation_batch_size or self.chunk_size or samples,
                    validation_steps,
                    callbacks,
                )
            callbacks.on_epoch_end(epoch, logs)
            if stopped is not None:
                self.stop_training = True
            if self.stop_training:
                break
        callbacks.on_train_end(logs)
        self.history.params = {**self.history.params, "stopped": stopped}
        if stopped is not None and report.reason >= 2:
            warnings.warn(f"`fit` stopped: {stopped}.", stacklevel=2)
        return self.history

    def _build_on(self, arrays):
        """Builds what is not yet: the model, losses of outputs, metrics."""
        if self._functions:
            return
        data = as_data(*read(arrays))
        if not self.built:
            self(keras.utils.unpack_x_y_sample_weight(data)[0])
        # What is made in there stays, what is assigned does not.
        held = [(variable, variable.value) for variable in self.variables]
        with keras.StatelessScope(held, collect_losses=True):
            self._observe(data)

    def _check_fit(self, x, y, sample_weight, batch_size, class_weight):
        if batch_size is not None:
            raise ValueError(
                "A `FullBatchModel` trains on all samples at once. To bound "
                "the memory, set its `chunk_size`. "
                f"Received: batch_size={batch_size}"
            )
        if class_weight is not None:
            raise ValueError(
                "A `FullBatchModel` knows no `class_weight`: give each sample "
                f"its `sample_weight`. Received: class_weight={class_weight}"
            )
        for leaf in [*leaves(x), *leaves(y), *leaves(sample_weight)]:
            if not is_array(leaf):
                raise ValueError(
                    "A `FullBatchModel` trains on arrays of all samples. "
                    f"Received: a `{type(leaf).__name__}`"
                )
        if not leaves(x):
            raise ValueError(f"`x` must hold an array. Received: x={x}")
        if self.chunk_size is not None:
            for loss in tree.flatten(self.loss):
                reduction = getattr(loss, "reduction", "mean")
                if reduction not in ("mean", "sum_over_batch_size"):
                    raise ValueError(
                        "With a `chunk_size` losses must be means over the "
                        f"samples. Received: {loss.name} with "
                        f"reduction={reduction!r}"
                    )

    def _loss(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return self.compute_loss(
            x=x,
            y=y,
            y_pred=self(x, training=True),
            sample_weight=sample_weight,
        )

    def _advancing(self, arrays, data):
        """Returns a function that makes one iteration."""
        optimizer = self.optimizer
        flat = optimizer.built_for(self.trainable_variables)
        # What moves besides the weights may change the loss.
        refresh = bool(self.model.non_trainable_variables)
        if self.chunk_size is not None:
            function = self._function("derivatives", self._derivatives)
            objective = ChunkedObjective(function, data, num_samples(arrays))
            return lambda: optimizer.advance(objective, refresh)

        def advance(data):
            objective = Objective(flat.function(lambda: self._loss(data)))
            return optimizer.advance(objective, refresh)

        function = self._function("advance", advance)
        data = as_data(*arrays)
        return lambda: function(data)

    def _derivatives(self, vector, data, direction=None):
        """Value and gradient on one chunk, or the product with a vector."""
        flat = self.optimizer.built_for(self.trainable_variables)
        objective = Objective(flat.function(lambda: self._loss(data)))
        if direction is None:
            return objective(vector)
        return objective.product(vector, direction)

    def _observed(self, data, measured) -> dict:
        """Moves what an epoch moves besides the weights; returns metrics."""
        self.reset_metrics()
        function = self._function("observe", self._observe)
        for part in data:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(part)
            logs = function(as_data(*read((x, y, sample_weight))))
        return as_floats(logs) if measured else {}

    def _observe(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        # For the loss of each output, if there are several.
        self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _validated(self, validation_data, batch_size, steps, callbacks):
        arrays = keras.utils.unpack_x_y_sample_weight(validation_data)
        if not all(map(is_array, leaves(arrays))):
            arrays, batch_size = (validation_data, None, None), None
        x, y, sample_weight = arrays
        logs = self.evaluate(
            x,
            y,
            batch_size=batch_size,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            verbose=0,
            return_dict=True,
        )
        return {f"val_{name}": value for name, value in logs.items()}

    def _function(self, name, function):
        if self.run_eagerly:
            return function
        if name not in self._functions:
            if keras.config.backend() == "tensorflow":
                made = compiled(function, jit_compile=bool(self.jit_compile))
            else:
                made = compiled(function)
            self._functions[name] = made
        return self._functions[name]

    def compile_from_config(self, config):
        """Compiles the model as it was when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "chunk_size": self.chunk_size,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a model from what `get_config` returned."""
        config = dict(config)
        config["model"] = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**config)
