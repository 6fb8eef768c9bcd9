/** What runs on a host with the managed plugin: networks of both modes, made under both of its names, with containers. */
import { expect } from "chai";
import { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { hostSubnet, onParent } from "./lan.ts";
import { pluginName } from "./managed-plugin.ts";
import { client } from "./outside.ts";
import { ask, type Place, ping } from "./probe.ts";
import { streamDuring } from "./stream.ts";

/** How a network is made, and what of it can be reached from outside the host. */
interface Form {
  readonly name: string;
  readonly options: readonly string[];
  /** For `docker run`, of the server. */
  readonly server: readonly string[];
  /** Where the server's ports 80 and 7 are for the client outside; null where they are not. */
  readonly outside: (host: Host) => { readonly address: string; readonly web: number; readonly echo: number } | null;
}

/** Nobody else is there: the check for duplicate addresses would take a second of each start. */
const macvlan = ["-o", "mode=macvlan", ...onParent("eth0"), "-o", "tsnet.duplicate_check=false"];
const lanAddress = "192.168.77.40";

const forms: readonly Form[] = [
  {
    name: "bridge-short",
    options: ["-d", "tsnet"],
    server: ["-p", "8080:80", "-p", "7080:7"],
    outside: ({ ipv4 }) => ({ address: ipv4, web: 8080, echo: 7080 }),
  },
  {
    name: "bridge-full",
    options: ["-d", pluginName],
    server: ["-p", "8081:80", "-p", "7081:7"],
    outside: ({ ipv4 }) => ({ address: ipv4, web: 8081, echo: 7081 }),
  },
  {
    name: "macvlan-short",
    options: ["-d", "tsnet", ...macvlan, ...hostSubnet()],
    server: ["--ip", lanAddress],
    outside: () => ({ address: lanAddress, web: 80, echo: 7 }),
  },
  {
    name: "macvlan-full",
    options: ["-d", pluginName, ...macvlan, "--subnet", "192.168.78.0/24", "--ipam-driver", pluginName],
    server: [],
    outside: () => null,
  },
];

/** A network with two containers. */
interface Pair {
  readonly form: Form;
  readonly server: Container;
  readonly neighbor: Container;
}

export class BothNames {
  readonly #host: Host;
  readonly #pairs: readonly Pair[];

  private constructor(host: Host, pairs: readonly Pair[]) {
    this.#host = host;
    this.#pairs = pairs;
  }

  /** A network of each mode under each name, with two containers that Docker starts again when it starts itself. */
  static async create(host: Host): Promise<BothNames> {
    const pairs: Pair[] = [];
    const always = ["--restart", "always"];
    for (const form of forms) {
      const { name: network, options } = form;
      await host.docker("network", "create", ...options, network);
      const server = await Container.run(host, { network, serve: true }, ...form.server, ...always);
      pairs.push({ form, server, neighbor: await Container.run(host, { network }, ...always) });
    }
    return new BothNames(host, pairs);
  }

  /** Waits until Docker has started all containers again. */
  async listens(): Promise<void> {
    for (const { server } of this.#pairs) await server.listens();
  }

  /** @throws Error that says who cannot be reached */
  async works(): Promise<void> {
    await (await this.look())();
  }

  /** Asks Docker where everything is. @returns `works` without Docker */
  async look(): Promise<() => Promise<void>> {
    const checks = await Promise.all(this.#pairs.map((pair) => this.#look(pair)));
    return async () => {
      await Promise.all(checks.map((check) => check()));
    };
  }

  /** Whether new containers and networks work as well. */
  async takesNew(): Promise<void> {
    const made: Container[] = [];
    for (const { form, server } of this.#pairs) {
      const added = await Container.run(this.#host, { network: form.name });
      expect(await ask(added, "tcp", await server.ipv4(form.name))).to.equal(await added.ipv4(form.name));
      made.push(added);
    }
    for (const [index, name] of ["tsnet", pluginName].entries()) {
      const network = `new-${index}`;
      await this.#host.docker("network", "create", "-d", name, network);
      const published = ["-p", `809${index}:80`];
      made.push(await Container.run(this.#host, { network, serve: true }, ...published));
      expect(await ask(this.#host.outside.client, "tcp", this.#host.ipv4, 8090 + index)).to.equal(client.ipv4);
    }
    for (const one of made) await one.remove();
    await this.#host.docker("network", "rm", "new-0", "new-1");
  }

  /**
   * Keeps a connection from outside to each server that can be reached from there busy while something happens.
   * @returns how many messages each of them has sent and got back
   */
  streamDuring(during: () => Promise<unknown>): Promise<number[]> {
    const targets = this.#pairs.flatMap(({ form }) => form.outside(this.#host) ?? []);
    const streams = targets.reduce<() => Promise<number[]>>(
      (inner, { address, echo }) =>
        async () => {
          let messages: number[] = [];
          const work = async () => {
            messages = await inner();
          };
          const count = await streamDuring(this.#host.outside.client, address, work, echo);
          return [...messages, count];
        },
      async () => {
        await during();
        return [];
      },
    );
    return streams();
  }

  async #look({ form, server, neighbor }: Pair): Promise<() => Promise<void>> {
    const [address, own] = [await server.ipv4(form.name), await neighbor.ipv4(form.name)];
    const enter = await neighbor.enter([]);
    const place: Place = { enter: (command) => [...enter, ...command] };
    const outside = form.outside(this.#host);
    return async () => {
      expect(await ask(place, "tcp", address), form.name).to.equal(own);
      if (outside === null) return;
      const seen = await ask(this.#host.outside.client, "tcp", outside.address, outside.web);
      expect(seen, form.name).to.equal(client.ipv4);
      await ping(place, client.ipv4);
    };
  }
}
