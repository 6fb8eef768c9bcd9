/**
 * Builds the managed plugin: `npm run plugin:build -- [--base IMAGE] [--arch amd64|arm64] [--name NAME] [--output DIRECTORY]`.
 * Leaves config.json and rootfs/ in the directory, and gives them to Docker as the plugin NAME; an empty NAME leaves that out.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Architecture, architectureOf, stage } from "./stage.ts";

const root = join(import.meta.dirname, "..");

/** That of this Node. */
export const ownArchitecture: Architecture = process.arch === "arm64" ? "arm64" : "amd64";

export const defaultBase = "debian:trixie-slim";

export interface Build {
  /** The image with Debian's packages: Dockerfile, BASE. */
  readonly base: string;
  readonly arch: Architecture;
  /** A directory; what is in it is replaced. */
  readonly output: string;
}

/** Leaves config.json and rootfs/ in the output. @throws Error with the words of npm, docker or tar */
export function build({ base, arch, output }: Build): void {
  const context = join(output, "context");
  stage(context, arch);
  const image = buildImage(context, base, arch);
  rmSync(context, { recursive: true });
  unpack(image, join(output, "rootfs"));
  copyFileSync(join(root, "plugin/config.json"), join(output, "config.json"));
}

const docker = (words: readonly string[]): string =>
  execFileSync("docker", words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 26 }).trim();

/** @returns its name */
function buildImage(context: string, base: string, arch: Architecture): string {
  const image = `tsnet-rootfs:${arch}`;
  const platform = arch === ownArchitecture ? [] : ["--platform", `linux/${arch}`]; // 20.10 takes it with BuildKit only
  const settings = ["--build-arg", `BASE=${base}`, ...platform, "--file", join(root, "Dockerfile")];
  docker(["build", "--quiet", "--network", "host", ...settings, "--tag", image, context]);
  return image;
}

/** The files of an image, in a directory that is new. */
function unpack(image: string, rootfs: string): void {
  const archive = `${rootfs}.tar`;
  const container = docker(["create", image, "none"]); // it is never started
  try {
    docker(["export", "--output", archive, container]);
  } finally {
    docker(["rm", container]);
  }
  rmSync(rootfs, { recursive: true, force: true });
  mkdirSync(rootfs, { recursive: true });
  execFileSync("tar", ["-xpf", archive, "-C", rootfs]);
  rmSync(archive);
  // Docker's own, of the container
  for (const name of [".dockerenv", "dev/console"]) rmSync(join(rootfs, name), { force: true });
}

function main(): void {
  const { values } = parseArgs({
    options: {
      base: { type: "string", default: defaultBase },
      arch: { type: "string", default: ownArchitecture },
      name: { type: "string", default: "tsnet-plugin" },
      output: { type: "string", default: join(root, "build/plugin") },
    },
  });
  const { base, arch, name, output } = values;
  build({ base, arch: architectureOf(arch), output });
  if (name !== "") docker(["plugin", "create", name, output]);
  console.log(name === "" ? output : `${name}, from ${output}`);
}

if (import.meta.main) main();
