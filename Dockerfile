# Two stages: the first builds a virtual environment, the second holds it and the demo.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/tandem
COPY requirements-build.lock ./
RUN /opt/build/bin/pip install --quiet --require-hashes -r requirements-build.lock
COPY requirements.lock ./
RUN /opt/build/bin/pip --python /opt/tandem/bin/python install --quiet --require-hashes -r requirements.lock \
 # Headers and sources that only a compiler needs.
 && rm -rf /opt/tandem/lib/python3.13/site-packages/pyarrow/include /opt/tandem/lib/python3.13/site-packages/pyarrow/src
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY producer producer
COPY consumer consumer
COPY batch batch
COPY models models
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/tandem/bin/python install --quiet --no-deps --no-index /dist/*.whl

FROM python:3.13-slim
ENV PATH=/opt/tandem/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tandem \
 # Where volumes may be mounted: for reports, for a job's results, and for the models that are in use.
 && install -d -o 10001 /report /results /models
WORKDIR /app
COPY --from=build /opt/tandem /opt/tandem
COPY demo demo
# The shipped models are part of the wheel; here they have the path that they have in a clone.
RUN ln -s /opt/tandem/lib/python3.13/site-packages/shared/shipped models \
 && ln -s /app/models/churn /models/champion \
 && ln -s /app/models/churn-linear /models/challenger
USER 10001
STOPSIGNAL SIGTERM
CMD ["python", "-m", "consumer", "--help"]
