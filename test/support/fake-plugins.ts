/** Docker's API of managed plugins, a registry behind it, and the plugin that it starts: what `tsnet upgrade` asks, without Docker. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";

/** What a registry has by a reference. */
export interface Published {
  readonly digest: string;
  /** "refuses": it answers that it cannot start; "forgets": it knows one network less; "ends": it does not come to listen. */
  readonly does: "works" | "refuses" | "forgets" | "ends";
  readonly capabilities?: readonly string[];
  readonly types?: readonly string[];
}

const networks = ["a1", "a2"].map((id) => id.padEnd(64, "0"));
const endpoint = "e1".padEnd(64, "0");

/** An installed plugin: what it was made from, and what was set. */
interface Installed {
  reference: string;
  build: Published;
  enabled: boolean;
}

export class FakePlugins {
  /** "POST /plugins/NAME/disable", in order, with what was sent. */
  readonly calls: string[] = [];
  readonly registry = new Map<string, Published>();
  readonly installed = new Map<string, Installed>();
  /** A method and the beginning of a path, and what is answered there: an error of a stream, or of a status. */
  readonly failures = new Map<string, { readonly status: number; readonly body: object }>();
  /** By X-Registry-Auth. */
  logins: (string | undefined)[] = [];
  readonly #directory: string;
  readonly #servers: Server[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  get dockerSocket(): string {
    return join(this.#directory, "docker.sock");
  }

  get adminSocket(): string {
    return join(this.#directory, "admin.sock");
  }

  async listen(): Promise<void> {
    await this.#serve(this.dockerSocket, async (request) => {
      const { method = "", url = "", headers } = request;
      const hasBody = headers["content-type"] !== undefined;
      return this.#docker(method, new URL(url, "http://docker"), hasBody ? await json(request) : undefined, headers);
    });
    await this.#serve(this.adminSocket, async ({ url = "" }) => this.#admin(url));
  }

  async close(): Promise<void> {
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
  }

  install(name: string, reference: string, changes: Partial<Installed> = {}): void {
    const build = this.registry.get(reference) ?? { digest: "none", does: "works" };
    this.installed.set(name, { reference, build, enabled: true, ...changes });
  }

  async #serve(path: string, answer: (request: IncomingMessage) => Promise<Answered>): Promise<void> {
    const server = createServer(async (request, response) => {
      const { status, body } = await answer(request);
      if (status === 0) return void response.destroy();
      response.writeHead(status).end(body === undefined ? "" : JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    this.#servers.push(server);
  }

  /** The plugin, as long as it runs. */
  #admin(url: string): Answered {
    const running = [...this.installed.values()].find(({ enabled }) => enabled);
    if (running === undefined || running.build.does === "ends") return { status: 0 };
    if (running.build.does === "refuses") return { status: 503, body: { error: "tsnet cannot start: no disk" } };
    const known = running.build.does === "forgets" ? networks.slice(1) : networks;
    const body =
      url === "/v1/networks"
        ? { networks: known.map((id) => ({ id })), failed: [] }
        : { endpoints: [{ id: endpoint }] };
    return { status: 200, body };
  }

  #docker(
    method: string,
    { pathname, searchParams }: URL,
    body: unknown,
    headers: IncomingMessage["headers"],
  ): Answered {
    const call = `${method} ${pathname}`;
    if (method !== "GET") this.calls.push([call, searchParams.get("remote") ?? "", ...list(body)].join(" ").trim());
    const failure = [...this.failures].find(([start]) => call.startsWith(start));
    if (failure !== undefined) return failure[1];
    if (searchParams.has("remote")) this.logins.push(headers["x-registry-auth"] as string | undefined);
    if (pathname === "/networks") return ok(networks.map((Id, index) => ({ Id, Name: `net${index}` })));
    if (pathname === "/containers/json") return ok([]);
    if (pathname === "/plugins") return ok([...this.installed.keys()].map((name) => this.#inspect(name)));
    const [, , , end] = pathname.split("/");
    if (pathname.startsWith("/distribution/")) return this.#distribution(pathname.slice(14, -"/json".length));
    if (pathname === "/plugins/privileges")
      return ok(privilegesOf(this.registry.get(searchParams.get("remote") ?? "")));
    if (pathname === "/plugins/pull") {
      this.install(searchParams.get("name") ?? "", searchParams.get("remote") ?? "", { enabled: false });
      return ok({ status: "Complete" });
    }
    return this.#plugin(method, pathname.split("/")[2] ?? "", end ?? "", searchParams.get("remote") ?? "");
  }

  #distribution(reference: string): Answered {
    const found = this.registry.get(reference);
    if (found === undefined) return { status: 404, body: { message: `${reference}: manifest unknown` } };
    return ok({ Descriptor: { digest: found.digest } });
  }

  #plugin(method: string, name: string, action: string, remote: string): Answered {
    const plugin = this.installed.get(name);
    if (plugin === undefined) return { status: 404, body: { message: `plugin "${name}" not found` } };
    if (method === "DELETE") this.installed.delete(name);
    else if (action === "json") return ok(this.#inspect(name));
    else if (action === "disable") plugin.enabled = false;
    else if (action === "upgrade") this.install(name, remote, { enabled: false });
    else if (plugin.build.does === "ends")
      return { status: 500, body: { message: "dial unix tsnet.sock: no such file" } };
    else plugin.enabled = true;
    return { status: 200 };
  }

  #inspect(name: string): object {
    const { reference, build, enabled } = this.installed.get(name) as Installed;
    return {
      ...{ Name: name, Enabled: enabled, PluginReference: reference, Settings: { Env: [] } },
      Config: {
        Entrypoint: ["/usr/bin/node", "/usr/lib/tsnet/src/start.js"],
        Interface: { Types: build.types ?? ["docker.networkdriver/1.0"] },
        Linux: { Capabilities: build.capabilities ?? ["CAP_NET_ADMIN"] },
        Network: { Type: "host" },
        rootfs: { diff_ids: [build.digest] },
        Mounts: [{ Name: "run", Source: "/run", Settable: null }],
      },
    };
  }
}

interface Answered {
  /** 0: the connection is broken off. */
  readonly status: number;
  readonly body?: object;
}

const ok = (body: object): Answered => ({ status: 200, body });
const list = (body: unknown): readonly unknown[] =>
  Array.isArray(body) ? body.map((item) => (typeof item === "string" ? item : `${item.Name}=${item.Value}`)) : [];

const privilegesOf = (build: Published | undefined): object[] =>
  build === undefined
    ? []
    : [
        { Name: "network", Description: "", Value: ["host"] },
        { Name: "mount", Description: "", Value: ["/run"] },
        { Name: "capabilities", Description: "", Value: build.capabilities ?? ["CAP_NET_ADMIN"] },
      ];
