# One image for every service of compose.yaml. Not root; everything it keeps is under /data.
#
# torch is the ordinary build, for NVIDIA devices, and the image 6 GB. Without one, under 2 GB:
#   docker build --build-arg TORCH_INDEX=<PyTorch's index of CPU wheels> -t basin .
FROM python:3.11-slim

RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends redis-server redis-tools \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
WORKDIR /app

# The slow layers first: they change only with the lock.
ARG TORCH_INDEX=
COPY constraints.txt ./
RUN pip install --quiet -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch \
    && pip install --quiet -c constraints.txt streamlit plotly pyarrow scikit-learn pillow

COPY . .
RUN pip install --quiet -c constraints.txt --editable . \
    && python -m compileall -q backend jobs dashboard \
    && useradd --uid 10001 --create-home basin \
    && install -d -o basin -g basin -m 0700 /data

# A new volume mounted on /data takes over this owner, so all services can write there.
USER basin
ENV BASIN_HOME=/data
VOLUME /data
EXPOSE 8501
CMD ["basin", "dashboard", "--host", "0.0.0.0", "--port", "8501", "--without-login"]
