/**
 * The options of `docker network create -o KEY=VALUE`, for mode overlay, each for itself: Docker's own names and meanings (moby,
 * drivers/overlay), and `tsnet.…` for what Docker does not have.
 */
import { parseVni } from "../net/vni.ts";
import { type Datapath, datapaths } from "./network.ts";
import {
  type CommonOptions,
  commonParsers,
  fail,
  goBoolean,
  leastMtuBytes,
  mtu,
  type OptionTable,
  oneOf,
  type ParsedOptions,
  parseOptions,
} from "./option-values.ts";
import { publishSources } from "./options.ts";
import { overheadBytes } from "./overlay.ts";

/** What the options of an overlay network say; absent means the default. The MTU is that of the way between the hosts. */
export interface OverlayOptions extends CommonOptions {
  readonly vni?: number;
  /** UDP port of VXLAN that the other nodes of a swarm have. */
  readonly port?: number;
  readonly flood?: boolean;
  readonly datapath?: Datapath;
  /** Who leads containers out and publishes ports: tsnet, or Docker, by a second network of its own. */
  readonly egress?: "native" | "engine";
  /** Canonical subnets, none within another. */
  readonly publishFrom?: readonly string[];
  readonly publishPolicy?: "docker" | "host";
}

export const vniKey = "tsnet.vni";
export const portKey = "tsnet.vxlan_port";
/** UDP port of VXLAN (IANA), and of a swarm's network whose options name none. */
export const defaultPort = 4789;
export const vniListKey = "com.docker.network.driver.overlay.vxlanid_list";
const mtuKey = "com.docker.network.driver.mtu";

const parsers: OptionTable<OverlayOptions>["parsers"] = {
  [vniKey]: (value) => ({ vni: parseVni(value) }),
  [vniListKey]: (value) => ({ vni: firstVni(value) }),
  [portKey]: (value) => ({ port: udpPort(value) }),
  "tsnet.flood": (value) => ({ flood: goBoolean(value) }),
  "tsnet.datapath": (value) => ({ datapath: oneOf(datapaths, value) }),
  "tsnet.egress": (value) => ({ egress: oneOf(["native", "engine"], value) }),
  "tsnet.publish_from": (value) => ({ publishFrom: publishSources(value) }),
  "tsnet.publish_policy": (value) => ({ publishPolicy: oneOf(["docker", "host"], value) }),
  // Docker asks only whether the key is there
  encrypted: () => fail("this version of tsnet does not encrypt; leave it out, or use Docker's own overlay"),
  ...commonParsers,
  [mtuKey]: (value) => underlayMtu(value),
};

/** The keys that mean something in mode overlay. */
export const overlayKeys: readonly string[] = Object.keys(parsers);

/** @throws TsnetError "invalid" with the key and the value */
export const parseOverlayOptions = (given: Readonly<Record<string, string>>): ParsedOptions<OverlayOptions> =>
  parseOptions<OverlayOptions>(given, {
    mode: "overlay",
    parsers,
    refusal: (key, value, reason) => `${key}=${value}: ${reason}`,
  });

/** Docker has a VNI for each subnet; here all of a network's subnets are one segment, and have the first. */
export function firstVni(value: string): number {
  const [first = 0] = value.split(",").map((text) => parseVni(text.trim()));
  return first;
}

function udpPort(value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  return port >= 1 && port <= 65535 ? port : fail("expected a UDP port from 1 to 65535");
}

/** As with Docker's own overlay, the option says what the hosts' network carries; the containers have what VXLAN leaves of it. */
function underlayMtu(value: string): Pick<OverlayOptions, "mtuBytes"> {
  const mtuBytes = mtu(value);
  if (mtuBytes === undefined) return {};
  const leastBytes = leastMtuBytes + overheadBytes.ipv4;
  if (mtuBytes >= leastBytes) return { mtuBytes };
  return fail(
    `VXLAN takes ${overheadBytes.ipv4} bytes of what the hosts' network carries; give ${leastBytes} at least`,
  );
}
