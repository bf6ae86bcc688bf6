# A server of one model, on the processor, as a user without rights.
#
#   docker build -t videozoo-serve .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp:rw,size=2g --cap-drop ALL \
#     --security-opt no-new-privileges --memory 4g -v "$PWD/runs/quickstart:/model:ro" videozoo-serve /model
#
# Whatever follows the name of the image goes to `zoo serve`. On SIGTERM (docker stop) it answers what it has begun
# (--stop-timeout 40 lets it); /health is for "is it alive", /ready for "may it get requests".

FROM python:3.12-slim AS build
# The wheels of torch for processors alone are a tenth of the usual ones: name their index where you build, such as
#   docker build --build-arg TORCH_INDEX=https://... .
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY registry registry
COPY zoo zoo
COPY plugins plugins
RUN python -m venv /opt/zoo \
 && if [ -n "$TORCH_INDEX" ]; then /opt/zoo/bin/pip install --index-url "$TORCH_INDEX" -c constraints.txt torch torchvision; fi \
 && /opt/zoo/bin/pip install -c constraints.txt ".[serve,export]" \
 && find /opt/zoo -name __pycache__ -prune -exec rm -rf {} +

FROM python:3.12-slim
# One thread for each core that the container may use is what torch takes by itself; waiting ones shall not spin.
ENV PATH=/opt/zoo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive \
    ZOO_CACHE=/tmp/zoo MPLCONFIGDIR=/tmp/matplotlib HF_HOME=/tmp/huggingface
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin zoo
COPY --from=build /opt/zoo /opt/zoo
USER 10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["zoo", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
