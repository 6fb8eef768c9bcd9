/** Networks and endpoints as they are recorded (plan/network.ts says what the fields mean). A default is for records older than the field. */
import { z } from "zod";
import { parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import { parseMac } from "../net/mac.ts";
import { isLinkName } from "../net/names.ts";
import { type Endpoint, gatewayModes, type Network } from "../plan/network.ts";
import { badRecord, parseRecord, textFor } from "./parse-record.ts";

const ip = textFor(parseIp);
const hostAddress = textFor(parseHostAddress);
const linkName = z.string().refine(isLinkName, "expected the name of a link");
const mac = z.string().refine((text) => parseMac(text) !== undefined, "expected a unicast MAC address");
const port = z.number().int().min(1).max(65535);

/** Values are compared as JSON: the order of the fields is that of plan/network-request.ts. */
const subnetShape = z.object({
  family: z.union([z.literal(4), z.literal(6)]),
  gatewayMode: z.enum(gatewayModes).default("nat"),
  pool: textFor(parseCidr),
  gateway: hostAddress.nullable(),
  defaultGateway: ip.nullable(),
  snat: ip.nullable(),
});

const networkShape: z.ZodType<Network> = z.object({
  id: z.string(),
  mode: z.literal("bridge"),
  bridge: linkName,
  adopted: z.boolean(),
  kept: z.array(hostAddress).default([]),
  mac,
  mtuBytes: z.number().int().positive().nullable(),
  internal: z.boolean(),
  icc: z.boolean(),
  masquerade: z.boolean(),
  hostBinding: ip,
  interfacePrefix: linkName,
  subnets: z.array(subnetShape).min(1),
  trustedLinks: z.array(linkName).default([]),
  publish: z.enum(["native", "engine"]).default("native"),
  publishFrom: z.array(textFor(parseCidr)).default([]),
  publishPolicy: z.enum(["docker", "host"]).default("docker"),
  ready: z.boolean(),
});

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
  mac,
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
