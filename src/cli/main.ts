/** The command `tsnet`: asks the plugin by its admin API, and prints. It imports little, so that it starts at once. */

import type { ExplainAnswer, FirewallAnswer, PortsAnswer } from "../driver/report-answers.ts";
import { type Command, type IpamCommand, parseCommand, type UpgradeCommand, UsageError } from "./arguments.ts";
import { askAdmin } from "./client.ts";
import { dockerNames, noNames } from "./docker-names.ts";
import { runDoctor } from "./doctor.ts";
import { formatExplain } from "./explain.ts";
import { formatFirewall } from "./firewall.ts";
import { hostsText } from "./hosts.ts";
import { type Printed, runIpam } from "./ipam-commands.ts";
import { linksText } from "./link-commands.ts";
import { listenersOn } from "./listeners.ts";
import { formatPorts, namedPorts } from "./ports.ts";
import { servicesText } from "./services.ts";
import { toJson } from "./table.ts";

/** @returns what to print, and the exit code if it is not 0 */
async function run(command: Command): Promise<Printed> {
  switch (command.name) {
    case "ipam":
    case "ipam show":
    case "ipam check":
      return await runIpam(command, process.env);
    case "doctor":
      return await runDoctor(command);
    case "upgrade":
      // all of it is loaded here: while it runs, the files that it comes from may be replaced
      return await (await import("./upgrade.ts")).runUpgrade(command, process.env, (text) =>
        process.stdout.write(text),
      );
    default:
      return { text: await textOf(command) };
  }
}

async function textOf(command: Exclude<Command, IpamCommand | UpgradeCommand | { name: "doctor" }>): Promise<string> {
  switch (command.name) {
    case "help":
      return command.text;
    case "networks":
    case "endpoints":
      return await linksText(command, process.env);
    case "hosts":
    case "hosts remove":
      return await hostsText(command);
    case "services":
      return await servicesText(command, process.env);
    case "ports": {
      const [answer, names] = await Promise.all([
        askAdmin<PortsAnswer>(command.socket, "/v1/ports"),
        dockerNames(process.env),
      ]);
      const ports = namedPorts(answer.ports, names);
      return command.json ? toJson({ ports }) : formatPorts(ports);
    }
    case "firewall": {
      const answer = await askAdmin<FirewallAnswer>(command.socket, "/v1/firewall");
      return command.json ? toJson(answer) : formatFirewall(answer);
    }
    case "explain":
      return await explain(command);
  }
}

async function explain({ socket, json, query }: Extract<Command, { name: "explain" }>): Promise<string> {
  const path = `/v1/firewall/explain?${new URLSearchParams(query)}`;
  const [answer, names] = await Promise.all([
    askAdmin<ExplainAnswer>(socket, path),
    json ? noNames : dockerNames(process.env),
  ]);
  if (json) return toJson(answer);
  const isHosts = answer.answers.some(({ verdict }) => verdict.result === "host");
  const listeners = isHosts ? await listenersOn(answer.protocol, answer.port) : [];
  return formatExplain(answer, { names, listeners });
}

/** 0 for an answer, 1 if there was none or it is that something is wrong, 2 for a command line that is wrong. */
async function main(): Promise<number> {
  try {
    const { text, code = 0, error } = await run(parseCommand(process.argv.slice(2), process.env));
    process.stdout.write(text);
    if (error !== undefined) process.stderr.write(`tsnet: ${error}\n`);
    return code;
  } catch (error) {
    process.stderr.write(`tsnet: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0); // a reader that has seen enough, such as head, is no error
    process.stderr.write(`tsnet: ${error.message}\n`);
    process.exit(1);
  });
  process.exitCode = await main();
}
