import type { Host } from "./host.ts";

/** An element's key, its counter if it has one, and its data, in nft's own words. */
const element =
  /((?:[\da-f.:]+ \. )?(?:tcp|udp|sctp) \. [\d-]+)(?: counter packets \d+ bytes \d+)? : ([\da-f.:]+(?: \. \d+)?)/g;

/**
 * What one of tsnet's maps of published ports holds, by nft's words: "tcp 8080 10.0.0.2 80" of port4, "tcp 8000-8199 10.0.0.2" of
 * range4; with the host's address first in those whose names begin with "bound".
 */
export async function listMappings(host: Host, map = "port4"): Promise<string[]> {
  const { stdout } = await host.exec(`nft list map inet tsnet ${map}`);
  return [...stdout.matchAll(element)].map(([, key, data]) => `${key} ${data}`.replaceAll(" . ", " "));
}

/** The ports of the host that map port4 holds, in the order of the map. */
export async function mappedPorts(host: Host, map = "port4"): Promise<number[]> {
  return (await listMappings(host, map)).map((text) => Number(text.split(" ")[1]));
}
