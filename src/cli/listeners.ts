/** Which programs of this network namespace have a port: /proc/net/tcp and its like (man 5 proc), as `ss -lnp` reads them. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { inHostRoot } from "./host-root.ts";

export interface Listener {
  /** "nginx (pid 812)", or "a program" where /proc does not tell. */
  readonly program: string;
  /** "0.0.0.0:80", "[::]:80" */
  readonly address: string;
}

/** TCP_LISTEN and TCP_CLOSE of include/net/tcp_states.h; an unconnected udp socket is in the latter. */
const states = { tcp: "0A", udp: "07" } as const;

/** Empty for sctp, which has no such file. */
export async function listenersOn(protocol: string, port: number): Promise<Listener[]> {
  if (protocol !== "tcp" && protocol !== "udp") return [];
  const texts = await Promise.all(
    [protocol, `${protocol}6`].map((file) => readFile(inHostRoot(`/proc/self/net/${file}`), "utf8").catch(() => "")),
  );
  const sockets = texts.flatMap((text) => parseSockets(text, states[protocol], port));
  if (sockets.length === 0) return [];
  const owners = await ownersOf(new Set(sockets.map(({ inode }) => inode)));
  return sockets.map(({ address, inode }) => ({ address, program: owners.get(inode) ?? "a program" }));
}

/** The sockets of a table of /proc/net that have this state and local port. */
export function parseSockets(text: string, state: string, port: number): { address: string; inode: string }[] {
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, local = "", , lineState, , , , , , inode = ""]) => {
      const [address = "", hexPort = ""] = local.split(":");
      if (lineState !== state || Number.parseInt(hexPort, 16) !== port) return [];
      return [{ address: `${formatHex(address)}:${port}`, inode }];
    });
}

/** The kernel prints an address as numbers of 32 bits in the byte order of the machine. */
function formatHex(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex").reverse()]);
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]/`).hostname;
}

/** The processes that have these sockets open, as far as they may be seen. */
async function ownersOf(inodes: ReadonlySet<string>): Promise<Map<string, string>> {
  const owners = new Map<string, string>();
  const proc = inHostRoot("/proc");
  for (const pid of (await readdir(proc)).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`${proc}/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`${proc}/${pid}/fd/${fd}`).catch(() => "");
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "";
      if (!inodes.has(inode)) continue;
      const program = await readFile(`${proc}/${pid}/comm`, "utf8").catch(() => "?");
      owners.set(inode, `${program.trim()} (pid ${pid})`);
    }
    if (owners.size === inodes.size) break;
  }
  return owners;
}
