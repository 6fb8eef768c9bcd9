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

# A program or library, with all that it is linked with.
link() {
  copy "$1"
  for library in $(ldd "$1" | grep -o '/[^ ]*'); do copy "$library"; done
}

mkdir -p "$rootfs/usr/bin" "$rootfs/usr/sbin" "$rootfs/usr/lib/tsnet"
for name in bin sbin lib lib64; do
  if [ -L "/$name" ]; then mkdir -p "$rootfs/usr/$name" && ln -s "usr/$name" "$rootfs/$name"; fi
done

for command in nft conntrack; do link "$(command -v $command)"; done
for variant in nft legacy; do
  multi=$(readlink -f "$(command -v iptables-$variant)")
  link "$multi"
  for name in iptables ip6tables; do
    for word in "" -save -restore; do ln -s "$(basename "$multi")" "$rootfs/usr/sbin/$name-$variant$word"; done
  done
done
xtables=$(dirname "$(find /usr/lib -name libxt_standard.so)")
for module in "$xtables"/*.so; do copy "$module"; done

library() { ldconfig -p | sed -n "s/.* => \(.*\/$1\)$/\1/p" | head -n 1; }
link "$(library 'libnftables\.so\.1')"

cp "$context/node" /usr/bin/node
link /usr/bin/node
for addon in $(find "$context/app" -name '*.node'); do
  for library in $(ldd "$addon" | grep -o '/[^ ]*'); do copy "$library"; done
done
cp -a "$context/app/." "$rootfs/usr/lib/tsnet/"

# What is the host's is below /host; these are the paths by which the rest of the host, and Docker, calls it.
mkdir -p "$rootfs/host/run" "$rootfs/run/docker" "$rootfs/var/lib/tsnet" "$rootfs/tmp" "$rootfs/etc" \
  "$rootfs/proc" "$rootfs/sys" "$rootfs/dev"
ln -s /run "$rootfs/var/run"
ln -s /host/run/docker/netns "$rootfs/run/docker/netns"
for name in docker.sock systemd xtables.lock; do ln -s "/host/run/$name" "$rootfs/run/$name"; done
