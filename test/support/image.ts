/** The image of all test containers: busybox, and socat to serve and to show who asks. Made of the machine's own programs. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { attempt, run } from "./commands.ts";
import type { Host } from "./host.ts";
import { removeDirectory } from "./scratch.ts";

export const image = "tsnet-test";

/** How many sockets the server has: see `serveScript`. */
export const serverSockets = 6;

/** Waits for its end without delaying it: a shell that waits for a child handles signals at once. */
const idleScript = `#!/bin/sh
trap 'exit 0' TERM
sleep 2147483647 &
wait
`;

/**
 * Answers every line and datagram on port $1 (by default 80) with the address it came from, in both families; on port 7 it
 * repeats what it is told, as long as the connection lasts.
 */
export const serveScript = `#!/bin/sh
trap 'kill $(jobs -p); exit 0' TERM
for family in 4 6; do
  v6only=; [ $family = 6 ] && v6only=,ipv6only=1
  socat TCP$family-LISTEN:7,reuseaddr,fork,backlog=128$v6only PIPE &
  socat TCP$family-LISTEN:\${1:-80},reuseaddr,fork,backlog=128$v6only SYSTEM:'read _; echo $SOCAT_PEERADDR' &
  socat UDP$family-RECVFROM:\${1:-80},fork$v6only SYSTEM:'read _; echo $SOCAT_PEERADDR' &
done
wait
`;

/** Makes the image in the host's daemon, under the name of `image`. */
export async function loadImage(host: Host): Promise<void> {
  const root = mkdtempSync(join(host.directory, "image-"));
  try {
    await fill(root);
    await host.sh(`tar -C ${root} -c . | docker import --change 'CMD ["/bin/idle"]' - ${image}`);
  } finally {
    removeDirectory(root);
  }
}

async function fill(root: string): Promise<void> {
  const bin = join(root, "bin");
  mkdirSync(bin);
  const applets = (await run(["busybox", "--list"])).split("\n").filter((name) => name !== "busybox");
  for (const applet of applets) symlinkSync("busybox", join(bin, applet));
  await copyProgram("busybox", root);
  await copyProgram("socat", root);
  addScript(join(bin, "idle"), idleScript);
  addScript(join(bin, "serve"), serveScript);
}

function addScript(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

/** Copies a program with the libraries that it is linked with. */
async function copyProgram(name: string, root: string): Promise<void> {
  const path = await run(["sh", "-c", `command -v ${name}`]);
  copyFileSync(path, join(root, "bin", basename(path)));
  const linked = await attempt(["ldd", path]); // fails for a static one
  for (const library of linked.stdout.match(/\/\S+/g) ?? []) {
    const target = join(root, library);
    if (existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(library, target);
  }
}
