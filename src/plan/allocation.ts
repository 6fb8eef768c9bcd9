/**
 * A network of a swarm before any node has it. The swarm's leader asks for it once (NetworkDriver.AllocateNetwork), and again whenever
 * another manager becomes the leader, with the answer that was given before among the options. The nodes get the answer as the
 * network's options (moby, daemon/libnetwork/cnmallocator).
 */
import { parseCidr } from "../net/cidr.ts";
import { vniOf } from "../net/vni.ts";
import { withMode } from "./mode-options.ts";
import type { Network } from "./network.ts";
import { planNetwork, type RequestedSubnet } from "./network-request.ts";
import { defaultPort, portKey, vniKey } from "./overlay-options.ts";

/** NetworkDriver.AllocateNetwork, parsed. */
export interface AllocationRequest {
  readonly id: string;
  readonly options: Readonly<Record<string, string>>;
  /** Of both families, in any order: Docker has them all in IPv4Data. */
  readonly subnets: readonly RequestedSubnet[];
}

/** What is asked for, checked. */
export interface PlannedAllocation {
  readonly mode: Network["mode"];
  /** "10.5.0.0/24", in order. */
  readonly subnets: readonly string[];
  /** What the options say: the user's wish, or an earlier answer; null for none, and in other modes than overlay. */
  readonly vni: number | null;
}

/** Without a mode, a network that all nodes share is an overlay. */
export const sharedMode = "overlay";

/**
 * Checks a network as the nodes will: what is refused here, they refuse in the same words.
 * @throws TsnetError "invalid" with the path of the field or the option's key
 */
export function planAllocation(request: AllocationRequest): PlannedAllocation {
  const network = planEither(request);
  const vni = network.mode === "overlay" && network.vni !== 0 ? network.vni : null;
  return { mode: network.mode, subnets: network.subnets.map(({ pool }) => pool), vni };
}

/** Whether it is internal the nodes alone are told, and some options are for one of the two. */
function planEither({ id, options, subnets }: AllocationRequest): Network {
  const [ipv4, ipv6] = [4, 6].map((family) => subnets.filter(({ pool }) => parseCidr(pool).family === family));
  const families = { ipv4: ipv4 ?? [], ipv6: ipv6 ?? [] };
  const enabled = { enableIpv4: families.ipv4.length > 0, enableIpv6: families.ipv6.length > 0 };
  const request = { id, options: withMode(options, sharedMode), ...families, ...enabled };
  try {
    return planNetwork({ ...request, internal: false }).network;
  } catch (error) {
    try {
      return planNetwork({ ...request, internal: true }).network;
    } catch {
      throw error;
    }
  }
}

/**
 * The answer: all of the user's options, since it takes their place, and what was chosen for the nodes.
 * @param port TSNET_VXLAN_PORT of the manager that is asked first: the usual one goes without saying
 */
export const allocatedOptions = (
  options: Readonly<Record<string, string>>,
  vni: number | null,
  port = defaultPort,
): Readonly<Record<string, string>> => ({
  ...(port === defaultPort ? {} : { [portKey]: `${port}` }),
  ...withMode(options, sharedMode),
  ...(vni === null ? {} : { [vniKey]: `${vni}` }),
});

/** Chance finds a free one of eight million sooner. */
const attempts = 100;

/** The VNIs to try for a network, in order: these, then those that its subnets give (net/vni.ts). */
export function* vniCandidates(preferred: readonly number[], subnets: readonly string[]): Generator<number> {
  yield* preferred;
  for (let attempt = 0; attempt < attempts; attempt++) yield vniOf(subnets, attempt);
}
