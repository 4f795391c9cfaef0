"""The update rules of Keras' optimizers as plain functions, for use inside a compiled epoch.

Keras' own optimizers keep their state in variables, which a compiled loop would have to read and
write at every batch. Here the state goes in and comes out as values. The formulas are those of
Keras 3; the tests hold them against Keras' own, step by step.

Each rule takes the optimizer's settings, the step (1.0 is the first), the learning rate, one
weight, its gradient, and the weight's slots: what the optimizer remembers about it, by name.
It returns the new weight and the new slots.
"""

from typing import TYPE_CHECKING, Any

from ae_helpers.model import quiet_start

with quiet_start():
    import tensorflow as tf

if TYPE_CHECKING:
    import keras

Slots = dict[str, tf.Tensor]
Settings = dict[str, Any]
Updated = tuple[tf.Tensor, Slots]


def adam(
    settings: Settings, step: tf.Tensor, rate: tf.Tensor, w: tf.Tensor, g: tf.Tensor, slots: Slots
) -> Updated:
    """Kingma & Ba 2015, in the form with the bias correction inside the rate; with amsgrad."""
    beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
    rate = rate * tf.sqrt(1 - tf.pow(beta_2, step)) / (1 - tf.pow(beta_1, step))
    m = slots["momentum"] + (g - slots["momentum"]) * (1 - beta_1)
    v = slots["velocity"] + (g * g - slots["velocity"]) * (1 - beta_2)
    new = {"momentum": m, "velocity": v}
    if settings["amsgrad"]:
        v = new["velocity_hat"] = tf.maximum(slots["velocity_hat"], v)
    return w - m * rate / (tf.sqrt(v) + settings["epsilon"]), new


def sgd(
    settings: Settings, step: tf.Tensor, rate: tf.Tensor, w: tf.Tensor, g: tf.Tensor, slots: Slots
) -> Updated:
    """Gradient descent, with (Nesterov) momentum if the settings ask for it."""
    if not settings["momentum"]:
        return w - g * rate, slots
    m = slots["momentum"] * settings["momentum"] - g * rate
    moved = m * settings["momentum"] - g * rate if settings["nesterov"] else m
    return w + moved, {"momentum": m}


def rmsprop(
    settings: Settings, step: tf.Tensor, rate: tf.Tensor, w: tf.Tensor, g: tf.Tensor, slots: Slots
) -> Updated:
    """Hinton's lecture 6e, with momentum or centred if the settings ask for it."""
    rho = settings["rho"]
    v = rho * slots["velocity"] + (1 - rho) * g * g
    new, spread = {"velocity": v}, v
    if settings["centered"]:
        mean = new["average_gradient"] = rho * slots["average_gradient"] + (1 - rho) * g
        spread = v - mean * mean
    moved = rate * g / tf.sqrt(spread + settings["epsilon"])
    if settings["momentum"] > 0:
        moved = new["momentum"] = settings["momentum"] * slots["momentum"] + moved
    return w - moved, new


def adagrad(
    settings: Settings, step: tf.Tensor, rate: tf.Tensor, w: tf.Tensor, g: tf.Tensor, slots: Slots
) -> Updated:
    """Duchi, Hazan & Singer 2011."""
    total = slots["accumulator"] + g * g
    return w - rate * g / tf.sqrt(total + settings["epsilon"]), {"accumulator": total}


def adadelta(
    settings: Settings, step: tf.Tensor, rate: tf.Tensor, w: tf.Tensor, g: tf.Tensor, slots: Slots
) -> Updated:
    """Zeiler 2012."""
    rho, epsilon = settings["rho"], settings["epsilon"]
    grads = rho * slots["accumulated_grad"] + (1 - rho) * g * g
    moved = -tf.sqrt(slots["accumulated_delta_var"] + epsilon) * g / tf.sqrt(grads + epsilon)
    moves = rho * slots["accumulated_delta_var"] + (1 - rho) * moved * moved
    return w + rate * moved, {"accumulated_grad": grads, "accumulated_delta_var": moves}


RULES = {"Adam": adam, "SGD": sgd, "RMSprop": rmsprop, "Adagrad": adagrad, "Adadelta": adadelta}

# What else a Keras optimizer can be told to do; fit() can, the rules above cannot.
LEFT_TO_FIT = (
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)


def checked_settings(optimizer: "keras.Optimizer") -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Name the rule of a Keras optimizer and its settings, or say why there is none.

    Parameters
    ----------
    optimizer
        An optimizer as `compile` made it.

    Returns
    -------
    name, settings
        A key of `RULES`, and (setting, value) pairs: hashable, to know a compiled epoch again.

    Raises
    ------
    ValueError
        If the optimizer is none of the five, or is told to do what the rules cannot.
    """
    import keras

    name = type(optimizer).__name__
    if name not in RULES or type(optimizer) is not getattr(keras.optimizers, name):
        raise ValueError(
            f"train() does not know the optimizer {name}: compile the autoencoder with one of "
            f"{', '.join(rule.__name__ for rule in RULES.values())}, or use fit()."
        )
    config = optimizer.get_config()
    for setting in LEFT_TO_FIT:
        if config[setting]:
            raise ValueError(
                f"train() cannot do {setting}={config[setting]!r} of {name}: compile the "
                "autoencoder without it, or use fit()."
            )
    if not isinstance(config["learning_rate"], float):
        raise ValueError(
            "train() cannot follow a learning rate that changes from batch to batch: give a "
            "number, and change it between epochs by a callback such as ReduceLROnPlateau."
        )
    scalars = {key: value for key, value in config.items() if isinstance(value, bool | int | float)}
    return name, tuple(sorted((key, scalars[key]) for key in scalars if key != "learning_rate"))


def slot_variables(
    optimizer: "keras.Optimizer", variables: list["keras.Variable"]
) -> dict[str, list["keras.Variable"]]:
    """Find the optimizer's slots for a model's weights, by name, in the order of the weights.

    Parameters
    ----------
    optimizer
        One of the five; it is built for the variables if it is not yet.
    variables
        The model's trainable variables.

    Raises
    ------
    ValueError
        By Keras, if the optimizer was built for another model.
    """
    optimizer.build(variables)
    optimizer._check_variables_are_known(variables)
    slots: dict[str, list] = {}
    names = ("momentum", "velocity", "velocity_hat", "average_gradient")
    names += ("accumulator", "accumulated_grad", "accumulated_delta_var")
    for variable in optimizer.variables:  # named after the weight and the slot: "…_kernel_momentum"
        for name in names:
            if variable.name.endswith(f"_{name}"):
                slots.setdefault(name, []).append(variable)
    return slots
