# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime without its log: what goes wrong arrives as an exception, and its warnings are no news of ours."""
import onnxruntime

onnxruntime.set_default_logger_severity(4)
