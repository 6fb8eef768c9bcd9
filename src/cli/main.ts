/** The command `tsnet`: asks the plugin by its admin API, and prints. It imports little, so that it starts at once. */

import type { ExplainAnswer, FirewallAnswer, PortsAnswer } from "../driver/report-answers.ts";
import { type Command, parseCommand, UsageError } from "./arguments.ts";
import { adminGet } from "./client.ts";
import { dockerNames, noNames } from "./docker-names.ts";
import { formatExplain } from "./explain.ts";
import { formatFirewall } from "./firewall.ts";
import { listenersOn } from "./listeners.ts";
import { formatPorts, namedPorts } from "./ports.ts";

/** @returns what to print */
async function run(command: Command): Promise<string> {
  switch (command.name) {
    case "help":
      return command.text;
    case "ports": {
      const [answer, names] = await Promise.all([
        adminGet<PortsAnswer>(command.socket, "/v1/ports"),
        dockerNames(process.env),
      ]);
      const ports = namedPorts(answer.ports, names);
      return command.json ? toJson({ ports }) : formatPorts(ports);
    }
    case "firewall": {
      const answer = await adminGet<FirewallAnswer>(command.socket, "/v1/firewall");
      return command.json ? toJson(answer) : formatFirewall(answer);
    }
    case "explain":
      return await explain(command);
  }
}

async function explain({ socket, json, query }: Extract<Command, { name: "explain" }>): Promise<string> {
  const path = `/v1/firewall/explain?${new URLSearchParams(query)}`;
  const [answer, names] = await Promise.all([
    adminGet<ExplainAnswer>(socket, path),
    json ? noNames : dockerNames(process.env),
  ]);
  if (json) return toJson(answer);
  const isHosts = answer.answers.some(({ verdict }) => verdict.result === "host");
  const listeners = isHosts ? await listenersOn(answer.protocol, answer.port) : [];
  return formatExplain(answer, { names, listeners });
}

const toJson = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** 0 for an answer, 1 if there was none, 2 for a command line that is wrong. */
async function main(): Promise<number> {
  try {
    process.stdout.write(await run(parseCommand(process.argv.slice(2), process.env)));
    return 0;
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
