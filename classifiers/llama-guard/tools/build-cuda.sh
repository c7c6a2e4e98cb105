#!/usr/bin/env bash
# Builds portcullis with Llama Guard on NVIDIA graphics cards, on a machine that needs neither card, driver nor CUDA.
#
#     classifiers/llama-guard/tools/build-cuda.sh [FOLDER]
#
# The compiler and the libraries come from NVIDIA's Python packages. FOLDER (target/cuda by default) keeps them and the
# program. CUDA 13.0 and not newer: candle's kernels are compiled by the driver when the program starts, and a driver
# of the 580 series takes nothing that a newer compiler wrote. CUDA_COMPUTE_CAP is the card's (90 for H100 and H200).
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=$(mkdir -p "${1:-target/cuda}" && cd "${1:-target/cuda}" && pwd)

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps --only-binary=:all: \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3 nvidia-curand==10.4.0.35
packages=$(echo "$folder"/venv/lib/python3.*/site-packages/nvidia/cu13)

# The packages have another layout than a toolkit: no lib64, and libraries under their versioned names only.
toolkit=$folder/toolkit
rm -rf "$toolkit" && mkdir -p "$toolkit/lib64/stubs"
ln -s "$packages/bin" "$packages/include" "$packages/nvvm" "$toolkit/"
ln -s "$packages"/lib/* "$toolkit/lib64/"
for library in "$toolkit"/lib64/lib*.so.*; do
    name=${library%%.so.*}.so
    [ -e "$name" ] || ln -s "$(basename "$library")" "$name"
done
ln -s lib64 "$toolkit/lib"

# The driver's library belongs to the machine with the card. To link, one with its names is enough; it is never shipped.
grep --no-filename --only-matching --extended-regexp '\bcu[A-Z][A-Za-z0-9_]*\b' "$toolkit"/include/cuda.h \
    "$toolkit"/include/cudaProfiler.h | sort --unique | sed 's/.*/int &(void) { return 999; }/' >"$folder/stub.c"
gcc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$toolkit/lib64/stubs/libcuda.so" "$folder/stub.c"

export CUDA_HOME=$toolkit CUDA_ROOT=$toolkit CUDA_PATH=$toolkit PATH=$toolkit/bin:$PATH
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CARGO_TARGET_DIR=$folder/target
export RUSTFLAGS="-L native=$toolkit/lib64 -L native=$toolkit/lib64/stubs"
cargo build --release --locked -p portcullis -p classifiers-llama-guard --features classifiers-llama-guard/cuda
cargo bench --locked -p classifiers-llama-guard --features classifiers-llama-guard/cuda --bench verdicts --no-run

echo "$folder/target/release/portcullis"
echo "Where it runs it needs libcuda.so.1 (the driver), libcublas.so.13, libcublasLt.so.13, libcurand.so.10 and"
echo "libcudart.so.13 on its library path; here the last four are in $packages/lib."
