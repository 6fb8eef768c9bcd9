/** Networks and endpoints as they are recorded (plan/network.ts says what the fields mean). A default is for records older than the field. */
import { z } from "zod";
import { parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import { parseMac } from "../net/mac.ts";
import { isLinkName } from "../net/names.ts";
import { parseVlanName } from "../net/vlan.ts";
import { largestVni } from "../net/vni.ts";
import {
  datapaths,
  type Endpoint,
  gatewayModes,
  ipvlanFlags,
  ipvlanModes,
  macvlanModes,
  type Network,
} from "../plan/network.ts";
import { badRecord, parseRecord, textFor } from "./parse-record.ts";

const ip = textFor(parseIp);
const hostAddress = textFor(parseHostAddress);
const linkName = z.string().refine(isLinkName, "expected the name of a link");
const mac = z.string().refine((text) => parseMac(text) !== undefined, "expected a unicast MAC address");
const port = z.number().int().min(1).max(65535);

/** Values are compared as JSON: the order of the fields is that of plan/subnet-request.ts and those who use it. */
const bridgeSubnetShape = z.object({
  family: z.union([z.literal(4), z.literal(6)]),
  gatewayMode: z.enum(gatewayModes).default("nat"),
  pool: textFor(parseCidr),
  gateway: hostAddress.nullable(),
  defaultGateway: ip.nullable(),
  snat: ip.nullable(),
});

const lanSubnetShape = bridgeSubnetShape.pick({ family: true, pool: true, defaultGateway: true });

/** What networks of all modes have. */
const common = {
  id: z.string(),
  mtuBytes: z.number().int().positive().nullable(),
  internal: z.boolean(),
  interfacePrefix: linkName,
  ready: z.boolean(),
};

/** What networks have whose gateways may be on this host. */
const withGateway = {
  ...common,
  bridge: linkName,
  mac,
  icc: z.boolean(),
  masquerade: z.boolean(),
  hostBinding: ip,
  subnets: z.array(bridgeSubnetShape).min(1),
  trustedLinks: z.array(linkName).default([]),
  publish: z.enum(["native", "engine"]).default("native"),
  publishFrom: z.array(textFor(parseCidr)).default([]),
  publishPolicy: z.enum(["docker", "host"]).default("docker"),
};

const bridgeShape = z.object({
  ...withGateway,
  mode: z.literal("bridge"),
  adopted: z.boolean(),
  kept: z.array(hostAddress).default([]),
});

const overlayShape = z.object({
  ...withGateway,
  mode: z.literal("overlay"),
  vni: z.number().int().min(0).max(largestVni),
  flood: z.boolean(),
  datapath: z.enum(datapaths).default("auto"),
});

/** What networks of mode macvlan and ipvlan have. */
const lan = {
  ...common,
  parent: z.discriminatedUnion("kind", [
    z.object({ name: linkName, kind: z.enum(["link", "dummy"]) }),
    z.object({ name: textFor(parseVlanName), kind: z.literal("vlan") }),
  ]),
  hostAccess: z.object({ addresses: z.array(ip) }).nullable(),
  duplicateCheck: z.boolean(),
  subnets: z.array(lanSubnetShape).min(1),
};

const macvlanShape = z.object({ ...lan, mode: z.literal("macvlan"), macvlanMode: z.enum(macvlanModes) });

const ipvlanShape = z.object({
  ...lan,
  mode: z.literal("ipvlan"),
  ipvlanMode: z.enum(ipvlanModes),
  ipvlanFlag: z.enum(ipvlanFlags),
});

const networkShape: z.ZodType<Network> = z.discriminatedUnion("mode", [
  bridgeShape,
  overlayShape,
  macvlanShape,
  ipvlanShape,
]);

const protocol = z.enum(["tcp", "udp", "sctp"]);
const count = z.number().int().min(1).max(65535);

const endsAt65535 = "expected a block of ports that ends at 65535 or before";

const portShape = z
  .object({ protocol, hostAddress: ip, hostPort: port, containerPort: port, count: count.default(1) })
  .refine((block) => Math.max(block.hostPort, block.containerPort) + block.count <= 65536, endsAt65535);

const openPortShape = z
  .object({ protocol, port, count })
  .refine((block) => block.port + block.count <= 65536, endsAt65535);

const endpointShape: z.ZodType<Endpoint> = z.object({
  id: z.string(),
  network: z.string(),
  addresses: z.array(hostAddress).min(1),
  leases: z.array(z.string()).default([]),
  mac: mac.nullable(),
  sandbox: z.string().nullable(),
  ports: z.array(portShape),
  openPorts: z.array(openPortShape).default([]),
});

/** @throws TsnetError "store", which names the record */
export const parseNetworkRecord = (id: string, value: unknown): Network =>
  withId(id, "network", parseRecord("network", id, networkShape, value));

/** @throws TsnetError "store", which names the record */
export const parseEndpointRecord = (id: string, value: unknown): Endpoint =>
  withId(id, "endpoint", parseRecord("endpoint", id, endpointShape, value));

function withId<T extends { readonly id: string }>(id: string, kind: "network" | "endpoint", record: T): T {
  if (record.id === id) return record;
  throw badRecord(kind, id, `cannot be understood: id: expected ${id}, got ${record.id}`);
}
