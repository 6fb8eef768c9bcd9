/** `npm run bench`: tsnet and Docker's own bridge in turn, on one dockerd; prints the table and writes docs/benchmarks.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { until } from "../support/poll.ts";
import { setUp } from "../support/setup.ts";
import { dockerFigures } from "./docker-figures.ts";
import { driverFigures, residentMb } from "./driver-figures.ts";
import { type Figure, formatTable } from "./figures.ts";

const monitor = fileURLToPath(new URL("stall-monitor.mjs", import.meta.url));
const page = fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url));

/** The longest stall of the plugin's event loop since the first SIGUSR2. */
async function longestStall(host: Host, file: string): Promise<number> {
  process.kill(host.plugin.pid, "SIGUSR2");
  return await until("the monitor has written", 5000, () => Number(readFileSync(file, "utf8")));
}

async function measure(): Promise<{ figures: Figure[]; docker: string }> {
  await using host = await Host.create();
  const stallFile = `${host.directory}/stall`;
  await host.plugin.start({ NODE_OPTIONS: `--import=${monitor}`, BENCH_STALL_FILE: stallFile });
  await host.dockerd.start();
  await loadImage(host);
  const idleMb = residentMb(host);
  process.kill(host.plugin.pid, "SIGUSR2");
  const figures = await dockerFigures(host);
  const stall = await longestStall(host, stallFile);
  figures.push(...(await driverFigures(host, idleMb)));
  figures.push({
    name: "longest stall of the main event loop",
    unit: "ms",
    tsnet: [stall],
    limit: { of: "max", value: 20 },
  });
  return { figures, docker: await host.docker("version", "--format", "{{.Server.Version}}") };
}

const [cpu] = cpus();
await setUp();
const { figures, docker } = await measure();
const table = formatTable(figures);
console.log(table);
writeFileSync(
  page,
  `# Benchmarks

\`npm run bench\` runs tsnet and Docker's own bridge driver in turn, in one run on one dockerd, and writes this page. Ratios are
tsnet's median over the bridge's; they carry over to other machines, absolute times do not.

${new Date().toISOString().slice(0, 10)} · Docker ${docker} · Node ${process.versions.node} · Linux ${release()} · ${cpus().length} × ${cpu?.model.trim()} · ${Math.round(totalmem() / 2 ** 30)} GiB

${table}

What is behind them:

* A veth pair takes the kernel about 16 ms to delete, whoever asks. tsnet takes it out of use, answers, and deletes all that have
  gathered in one request.
* Networks and ports are elements of nft maps. Docker's bridge runs iptables several times for a network, and for each port.
* An endpoint costs one netlink message and two durable records.
`,
);
