# The server, its search page and the commands, for CPUs. docs/CONTAINER.md shows how to use it.
#   docker build -t longembed .
FROM python:3.12-slim AS build
# PyTorch's own index has builds without CUDA, which is several gigabytes.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY . .
RUN python -m venv /opt/longembed && \
    /opt/longembed/bin/python -m pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url "${TORCH_INDEX}" ".[serve]"

FROM python:3.12-slim
RUN useradd --uid 1000 --create-home longembed && \
    install --directory --owner longembed /store /models /documents
COPY --from=build /opt/longembed /opt/longembed
ENV PATH=/opt/longembed/bin:$PATH \
    HF_HOME=/models/huggingface \
    LONGEMBED_CACHE=/models/longembed \
    PYTHONDONTWRITEBYTECODE=1
# By its number, so that Kubernetes sees that it is not root.
USER 1000
VOLUME ["/store", "/models"]
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# The server waits 8 seconds for its requests; docker stop waits 10 seconds for the server.
STOPSIGNAL SIGTERM
ENTRYPOINT ["longembed"]
CMD ["serve", "--store", "/store/index", "--host", "0.0.0.0", "--port", "8080"]
