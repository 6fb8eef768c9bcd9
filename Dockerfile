# The root file system of the managed plugin. `npm run plugin:build` calls this, with the plugin's files as the context:
# app/ (sources and production modules), node (the program of Node) and rootfs.sh.
# BASE: Debian with apt; where the packages are in it already, nothing is fetched.
ARG BASE=debian:trixie-slim
FROM ${BASE} AS build
RUN packages="nftables iptables conntrack libc-bin libstdc++6"; \
    dpkg-query --show $packages >/dev/null || { \
      apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages; \
    }
COPY . /context
RUN sh -e /context/rootfs.sh /rootfs

FROM scratch
COPY --from=build /rootfs /
