/** `measure.ts [PART...]`: measures these parts, and prints the table; of all parts, it writes docs/benchmarks.md. main.ts starts it. */
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { residentMib } from "./driver-figures.ts";
import { type Figure, formatTable } from "./figures.ts";
import { allParts, type Part, parts } from "./parts.ts";
import { StallMonitor } from "./stall.ts";
import { timed } from "./statistics.ts";

const page = fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url));

/** What was measured before something fails is shown. */
async function measureAll(chosen: readonly Part[], host: Host, stall: StallMonitor): Promise<Figure[]> {
  const figures: Figure[] = [];
  try {
    for (const part of chosen) {
      const ms = await timed(async () => void figures.push(...(await parts[part](host, stall))));
      console.log(`${part}: ${Math.round(ms / 1000)} s`);
    }
    return figures;
  } catch (error) {
    console.log(formatTable(figures));
    throw error;
  }
}

async function measure(chosen: readonly Part[]): Promise<{ figures: Figure[]; docker: string }> {
  await using host = await Host.create();
  const stall = new StallMonitor(host);
  await host.plugin.start();
  await host.dockerd.start();
  await loadImage(host);
  const resident = [residentMib(host)];
  while (resident.length < 3) {
    await host.plugin.restart();
    resident.push(residentMib(host));
  }
  const idle: Figure = {
    ...{ name: "resident memory, idle", unit: "MiB", tsnet: resident },
    limit: { of: "median", value: 110 },
  };
  await host.plugin.stop();
  await host.plugin.start({ ...stall.settings, TSNET_LOG_LEVEL: "debug" });
  stall.begin();
  const figures = await measureAll(chosen, host, stall);
  figures.push(idle);
  return { figures, docker: await host.docker("version", "--format", "{{.Server.Version}}") };
}

const words = process.argv.slice(2);
const chosen = allParts.filter((part) => words.includes(part));
const [cpu] = cpus();
const { figures, docker } = await measure(chosen.length > 0 ? chosen : allParts);
const table = formatTable(figures);
console.log(`Docker ${docker}\n\n${table}`);
const text = `# Benchmarks

\`npm run bench\` runs tsnet and Docker's own drivers in turn, in one run on one dockerd, and writes this page: its bridge, or, for
networks of mode macvlan or overlay, its driver of that name; an overlay of Docker's is a swarm's. Ratios are tsnet's median over theirs; they carry over to other machines, absolute times do not.

${new Date().toISOString().slice(0, 10)} · Docker ${docker} · Node ${process.versions.node} · Linux ${release()} · ${cpus().length} × ${cpu?.model.trim()} · ${Math.round(totalmem() / 2 ** 30)} GiB

${table}

What is behind them:

* A veth pair takes the kernel about 16 ms to delete, whoever asks. tsnet takes it out of use, answers, and deletes all that have
  gathered in one request.
* Networks and ports are elements of nft maps. Docker's bridge runs iptables several times for a network, and for each port.
* An endpoint costs a few netlink messages and two durable records. The kernel takes about 0.4 ms of it, and a little more with each
  port that the bridge has.
* Connecting a running container is four calls through a socket where Docker's own driver is called in its own process. The rest,
  moving the link into the container, is dockerd's work for both, and most of the time. A container's start is within the noise of
  the bridge's: 0.97 to 1.01 in repeated runs.
* All published ports of a container are one nftables transaction, and a range is one element. Docker's bridge adds several rules and
  a process for each port, and its rules are a list that each new connection walks.
* A published port is one or two sockets in the kernel, and about 1 KiB in the plugin. Of the 20,000 mappings half are sctp, which
  takes no socket here: a process may have 20,000 open files on the machine of this page.
* dockerd waits half a second after it has started a managed plugin, at its own start as well, before it asks it anything; where the
  plugin does not listen by then, three seconds more. The plugin listens after 0.2 s, and answers when dockerd asks.
`;
if (chosen.length === 0) writeFileSync(page, text);
