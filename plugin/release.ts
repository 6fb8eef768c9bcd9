/**
 * Builds what is published of a version: `npm run plugin:release -- [--base IMAGE] [--arch amd64|arm64] [--output DIRECTORY]`.
 * The directory gets plugin/, for `docker plugin create` and `push`; the same as an archive, for where there is no registry; the list of
 * what it is made of; the host's command tsnet; and the checksums of these three. Nothing is given to Docker.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { type Build, build, defaultBase, ownArchitecture } from "./build.ts";
import { npmBom, pluginBom } from "./sbom.ts";
import { architectureOf } from "./stage.ts";

const root = join(import.meta.dirname, "..");

/**
 * The same bytes for the same files, whoever made them and when.
 * @param file ends in .tar.gz
 * @throws Error with the words of tar or gzip
 */
export function archive(directory: string, names: readonly string[], file: string): void {
  const plain = file.replace(/\.gz$/, "");
  const sameOwnerAndTime = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"];
  const words = ["--format=gnu", "--sort=name", ...sameOwnerAndTime, "-C", directory, "-cf", plain, ...names];
  execFileSync("tar", words, { stdio: "pipe" });
  execFileSync("gzip", ["--no-name", "--force", plain], { stdio: "pipe" }); // which removes the plain one
}

/** As sha256sum writes it, and `sha256sum -c` reads it in the files' directory. */
export const checksums = (files: readonly string[]): string =>
  files.map((file) => `${createHash("sha256").update(readFileSync(file)).digest("hex")}  ${basename(file)}\n`).join("");

/** Leaves all of it in the output. @throws Error with the words of npm, docker or tar */
function release({ base, arch, output }: Build): void {
  const fromNpm = npmBom(); // first: where it fails, nothing is built for nothing
  const plugin = join(output, "plugin");
  build({ base, arch, output: plugin });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const published = [`tsnet-plugin-${version}-${arch}.tar.gz`, "sbom.cdx.json", "tsnet"].map((name) =>
    join(output, name),
  );
  const [packed = "", bom = "", command = ""] = published;
  archive(plugin, ["config.json", "rootfs"], packed);
  writeFileSync(bom, `${JSON.stringify(pluginBom(fromNpm, join(plugin, "rootfs")), null, 2)}\n`);
  copyFileSync(join(root, "plugin/tsnet"), command);
  writeFileSync(join(output, "SHA256SUMS"), checksums(published));
}

function main(): void {
  const { values } = parseArgs({
    options: {
      base: { type: "string", default: defaultBase },
      arch: { type: "string", default: ownArchitecture },
      output: { type: "string" },
    },
  });
  const arch = architectureOf(values.arch);
  const output = values.output ?? join(root, "build/release", arch);
  release({ base: values.base, arch, output });
  console.log(output);
}

if (import.meta.main) main();
