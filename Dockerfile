# The root file system of the managed plugin. `npm run plugin:build` calls this, with the plugin's files as the context:
# app/ (sources and production modules), node (the program of Node) and rootfs.sh.
# BASE: Debian with apt; where nftables, iptables and conntrack are in it already, nothing is fetched.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN for command in nft iptables conntrack ldd; do command -v $command || missing=1; done; \
    if [ -n "$missing" ]; then \
      apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables iptables conntrack libc-bin; \
    fi; \
    ldconfig -p | grep -q libstdc++.so.6 || apt-get -qq install -y --no-install-recommends libstdc++6
COPY . /context
RUN sh -e /context/rootfs.sh /rootfs

FROM scratch
COPY --from=build /rootfs /
