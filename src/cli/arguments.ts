/** The command line. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { defaultAdminSocket } from "../config.ts";
import { helps } from "./help.ts";

/** What is asked for. */
export type Command =
  | { readonly name: "help"; readonly text: string }
  | ({ readonly name: "ports" | "firewall" } & Common)
  | ({ readonly name: "doctor" } & Common)
  | ({ readonly name: "explain"; readonly query: Readonly<Record<string, string>> } & Common)
  | LinkCommand
  | HostsCommand
  | ServicesCommand
  | IpamCommand
  | UpgradeCommand;

/** The commands about networks and endpoints. */
export type LinkCommand =
  | ({ readonly name: "networks" } & Common)
  /** `network`: what the user calls it by; null for all. */
  | ({ readonly name: "endpoints"; readonly network: string | null } & Common);

/** The commands about the hosts that share etcd. */
export type HostsCommand =
  | ({ readonly name: "hosts" } & Common)
  /** `host`: its name or ID. */
  | ({ readonly name: "hosts remove"; readonly host: string; readonly force: boolean } & Common);

/** The command about services of a swarm. `service`: its name; null for all. */
export interface ServicesCommand extends Common {
  readonly name: "services";
  readonly service: string | null;
}

/** The commands about addresses. */
export type IpamCommand =
  | ({ readonly name: "ipam" } & Common)
  /** `pool`: what the user calls it by. */
  | ({ readonly name: "ipam show"; readonly pool: string } & Common)
  | ({ readonly name: "ipam check"; readonly repair: boolean } & Common);

export interface UpgradeCommand extends Common {
  readonly name: "upgrade";
  /** What a registry has: "registry.example.com/tsnet-plugin:2". */
  readonly reference: string;
  /** Name of the installed plugin, if one is given. */
  readonly plugin: string | null;
  /** Whether the new build may have permissions that the installed one has not. */
  readonly grantAll: boolean;
  /** Whether it is gone back to the installed build if the new one does not work, and so whether that has to be possible. */
  readonly wayBack: boolean;
}

interface Common {
  /** The admin socket. */
  readonly socket: string;
  readonly json: boolean;
}

/** The command line cannot be understood. */
export class UsageError extends Error {}

const commonOptions = {
  json: { type: "boolean" },
  socket: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * @param words without the program's own name
 * @throws UsageError
 */
export function parseCommand(words: readonly string[], env: Readonly<Record<string, string | undefined>>): Command {
  const [first = "", second] = words;
  if (first === "networks") return parseSimple("networks", words.slice(1), env);
  if (first === "endpoints") return parseEndpoints(words.slice(1), env);
  if (first === "ports") return parseSimple("ports", words.slice(1), env);
  if (first === "firewall" && second === "explain") return parseExplain(words.slice(2), env);
  if (first === "firewall") return parseSimple("firewall", words.slice(1), env);
  if (first === "ipam" && second === "show") return parseShow(words.slice(2), env);
  if (first === "ipam" && second === "check") return parseCheck(words.slice(2), env);
  if (first === "hosts" && second === "remove") return parseHostsRemove(words.slice(2), env);
  if (first === "hosts") return parseSimple("hosts", words.slice(1), env);
  if (first === "services") return parseServices(words.slice(1), env);
  if (first === "doctor") return parseSimple("doctor", words.slice(1), env);
  if (first === "ipam") return parseSimple("ipam", words.slice(1), env);
  if (first === "upgrade") return parseUpgrade(words.slice(1), env);
  if (first === "" || first === "--help" || first === "-h" || first === "help")
    return { name: "help", text: helps[""] };
  throw new UsageError(`${first}: no such command; "tsnet --help" lists them`);
}

type Environment = Readonly<Record<string, string | undefined>>;

function parseSimple(
  name: "networks" | "ports" | "firewall" | "ipam" | "hosts" | "doctor",
  words: readonly string[],
  env: Environment,
): Command {
  const { values, positionals } = parse(words, commonOptions);
  if (values["help"]) return { name: "help", text: helps[name] };
  refuseArguments(name, positionals);
  return { name, ...common(values, env) };
}

function refuseArguments(name: string, [first]: readonly string[]): void {
  if (first !== undefined) throw new UsageError(`${first}: tsnet ${name} takes no such argument; see --help`);
}

function parseEndpoints(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, commonOptions);
  if (values["help"]) return { name: "help", text: helps.endpoints };
  const [network = null, ...rest] = positionals;
  if (rest.length > 0) {
    throw new UsageError(`${positionals.join(" ")}: expected one network at most, by its name or ID; see --help`);
  }
  return { name: "endpoints", network, ...common(values, env) };
}

function parseServices(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, commonOptions);
  if (values["help"]) return { name: "help", text: helps.services };
  const [service = null, ...rest] = positionals;
  if (rest.length > 0) {
    throw new UsageError(`${positionals.join(" ")}: expected one service at most, by its name; see --help`);
  }
  return { name: "services", service, ...common(values, env) };
}

function parseHostsRemove(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, { ...commonOptions, force: { type: "boolean" } });
  if (values["help"]) return { name: "help", text: helps["hosts remove"] };
  const [host = "", ...rest] = positionals;
  if (host === "" || rest.length > 0) {
    const example = "expected one host, by its name or its ID, as tsnet hosts shows them; see --help";
    throw new UsageError(`${positionals.join(" ")}: ${example}`.replace(/^: /, ""));
  }
  return { name: "hosts remove", host, force: values["force"] === true, ...common(values, env) };
}

function parseShow(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, commonOptions);
  if (values["help"]) return { name: "help", text: helps["ipam show"] };
  const [pool = "", ...rest] = positionals;
  if (pool === "" || rest.length > 0) {
    const example = "expected one pool, by its ID, its subnet, or the name or ID of its network; see --help";
    throw new UsageError(`${positionals.join(" ")}: ${example}`.replace(/^: /, ""));
  }
  return { name: "ipam show", pool, ...common(values, env) };
}

function parseCheck(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, { ...commonOptions, repair: { type: "boolean" } });
  if (values["help"]) return { name: "help", text: helps["ipam check"] };
  refuseArguments("ipam check", positionals);
  return { name: "ipam check", repair: values["repair"] === true, ...common(values, env) };
}

function parseUpgrade(words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, {
    ...commonOptions,
    plugin: { type: "string" },
    "grant-all-permissions": { type: "boolean" },
    "no-way-back": { type: "boolean" },
  });
  if (values["help"]) return { name: "help", text: helps.upgrade };
  const [reference = "", ...rest] = positionals;
  if (!isReference(reference) || rest.length > 0) {
    const example = "expected what a registry has, such as registry.example.com/tsnet-plugin:2; see --help";
    throw new UsageError(`${positionals.join(" ")}: ${example}`.replace(/^: /, ""));
  }
  const { plugin = null } = values;
  return {
    name: "upgrade",
    reference,
    plugin: plugin === null ? null : String(plugin),
    grantAll: values["grant-all-permissions"] === true,
    wayBack: values["no-way-back"] !== true,
    ...common(values, env),
  };
}

/** It becomes part of a path of Docker's API. */
const isReference = (text: string): boolean =>
  /^\w[\w.-]*(:\d+)?(\/\w[\w.-]*)*(:\w[\w.-]*)?(@sha256:[0-9a-f]{64})?$/.test(text);

function parseExplain(words: readonly string[], env: Environment): Command {
  const options = { ...commonOptions, from: { type: "string" }, to: { type: "string" } } as const;
  const { values, positionals } = parse(words, options);
  if (values["help"]) return { name: "help", text: helps.explain };
  const [target, ...rest] = positionals;
  const match = /^(\d+)(?:\/([a-z]+))?$/.exec(target ?? "");
  if (match === null || rest.length > 0) {
    throw new UsageError(
      `${positionals.join(" ")}: expected one port, such as 8080/tcp; see --help`.replace(/^: /, ""),
    );
  }
  const [, port = "", protocol = "tcp"] = match;
  const addresses = Object.entries({ from: values["from"], to: values["to"] }).flatMap(([key, value]) =>
    typeof value === "string" ? [[key, value] as const] : [],
  );
  return { name: "explain", query: { port, protocol, ...Object.fromEntries(addresses) }, ...common(values, env) };
}

const common = (values: Values, env: Environment): Common => ({
  socket: String(values["socket"] || env["TSNET_ADMIN_SOCKET"] || defaultAdminSocket),
  json: values["json"] === true,
});

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

function parse(words: readonly string[], options: ParseArgsOptionsConfig): { values: Values; positionals: string[] } {
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true });
  } catch (error) {
    const [what] = (error instanceof Error ? error.message : String(error)).split(". To specify ");
    throw new UsageError(`${what}; see --help`);
  }
}
