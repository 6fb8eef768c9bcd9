/** Who asks a registry: what `docker login` has left in its file. */
import { readFileSync } from "node:fs";
import { inHostRoot } from "./host-root.ts";

/** What Docker Hub is called in that file. */
const hub = "https://index.docker.io/v1/";

/** @returns the header X-Registry-Auth; undefined if nobody has logged in there, or another program keeps the password */
export function registryAuth(reference: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const serveraddress = registryOf(reference);
  const { auth, identitytoken } = readLogins(env)[serveraddress] ?? {};
  if (!auth) return undefined;
  const [username = "", ...rest] = Buffer.from(auth, "base64").toString().split(":");
  const login = { username, password: rest.join(":"), serveraddress, ...(identitytoken ? { identitytoken } : {}) };
  return Buffer.from(JSON.stringify(login)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** "registry.example.com:5000" of "registry.example.com:5000/tsnet-plugin:1". */
function registryOf(reference: string): string {
  const [first = "", ...rest] = reference.split("/");
  if (first === "docker.io" || first === "index.docker.io") return hub;
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : hub;
}

interface Login {
  readonly auth?: string;
  readonly identitytoken?: string;
}

function readLogins(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, Login>> {
  try {
    const directory = env["DOCKER_CONFIG"] || `${env["HOME"] ?? "/root"}/.docker`;
    return JSON.parse(readFileSync(inHostRoot(`${directory}/config.json`), "utf8")).auths ?? {};
  } catch {
    return {};
  }
}
