/** The judges of the netns ring, and its check that nothing is left. Everything runs in the namespace of this process. */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const pauseMs = 20;
const deadlineMs = 2000;

const output = (program: string, words: readonly string[]): string =>
  execFileSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 64 << 20 });

/** Runs `ip` with these words. @throws Error with what it wrote */
export const ip = (words: string): string => output("ip", words.split(" "));

/** The answer of `ip -j`. */
// biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type; each test says what it reads
export const ipJson = (words: string): any[] => JSON.parse(ip(`-j -d ${words}`) || "[]");

/** The answer of `nft -j list ruleset`, without handles. */
export const nftJson = (): unknown => JSON.parse(output("nft", ["-j", "-s", "list", "ruleset"]));

/** The link as `ip -j -d` shows it; undefined if it does not exist. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const linkJson = (name: string): any => ipJson("link show").find((link) => link.ifname === name);

/** Links, addresses, routes, namespaces and rules, as a text. Loopback is always there, up or down. */
export const snapshot = (): string =>
  [
    ip("-br link show"),
    ip("-br addr show"),
    ip("route show table all"),
    ip("-6 route show table all"),
    ip("netns list"),
    output("nft", ["-s", "list", "ruleset"]),
  ].join("\n--\n");

/** What a test adds, it must remove: fails if the namespace is not back as it was within two seconds. */
export function expectNoLeftovers(): void {
  let before = "";
  beforeEach(() => {
    before = snapshot();
  });
  afterEach(async () => {
    const end = performance.now() + deadlineMs;
    while (snapshot() !== before) {
      if (performance.now() > end) throw new Error(`left behind:\n${snapshot()}\nbefore:\n${before}`);
      await sleep(pauseMs); // a namespace dies only after the last process in it, and takes its veths along then
    }
  });
}
