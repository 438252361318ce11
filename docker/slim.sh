#!/bin/sh
# slim.sh BUILD VENV SERVER: moves tritonserver out of the environment BUILD into the layout of NVIDIA's images at SERVER,
# and takes out of the environment VENV what serving never opens.
set -eu
build=$1 venv=$2 server=$3
python=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
from=$build/lib/python$python/site-packages
packages=$venv/lib/python$python/site-packages

mkdir -p "$server"
mv "$from/pytriton/tritonserver/bin" "$from/pytriton/tritonserver/backends" "$from/pytriton/tritonserver/caches" "$server"
mv "$from/pytriton/tritonserver/python_backend_stubs/$python/triton_python_backend_stub" "$server/backends/python"
mv "$from/nvidia_pytriton.libs" "$server/lib"
# symbols for debuggers: 21 MB with the library below
strip --strip-unneeded "$server/bin/tritonserver" "$server"/lib/libtritonserver-*
chmod 0755 "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
# only the stub for Python 3.13 needs these
rm -f "$server"/lib/libpython3-*

cd "$packages"
# OpenVINO on a GPU or NPU, and its readers of other formats: the networks are OpenVINO's own files, run on the CPU
rm -f openvino/libs/*_gpu_plugin.so openvino/libs/*_npu_plugin.so openvino/libs/cache.json
for reader in onnx tensorflow tensorflow_lite pytorch paddle gguf jax; do
  rm -f openvino/libs/libopenvino_${reader}_frontend.so*
done
rm -rf openvino/include openvino/frontend/pytorch openvino/frontend/tensorflow openvino/frontend/jax openvino/torch
# cascades of OpenCV; the load generator of tritonclient; installers
rm -rf cv2/data pip pip-* setuptools setuptools-* pkg_resources _distutils_hack distutils-precedence.pth
rm -f "$venv"/bin/perf_analyzer "$venv"/bin/perf_client "$venv"/bin/pip*
strip --strip-unneeded rapidjson.*.so
find . -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} +
