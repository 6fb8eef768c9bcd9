/**
 * Shows tsnet at work, from a clean clone: two containers on a network of tsnet's, on a private dockerd in namespaces of its own.
 * A Docker that already runs on the machine is neither used nor changed. Each command is printed with its outcome; the exit code
 * is 1 if any of them fails. At the end all of it is removed again.
 */
import { attempt, describeFailure } from "./commands.ts";
import { Host } from "./host.ts";
import { image, loadImage } from "./image.ts";
import { compare, runMarker, type Snapshot, snapshotFiles, snapshotMachine } from "./leftovers.ts";
import { client } from "./outside.ts";
import { until } from "./poll.ts";
import { sweep } from "./scratch.ts";
import { setUp } from "./setup.ts";

/** How long the kernel may take to remove the links of a namespace that is gone. */
const settleMs = 5_000;

const say = (text: string): void => console.log(text);

/** Set by a signal: what is running ends, and everything is removed. */
const interruption = new AbortController();

/** Says what is done, how long it took, or how it failed. */
async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  interruption.signal.throwIfAborted();
  const start = performance.now();
  try {
    const result = await work();
    say(`  ok    ${what} (${Math.round(performance.now() - start)} ms)`);
    return result;
  } catch (error) {
    say(`  FAILED  ${what}`);
    throw error;
  }
}

/** Runs one command of the docker CLI, and shows it with the last line of what it says. */
async function docker(host: Host, ...args: string[]): Promise<string> {
  say(`\n$ docker ${args.join(" ")}`);
  return show(await host.tryDocker(...args), ["docker", ...args]);
}

/** Runs a command in the network namespace of the client outside. */
async function outside(host: Host, ...command: string[]): Promise<string> {
  say(`\n(outside) $ ${command.join(" ")}`);
  return show(await attempt(host.outside.client.enter(command)), command);
}

function show(outcome: Awaited<ReturnType<typeof attempt>>, command: readonly string[]): string {
  interruption.signal.throwIfAborted();
  const output = (outcome.stdout || outcome.stderr).trim();
  for (const line of output.split("\n").filter(Boolean)) say(`  ${line}`);
  if (outcome.code !== 0) throw new Error(describeFailure(command, outcome));
  return output;
}

/** The page that the first container serves. */
const page = "Hello from a container on a tsnet network";
const serve = `mkdir /www && echo "${page}" >/www/index.html && trap "exit 0" TERM && (httpd -f -p 80 -h /www & wait)`;

function expectPage(answer: string): void {
  if (!answer.includes(page)) throw new Error(`the page is not in the answer: ${answer}`);
}

async function showNetwork(host: Host): Promise<void> {
  say("\nA network, and two containers on it:");
  await docker(host, "network", "create", "-d", "tsnet", "quickstart");
  await docker(
    host,
    "run",
    "-d",
    "--name",
    "web",
    "--network",
    "quickstart",
    "-p",
    "8080:80",
    image,
    "sh",
    "-c",
    serve,
  );
  await docker(host, "run", "-d", "--name", "client", "--network", "quickstart", image);

  say("\nThey reach each other by name:");
  await docker(host, "exec", "web", "ping", "-c", "1", "-W", "2", "client");
  expectPage(await docker(host, "exec", "client", "sh", "-c", "wget -qO- http://web/"));

  say(`\nThey reach the outside, here the client ${client.ipv4} behind a router, through NAT:`);
  await docker(host, "exec", "client", "ping", "-c", "1", "-W", "2", client.ipv4);

  say(`\nThe published port answers, from outside and on the host (${host.ipv4}):`);
  expectPage(await outside(host, "busybox", "wget", "-qO-", `http://${host.ipv4}:8080/`));

  say("\nWhat is there, by the kernel's own words:");
  for (const command of ["ip -brief link show type bridge", "nft list map inet tsnet port4"]) {
    say(`\n$ ${command}`);
    show(await host.exec(command), [command]);
  }

  say("\nAll of it goes as it came:");
  await docker(host, "rm", "-f", "web", "client");
  await docker(host, "network", "rm", "quickstart");
}

/** Everything was removed with its namespaces; links go a moment after their last process. */
async function expectSame(machine: Snapshot, files: Snapshot): Promise<void> {
  await until("links, rules, processes, mounts and files are as they were", settleMs, async () => {
    const differences = [...compare(machine, await snapshotMachine()), ...compare(files, snapshotFiles())];
    if (differences.length > 0) throw new Error(`left: ${differences.join(", ")}`);
    return true;
  });
}

async function quickstart(): Promise<void> {
  say(
    "tsnet quickstart: a Docker host of its own, made of namespaces. The Docker of this machine, if any, is left alone.\n",
  );
  await sweep();
  const machine = await snapshotMachine();
  const installed = await step("Debian packages that are needed", setUp);
  if (installed.length > 0) say(`        installed: ${installed.join(" ")}`);
  const files = snapshotFiles();
  {
    await using host = await step("namespaces for the host, a router and a client outside", () => Host.create());
    await step("tsnet: npm start", () => host.plugin.start());
    await step("dockerd", () => host.dockerd.start());
    await step(`image ${image}, of this machine's busybox`, () => loadImage(host));
    await showNetwork(host);
    await step("tsnet stops", () => host.plugin.stop());
  }
  say("\nEverything is removed again: containers, network, dockerd, tsnet, namespaces and files:");
  await sweep();
  await step("the machine is as it was, but for installed packages", () => expectSame(machine, files));
  say("\nTo use tsnet with the Docker of this machine, as root: npm start");
  say("and then: docker network create -d tsnet web");
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => interruption.abort(new Error(`ended by ${signal}`)));
}
process.env[runMarker] = `${process.pid}`;
try {
  await quickstart();
} catch (error) {
  console.error("\nThe quickstart has failed:", error);
  process.exitCode = 1;
}
