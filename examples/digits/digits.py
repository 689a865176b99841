"""The digits project: which digit is it?

Benison calls two functions of this file: `preprocessing_fn` (a tf.Transform graph, analysed over
the train split and shipped inside the served model) and `build_model`; the platform does the rest.
"""

import keras
import tensorflow as tf

SIDE, DIGITS = 8, 10
LABEL = "digit"


def preprocessing_fn(inputs):
    """Raw features to model features.

    Args:
        inputs: `image` `[batch, 64] int64`, pixels of 0 to 255, row by row; `label` `[batch, 1]
            string`, the folder that the image lies in. `file` is not used.

    Returns:
        `pixels_xf` `[batch, 8, 8, 1] float32` of 0 to 1, and the label `[batch] int64`, 0 to 9.
    """
    pixels = tf.cast(inputs["image"], tf.float32) / 255.0
    digit = tf.strings.to_number(inputs["label"][:, 0], tf.int64)
    return {
        "pixels_xf": tf.reshape(pixels, [-1, SIDE, SIDE, 1]),
        LABEL: digit,
    }


def build_model(hyperparameters):
    """A small convolutional classifier, compiled; the platform fits it.

    Args:
        hyperparameters: Those of project.yaml.

    Returns:
        A `keras.Model` from `pixels_xf` to a probability for each digit, `[batch, 10] float32`.
    """
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels_xf")
    hidden = pixels
    for filters in hyperparameters["filters"]:
        hidden = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
    hidden = keras.layers.Flatten()(keras.layers.MaxPooling2D()(hidden))
    hidden = keras.layers.Dense(hyperparameters["hidden_units"], activation="relu")(hidden)
    hidden = keras.layers.Dropout(hyperparameters["dropout"])(hidden)
    digits = keras.layers.Dense(DIGITS, activation="softmax")(hidden)
    model = keras.Model({"pixels_xf": pixels}, digits)
    model.compile(
        optimizer=keras.optimizers.Adam(hyperparameters["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
