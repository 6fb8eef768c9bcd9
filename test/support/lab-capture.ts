/** What hosts of a lab send to each other, as tcpdump decodes it. */
import { type ChildProcess, spawn } from "node:child_process";
import { exitOf } from "./commands.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { router } from "./outside.ts";
import { until } from "./poll.ts";
import type { Place } from "./probe.ts";

const deadlineMs = 10_000;

/** Where each host sends a datagram when all is done: what was sent before it has been seen when it is seen. */
const lastPort = 9;

/** A frame that a host sent to another in a VXLAN packet. */
export interface Tunnelled {
  /** Outer addresses. */
  readonly from: string;
  readonly to: string;
  readonly vni: number;
  /** As tcpdump writes it: "02:… > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 10.5.0.9 tell …". */
  readonly frame: string;
}

/** All frames that hosts sent to others in VXLAN packets while `work` ran. */
export async function tunnelled(lab: Lab, work: () => Promise<unknown>): Promise<Tunnelled[]> {
  await using captures = new AsyncDisposableStack();
  const running: { host: Host; capture: Capture }[] = [];
  for (const host of lab.hosts) {
    const filter = `src host ${host.ipv4} and udp and (dst port 4789 or dst port ${lastPort})`;
    running.push({ host, capture: captures.use(await Capture.start(host, "eth0", filter)) });
  }
  await work();
  for (const { host, capture } of running) {
    await host.exec(`echo >/dev/udp/${router.ipv4}/${lastPort}`);
    await until("the last packet is captured", deadlineMs, () =>
      capture.text.includes(`> ${router.ipv4}.${lastPort}:`),
    );
  }
  return running.flatMap(({ capture }) => parse(capture.text));
}

const outer = /(\S+)\.\d+ > (\S+)\.4789: VXLAN, flags \[\S+\] \(0x\w+\), vni (\d+)$/;

/** tcpdump writes the outer packet on one line, and the inner frame on the next. */
function parse(text: string): Tunnelled[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    const [, from = "", to = "", vni] = outer.exec(line) ?? [];
    return vni === undefined ? [] : [{ from, to, vni: Number(vni), frame: (lines[index + 1] ?? "").trim() }];
  });
}

/** Whom an ARP request or a neighbor solicitation asks for; undefined if the frame is none. */
export const askedFor = ({ frame }: Tunnelled): string | undefined =>
  /(?:Request who-has|neighbor solicitation, .*who has) ([0-9a-f.:]+[0-9a-f])/.exec(frame)?.[1];

/** The MAC address that a frame is for. */
export const destination = ({ frame }: Tunnelled): string => /^\S+ > ([0-9a-f:]+),/.exec(frame)?.[1] ?? frame;

/** tcpdump on a link of a place. */
export class Capture implements AsyncDisposable {
  readonly #tcpdump: ChildProcess;
  /** What it has written so far. */
  text = "";

  private constructor(tcpdump: ChildProcess) {
    this.#tcpdump = tcpdump;
    tcpdump.stdout?.on("data", (chunk) => {
      this.text += chunk;
    });
  }

  /**
   * Resolves when it captures.
   * @param flags "-p": only what the link's owner gets as its own
   */
  static async start(at: Place, link: string, filter: string, ...flags: string[]): Promise<Capture> {
    const words = ["tcpdump", "-lnnte", "--immediate-mode", "-i", link, ...flags, filter];
    const [file = "", ...args] = await at.enter(words);
    const tcpdump = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    tcpdump.stderr.on("data", (chunk) => {
      said += chunk;
    });
    const capture = new Capture(tcpdump);
    await until(`tcpdump listens on ${link}`, deadlineMs, () => {
      if (tcpdump.exitCode !== null) throw new Error(said);
      return said.includes("listening on");
    });
    return capture;
  }

  get lines(): string[] {
    return this.text.split("\n").filter(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tcpdump.kill("SIGKILL");
    await exitOf(this.#tcpdump);
  }
}
