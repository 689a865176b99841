"""The trial of an exported model in a server of its own.

values.py     the end of a trial, and what every server of a trial can do
process.py    the local server's process: the model server, started as a program
local.py      that process, seen from outside
docker.py     a TensorFlow Serving container
rest.py       requests over REST
grpc_asker.py requests over gRPC
compare.py    answers against those of a Session in this process
page.py       the trial as a text
"""
