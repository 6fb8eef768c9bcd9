/** Docker's API of managed plugins: https://docs.docker.com/reference/api/engine/ (GET /plugins and below). */
import { type Address, type Answer, send } from "./client.ts";

/** As GET /plugins has it, as far as it is needed here. */
export interface InstalledPlugin {
  /** With its tag: "tsnet-plugin:latest". */
  readonly Name: string;
  readonly Enabled: boolean;
  /** What it was installed from, with its tag. Of a plugin made by `docker plugin create`, its name. */
  readonly PluginReference?: string;
  readonly Config: PluginConfig;
  readonly Settings: { readonly Env: readonly string[] | null };
}

export interface PluginConfig {
  readonly Entrypoint: readonly string[];
  readonly Interface: { readonly Types: readonly string[] | null };
  readonly Linux: { readonly Capabilities: readonly string[] | null; readonly AllowAllDevices?: boolean };
  readonly Network: { readonly Type: string };
  readonly IpcHost?: boolean;
  readonly PidHost?: boolean;
  readonly rootfs?: { readonly diff_ids: readonly string[] | null };
  readonly Mounts: readonly { readonly Source: string | null }[] | null;
}

/** What the operator has to grant. */
export interface Privilege {
  readonly Name: string;
  readonly Value: readonly string[];
}

/** A registry may be slow, and so may a disk. */
const fetchMs = 600_000;
const localMs = 120_000;

/** Docker waits so long for each call to the plugin: --timeout of `docker plugin enable`, in seconds, with its own default. */
const callSeconds = 30;

/** Each method throws an Error with Docker's words. */
export class PluginApi {
  readonly #address: Address;
  /** The header X-Registry-Auth for a reference. */
  readonly #auth: (reference: string) => string | undefined;

  constructor(address: Address, auth: (reference: string) => string | undefined) {
    this.#address = address;
    this.#auth = auth;
  }

  list = (): Promise<readonly InstalledPlugin[]> => this.#json("/plugins");
  inspect = (name: string): Promise<InstalledPlugin> => this.#json(`/plugins/${name}/json`);
  containers = (): Promise<readonly unknown[]> => this.#json("/containers/json");
  networks = (): Promise<readonly unknown[]> => this.#json("/networks");

  /** Of what the registry has by that reference now. */
  async digest(reference: string): Promise<string> {
    const { Descriptor } = await this.#json<{ Descriptor: { digest: string } }>(
      `/distribution/${reference}/json`,
      reference,
    );
    return Descriptor.digest;
  }

  privileges = (reference: string): Promise<readonly Privilege[]> =>
    this.#json(`/plugins/privileges?${new URLSearchParams({ remote: reference })}`, reference);

  /** Installs it besides, without enabling it. */
  async pull(reference: string, name: string, privileges: readonly Privilege[]): Promise<void> {
    const query = new URLSearchParams({ remote: reference, name });
    await this.#call("POST", `/plugins/pull?${query}`, { timeoutMs: fetchMs, body: privileges, reference });
  }

  /** The plugin has to be disabled. */
  async upgrade(name: string, reference: string, privileges: readonly Privilege[]): Promise<void> {
    const query = new URLSearchParams({ remote: reference });
    const options = { timeoutMs: fetchMs, body: privileges, reference };
    await this.#call("POST", `/plugins/${name}/upgrade?${query}`, options);
  }

  /** Although networks use it. */
  async disable(name: string): Promise<void> {
    await this.#call("POST", `/plugins/${name}/disable?force=1`);
  }

  /** Waits until its socket is there. */
  async enable(name: string): Promise<void> {
    await this.#call("POST", `/plugins/${name}/enable?timeout=${callSeconds}`);
  }

  async remove(name: string): Promise<void> {
    await this.#call("DELETE", `/plugins/${name}`);
  }

  async #json<T>(path: string, reference?: string): Promise<T> {
    const { text } = await this.#call("GET", path, reference === undefined ? {} : { reference });
    return JSON.parse(text) as T;
  }

  async #call(
    method: string,
    path: string,
    { timeoutMs = localMs, body, reference }: CallOptions = {},
  ): Promise<Answer> {
    const auth = reference === undefined ? undefined : this.#auth(reference);
    const headers = {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(auth === undefined ? {} : { "x-registry-auth": auth }),
    };
    const sent = { method, headers, body: body && JSON.stringify(body) };
    const answer = await send(this.#address, path, timeoutMs, sent).catch(
      ({ code, message }: NodeJS.ErrnoException) => {
        throw new Error(`Docker does not answer (${code ?? message}): see DOCKER_HOST, and whether it runs`);
      },
    );
    const error = errorOf(answer);
    if (error !== undefined) throw new Error(error);
    return answer;
  }
}

interface CallOptions {
  readonly timeoutMs?: number;
  readonly body?: object;
  /** Whose registry is asked. */
  readonly reference?: string;
}

/** Of a status, or in a stream of progress, whose status was sent before anything went wrong. */
function errorOf({ status, text }: Answer): string | undefined {
  const lines = text.split("\n").filter(Boolean);
  const found = lines.map(messageOf).find((message) => message !== undefined);
  return found ?? (status < 400 ? undefined : `status ${status}: ${text.trim()}`);
}

function messageOf(line: string): string | undefined {
  try {
    const { message, error, errorDetail } = JSON.parse(line);
    return errorDetail?.message ?? error ?? message;
  } catch {
    return undefined; // a part of what is no stream
  }
}
