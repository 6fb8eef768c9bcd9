/** Shapes of the fields of Docker's requests: unknown JSON in, true types out. */
import { z } from "zod";
import { parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import { parseMac } from "../net/mac.ts";

/** Turns a parser that throws into a check of a text field, with the parser's own words. */
const parsed = <T>(parse: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

/** 64 hexadecimal digits, or 25 characters of a swarm's IDs. */
export const id = z
  .string()
  .regex(/^[0-9a-z]{12,64}$/, "expected an ID of Docker's: 12 to 64 of the characters 0-9 a-z");

/** "172.18.0.0/16", canonical. */
export const cidr = parsed((text) => parseCidr(text).text);

/** "172.18.0.2/16", canonical. */
export const hostAddress = parsed((text) => parseHostAddress(text).text);

/** "172.18.0.2", canonical. */
export const address = parsed((text) => parseIp(text).text);

/** A text that Docker may leave out, send empty or as null. */
export const optionalText = z
  .string()
  .nullish()
  .transform((text) => text ?? "");

/** "172.18.0.2", canonical; "" where Docker sends none. */
export const optionalIp = optionalText.pipe(parsed((text) => (text === "" ? "" : parseIp(text).text)));

/** Docker keeps it as it got it. */
export const poolId = z.string().min(1, "expected the ID of a pool");

/** As `shape`, or null where Docker sends nothing or "". */
export const orNone = <T>(shape: z.ZodType<T>) =>
  z.union([z.literal("").transform(() => null), z.null(), shape]).optional();

export const mac = parsed((text) => {
  const address = parseMac(text);
  if (address === undefined)
    throw new Error(`expected a unicast MAC address, such as 02:42:ac:12:00:02, got ${JSON.stringify(text)}`);
  return address;
});

/** A dictionary that Docker may leave out or send as null. */
export const dictionary = <T>(value: z.ZodType<T>) =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((record) => record ?? {});

/** Numbers of the protocols that ports are published for: IANA, "Assigned Internet Protocol Numbers". */
const protocols: Readonly<Record<number, "tcp" | "udp" | "sctp">> = { 6: "tcp", 17: "udp", 132: "sctp" };

const protocol = z.number().transform((number, context) => {
  const name = protocols[number];
  if (name !== undefined) return name;
  context.addIssue({
    code: "custom",
    message: `expected 6 (tcp), 17 (udp) or 132 (sctp), got ${number}: unknown protocol`,
  });
  return z.NEVER;
});

const portNumber = z.number().int().min(0).max(65535);

/** One entry of `com.docker.network.portmap`. */
const portBinding = z
  .object({
    Proto: protocol,
    Port: portNumber.min(1),
    HostIP: orNone(parsed((text) => parseIp(text).text)),
    HostPort: portNumber.nullish().transform((port) => port ?? 0),
    HostPortEnd: portNumber.nullish().transform((port) => port ?? 0),
  })
  .transform((binding, context) => {
    const { Proto, Port, HostIP, HostPort, HostPortEnd } = binding;
    if (HostPortEnd !== 0 && HostPortEnd < HostPort) {
      context.addIssue({ code: "custom", message: `invalid port range: ${HostPort}-${HostPortEnd}` });
    }
    return {
      protocol: Proto,
      containerPort: Port,
      hostAddress: HostIP ?? "",
      hostPort: HostPort,
      hostPortEnd: Math.max(HostPort, HostPortEnd),
    };
  });

/** `Options` of Join and ProgramExternalConnectivity: the container's published ports, and since Docker 28 who serves IPv6. */
export const sandboxOptions = z
  .object({
    "com.docker.network.portmap": z.array(portBinding).nullish(),
    "com.docker.network.driver.private.no_proxy_6to4": z.boolean().nullish(),
  })
  .nullish()
  .transform((options) => ({
    ports: options?.["com.docker.network.portmap"] ?? [],
    /** Another endpoint of the container is its IPv6 gateway, and publishes for IPv6. */
    noProxy6To4: options?.["com.docker.network.driver.private.no_proxy_6to4"] ?? false,
  }));

const subnet = z
  .object({
    AddressSpace: optionalText,
    Pool: cidr,
    Gateway: orNone(hostAddress),
    AuxAddresses: dictionary(z.string()),
  })
  .transform(({ AddressSpace, Pool, Gateway, AuxAddresses }) => ({
    addressSpace: AddressSpace,
    pool: Pool,
    gateway: Gateway ?? null,
    auxiliary: AuxAddresses,
  }));

/** `IPv4Data`, `IPv6Data`. */
export const subnets = z
  .array(subnet)
  .nullish()
  .transform((list) => list ?? []);

/** `Options` of CreateNetwork and GwAllocCheck. */
export const networkOptions = z
  .object({
    "com.docker.network.generic": dictionary(z.string()),
    "com.docker.network.internal": z.boolean().nullish(),
    "com.docker.network.enable_ipv4": z.boolean().nullish(),
    "com.docker.network.enable_ipv6": z.boolean().nullish(),
  })
  .nullish()
  .transform((options) => ({
    options: options?.["com.docker.network.generic"] ?? {},
    internal: options?.["com.docker.network.internal"] ?? false,
    enableIpv4: options?.["com.docker.network.enable_ipv4"] ?? undefined,
    enableIpv6: options?.["com.docker.network.enable_ipv6"] ?? undefined,
  }));
