/** The command line. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { defaultAdminSocket } from "../config.ts";

/** What is asked for. */
export type Command =
  | { readonly name: "help"; readonly text: string }
  | ({ readonly name: "ports" | "firewall" } & Common)
  | ({ readonly name: "explain"; readonly query: Readonly<Record<string, string>> } & Common);

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

const commonHelp = `  --json           print JSON
  --socket PATH    the plugin's admin socket (default: $TSNET_ADMIN_SOCKET, or ${defaultAdminSocket})
  -h, --help       print this`;

const helps = {
  "": `Usage: tsnet COMMAND [OPTIONS]

  ports                          published ports, with their connections, packets and bytes
  firewall                       whether tsnet's part of the firewall is in place, and what was repaired
  firewall explain PORT[/PROTO]  what becomes of a connection to a port of this host, and which rule decides

tsnet COMMAND --help says more.
`,
  ports: `Usage: tsnet ports [OPTIONS]

The published ports of all containers on tsnet networks. CONNECTIONS counts new connections, PACKETS what the kernel
forwards to and from the container's port, BYTES that and what the proxy passes on. All count from the moment when the
port was published, or the plugin restarted with it. Names come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  firewall: `Usage: tsnet firewall [OPTIONS]
       tsnet firewall explain PORT[/PROTO] [OPTIONS]

Whether the nft table and the rule in FORWARD are in place, which of Docker's bridges are known, and what was repaired.

${commonHelp}
`,
  explain: `Usage: tsnet firewall explain PORT[/PROTO] [OPTIONS]

What becomes of a new connection to PORT (PROTO: tcp, udp or sctp; tcp if left out), step by step.

  --from ADDRESS   the client: an address outside, of this host (127.0.0.1, ::1) or of a container (default: any outside)
  --to ADDRESS     an address of this host or of a container (default: each on which the port is published)
${commonHelp}
`,
} as const;

/**
 * @param words without the program's own name
 * @throws UsageError
 */
export function parseCommand(words: readonly string[], env: Readonly<Record<string, string | undefined>>): Command {
  const [first = "", second] = words;
  if (first === "ports") return parseSimple("ports", words.slice(1), env);
  if (first === "firewall" && second === "explain") return parseExplain(words.slice(2), env);
  if (first === "firewall") return parseSimple("firewall", words.slice(1), env);
  if (first === "" || first === "--help" || first === "-h" || first === "help")
    return { name: "help", text: helps[""] };
  throw new UsageError(`${first}: no such command; "tsnet --help" lists them`);
}

type Environment = Readonly<Record<string, string | undefined>>;

function parseSimple(name: "ports" | "firewall", words: readonly string[], env: Environment): Command {
  const { values, positionals } = parse(words, commonOptions);
  if (values["help"]) return { name: "help", text: helps[name] };
  if (positionals.length > 0)
    throw new UsageError(`${positionals[0]}: tsnet ${name} takes no such argument; see --help`);
  return { name, ...common(values, env) };
}

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
