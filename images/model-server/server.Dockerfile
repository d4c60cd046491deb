# Our own modules on top of the packages, or of an engine: what changes most often comes last.
ARG BASE
FROM ${BASE}

COPY code /opt/inferbench
RUN cd /opt/inferbench && python3 -m compileall -q follower shared model_repo

USER 65532:65532
CMD ["python3", "-P", "-m", "follower.serve.modelserver.server", "--help"]
