/**
 * What the plugin is made of, in CycloneDX: of npm's own list those modules that are in it, and Debian's packages.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** As far as it is looked at: https://cyclonedx.org/docs/1.5/json */
export interface Bom {
  serialNumber?: string;
  metadata: { timestamp?: string; component: { name: string; version: string } };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

interface Component {
  readonly "bom-ref": string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

/**
 * What `npm sbom` says of package-lock.json. Not "--omit dev": that leaves out what modules for development need as well.
 * @throws Error if this npm has no such command, or with npm's words
 */
export function npmBom(): Bom {
  const directory = mkdtempSync(join(tmpdir(), "tsnet-sbom-"));
  try {
    const project = join(directory, "tsnet"); // npm calls the project by the name of its directory
    mkdirSync(project);
    for (const name of ["package.json", "package-lock.json"]) copyFileSync(join(root, name), join(project, name));
    const words = ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--loglevel=error"];
    return JSON.parse(
      execFileSync("npm", words, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
    );
  } catch (error) {
    const { stderr = "", message } = error as { stderr?: string; message: string };
    if (!/unknown command/i.test(stderr)) throw new Error(`npm sbom: ${stderr || message}`);
    throw new Error(`npm ${npmVersion()} has no command "npm sbom": install npm 10.1 or newer (npm install -g npm@11)`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const npmVersion = (): string => execFileSync("npm", ["--version"], { encoding: "utf8" }).trim();

/**
 * Of npm's list what is in the root file system, with Debian's packages. Without time and number, which npm makes up: the same for each
 * build of one commit.
 * @throws Error for a module that npm does not know
 */
export function pluginBom(fromNpm: Bom, rootfs: string): Bom {
  const { serialNumber: _number, metadata, components, dependencies, ...rest } = fromNpm;
  const { timestamp: _time, ...facts } = metadata;
  const refs = new Set([...modulesIn(rootfs), ...components.filter(isNode).map(refOf)]);
  const unknown = [...refs].filter((ref) => !components.some((component) => refOf(component) === ref));
  if (unknown.length > 0) throw new Error(`npm sbom does not list ${unknown.join(", ")}, which is in ${rootfs}`);
  const project = `${facts.component.name}@${facts.component.version}`;
  return {
    ...rest,
    metadata: facts,
    components: [...components.filter((component) => refs.has(refOf(component))), ...debianPackages(rootfs)],
    dependencies: dependencies
      .filter(({ ref }) => refs.has(ref) || ref === project)
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) })),
  };
}

const refOf = (component: Component): string => component["bom-ref"];

/** It is there as /usr/bin/node, and not as a module. */
const isNode = ({ name }: Component): boolean => name === "node";

/** As npm refers to them: "zod@4.6.7". */
function modulesIn(rootfs: string): string[] {
  const app = join(rootfs, "usr/lib/tsnet");
  const files = globSync("node_modules/**/package.json", { cwd: app });
  return files
    .filter((file) => /(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(file))
    .map((file) => JSON.parse(readFileSync(join(app, file), "utf8")))
    .map(({ name, version }) => `${name}@${version}`);
}

/** Those that plugin/rootfs.sh has copied files of, by the records that it keeps of them. */
function debianPackages(rootfs: string): Component[] {
  const release = fieldsOf(readFileSync(join(rootfs, "etc/os-release"), "utf8"), "=")["VERSION_CODENAME"];
  const records = readFileSync(join(rootfs, "var/lib/dpkg/status"), "utf8").trim().split(/\n\n+/);
  return records.map((record) => {
    const { Package: name = "", Version: version = "", Architecture: arch = "" } = fieldsOf(record, ": ");
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=${release}`;
    return { "bom-ref": purl, type: "library", name, version, purl };
  });
}

function fieldsOf(text: string, separator: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => /^\w/.test(line) && line.includes(separator));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(separator);
      return [line.slice(0, at), line.slice(at + separator.length)];
    }),
  );
}
