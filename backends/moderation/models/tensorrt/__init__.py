"""TensorRT plans of the networks, for the GPU profile. README.md beside this file says how one comes about."""
