# Linted by `make check` (hadolint); not yet built, as no Docker engine was at hand.

FROM python:3.12.13-slim-trixie AS builder

# The virtual environment is made where it will be used: its scripts name its place.
RUN python -m venv /opt/daybook/venv
COPY requirements.lock /tmp/requirements.lock
RUN /opt/daybook/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /tmp/requirements.lock \
    # The final stage installs nothing, so it needs no pip.
    && /opt/daybook/venv/bin/python -m pip uninstall --yes pip

# The code comes after its dependencies, so that a change of code installs nothing anew.
COPY LICENSE /opt/daybook/
COPY runtime /opt/daybook/runtime
COPY web /opt/daybook/web
COPY events /opt/daybook/events
COPY bank_statements /opt/daybook/bank_statements
COPY sealing /opt/daybook/sealing
COPY query_side /opt/daybook/query_side
COPY projections /opt/daybook/projections
COPY command_side /opt/daybook/command_side
COPY auditing /opt/daybook/auditing
COPY daybook /opt/daybook/daybook
RUN python -m compileall -q /opt/daybook/runtime /opt/daybook/events /opt/daybook/projections \
        /opt/daybook/query_side /opt/daybook/command_side /opt/daybook/daybook


FROM python:3.12.13-slim-trixie

RUN groupadd --system --gid 10001 daybook \
    && useradd --system --uid 10001 --gid daybook --home-dir /var/lib/daybook --create-home \
        --shell /usr/sbin/nologin daybook

COPY --from=builder /opt/daybook /opt/daybook

# The code belongs to root and the process cannot write it; it writes nowhere but to its servers.
ENV PATH=/opt/daybook/venv/bin:$PATH \
    PYTHONPATH=/opt/daybook \
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

ENTRYPOINT ["python", "-m", "daybook"]
CMD ["serve", "all"]
