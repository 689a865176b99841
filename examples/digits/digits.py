"""The digits project: which digit is it?

Benison calls two functions of this file: `preprocessing_fn` (a tf.Transform graph, analysed over
the train split and shipped inside the served model) and `run_fn` (the training).
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


def _build_model(hyperparameters):
    """A small convolutional classifier; returns a `keras.Model` giving `[batch, 10] float32`."""
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels_xf")
    hidden = pixels
    for filters in hyperparameters["filters"]:
        hidden = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
    hidden = keras.layers.Flatten()(keras.layers.MaxPooling2D()(hidden))
    hidden = keras.layers.Dense(hyperparameters["hidden_units"], activation="relu")(hidden)
    hidden = keras.layers.Dropout(hyperparameters["dropout"])(hidden)
    digits = keras.layers.Dense(DIGITS, activation="softmax")(hidden)
    return keras.Model({"pixels_xf": pixels}, digits)


def run_fn(fn_args):
    """Trains the model.

    Args:
        fn_args: The platform's `FnArgs`.

    Returns:
        The trained `keras.Model`; the platform exports it with the transform graph inside.
    """
    hyperparameters = fn_args.hyperparameters
    train = fn_args.data_accessor.tf_dataset("train", hyperparameters["batch_size"], shuffle=True)
    model = _build_model(hyperparameters)
    model.compile(
        optimizer=keras.optimizers.Adam(hyperparameters["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        train,
        epochs=hyperparameters["epochs"],
        steps_per_epoch=fn_args.train_steps,
        validation_data=fn_args.data_accessor.tf_dataset("eval", 1024),
        validation_steps=fn_args.eval_steps,
        callbacks=fn_args.callbacks,
        shuffle=False,  # the dataset shuffles
        verbose=0,
    )
    return model
