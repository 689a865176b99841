"""The taxi project: will a rider tip more than 20 % of the fare?

Benison calls two functions of this file: `preprocessing_fn` (a tf.Transform graph, analysed over
the train split and shipped inside the served model) and `run_fn` (the training).
"""

import keras
import tensorflow as tf
import tensorflow_transform as tft

DENSE = ("trip_miles", "fare", "trip_seconds")
COORDINATES = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
BUCKETS = 10
CYCLES = {"trip_start_hour": 24, "trip_start_day": 8, "trip_start_month": 13}
AREAS = ("pickup_community_area", "dropoff_community_area")
AREA_COUNT = 78
VOCABULARIES = ("payment_type", "company")
VOCABULARY_SIZE = 100
OOV_BUCKETS = 10
LABEL = "big_tipper"


def _filled(tensor, default):
    """A `[batch]` tensor of a feature that may be missing (sparse) or not (dense)."""
    if isinstance(tensor, tf.SparseTensor):
        dense = tf.sparse.to_dense(
            tf.SparseTensor(tensor.indices, tensor.values, [tensor.dense_shape[0], 1]), default
        )
    else:
        dense = tensor
    return tf.reshape(dense, [-1])


def preprocessing_fn(inputs):
    """Raw features to model features.

    Args:
        inputs: Raw feature name -> tensor; `SparseTensor` where the schema lets it be missing.

    Returns:
        Transformed feature name -> `[batch]` tensor, and the label.
    """
    outputs = {}
    for name in DENSE:
        value = tf.math.log1p(tf.maximum(_filled(tf.cast(inputs[name], tf.float32), 0.0), 0.0))
        outputs[f"{name}_xf"] = tft.scale_to_z_score(value)
    for name in COORDINATES:
        value = _filled(inputs[name], 0.0)
        outputs[f"{name}_xf"] = tft.bucketize(value, BUCKETS)
    for name, size in CYCLES.items():
        outputs[f"{name}_xf"] = tf.clip_by_value(_filled(inputs[name], 0), 0, size - 1)
    for name in AREAS:
        outputs[f"{name}_xf"] = tf.clip_by_value(_filled(inputs[name], 0), 0, AREA_COUNT - 1)
    for name in VOCABULARIES:
        outputs[f"{name}_xf"] = tft.compute_and_apply_vocabulary(
            _filled(inputs[name], ""),
            top_k=VOCABULARY_SIZE,
            num_oov_buckets=OOV_BUCKETS,
            vocab_filename=name,
        )
    tips = _filled(inputs["tips"], 0.0)
    fare = _filled(inputs["fare"], 0.0)
    outputs[LABEL] = tf.cast(tips > 0.2 * fare, tf.int64)
    return outputs


def _build_model(hyperparameters):
    """A wide-and-deep binary classifier; returns a `keras.Model` giving `[batch, 1] float32`."""
    categorical = {f"{name}_xf": BUCKETS for name in COORDINATES}
    categorical |= {f"{name}_xf": size for name, size in CYCLES.items()}
    categorical |= {f"{name}_xf": AREA_COUNT for name in AREAS}
    categorical |= {f"{name}_xf": VOCABULARY_SIZE + OOV_BUCKETS for name in VOCABULARIES}
    inputs = {f"{name}_xf": keras.Input((), name=f"{name}_xf") for name in DENSE}
    inputs |= {name: keras.Input((), name=name, dtype="int64") for name in categorical}
    numbers = [keras.layers.Reshape((1,))(inputs[f"{name}_xf"]) for name in DENSE]
    offsets, total = [], 0
    for size in categorical.values():
        offsets.append(total)
        total += size
    ids = keras.ops.stack([inputs[name] for name in categorical], axis=1) + keras.ops.array(
        [offsets], dtype="int64"
    )
    wide = keras.ops.sum(keras.layers.Embedding(total, 1)(ids), axis=1)
    deep = keras.layers.Flatten()(
        keras.layers.Embedding(total, hyperparameters["embedding_size"])(ids)
    )
    deep = keras.layers.Concatenate()([*numbers, deep])
    for units in hyperparameters["hidden_units"]:
        deep = keras.layers.Dense(units, activation="relu")(deep)
    logit = keras.layers.Dense(1)(deep) + wide
    return keras.Model(inputs, keras.layers.Activation("sigmoid")(logit))


def run_fn(fn_args):
    """Trains the model.

    Args:
        fn_args: The platform's `FnArgs`.

    Returns:
        The trained `keras.Model`; the platform exports it with the transform graph inside.
    """
    hyperparameters = fn_args.hyperparameters
    batch_size = hyperparameters["batch_size"]
    steps = fn_args.train_steps
    train = fn_args.data_accessor.tf_dataset(
        "train", batch_size, shuffle=True, repeat=steps is not None
    )
    evaluate = fn_args.data_accessor.tf_dataset("eval", 4096)
    model = _build_model(hyperparameters)
    model.compile(
        optimizer=keras.optimizers.Adam(hyperparameters["learning_rate"]),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        train,
        epochs=hyperparameters["epochs"],
        steps_per_epoch=steps,
        validation_data=evaluate,
        validation_steps=fn_args.eval_steps,
        callbacks=fn_args.callbacks,
        shuffle=False,  # the dataset shuffles
        verbose=0,
    )
    return model
