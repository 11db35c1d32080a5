# The image of all daemons: margay bgp, margay felix, margay policy. `docker build -t margay .`

FROM node:24-bookworm AS build
WORKDIR /src
# For the CNI plugin, which is a static C program.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN node cli/image/build.ts

FROM debian:12-slim
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /src/build/image/ /
ENV NODE_ENV=production
ENTRYPOINT ["/usr/local/bin/margay"]
CMD ["--help"]
