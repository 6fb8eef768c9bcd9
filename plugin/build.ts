/**
 * Builds the managed plugin: `npm run plugin:build -- [--base IMAGE] [--arch amd64|arm64] [--name NAME] [--output DIRECTORY]`.
 * Leaves config.json and rootfs/ in the directory, and gives them to Docker as the plugin NAME; an empty NAME leaves that out.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Architecture, architectures, stage } from "./stage.ts";

const root = join(import.meta.dirname, "..");

const ownArchitecture: Architecture = process.arch === "arm64" ? "arm64" : "amd64";

function options() {
  const { values } = parseArgs({
    options: {
      base: { type: "string", default: "debian:bookworm-slim" },
      arch: { type: "string", default: ownArchitecture },
      name: { type: "string", default: "tsnet-plugin" },
      output: { type: "string", default: join(root, "build/plugin") },
    },
  });
  if (!Object.hasOwn(architectures, values.arch))
    throw new Error(`--arch ${values.arch}: expected one of ${Object.keys(architectures).join(", ")}`);
  return { ...values, arch: values.arch as Architecture };
}

const docker = (words: readonly string[]): string =>
  execFileSync("docker", words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 26 }).trim();

/** The files of an image, in a directory that is new. */
function unpack(image: string, rootfs: string): void {
  const container = docker(["create", image, "none"]); // it is never started
  try {
    mkdirSync(rootfs, { recursive: true });
    const archive = `${rootfs}.tar`;
    docker(["export", "--output", archive, container]);
    execFileSync("tar", ["-xpf", archive, "-C", rootfs]);
    rmSync(archive);
    for (const name of [".dockerenv", "dev/console"]) rmSync(join(rootfs, name), { force: true });
  } finally {
    docker(["rm", container]);
  }
}

function build(): void {
  const { base, arch, name, output } = options();
  const [context, rootfs] = [join(output, "context"), join(output, "rootfs")];
  const image = `tsnet-rootfs:${arch}`;
  rmSync(rootfs, { recursive: true, force: true });
  stage(context, arch);
  const platform = arch === ownArchitecture ? [] : ["--platform", `linux/${arch}`]; // 20.10 takes it with BuildKit only
  const settings = ["--build-arg", `BASE=${base}`, ...platform, "--file", join(root, "Dockerfile")];
  docker(["build", "--quiet", "--network", "host", ...settings, "--tag", image, context]);
  unpack(image, rootfs);
  rmSync(context, { recursive: true });
  copyFileSync(join(root, "plugin/config.json"), join(output, "config.json"));
  if (name !== "") docker(["plugin", "create", name, output]);
  console.log(name === "" ? output : `${name}, from ${output}`);
}

build();
