"""A registered version in a form that others take.

    version.py         what each form is made of, checked by its digest
    placing.py         writes beside the target, and renames: nobody finds half of it
    tflite.py          TensorFlow Lite, compared with the SavedModel before it is written
    lookup_tables.py   vocabularies as TensorFlow Lite takes them

A TensorFlow Serving folder is `serving.export`, a Docker image `serving.targets.image`.
"""
