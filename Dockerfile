# Two images of one wheel: `docker build --target cpu .` and `docker build --target cuda .`
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /src
RUN pip install --no-cache-dir build==1.6.1
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY flows flows
COPY geoseg geoseg
RUN python -m build --wheel --outdir /wheels

FROM python:${PYTHON} AS system
# libexpat is the one library of the system that rasterio's wheels expect
RUN apt-get update \
 && apt-get install -y --no-install-recommends libexpat1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home geoseg \
 && mkdir /data \
 && chown geoseg /data
RUN pip install --no-cache-dir uv==0.13.9
ENV DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_UI_STATIC_DIRECTORY=/tmp/prefect_ui \
    PYTHONUNBUFFERED=1
COPY constraints.txt /tmp/constraints.txt
COPY --from=wheel /wheels /tmp/wheels

FROM system AS cuda
RUN uv pip install --system --no-cache --constraint /tmp/constraints.txt \
    "$(echo /tmp/wheels/*.whl)[flows,train,dashboard,objects,pmtiles,regularise,cuda]"
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER geoseg
WORKDIR /data
ENTRYPOINT ["geoseg"]
CMD ["--help"]

FROM system AS cpu
RUN uv pip install --system --no-cache --torch-backend cpu --constraint /tmp/constraints.txt \
    "$(echo /tmp/wheels/*.whl)[flows,train,dashboard,objects,pmtiles,regularise,openvino]"
USER geoseg
WORKDIR /data
ENTRYPOINT ["geoseg"]
CMD ["--help"]
