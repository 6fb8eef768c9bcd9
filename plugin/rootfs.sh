# Runs in the image that Dockerfile builds: sh -e rootfs.sh ROOTFS
# Copies what the plugin needs, with the libraries that it is linked with, and nothing else: no shell, no package manager.
rootfs=$1
context=$(dirname "$0")

# A file, at its path without symbolic links in its directory, such as the /lib of a merged /usr.
copy() {
  directory=$(readlink -f "$(dirname "$1")")
  mkdir -p "$rootfs$directory"
  cp -L "$1" "$rootfs$directory/"
}

# What a program or library is linked with.
copy_libraries() {
  for library in $(ldd "$1" | grep -o '/[^ ]*'); do copy "$library"; done
}

# A program or library, with that.
copy_linked() {
  copy "$1"
  copy_libraries "$1"
}

make_directories() {
  for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then mkdir -p "$rootfs/usr/$name" && ln -s "usr/$name" "$rootfs/$name"; fi
  done
  for name in usr/bin usr/sbin host/run run/docker var/lib/tsnet tmp etc proc sys dev; do mkdir -p "$rootfs/$name"; done
}

# iptables of both kinds, by the names that tsnet calls.
copy_iptables() {
  for variant in nft legacy; do
    multi=$(readlink -f "$(command -v iptables-$variant)")
    copy_linked "$multi"
    for name in iptables ip6tables; do
      for word in "" -save -restore; do ln -s "$(basename "$multi")" "$rootfs/usr/sbin/$name-$variant$word"; done
    done
  done
  for module in "$(dirname "$(find /usr/lib -name libxt_standard.so)")"/*.so; do copy "$module"; done
}

# Not linked with anything, but loaded by tsnet.
copy_libnftables() {
  copy_linked "$(ldconfig -p | sed -n 's/.* => \(.*\/libnftables\.so\.1\)$/\1/p' | head -n 1)"
}

copy_node() {
  cp "$context/node" /usr/bin/node
  copy_linked /usr/bin/node
}

copy_tsnet() {
  find "$context/app" -name '*.node' | while read -r addon; do copy_libraries "$addon"; done
  mkdir -p "$rootfs/usr/lib/tsnet"
  cp -a "$context/app/." "$rootfs/usr/lib/tsnet/"
}

# What is the host's is below /host; these are the paths by which the rest of the host, and Docker, calls it.
link_host_paths() {
  ln -s /run "$rootfs/var/run"
  ln -s /host/run/docker/netns "$rootfs/run/docker/netns"
  for name in docker.sock systemd xtables.lock; do ln -s "/host/run/$name" "$rootfs/run/$name"; done
  ln -s /host/etc/machine-id "$rootfs/etc/machine-id"
}

# The packages that the files are from, as dpkg itself keeps them, for the SBOM and for scanners; and their licences.
# dpkg knows some files by their path before /usr was merged.
record_packages() {
  files=$(find "$rootfs/usr" -path "$rootfs/usr/lib/tsnet" -prune -o -type f -print | sed "s|^$rootfs/usr\(.*\)|/usr\1 \1|")
  names=$(dpkg-query --search $files 2>/dev/null | sed -n 's/^\([^ ,]*\): .*/\1/p' | sort -u)
  mkdir -p "$rootfs/var/lib/dpkg"
  dpkg-query --status $names >"$rootfs/var/lib/dpkg/status"
  copy /etc/os-release
  for name in $names; do
    copyright=/usr/share/doc/${name%:*}/copyright
    if [ -e "$copyright" ]; then copy "$copyright"; fi
  done
}

make_directories
for command in nft conntrack; do copy_linked "$(command -v $command)"; done
copy_iptables
copy_libnftables
copy_node
copy_tsnet
link_host_paths
record_packages
