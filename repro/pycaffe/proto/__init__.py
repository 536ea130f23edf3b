"""`caffe.proto`: Caffe's messages as scripts use them, without protobuf."""

from repro.pycaffe.proto import caffe_pb2, text_format

__all__ = ["caffe_pb2", "text_format"]
