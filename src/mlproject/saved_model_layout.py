"""What lies where in a SavedModel's folder. It imports nothing, unlike the package `saved_model`.

saved_model.pb, or saved_model.pbtxt        the graphs, each with its tags
assets.extra/tf_serving_warmup_requests     see warmup.py
"""

MODEL_FILE = "saved_model.pb"
MODEL_FILES = (MODEL_FILE, "saved_model.pbtxt")
SERVING_TAG = "serve"
EXTRA_FOLDER = "assets.extra"
WARMUP_FILE = "tf_serving_warmup_requests"
MAX_WARMUP_REQUESTS = 1_000  # as many as TensorFlow Serving reads
