# syntax=docker/dockerfile:1
# An image for processors or, with --build-arg DEVICE=cuda, for NVIDIA GPUs. docs/docker.md tells how to use it.
ARG DEVICE=cpu

FROM python:3.12.13-slim-trixie AS cpu
WORKDIR /opt
COPY constraints.txt ./
# PyTorch's own index has builds without CUDA, which are gigabytes smaller. All else comes from the usual index.
RUN python3 -m venv venv \
    && venv/bin/pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu \
        "$(grep '^torch==' constraints.txt)"

FROM pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime AS cuda
WORKDIR /opt
COPY constraints.txt ./
# torch.compile needs a C++ compiler. The environment sees the PyTorch of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages venv

FROM python:3.12.13-slim-trixie AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE cli.py ./
COPY native_prep native_prep
COPY agcn agcn
COPY export export
COPY bench bench
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# The stage `cpu` or `cuda`, both of which are above.
# hadolint ignore=DL3006
FROM ${DEVICE} AS toolkit
ARG DEVICE
# Extras of pyproject.toml with commas between, such as video,tensorrt.
ARG EXTRAS=""
# OpenCV, of the extra `video`, needs two libraries of the system.
# hadolint ignore=DL3008
RUN case ",${EXTRAS}," in *,video,*) \
        apt-get update \
        && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 \
        && rm -rf /var/lib/apt/lists/* ;; \
    esac
# On a GPU: Numba's NVVM must be of PyTorch's release of CUDA, no newer one, TensorRT comes from NVIDIA's index, and of
# onnxruntime and
# onnxruntime-gpu, which write to one folder, only the second may be there.
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    wheel="$(echo /wheels/*.whl)" \
    && if [ "${DEVICE}" = cuda ]; then \
        venv/bin/pip install --no-cache-dir -c constraints.txt --extra-index-url https://pypi.nvidia.com \
            "${wheel}[gpu${EXTRAS:+,${EXTRAS}}]" 'cuda-toolkit==13.0.*' \
        && venv/bin/pip uninstall -y onnxruntime onnxruntime-gpu \
        && venv/bin/pip install --no-cache-dir --no-deps 'onnxruntime-gpu>=1.27'; \
    else \
        venv/bin/pip install --no-cache-dir -c constraints.txt "${wheel}${EXTRAS:+[${EXTRAS}]}"; \
    fi
# Whatever user the container runs as, weights and compiled kernels have a place.
RUN useradd --uid 10001 --create-home agcn \
    && chmod 1777 /home/agcn \
    && install -d -o agcn -g agcn /work
ENV PATH="/opt/venv/bin:${PATH}" HOME=/home/agcn USER=agcn PYTHONUNBUFFERED=1
USER 10001
WORKDIR /work
ENTRYPOINT ["two-stream-agcn"]
CMD ["--help"]
