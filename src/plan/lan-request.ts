/** From what Docker asks for to the network of mode macvlan or ipvlan that is recorded. */
import { dummyName } from "../net/names.ts";
import { planHostAccess, refuseDuplicateCheck } from "./lan-option-conflicts.ts";
import { type LanOptions, parseIpvlanOptions, parseMacvlanOptions } from "./lan-options.ts";
import { type IpvlanNetwork, isLayer2, type LanNetwork, type MacvlanNetwork, type Parent } from "./network.ts";
import type { NetworkRequest, PlannedNetwork } from "./network-request.ts";
import { type AskedSubnet, planSubnets } from "./subnet-request.ts";

/** What macvlan and ipvlan networks have in common; what the request says of it is complete. */
type Common = Omit<LanNetwork, "mode" | "macvlanMode" | "ipvlanMode" | "ipvlanFlag">;

/**
 * The network that a request asks for. Whether its parent is there, or is for tsnet to make, only the host knows: it is of kind
 * "link" until parents.ts has seen the host's links.
 * @throws TsnetError "invalid" with the path of the field or the option's key
 */
export function planLanNetwork(mode: LanNetwork["mode"], request: NetworkRequest): PlannedNetwork<LanNetwork> {
  return mode === "macvlan" ? planMacvlanNetwork(request) : planIpvlanNetwork(request);
}

function planMacvlanNetwork(request: NetworkRequest): PlannedNetwork<MacvlanNetwork> {
  const { options, ignored } = parseMacvlanOptions(request.options);
  const { macvlanMode = "bridge" } = options;
  const common = planCommon("macvlan", request, options);
  const network = { ...common, mode: "macvlan", macvlanMode } as const;
  return finished(network, { request, options, ignored });
}

function planIpvlanNetwork(request: NetworkRequest): PlannedNetwork<IpvlanNetwork> {
  const { options, ignored } = parseIpvlanOptions(request.options);
  const { ipvlanMode = "l2", ipvlanFlag = "bridge" } = options;
  const common = planCommon("ipvlan", request, options);
  const network = { ...common, mode: "ipvlan", ipvlanMode, ipvlanFlag } as const;
  return finished(network, { request, options, ignored });
}

function planCommon(mode: LanNetwork["mode"], request: NetworkRequest, options: LanOptions): Common {
  const parent = planParent(request, options);
  const internal = request.internal || parent.kind === "dummy";
  return {
    id: request.id,
    parent,
    hostAccess: null,
    duplicateCheck: false,
    mtuBytes: options.mtuBytes ?? null,
    internal,
    interfacePrefix: options.interfacePrefix ?? "eth",
    subnets: planSubnets({ mode, request, options }, (subnet) => planSubnet(subnet, internal)),
    ready: false,
  };
}

/** As with Docker, a network without a parent is internal; one that is internal may have a parent all the same. */
const planParent = ({ id }: NetworkRequest, { parent }: LanOptions): Parent =>
  parent === undefined ? { name: dummyName(id), kind: "dummy" } : { name: parent, kind: "link" };

const planSubnet = ({ family, pool, gateway }: AskedSubnet, internal: boolean): LanNetwork["subnets"][number] => ({
  family,
  pool: pool.text,
  defaultGateway: internal ? null : (gateway?.ip.text ?? null),
});

/** What depends on the mode as well. */
function finished<N extends LanNetwork>(
  network: N,
  { request, options, ignored }: { request: NetworkRequest; options: LanOptions; ignored: readonly string[] },
): PlannedNetwork<N> {
  refuseDuplicateCheck(network, options);
  const hostAccess = planHostAccess(network, options, request);
  const duplicateCheck = options.duplicateCheck ?? isLayer2(network);
  return { network: { ...network, hostAccess, duplicateCheck }, ignored };
}
