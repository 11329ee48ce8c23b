# Linted by `make check` (hadolint); not yet built, as no Docker engine was at hand.

FROM python:3.12.13-slim-trixie AS builder

# The virtual environment is made where it will be used: its scripts name its place.
RUN python -m venv /opt/daybook/venv
COPY requirements.lock requirements-build.lock /tmp/
RUN /opt/daybook/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /tmp/requirements.lock \
    # The build backend stays in this stage.
    && python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /tmp/requirements-build.lock

# The code comes after its dependencies, so that a change of code downloads nothing.
# .dockerignore lists what the wheel is made of.
COPY . /tmp/daybook
RUN python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /tmp/wheels \
        /tmp/daybook \
    && /opt/daybook/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --no-index --no-deps --find-links /tmp/wheels daybook==0.1.0 \
    # The final stage installs nothing, so it needs no pip.
    && /opt/daybook/venv/bin/python -m pip uninstall --yes pip


FROM python:3.12.13-slim-trixie

RUN groupadd --system --gid 10001 daybook \
    && useradd --system --uid 10001 --gid daybook --home-dir /var/lib/daybook --create-home \
        --shell /usr/sbin/nologin daybook

COPY --from=builder /opt/daybook /opt/daybook

# The code belongs to root and the process cannot write it; it writes nowhere but to its servers.
ENV PATH=/opt/daybook/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAYBOOK_HOST=0.0.0.0 \
    DAYBOOK_PORT=3000

USER 10001:10001
WORKDIR /var/lib/daybook
EXPOSE 3000

# A worker serves /health on DAYBOOK_HEALTH_PORT, an API on DAYBOOK_PORT.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/health' % (os.environ.get('DAYBOOK_HEALTH_PORT') or os.environ['DAYBOOK_PORT']), timeout=2)"]

ENTRYPOINT ["daybook"]
CMD ["serve", "all"]
