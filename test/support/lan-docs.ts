/** The commands of docs/lan.md, and what a host needs for them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Host } from "./host.ts";
import { image } from "./image.ts";
import { addUplink } from "./lan.ts";

const page = fileURLToPath(new URL("../../docs/lan.md", import.meta.url));

/** A block for the shell, and what it needs that not every kernel has: the `ip link add` that shows it. */
export interface Block {
  readonly commands: string;
  readonly needs: "vlan id 10" | "ipvlan" | "dummy" | "macvlan";
}

export const blocks: readonly Block[] = [...readFileSync(page, "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map(
  ([, commands = ""]) => ({ commands, needs: needs(commands) }),
);

function needs(commands: string): Block["needs"] {
  if (commands.includes("mode=ipvlan")) return "ipvlan";
  if (/parent=\S+\.\d/.test(commands)) return "vlan id 10";
  return commands.includes("parent=") ? "macvlan" : "dummy";
}

/** Makes the host one that the page is for: 192.168.1.5 on eth0, eth1 on the same segment, and the image that it names. */
export async function beAsTheDocsSay(host: Host): Promise<void> {
  await addUplink(host.outside, host, "eth1");
  await host.sh("ip addr add 192.168.1.5/24 dev eth0");
  await host.docker("tag", image, "nginx");
}

export const canMake = async (host: Host, { needs }: Block): Promise<boolean> => {
  const made = await host.exec(`ip link add link eth1 name try0 type ${needs} && ip link del try0`);
  return made.code === 0;
};
