/** The ways to ask Docker for addresses, as commands for ipam-trial.ts. */

export interface Form {
  readonly commands: string;
  /** The network drivers, where not Docker's bridge on their side and tsnet on ours. */
  readonly drivers?: { readonly theirs: string; readonly ours: string };
  /** Shell commands that make the host ready for it, and then as it was. */
  readonly around?: { readonly before: string; readonly after: string };
  /** What counts as the same in an outcome: the docker command sends several subnets in any order. */
  readonly either?: RegExp;
  /** Docker's first major version that has it. */
  readonly since?: number;
}

/** Containers that run all the time, on Docker's default network. */
export const guests = ["ann", "bob", "cay", "dan", "eve", "fay"];

/** The IPv4 side of a network that has IPv6 as well. */
export const dualIpv4 = "--ipv6 --subnet 10.91.0.0/24";

/** Asks for one address more than there are, and for the first when it has come back. */
const full = (subnets: string, addresses: number): string => `
  network create ${subnets} one
  ${guests
    .slice(0, addresses + 1)
    .map((guest) => `network connect one ${guest}`)
    .join("\n")}
  network disconnect one ann
  network connect one ${guests[addresses]}`;

const ipv4Forms: Readonly<Record<string, Form>> = {
  "order of addresses": {
    commands: `
      network create --subnet 10.91.0.0/24 one
      network connect one ann
      network connect one bob
      network connect one cay
      network disconnect one bob
      network disconnect one ann
      network connect one dan
      network connect --ip 10.91.0.3 one ann
      network connect one bob
      network connect --ip 10.91.0.7 one eve
      network connect one fay`,
  },
  "addresses that cannot be had": {
    commands: `
      network create --subnet 10.91.0.0/24 one
      network connect --ip 10.91.0.9 one bob
      network connect --ip 10.91.0.0 one ann
      network connect --ip 10.91.0.255 one ann
      network connect --ip 10.91.0.1 one ann
      network connect --ip 10.91.0.9 one ann
      network connect --ip 10.92.0.1 one ann
      network connect --ip 10.91.0.256 one ann
      network connect --ip 2001:db8::5 one ann
      network connect --ip6 2001:db8::5 one ann
      run --name late --network one --ip 10.91.0.9
      network connect one ann
      network create default
      network connect --ip 172.18.0.9 default cay`,
  },
  "an ip-range": {
    commands: `
      network create --subnet 10.91.0.0/24 --ip-range 10.91.0.128/30 one
      network connect one ann
      network connect --ip 10.91.0.7 one bob
      network connect --ip 10.91.0.131 one cay
      network connect one dan
      network connect one eve
      network connect --ip 10.91.0.1 one eve
      network disconnect one ann
      network connect one fay
      network create --subnet 10.92.0.0/24 --ip-range 10.92.0.0/30 first
      network connect first ann
      network create --subnet 10.93.0.0/24 --ip-range 10.93.0.252/30 last
      network connect last ann
      network connect last bob
      network connect last cay
      network create --subnet 10.94.0.0/24 --ip-range 10.94.0.0/24 whole
      network connect whole ann
      network create --subnet 10.95.0.0/24 --ip-range 10.95.0.7/32 single
      network connect single ann`,
  },
  "a gateway": {
    commands: `
      network create --subnet 10.91.0.0/24 --gateway 10.91.0.254 one
      network connect one ann
      network connect --ip 10.91.0.254 one bob
      network create --subnet 10.92.0.0/24 --gateway 10.92.0.2 two
      network connect two ann
      network connect two bob
      network create --subnet 10.93.0.0/24 --ip-range 10.93.0.64/26 --gateway 10.93.0.64 inside
      network connect inside ann
      network create --subnet 10.94.0.0/24 --ip-range 10.94.0.64/26 --gateway 10.94.0.1 outside
      network connect outside ann
      network create --subnet 10.95.0.0/24 --gateway 10.95.0.0 bad
      network create --subnet 10.95.0.0/24 --gateway 10.95.0.255 bad
      network create --subnet 10.95.0.0/24 --gateway 10.96.0.1 bad
      network create --subnet 10.95.0.0/24 --gateway 2001:db8::1 bad
      network create --subnet 10.95.0.0/24 --gateway 10.95.0.1/24 bad
      network create --gateway 10.95.0.1 bad
      network create --subnet 10.95.0.0/24 --gateway 10.95.0.1 --gateway 10.95.0.2 bad
      network create --subnet 10.95.0.0/24 good`,
  },
  "auxiliary addresses": {
    commands: `
      network create --subnet 10.91.0.0/24 --aux-address x=10.91.0.2 --aux-address y=10.91.0.4 one
      network connect one ann
      network connect one bob
      network connect --ip 10.91.0.4 one cay
      network create --subnet 10.92.0.0/24 --ip-range 10.92.0.64/26 --aux-address x=10.92.0.5 outside
      network create --subnet 10.94.0.0/24 --ip-range 10.94.0.64/26 --aux-address x=10.94.0.65 inside
      network connect inside ann
      network create --subnet 10.93.0.0/24 --aux-address x=10.96.0.5 bad
      network create --subnet 10.93.0.0/24 --aux-address x=10.93.0.0 bad
      network create --subnet 10.93.0.0/24 --aux-address x=10.93.0.255 bad
      network create --subnet 10.93.0.0/24 --aux-address x=2001:db8::1 bad
      network create --subnet 10.93.0.0/24 --aux-address x=10.93.0.5 --aux-address y=10.93.0.5 bad
      network create --subnet 10.93.0.0/24 --gateway 10.93.0.5 --aux-address x=10.93.0.5 bad
      network create --subnet 10.93.0.0/24 --aux-address x=10.93.0.1 first
      network connect first ann
      network rm bad
      network create --subnet 10.93.0.0/24 --aux-address x=10.93.0.5 good`,
  },
  "a full /29": { commands: full("--subnet 10.91.0.8/29", 5) },
  "a full /30": { commands: full("--subnet 10.91.0.4/30", 1) },
  "a /31": { commands: full("--subnet 10.91.0.4/31", 1) },
  "a /31 with a gateway": { commands: full("--subnet 10.91.0.4/31 --gateway 10.91.0.4", 1) },
  "a /32": { commands: full("--subnet 10.91.0.4/32", 0) },
  "a /32 with a gateway": { commands: full("--subnet 10.91.0.4/32 --gateway 10.91.0.4", 0) },
};

const ipv6Forms: Readonly<Record<string, Form>> = {
  IPv6: {
    commands: `
      network create ${dualIpv4} --subnet 2001:db8:91::/64 one
      network connect one ann
      network connect --ip6 2001:db8:91::7 one bob
      network connect --ip6 2001:db8:91:0:0:0:0:0009 one cay
      network connect --ip6 2001:db8:91::7 one dan
      network connect --ip6 2001:db8:91:: one dan
      network connect --ip6 2001:db8:91::1 one dan
      network connect --ip6 2001:db8:92::1 one dan
      network connect --ip6 2001:db8:91::ffff:ffff:ffff:ffff one dan
      network create --ipv6 --subnet 10.94.0.0/24 --subnet 2001:db9::/32 large
      network connect large ann
      network create --subnet 10.95.0.0/24 --subnet 2001:db8:95::/64 unasked`,
  },
  "IPv6 with a range, a gateway, an auxiliary address": {
    commands: `
      network create ${dualIpv4} --subnet 2001:db8:91::/64 --ip-range 2001:db8:91::8000:0/112 one
      network connect one ann
      network create --ipv6 --subnet 10.92.0.0/24 --subnet 2001:db8:92::/64 --gateway 2001:db8:92::abcd two
      network connect two ann
      network create --ipv6 --subnet 10.93.0.0/24 --subnet 2001:db8:93::/64 --aux-address x=2001:db8:93::2 three
      network connect three ann`,
  },
  "a full /126": { commands: full(`${dualIpv4} --subnet 2001:db8:91::4/126`, 2) },
  "a full /127": { commands: full(`${dualIpv4} --subnet 2001:db8:91::4/127`, 0) },
  "a /128": { commands: full(`${dualIpv4} --subnet 2001:db8:91::4/128`, 0) },
  "IPv6 only": {
    since: 28,
    commands: `
      network create --ipv4=false --ipv6 --subnet 2001:db8:91::/64 one
      network connect one ann
      network connect --ip6 2001:db8:91::7 one bob
      network connect --ip 10.91.0.5 one cay
      network create --ipv4=false --ipv6 two
      network connect two ann
      network create --ipv4=false nil
      network create --ipv4=false --ipv6 --subnet 10.91.0.0/24 four`,
  },
};

export const addressForms: Readonly<Record<string, Form>> = { ...ipv4Forms, ...ipv6Forms };
