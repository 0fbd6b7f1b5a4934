"""Which operation of a model takes what another one gives."""

from collections.abc import Iterator
from typing import Any

import keras

from ._surgery import is_graph


class Graph:
    """The operations of a functional or sequential model, inputs first."""

    def __init__(self, model: Any):
        if not is_graph(model) or not model.built:
            raise ValueError(
                "`model` must be a functional or sequential model that is "
                "built, so that Keras knows its layers and their order. "
                f"Received: model={model}"
            )
        # The configuration is where Keras tells the graph in public; that of
        # a sequential model says nothing of an input without a layer.
        plain = keras.Model(model.inputs, model.outputs, name=model.name)
        config = plain.get_config()
        self.operations = {o.name: o for o in plain.operations}
        # By name, for each call the operations whose outputs it takes.
        self.calls: dict[str, list[list[str]]] = {
            layer["name"]: [list(_sources(n)) for n in layer["inbound_nodes"]]
            for layer in config["layers"]
        }
        self.outputs = set(_names(config["output_layers"]))

    def layer(self, name: str, kinds: tuple[type, ...], what: str) -> Any:
        """Returns a layer of the model itself, called once, of some kinds."""
        found = self.operations.get(name)
        if not isinstance(found, kinds) or len(self.calls[name]) != 1:
            raise ValueError(
                f"`layer_name` must name {what} layer of the model itself, in "
                f"no nested one, that is called once. Received: '{name}', "
                + (
                    "which is not among "
                    + ", ".join(f"'{n}'" for n in self.operations)
                    if found is None
                    else f"a {type(found).__name__}, called "
                    f"{len(self.calls[name])} times"
                )
            )
        return found

    def takers(self, name: str) -> list[str]:
        """Returns the names of the operations that take its outputs."""
        return [
            other
            for other, calls in self.calls.items()
            if any(name in sources for sources in calls)
        ]


def _sources(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield node["config"]["keras_history"][0]
            return
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from _sources(part)


def _names(outputs: Any) -> Iterator[str]:
    """The names in `["head", 0, 0]`, or in a structure of such."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if outputs and isinstance(outputs[0], str):
        yield outputs[0]
    else:
        for part in outputs:
            yield from _names(part)
