# The bridge as an image. It serves web; `python -m bridge worker` and `python -m bridge migrate` are its other two.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS installed
WORKDIR /srv/bridge
RUN python3 -m venv .venv
COPY requirements.txt .
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt

FROM python:${PYTHON}-slim
# By number, so that a cluster can see that it is not root. `var` is for SQLite alone, and wants a volume.
RUN groupadd --system --gid 10001 bridge \
    && useradd --system --uid 10001 --gid bridge --home-dir /srv/bridge --no-create-home --shell /usr/sbin/nologin bridge \
    && install -d -o bridge -g bridge /srv/bridge/var
WORKDIR /srv/bridge
COPY --from=installed /srv/bridge/.venv .venv
COPY LICENSE .
COPY NOTICE .
COPY gunicorn.conf.py .
COPY migrations migrations
COPY templates templates
COPY bridge bridge
RUN .venv/bin/python -m compileall -q bridge migrations
# Where gunicorn's processes show that they live: the one place that can be written when the root cannot.
ENV PATH=/srv/bridge/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GUNICORN_CMD_ARGS="--worker-tmp-dir /dev/shm"
USER 10001:10001
EXPOSE 8000
# Of web; whoever runs a worker turns it off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=4)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "bridge.app:create_app()"]
