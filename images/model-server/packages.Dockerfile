# What the server's process imports, on Python 3.11: the step that every one of our server images begins with.
# Whoever builds lays `site` beside this file; nothing is fetched meanwhile, so it builds without a network.
ARG BASE=python:3.11-slim
FROM ${BASE}

# Compiled here, since the root is read-only later.
COPY site /opt/inferbench
RUN python3 -m compileall -q /opt/inferbench

ENV PYTHONPATH=/opt/inferbench PYTHONDONTWRITEBYTECODE=1
