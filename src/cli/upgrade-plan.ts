/** What is found out before an upgrade changes anything. */
import { hostPath } from "../net/host-path.ts";
import type { UpgradeCommand } from "./arguments.ts";
import type { InstalledPlugin, PluginApi, PluginConfig, Privilege } from "./plugin-api.ts";
import { type Known, known, type Sockets } from "./upgrade-known.ts";

export interface Build {
  readonly reference: string;
  readonly privileges: readonly Privilege[];
}

export interface Plan {
  /** With its tag. */
  readonly name: string;
  readonly to: Build;
  /** What is installed now; null if it is not gone back to. */
  readonly from: Build | null;
  readonly sockets: Sockets;
  /** null for a plugin that is disabled. */
  readonly before: Known | null;
}

/** While an upgrade runs, the new build and the present one are there as plugins of these names, so that nothing has to be downloaded. */
const fetched = { to: "tsnet-upgrade-to:latest", from: "tsnet-upgrade-from:latest" } as const;

const defaultName = "tsnet-plugin:latest";

/** Where tsnet is in its plugin: no other program is there. */
const home = "/usr/lib/tsnet/";

/** @throws Error that lists what there is */
export function findPlugin(installed: readonly InstalledPlugin[], wanted: string | null): InstalledPlugin {
  const candidates = installed.filter(({ Name }) => !Object.values<string>(fetched).includes(Name));
  const isNamed = ({ Name }: InstalledPlugin) => [Name, Name.replace(/:latest$/, "")].includes(wanted ?? defaultName);
  const named = candidates.find(isNamed);
  const found = named ? [named] : wanted === null ? candidates.filter(isTsnet) : [];
  const [plugin] = found;
  if (plugin !== undefined && found.length === 1) {
    if (isTsnet(plugin)) return plugin;
    throw new Error(`${plugin.Name}: it is not tsnet: it runs ${plugin.Config.Entrypoint.join(" ")}`);
  }
  const names = candidates.map(({ Name }) => Name).join(", ") || "none";
  throw new Error(
    found.length > 1
      ? `several plugins are tsnet: ${found.map(({ Name }) => Name).join(", ")}: name one with --plugin`
      : `${wanted ?? defaultName}: no such managed plugin; there are: ${names}. A service is upgraded by its files: see docs`,
  );
}

const isTsnet = ({ Config }: InstalledPlugin): boolean => Config.Entrypoint.some((word) => word.startsWith(home));

/** @throws Error if the plugin, which is enabled, does not answer: then nobody could tell whether something was lost */
export async function look(plugin: InstalledPlugin, admin: string): Promise<Pick<Plan, "sockets" | "before">> {
  const sockets = { admin, plugin: pluginSocket(plugin.Settings.Env ?? []) };
  if (!plugin.Enabled) return { sockets, before: null };
  const before = await known(admin).catch((error: Error) => {
    const advice = `to upgrade it without: docker plugin disable -f ${plugin.Name}`;
    throw new Error(
      `${plugin.Name} does not say what it knows, which is compared afterwards: ${error.message}; ${advice}`,
    );
  });
  return { sockets, before };
}

function pluginSocket(env: readonly string[]): string | null {
  const path = env.find((line) => line.startsWith("TSNET_SOCKET="))?.slice("TSNET_SOCKET=".length);
  return path ? hostPath(path) : null;
}

/** As dockerd works it out of config.json: plugin/backend_linux.go, computePrivileges. */
function privilegesOf({ Network, IpcHost, PidHost, Mounts, Linux }: PluginConfig): Privilege[] {
  return [
    { Name: "network", Value: [Network.Type] },
    { Name: "host ipc namespace", Value: [`${IpcHost ?? false}`] },
    { Name: "host pid namespace", Value: [`${PidHost ?? false}`] },
    { Name: "mount", Value: (Mounts ?? []).flatMap(({ Source }) => Source ?? []) },
    { Name: "allow-all-devices", Value: [`${Linux.AllowAllDevices ?? false}`] },
    { Name: "capabilities", Value: Linux.Capabilities ?? [] },
  ];
}

/** @returns "capabilities: CAP_SYS_TIME", one for each that the installed plugin has not */
export function newPrivileges(installed: PluginConfig, asked: readonly Privilege[]): string[] {
  const lines = (privileges: readonly Privilege[]): string[] =>
    privileges.flatMap(({ Name, Value }) => Value.map((value) => `${Name}: ${value}`));
  const granted = new Set(lines(privilegesOf(installed)));
  return [...new Set(lines(asked))].filter((line) => !granted.has(line));
}

/** @throws Error unless they may be given */
export function askForPrivileges(lines: readonly string[], { reference, grantAll }: UpgradeCommand): void {
  if (lines.length === 0 || grantAll) return;
  throw new Error(
    `${reference} may do more than what is installed: ${lines.join(", ")}. To allow it: --grant-all-permissions`,
  );
}

/** @throws Error if the registry does not have what is installed, or has something else by its name now */
export async function checkWayBack(
  { Name, PluginReference = Name }: InstalledPlugin,
  to: string,
  api: PluginApi,
): Promise<void> {
  const without = `To upgrade without a way back: --no-way-back`;
  const digest = await api.digest(PluginReference).catch((error: Error) => {
    const why = `${Name} comes from ${PluginReference}, and no registry has that: ${error.message}`;
    throw new Error(
      `there would be no way back: ${why}. Push it there again; a plugin made by docker plugin create cannot be. ${without}`,
    );
  });
  if (digest !== (await api.digest(to))) return;
  const why = `${Name} comes from ${PluginReference}, and that is now the same as ${to}`;
  throw new Error(
    `there would be no way back: ${why}. Push what is installed under a tag of its own and upgrade to that first. ${without}`,
  );
}

/** What tells one build from another. */
const layersOf = ({ rootfs }: PluginConfig): string => (rootfs?.diff_ids ?? []).join();

/** Downloads a build. @throws Error if it is no tsnet, or, for the way back, another than what is installed */
export async function fetchBuild(
  which: keyof typeof fetched,
  reference: string,
  plugin: InstalledPlugin,
  api: PluginApi,
): Promise<Build> {
  const privileges = await api.privileges(reference);
  await api.pull(reference, fetched[which], privileges);
  const { Config } = await api.inspect(fetched[which]);
  const lacking = (plugin.Config.Interface.Types ?? []).find((type) => !Config.Interface.Types?.includes(type));
  if (lacking !== undefined) throw new Error(`${reference} is not tsnet: it is no ${lacking}`);
  if (which === "from" && layersOf(Config) !== layersOf(plugin.Config)) {
    const why = `${reference} is another build in the registry now than what is installed`;
    throw new Error(`there would be no way back: ${why}. To upgrade without a way back: --no-way-back`);
  }
  return { reference, privileges };
}

/** Removes what was fetched, also by an upgrade that was broken off. */
export async function removeFetched(api: PluginApi): Promise<void> {
  const names = (await api.list()).map(({ Name }) => Name);
  for (const name of Object.values(fetched)) if (names.includes(name)) await api.remove(name);
}
