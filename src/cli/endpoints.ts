/** `tsnet endpoints`, as text. */
import type { EndpointAnswer } from "../driver/report-link-answers.ts";
import type { Names } from "./docker-names.ts";
import { formatMode, formatVlan } from "./networks.ts";
import { compare, formatTable } from "./table.ts";

/** An endpoint with the names that Docker has; null where Docker was not asked or does not know. */
export interface NamedEndpoint extends EndpointAnswer {
  readonly containerName: string | null;
  readonly networkName: string | null;
}

/** Sorted by network and address. */
export const namedEndpoints = (
  endpoints: readonly EndpointAnswer[],
  { containers, networks }: Names,
): NamedEndpoint[] =>
  endpoints
    .map((endpoint) => ({
      ...endpoint,
      containerName: containers.get(endpoint.id) ?? null,
      networkName: networks.get(endpoint.network) ?? null,
    }))
    .toSorted((a, b) => compare(networkOf(a), networkOf(b)) || compare(a.addresses[0] ?? "", b.addresses[0] ?? ""));

const networkOf = ({ network, networkName }: NamedEndpoint): string => networkName ?? network.slice(0, 12);

const header = [
  ...["CONTAINER", "NETWORK", "MODE", "PARENT", "VLAN", "MAC", "ADDRESSES", "LINK", "HOST LINK", "STATE"],
];

export const formatEndpoints = (endpoints: readonly NamedEndpoint[]): string =>
  formatTable(
    header,
    endpoints.map((endpoint) => [
      endpoint.containerName ?? `endpoint ${endpoint.id.slice(0, 12)}`,
      networkOf(endpoint),
      formatMode(endpoint),
      endpoint.parent,
      formatVlan(endpoint),
      formatMac(endpoint),
      endpoint.addresses.map((address) => address.replace(/\/.*/, "")).join(", "),
      endpoint.link ?? "-",
      endpoint.hostLink ?? "-",
      endpoint.state,
    ]),
  );

const formatMac = ({ mac, macIsParents }: NamedEndpoint): string =>
  macIsParents ? `${mac ?? "-"} (parent's)` : (mac ?? "-");
