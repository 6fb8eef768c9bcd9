import { TsnetError } from "../errors.ts";
import { absolutePath, type Environment, optional, type Read } from "./setting.ts";

/** How etcd is reached. */
export interface EtcdConfig {
  /** "https://10.0.0.1:2379" */
  readonly endpoints: readonly string[];
  /** Paths of PEM files: the CA of etcd's certificates, and our own certificate with its key. */
  readonly cacert: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly user: string | null;
  readonly password: string | null;
  /** Begins all of our keys: "/tsnet/". */
  readonly prefix: string;
}

export const etcdSettings = {
  endpoints: { name: "TSNET_ETCD_ENDPOINTS", fallback: "", parse: optional(etcdUrls), isSecret: true },
  cacert: { name: "TSNET_ETCD_CACERT", fallback: "", parse: optional(absolutePath) },
  cert: { name: "TSNET_ETCD_CERT", fallback: "", parse: optional(absolutePath) },
  key: { name: "TSNET_ETCD_KEY", fallback: "", parse: optional(absolutePath) },
  user: { name: "TSNET_ETCD_USER", fallback: "", parse: optional(credentials), isSecret: true },
  prefix: { name: "TSNET_ETCD_PREFIX", fallback: "/tsnet/", parse: keyPrefix },
} as const;

export function readEtcd(read: Read): EtcdConfig | null {
  const endpoints = read(etcdSettings.endpoints);
  const files = { cacert: read(etcdSettings.cacert), cert: read(etcdSettings.cert), key: read(etcdSettings.key) };
  const { user, password } = read(etcdSettings.user) ?? { user: null, password: null };
  const prefix = read(etcdSettings.prefix);
  return endpoints === null ? null : { endpoints, ...files, user, password, prefix };
}

/** Settings of etcd that are right by themselves, but not together. */
export function etcdContradictions(environment: Environment, etcd: EtcdConfig | null): TsnetError[] {
  const { endpoints: where, ...others } = etcdSettings;
  const problems: string[] = [];
  if (!environment[where.name]) {
    const given = Object.values(others).filter(({ name }) => environment[name]);
    for (const { name } of given) problems.push(`${name} is set, but ${where.name} is not: set both or none`);
  }
  if (etcd && (etcd.cert === null) !== (etcd.key === null)) {
    problems.push("TSNET_ETCD_CERT and TSNET_ETCD_KEY: set both or none");
  }
  const isPlain = etcd?.endpoints.find((endpoint) => endpoint.startsWith("http:"));
  const file = etcd && [others.cacert, others.cert, others.key].find(({ name }) => environment[name]);
  if (isPlain && file) problems.push(`${file.name} is set, but ${where.name} has ${isPlain}: expected https`);
  return problems.map((problem) => new TsnetError("invalid", problem));
}

function etcdUrls(text: string): string[] {
  const urls = text.split(",").map((part) => etcdUrl(part.trim()));
  const twice = urls.find((url, index) => urls.indexOf(url) !== index);
  if (twice === undefined) return urls;
  throw new Error(`${twice} is given twice`);
}

function etcdUrl(text: string): string {
  if (text.includes("@")) throw new Error("a user and password belong into TSNET_ETCD_USER");
  const url = /^https?:\/\/[^/?#\s]+:\d{1,5}\/?$/.test(text) ? URL.parse(text) : null;
  // .origin leaves out the port that is usual for the scheme
  if (url) return `${url.protocol}//${url.hostname}:${/(\d+)\/?$/.exec(text)?.[1]}`;
  throw new Error(`${JSON.stringify(text)}: expected such as https://10.0.0.1:2379, several separated by commas`);
}

/** As etcdctl's --user. */
function credentials(text: string): { user: string; password: string } {
  const colon = text.indexOf(":");
  if (colon > 0 && colon < text.length - 1) return { user: text.slice(0, colon), password: text.slice(colon + 1) };
  throw new Error("expected name:password");
}

function keyPrefix(text: string): string {
  if (/^(\/[^/\s]+)+\/$/.test(text)) return text;
  throw new Error("expected a path that begins and ends with a slash, such as /tsnet/");
}
