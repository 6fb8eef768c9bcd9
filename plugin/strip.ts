/**
 * tsnet's modules as the plugin has them: JavaScript. Node takes the types out of a module itself, but that is most of the time and the
 * memory of a first start, which dockerd and its containers wait for.
 */
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";

/** What a module calls another: in an import, or in the URL of a thread's program. */
const relativeName = /(["'])(\.{1,2}\/[^"'\n]+)\.ts\1/g;

/** A module with the lines and columns that it has in TypeScript. */
export const strip = (source: string): string => stripTypeScriptTypes(source).replace(relativeName, "$1$2.js$1");

/** Writes the modules of a directory to another, NAME.ts as NAME.js. */
export function copyStripped(from: string, to: string): void {
  for (const name of globSync("**/*.ts", { cwd: from })) {
    const file = join(to, name.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, strip(readFileSync(join(from, name), "utf8")));
  }
}
