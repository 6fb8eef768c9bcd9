/** The judges of the netns ring, and its check that nothing is left. Everything runs in the namespace of this process. */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { patience } from "./patience.ts";

const pauseMs = 20;
const deadlineMs = 2000 * patience;

const output = (program: string, words: readonly string[]): string =>
  execFileSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 64 << 20 });

/** Runs `ip` with these words. @throws Error with what it wrote */
export const ip = (words: string): string => output("ip", words.split(" "));

/** The answer of `ip -j`, which has empty objects for what a filter leaves out. */
// biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type; each test says what it reads
export const ipJson = (words: string): any[] =>
  (JSON.parse(ip(`-j -d ${words}`) || "[]") as object[]).filter((one) => Object.keys(one).length > 0);

/** The answer of `nft -j list ruleset`, without handles. */
export const nftJson = (): unknown => JSON.parse(output("nft", ["-j", "-s", "list", "ruleset"]));

/** The link as `ip -j -d` shows it; undefined if it does not exist. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const linkJson = (name: string): any => ipJson("link show").find((link) => link.ifname === name);

/**
 * The links of a namespace, by default this one, with all that `ip` says of them and of their addresses, but what the kernel changes by
 * itself a moment after a change: whether a link has a carrier, its queue, which waits for that, and link-local addresses, which are
 * looked for first.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const linksAt = (namespace?: string): any[] =>
  ipJson(`${namespace === undefined ? "" : `-n ${namespace} `}addr show`).map(
    ({ operstate, qdisc, flags, addr_info, ...link }) => ({
      ...link,
      flags: flags.filter((flag: string) => flag !== "NO-CARRIER" && flag !== "LOWER_UP"),
      addr_info: addr_info.filter(({ scope }: { scope: string }) => scope !== "link"),
    }),
  );

/** Links, addresses, routes, namespaces and rules, as a text, without what the kernel changes by itself, such as carriers. */
export const snapshot = (): string =>
  [
    ...ipJson("addr show").map(describeLink),
    ...[ip("-4 route show table all"), ip("-6 route show table all")].map((text) => text.replaceAll(" linkdown", "")),
    ip("netns list"),
    output("nft", ["-s", "list", "ruleset"]),
  ].join("\n");

// biome-ignore lint/suspicious/noExplicitAny: as above
function describeLink(link: any): string {
  const { ifname, address, mtu, master, group, ifalias, flags, linkinfo, addr_info } = link;
  // an IPv6 link-local address comes and goes with the carrier
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const addresses = addr_info.filter((one: any) => one.scope !== "link" || one.family !== "inet6");
  const port = linkinfo?.info_slave_data?.hairpin;
  const kind = linkinfo?.info_kind;
  const isUp = flags.includes("UP");
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const texts = addresses.map((one: any) => `${one.local}/${one.prefixlen}`);
  return JSON.stringify({ ifname, kind, address, mtu, master, group, ifalias, isUp, hairpin: port, addresses: texts });
}

/**
 * What a test adds, it must remove: fails if the namespace is not back as it was within two seconds. To be called before other
 * hooks, so that it sees what was there before them.
 * @param cleanUp what is run after each test, before the comparison
 */
export function expectNoLeftovers(cleanUp: () => Promise<void> | void = () => {}): void {
  let before = "";
  beforeEach(() => {
    before = snapshot();
  });
  afterEach(async () => {
    await cleanUp();
    const end = performance.now() + deadlineMs;
    while (snapshot() !== before) {
      if (performance.now() > end) throw new Error(`left behind:\n${snapshot()}\nbefore:\n${before}`);
      await sleep(pauseMs); // a namespace dies only after the last process in it, and takes its veths along then
    }
  });
}
