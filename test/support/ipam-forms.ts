/** The ways to ask Docker for subnets and addresses, as commands for ipam-trial.ts. */
import { addressForms, dualIpv4, type Form } from "./ipam-address-forms.ts";
import { router } from "./outside.ts";

const severalSubnets = {
  either: /10\.9[12]\.0/g,
  commands: `
    network create --subnet 10.91.0.0/30 --subnet 10.92.0.0/30 one
    network connect one ann
    network connect one bob
    network connect one cay
    network disconnect one ann
    network connect one cay
    network create --subnet 10.93.0.0/24 --subnet 10.93.0.0/25 two`,
};

const poolForms: Readonly<Record<string, Form>> = {
  "default pools": {
    commands: `
      network create one
      network create two
      network connect one ann
      network disconnect one ann
      network rm one
      network create again
      network rm again
      network rm two
      network create --subnet 172.18.0.0/15 n1
      network create --subnet 172.20.0.0/14 n2
      network create --subnet 172.24.0.0/13 n3
      network create --subnet 192.168.0.0/18 n4
      network create --subnet 192.168.128.0/17 n5
      network create n6
      network create n7
      network create n8
      network create full
      network rm n6
      network create n9`,
  },
  "a default pool that the host routes": {
    around: {
      before: `ip route add 172.18.0.0/17 via ${router.ipv4}`,
      after: `ip route del 172.18.0.0/17 via ${router.ipv4}`,
    },
    commands: "network create one",
  },
  "default pools of IPv6": {
    commands: `
      network create --ipv6 one
      network connect one ann
      network create --ipv6 two
      network create --ipv6 --subnet 10.91.0.0/24 three
      network create --ipv6 --subnet 2001:db8:91::/64 four`,
  },
  "any subnet of a size": {
    commands: `
      network create --subnet 0.0.0.0/24 one
      network connect one ann
      network disconnect one ann
      network rm one
      network create --subnet 0.0.0.0/8 eight
      network create --subnet 0.0.0.0/0 all
      network create --subnet 0.0.0.0/24 --ip-range 0.0.0.0/25 range
      network create --ipv6 --subnet 10.91.0.0/24 --subnet ::/80 six
      network connect six ann`,
  },
  overlap: {
    commands: `
      network create --subnet 10.91.0.0/16 one
      network create --subnet 10.91.0.0/16 same
      network create --subnet 10.91.7.0/24 inside
      network create --subnet 10.90.0.0/15 around
      network create --subnet 10.91.0.0/16 --ip-range 10.91.7.0/24 range
      network create --subnet 10.91.7.0/24 --ip-range 10.91.7.0/25 part
      network rm one
      network create --subnet 10.91.7.0/24 inside
      network create --ipv6 --subnet 10.95.0.0/24 --subnet 2001:db8:91::/64 six
      network create --ipv6 --subnet 10.96.0.0/24 --subnet 2001:db8:91::/80 seven`,
  },
  "one subnet for two networks": {
    drivers: { theirs: "macvlan", ours: "macvlan" },
    commands: `
      network create --subnet 10.91.0.0/24 --ip-range 10.91.0.64/26 one
      network create --subnet 10.91.0.0/24 --ip-range 10.91.0.128/26 two
      network create --subnet 10.91.0.0/24 --ip-range 10.91.0.128/26 same
      network create --subnet 10.91.0.0/24 --ip-range 10.91.0.128/27 within
      network create --subnet 10.91.0.0/24 whole
      network create --subnet 10.91.0.0/25 --ip-range 10.91.0.0/27 smaller
      network connect one ann
      network connect two bob
      network connect within cay
      network connect --ip 10.91.0.65 two dan
      network connect --ip 10.91.0.200 two dan
      network connect --ip 10.91.0.200 one eve
      network connect --ip 10.91.0.201 one eve
      network disconnect one ann
      network connect one ann`,
  },
  "several subnets": { drivers: { theirs: "tsnet", ours: "tsnet" }, ...severalSubnets },
  "several subnets of another driver's network": { drivers: { theirs: "macvlan", ours: "macvlan" }, ...severalSubnets },
  "a network again": {
    commands: `
      network create --subnet 10.91.0.0/24 --gateway 10.91.0.9 --aux-address x=10.91.0.1 one
      network connect one ann
      network rm one
      network disconnect one ann
      network rm one
      network create --subnet 10.91.0.0/24 --gateway 10.91.0.9 --aux-address x=10.91.0.1 one
      network connect one ann
      network disconnect one ann
      network rm one
      network create --subnet 10.91.0.0/16 other`,
  },
  internal: {
    commands: `
      network create --internal --subnet 10.91.0.0/24 one
      network connect one ann
      network connect --ip 10.91.0.1 one bob
      network create --internal --subnet 10.93.0.0/31 two
      network connect two bob`,
  },
  options: {
    commands: `
      network create --subnet 10.91.0.0/24 --ipam-opt com.docker.network.ipam.serial=true one
      network connect one ann
      network connect one bob
      network disconnect one ann
      network connect one cay
      network create --subnet 10.92.0.0/24 --ipam-opt foo=bar two
      network create --subnet 10.93.0.0/24 --ipam-opt tsnet.stick=true three
      network create --subnet 10.94.0.0/24 --ipam-opt tsnet.sticky=perhaps four`,
  },
};

const badInput = (flags: string, values: string): string =>
  values
    .split(" ")
    .map((value, index) => `network create ${flags} ${value} bad${index}\nnetwork rm bad${index}`)
    .join("\n");

const otherForms: Readonly<Record<string, Form>> = {
  "subnets that are none": {
    commands: [
      badInput(
        "--subnet",
        "10.91.0.1/24 10.91.0.0 x 10.91.0.0/33 10.91.0/24 224.0.0.0/24 2001:db8::/64 2001:db8::1/64",
      ),
      badInput(`${dualIpv4} --subnet`, "2001:db8::1/64 2001:db8::/129 fe80::/64 fe80::/10 ff00::/64"),
    ].join("\n"),
  },
  "ranges that are none": {
    commands: [
      badInput(
        "--subnet 10.91.0.0/24 --ip-range",
        "10.91.0.129/25 10.92.0.0/25 10.91.0.0/23 2001:db8::/80 10.91.0.5 x",
      ),
      badInput(`${dualIpv4} --subnet 2001:db8:91::/64 --ip-range`, "10.92.0.0/25 2001:db8:92::/80"),
      "network create --ip-range 10.91.0.0/25 bad",
      "network create --subnet 10.91.0.0/24 good",
    ].join("\n"),
  },
  "stopped containers": {
    commands: `
      network create --subnet 10.91.0.0/24 one
      run --name xan --network one
      run --name fix --network one --ip 10.91.0.4
      restart xan
      stop xan
      stop fix
      network connect one ann
      network connect one bob
      network connect one cay
      start fix
      start xan
      network disconnect one bob
      restart xan
      rm -f xan
      network connect one eve`,
  },
  "Docker's own bridge": {
    drivers: { theirs: "bridge", ours: "bridge" },
    commands: `
      network create one
      network connect one ann
      network create --subnet 10.91.0.0/30 two
      network connect two ann
      network connect two bob
      network create --ipv6 --subnet 10.92.0.0/24 --subnet 2001:db8:92::/64 --ip-range 10.92.0.64/26 three
      network connect three ann
      network connect --ip 10.92.0.64 --ip6 2001:db8:92::5 three bob
      network create --subnet 10.92.0.128/25 four`,
  },
};

export const forms: Readonly<Record<string, Form>> = { ...poolForms, ...addressForms, ...otherForms };
