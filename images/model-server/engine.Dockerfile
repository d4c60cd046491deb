# An engine on top of the packages, at the place where the image's Python looks first.
ARG BASE
FROM ${BASE}

COPY engine /opt/engine
# Their own test code holds what later interpreters alone understand.
RUN python3 -m compileall -q -j 0 -x /testing/_internal/ /opt/engine

ENV PYTHONPATH=/opt/engine:/opt/inferbench
