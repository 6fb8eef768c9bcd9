/** The dependency rule of DESIGN.md, section 3, as a function. */
import { posix } from "node:path";

/** What each layer may import besides itself and errors.ts. main.ts, threads.ts, compose.ts and create-driver.ts may import everything. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  net: [],
  plan: ["net"],
  store: ["net", "plan"],
  kernel: ["net", "plan"],
  docker: ["net", "plan"],
  cluster: ["net", "plan"],
  driver: ["net", "plan"],
  api: ["net", "driver"],
  cli: ["net", "driver", "config.ts"],
  settings: ["net"],
  "config.ts": ["net", "settings"],
  "start.ts": ["compile-cache.ts"],
};

/** Modules of Node and of npm that only these layers may touch: what is decided elsewhere stays without effects. */
const mayTouch: Readonly<Record<string, readonly string[]>> = {
  net: ["node:crypto", "ip-cidr"],
  plan: [],
  driver: ["node:crypto", "node:timers/promises", "zod"],
};

/**
 * The imports of a file that its layer may not have.
 * @param file "src/plan/bridge.ts"
 * @param source its text
 */
export function forbiddenImports(file: string, source: string): string[] {
  const layer = layerOf(file);
  const imports = [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g)].map(([, path = ""]) => path);
  return imports.filter((path) => !isAllowed(layer, file, path));
}

/** The layer of a file: its directory below src, or the file itself. */
const layerOf = (file: string): string => file.split("/")[1] ?? "";

function isAllowed(layer: string, file: string, path: string): boolean {
  if (["main.ts", "threads.ts", "compose.ts", "create-driver.ts"].includes(layer)) return true;
  if (!path.startsWith(".")) return mayTouch[layer]?.includes(path) ?? true;
  const target = posix.join(posix.dirname(file), path);
  if (target === "src/errors.ts") return true;
  return layerOf(target) === layer || (mayImport[layer]?.includes(layerOf(target)) ?? false);
}
