/** Installs what the tests need of Debian's packages, and only what is missing. No service is started by it. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { run } from "./commands.ts";

/** Each command, and the package that has it. */
const packageOf: Readonly<Record<string, string>> = {
  dockerd: "docker.io",
  containerd: "containerd",
  runc: "runc",
  iptables: "iptables",
  nft: "nftables",
  ip: "iproute2",
  busybox: "busybox-static",
  socat: "socat",
  conntrack: "conntrack",
  sysctl: "procps",
  hostname: "hostname",
  mount: "mount",
  tini: "tini",
  firewalld: "firewalld",
  ufw: "ufw",
  "docker-registry": "docker-registry",
};

/** The same, for tests that never run in the root of a newer Docker, which therefore does not have them. */
const packageOfHost: Readonly<Record<string, string>> = {
  etcd: "etcd-server",
  openssl: "openssl",
  tcpdump: "tcpdump",
};

/** Commands that do as well as another. */
const alternatives: Readonly<Record<string, readonly string[]>> = { tini: ["docker-init"] };

/** Where a root shell finds programs, whatever PATH this process was given. */
const searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The docker command of the distribution: the tests name it by its path. Newer Debians have it in a package of its own. */
const dockerCommand = { path: "/usr/bin/docker", package: "docker-cli" };

const policyFile = "/usr/sbin/policy-rc.d";
/** 101: action forbidden by policy. Debian's invoke-rc.d asks this before it starts a service. */
const policy = "#!/bin/sh\nexit 101\n";

const downloads = 600_000;

const isThere = (command: string): boolean =>
  [command, ...(alternatives[command] ?? [])].some((name) =>
    [...searchPath, ...(process.env["PATH"] ?? "").split(":")].some((directory) =>
      isExecutable(`${directory}/${name}`),
    ),
  );

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Packages that are missing, in the order of the table. */
const missing = (packages: Readonly<Record<string, string>>): string[] =>
  Object.entries(packages).flatMap(([command, name]) => (isThere(command) ? [] : [name]));

/** All that the docker ring needs of Debian. */
export const testPackages = (): string[] => [...Object.values(packageOf), dockerCommand.package];

/**
 * Makes the machine ready for the rings that need root.
 * @returns the packages that were installed
 * @throws Error if this is not root, not Debian, or the installation fails
 */
export async function setUp(): Promise<string[]> {
  if (process.getuid?.() !== 0) throw new Error("the tests make network namespaces and run dockerd: run them as root");
  process.env["PATH"] = [...(process.env["PATH"] ?? "").split(":"), ...searchPath].join(":");
  const installed = await install({ ...packageOf, ...packageOfHost });
  if (isExecutable(dockerCommand.path)) return installed;
  await installPackages([dockerCommand.package]);
  return [...installed, dockerCommand.package];
}

/**
 * Installs what is missing.
 * @param packages each command, and the package that has it
 * @returns the packages that were installed
 * @throws Error if the installation fails
 */
export async function install(packages: Readonly<Record<string, string>>): Promise<string[]> {
  const names = missing(packages);
  await installPackages(names);
  return names;
}

async function installPackages(packages: readonly string[]): Promise<void> {
  if (packages.length === 0) return;
  if (!isThere("apt-get"))
    throw new Error(`missing: ${packages.join(" ")}; there is no apt-get here: install them yourself`);
  console.log(`Installing what is missing: ${packages.join(" ")}`);
  using _noStarts = forbidServiceStarts();
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  if (!hasPackageLists()) await run(["apt-get", "-qq", "update"], { env, timeoutMs: downloads });
  const command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", ...packages];
  try {
    await run(command, { env, timeoutMs: downloads });
  } catch {
    // lists that are there may be out of date, and name files that the mirror no longer has
    await run(["apt-get", "-qq", "update"], { env, timeoutMs: downloads });
    await run(command, { env, timeoutMs: downloads });
  }
}

const hasPackageLists = (): boolean =>
  existsSync("/var/lib/apt/lists") && readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));

/** Keeps installed services from being started, until it is disposed of; a policy that is there already stays. */
function forbidServiceStarts(): Disposable {
  if (existsSync(policyFile)) return { [Symbol.dispose]: () => {} };
  writeFileSync(policyFile, policy, { mode: 0o755 });
  return {
    [Symbol.dispose]: () => {
      if (existsSync(policyFile) && readFileSync(policyFile, "utf8") === policy) rmSync(policyFile);
    },
  };
}
