/** `tsnet upgrade`: disables the managed plugin, upgrades and enables it, looks whether it is all there, and goes back if it is not. */
import type { UpgradeCommand } from "./arguments.ts";
import { dockerAddress } from "./docker-names.ts";
import type { Printed } from "./ipam-commands.ts";
import { type InstalledPlugin, PluginApi } from "./plugin-api.ts";
import { registryAuth } from "./registry-auth.ts";
import { toJson } from "./table.ts";
import { type Known, knownOnceStarted, knownText, missing } from "./upgrade-known.ts";
import {
  askForPrivileges,
  checkWayBack,
  fetchBuild,
  findPlugin,
  look,
  newPrivileges,
  type Plan,
  removeFetched,
} from "./upgrade-plan.ts";
import { type Step, Steps } from "./upgrade-steps.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** With --json. */
interface UpgradeAnswer {
  /** null if it was not found. */
  readonly plugin: string | null;
  readonly from: string | null;
  readonly to: string;
  /** "unchanged": nothing was done to the plugin; "broken": neither the new build nor the old one runs. */
  readonly result: "upgraded" | "unchanged" | "went back" | "broken";
  readonly newPermissions: readonly string[];
  readonly error: string | null;
  /** How long calls from Docker had to wait. */
  readonly awayMs: number;
  readonly steps: readonly Step[];
}

/** @param print is given each line as soon as it is known */
export async function runUpgrade(
  command: UpgradeCommand,
  env: Environment,
  print: (text: string) => void,
): Promise<Printed> {
  const upgrade = new Upgrade(command, env, command.json ? () => {} : print);
  await upgrade.run();
  const { answer } = upgrade;
  return {
    text: command.json ? toJson(answer) : "",
    ...(answer.error === null ? {} : { error: answer.error, code: 1 }),
  };
}

class Upgrade {
  readonly #command: UpgradeCommand;
  readonly #api: PluginApi;
  readonly #steps: Steps;
  readonly #print: (text: string) => void;
  #plugin: InstalledPlugin | undefined;
  #newPermissions: readonly string[] = [];
  #result: UpgradeAnswer["result"] = "unchanged";
  #error: string | null = null;
  #awayMs = 0;

  constructor(command: UpgradeCommand, env: Environment, print: (text: string) => void) {
    const host = env["DOCKER_HOST"] || "unix:///var/run/docker.sock";
    const address = dockerAddress(host);
    if (address === undefined) throw new Error(`DOCKER_HOST=${host}: expected unix:///PATH or tcp://NAME:PORT`);
    this.#command = command;
    this.#api = new PluginApi(address, (reference) => registryAuth(reference, env));
    this.#steps = new Steps(print);
    this.#print = print;
  }

  get answer(): UpgradeAnswer {
    return {
      plugin: this.#plugin?.Name ?? null,
      from: this.#plugin?.PluginReference ?? null,
      to: this.#command.reference,
      result: this.#result,
      newPermissions: this.#newPermissions,
      error: this.#error,
      awayMs: this.#awayMs,
      steps: this.#steps.done,
    };
  }

  async run(): Promise<void> {
    try {
      const plan = await this.#prepare();
      const startedAt = performance.now();
      const restore = withoutInterruption(this.#print);
      try {
        await this.#replace(plan);
      } finally {
        this.#awayMs = Math.round(performance.now() - startedAt);
        restore();
      }
      const seconds = (this.#awayMs / 1000).toFixed(1);
      if (this.#error === null) this.#print(`Upgraded. For ${seconds} s Docker's calls had to wait.\n`);
    } catch (error) {
      this.#error = messageOf(error);
    } finally {
      if (this.#plugin) await removeFetched(this.#api).catch(() => {}); // the next upgrade does it
    }
  }

  /** Everything that can be found out, and fetched, before anything changes. */
  async #prepare(): Promise<Plan> {
    const { reference, plugin: wanted, wayBack, socket } = this.#command;
    const plugin = findPlugin(await this.#api.list(), wanted);
    this.#plugin = plugin;
    const { Name, PluginReference = Name } = plugin;
    this.#print(`${Name}: from ${PluginReference} to ${reference}\n`);
    const seen = await this.#steps.run(
      "look",
      () => look(plugin, socket),
      ({ before }) => beforeText(before),
    );
    const asked = await this.#steps.run(
      "find",
      () => this.#find(plugin),
      (lines) => permissionsText(lines),
    );
    askForPrivileges(asked, this.#command);
    await removeFetched(this.#api);
    const to = await this.#steps.run(
      "fetch",
      () => fetchBuild("to", reference, plugin, this.#api),
      () => reference,
    );
    this.#newPermissions = newPrivileges(plugin.Config, to.privileges); // the tag may mean something else by now
    askForPrivileges(this.#newPermissions, this.#command);
    const from = wayBack
      ? await this.#steps.run(
          "fetch",
          () => fetchBuild("from", PluginReference, plugin, this.#api),
          () => `${PluginReference}, for the way back`,
        )
      : null;
    return { name: Name, to, from, ...seen };
  }

  /** @returns the permissions that are new */
  async #find(plugin: InstalledPlugin): Promise<readonly string[]> {
    const { reference, wayBack } = this.#command;
    await this.#api.digest(reference).catch((error: Error) => {
      throw new Error(`${reference}: Docker does not find it in the registry: ${error.message}`);
    });
    if (wayBack) await checkWayBack(plugin, reference, this.#api);
    this.#newPermissions = newPrivileges(plugin.Config, await this.#api.privileges(reference));
    return this.#newPermissions;
  }

  async #replace(plan: Plan): Promise<void> {
    const { name } = plan;
    let isReplaced = false;
    try {
      if (plan.before !== null) await this.#steps.run("disable", () => this.#api.disable(name));
      await this.#steps.run("upgrade", () => this.#api.upgrade(name, plan.to.reference, plan.to.privileges));
      isReplaced = true;
      await this.#start(plan);
      this.#result = "upgraded";
    } catch (error) {
      await this.#goBack(plan, isReplaced, messageOf(error));
    }
  }

  /** @throws Error if the build does not come up, or has lost something */
  async #start({ name, before, sockets }: Plan): Promise<void> {
    await this.#steps.run("enable", () =>
      this.#api.enable(name).catch((error: Error) => {
        throw new Error(`it has ended, or does not listen: ${error.message}`);
      }),
    );
    await this.#steps.run(
      "check",
      async () => {
        const after = await knownOnceStarted(sockets);
        const lost = before === null ? "" : await missing(before, after, this.#api);
        if (lost !== "") throw new Error(`it does not know any more: ${lost}`);
        return after;
      },
      (after) => `it answers, and knows ${knownText(after)}`,
    );
  }

  async #goBack(plan: Plan, isReplaced: boolean, why: string): Promise<void> {
    const { name, to, from } = plan;
    const failure = isReplaced ? `${to.reference} does not work: ${why}` : `${name} could not be upgraded: ${why}`;
    const see = `Docker's log says more: journalctl -u docker | grep plugin=`;
    if (isReplaced && from === null) {
      this.#result = "broken";
      this.#error = `${failure}. It is left as it is (--no-way-back). ${see}`;
      return;
    }
    this.#print(`${failure}\nGoing back\n`);
    try {
      await this.#startOld(plan, isReplaced);
      this.#result = isReplaced ? "went back" : "unchanged";
      this.#error = `${failure}. ${this.#plugin?.PluginReference ?? name} is back. ${see}`;
    } catch (error) {
      this.#result = "broken";
      const again = isReplaced ? `docker plugin upgrade ${name} ${from?.reference}; ` : "";
      this.#error = `${failure}. Going back failed as well: ${messageOf(error)}. By hand: docker plugin disable -f ${name}; ${again}docker plugin enable ${name}. ${see}`;
    }
  }

  async #startOld(plan: Plan, isReplaced: boolean): Promise<void> {
    const { name, from } = plan;
    const { Enabled } = await this.#api.inspect(name);
    if (isReplaced && from !== null) {
      if (Enabled) await this.#steps.run("disable", () => this.#api.disable(name));
      await this.#steps.run(
        "upgrade",
        () => this.#api.upgrade(name, from.reference, from.privileges),
        () => `back to ${from.reference}`,
      );
      await this.#start(plan);
    } else if (!Enabled && plan.before !== null) {
      await this.#start(plan);
    }
  }
}

const beforeText = (before: Known | null): string =>
  before === null ? "it is disabled: nobody can tell what it knows" : `it knows ${knownText(before)}`;

const permissionsText = (lines: readonly string[]): string =>
  lines.length === 0 ? "no new permissions" : `new permissions: ${lines.join(", ")}`;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Half of an upgrade is a plugin that does not run: neither a terminal that goes away nor a reader that does ends it. */
function withoutInterruption(print: (text: string) => void): () => void {
  const goOn = (): void => print("Not interrupted: the plugin would be left disabled\n");
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, goOn);
  process.stdout.removeAllListeners("error").on("error", () => {});
  return () => {
    for (const signal of signals) process.off(signal, goOn);
  };
}
