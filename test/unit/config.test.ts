import { expect } from "chai";
import { parseConfig } from "../../src/config.ts";

describe("the settings", () => {
  const defaults = {
    socket: "/run/docker/plugins/tsnet.sock",
    managedSocket: null,
    adminSocket: "/run/docker/tsnet/admin.sock",
    stateDir: "/var/lib/tsnet",
    logLevel: "info",
    scope: "local",
    mark: 0x0100_0000,
    dockerSocket: "/run/docker.sock",
    addressPools: { pools: [], excluded: [] },
    requiresMacAddress: false,
    orphanGraceMs: 120_000,
    hostId: null,
    etcd: null,
    namespaceDir: "/run/netns",
    overlay: { port: 4789, advertise: null, peers: [], hostTtlMs: 24 * 3_600_000 },
  };

  it("have defaults, also where they are empty, and other variables do not matter", () => {
    expect(parseConfig({})).to.deep.equal(defaults);
    expect(parseConfig({ TSNET_SCOPE: "", TSNET_MARK: "", PATH: "/bin", HOME: undefined })).to.deep.equal(defaults);
  });

  it("of two sockets are not the same path", () => {
    const path = "/run/docker/plugins/tsnet.sock";
    expect(messages({ TSNET_MANAGED_SOCKET: path })).to.deep.equal([
      `TSNET_SOCKET and TSNET_MANAGED_SOCKET are both ${path}: give each its own`,
    ]);
    expect(messages({ TSNET_ADMIN_SOCKET: "/a", TSNET_SOCKET: "/a" })).to.deep.equal([
      "TSNET_SOCKET and TSNET_ADMIN_SOCKET are both /a: give each its own",
    ]);
  });

  it("are taken from the environment", () => {
    const environment = {
      TSNET_SOCKET: "/a",
      TSNET_MANAGED_SOCKET: "/e",
      TSNET_ADMIN_SOCKET: "/c",
      TSNET_STATE_DIR: "/b",
      TSNET_LOG_LEVEL: "debug",
      TSNET_SCOPE: "global",
      TSNET_MARK: "0x80000000",
      TSNET_DOCKER_SOCKET: "/d",
      TSNET_ADDRESS_POOLS: "base=10.10.0.0/16,size=24;exclude=10.10.5.0/24",
      TSNET_REQUIRES_MAC_ADDRESS: "true",
      TSNET_ORPHAN_GRACE: "1m30s",
      TSNET_HOST_ID: "node-1.example",
      TSNET_NETNS_DIR: "/f/x/../netns/",
      TSNET_VXLAN_PORT: "8472",
      TSNET_ADVERTISE_ADDRESS: "eth1",
      TSNET_HOST_TTL: "90m",
      TSNET_ETCD_ENDPOINTS: "https://10.0.0.1:2379, https://[FD00::1]:443/,https://etcd.example:2379",
      TSNET_ETCD_CACERT: "/ca.pem",
      TSNET_ETCD_CERT: "/cert.pem",
      TSNET_ETCD_KEY: "/key.pem",
      TSNET_ETCD_USER: "tsnet:pass:word",
      TSNET_ETCD_PREFIX: "/cluster-1/tsnet/",
    };
    const { addressPools, ...others } = parseConfig(environment);
    expect(addressPools.pools.map(({ base, prefix }) => [base.text, prefix])).to.deep.equal([["10.10.0.0/16", 24]]);
    expect(addressPools.excluded.map(({ text }) => text)).to.deep.equal(["10.10.5.0/24"]);
    expect(others).to.deep.equal({
      socket: "/a",
      managedSocket: "/e",
      adminSocket: "/c",
      stateDir: "/b",
      logLevel: "debug",
      scope: "global",
      mark: 0x8000_0000,
      dockerSocket: "/d",
      requiresMacAddress: true,
      orphanGraceMs: 90_000,
      hostId: "node-1.example",
      etcd: {
        endpoints: ["https://10.0.0.1:2379", "https://[fd00::1]:443", "https://etcd.example:2379"],
        cacert: "/ca.pem",
        cert: "/cert.pem",
        key: "/key.pem",
        user: "tsnet",
        password: "pass:word",
        prefix: "/cluster-1/tsnet/",
      },
      namespaceDir: "/f/netns",
      overlay: { port: 8472, advertise: "eth1", peers: [], hostTtlMs: 90 * 60_000 },
    });
    expect(parseConfig({ TSNET_MARK: "1" }).mark).to.equal(1);
    expect(parseConfig({ TSNET_DOCKER_SOCKET: "none" }).dockerSocket).to.equal(null);
  });

  it("that are wrong are all named at once, with what was expected", () => {
    const environment = {
      TSNET_SOCKET: "tsnet.sock",
      TSNET_MANAGED_SOCKET: "plugin.sock",
      TSNET_ADMIN_SOCKET: "admin.sock",
      TSNET_STATE_DIR: "./x",
      TSNET_LOG_LEVEL: "loud",
      TSNET_SCOPE: "swarm",
      TSNET_MARK: "3",
      TSNET_DOCKER_SOCKET: "docker.sock",
      TSNET_ADDRESS_POOLS: "base=10.10.0.0/16",
      TSNET_REQUIRES_MAC_ADDRESS: "yes",
      TSNET_ORPHAN_GRACE: "2",
      TSNET_HOST_ID: "a/b",
      TSNET_NETNS_DIR: "netns",
      TSNET_VXLAN_PORT: "65536",
      TSNET_ADVERTISE_ADDRESS: "eth0/24",
      TSNET_PEERS: "10.0.0.2,10.0.0.2",
      TSNET_HOST_TTL: "30s",
      TSNET_ETCD_ENDPOINTS: "10.0.0.1:2379",
      TSNET_ETCD_CACERT: "ca.pem",
      TSNET_ETCD_CERT: "cert.pem",
      TSNET_ETCD_KEY: "key.pem",
      TSNET_ETCD_USER: "hunter2",
      TSNET_ETCD_PREFIX: "tsnet",
      TSNET_SPEED: "1",
    };
    const known = Object.keys(environment).slice(0, -1).join(", ");
    expect(messages(environment)).to.deep.equal([
      "TSNET_SOCKET=tsnet.sock: expected an absolute path",
      "TSNET_MANAGED_SOCKET=plugin.sock: expected an absolute path",
      "TSNET_ADMIN_SOCKET=admin.sock: expected an absolute path",
      "TSNET_STATE_DIR=./x: expected an absolute path",
      "TSNET_LOG_LEVEL=loud: expected one of trace, debug, info, warn, error, fatal",
      "TSNET_SCOPE=swarm: expected one of local, global",
      "TSNET_MARK=3: expected a number with one bit set, such as 0x01000000",
      "TSNET_DOCKER_SOCKET=docker.sock: expected an absolute path, or none",
      "TSNET_ADDRESS_POOLS=base=10.10.0.0/16: base=10.10.0.0/16: size is missing: expected such as base=10.10.0.0/16,size=24",
      "TSNET_REQUIRES_MAC_ADDRESS=yes: expected one of true, false",
      'TSNET_ORPHAN_GRACE=2: expected a length of time with its unit, such as 90s, 10m or 1h30m, got "2"',
      "TSNET_HOST_ID=a/b: expected a name: up to 63 letters, digits, dots, hyphens and underscores",
      "TSNET_NETNS_DIR=netns: expected an absolute path",
      "TSNET_VXLAN_PORT=65536: expected a UDP port from 1 to 65535",
      "TSNET_ADVERTISE_ADDRESS=eth0/24: expected an address of this host, or the name of the link that has it",
      "TSNET_PEERS=10.0.0.2,10.0.0.2: 10.0.0.2 is given twice",
      "TSNET_HOST_TTL=30s: expected 1m to 8760h",
      'TSNET_ETCD_ENDPOINTS: "10.0.0.1:2379": expected such as https://10.0.0.1:2379, several separated by commas',
      "TSNET_ETCD_CACERT=ca.pem: expected an absolute path",
      "TSNET_ETCD_CERT=cert.pem: expected an absolute path",
      "TSNET_ETCD_KEY=key.pem: expected an absolute path",
      "TSNET_ETCD_USER: expected name:password",
      "TSNET_ETCD_PREFIX=tsnet: expected a path that begins and ends with a slash, such as /tsnet/",
      `TSNET_SPEED is no setting of tsnet; known: ${known}`,
    ]);
  });

  it("may be left over of another version, without a value", () => {
    expect(messages({ TSNET_SPEED: "" })).to.deep.equal([]);
    expect(messages({ TSNET_SPEED: "1" })).to.have.length(1);
  });

  for (const mark of ["0", "0x0", "-1", "0x100000000", "4294967296", "1.5", "0b1", "1e3", "x", "0x3"]) {
    it(`do not take ${mark} for a mark`, () => {
      expect(messages({ TSNET_MARK: mark })).to.deep.equal([
        `TSNET_MARK=${mark}: expected a number with one bit set, such as 0x01000000`,
      ]);
    });
  }

  for (const grace of ["0", "999ms", "169h", "soon", "-1s"]) {
    it(`do not take ${grace} for a grace time`, () => {
      const [message] = messages({ TSNET_ORPHAN_GRACE: grace });
      expect(message).to.match(/^TSNET_ORPHAN_GRACE=/);
    });
  }

  for (const [setting, value, text] of [
    ["VXLAN_PORT", "0", "expected a UDP port"],
    ["VXLAN_PORT", "0x12b5", "expected a UDP port"],
    ["ADVERTISE_ADDRESS", "127.0.0.1", "127.0.0.1 is no address at which other hosts reach one"],
    ["ADVERTISE_ADDRESS", "a-name-that-is-too-long-for-a-link", "expected an address of this host"],
    ["PEERS", "10.0.0.1,fd00::1", "10.0.0.1 and fd00::1 are of two families"],
    ["PEERS", "10.0.0.1,,10.0.0.2", "expected an IP address"],
    ["PEERS", "fd00::1,FD00::1", "fd00::1 is given twice"],
    ["PEERS", "239.1.1.1", "239.1.1.1 is no address at which other hosts reach one"],
    ["PEERS", "10.0.0.1:4789", "expected an IP address"],
    ["NETNS_DIR", "/", "expected a directory for network namespaces alone"],
    ["NETNS_DIR", "/run/", "expected a directory for network namespaces alone"],
    ["NETNS_DIR", "/run/netns/..", "expected a directory for network namespaces alone"],
    ["NETNS_DIR", "/host/run", "expected a directory for network namespaces alone"],
    ["NETNS_DIR", "/proc/1/ns", "expected a directory for network namespaces alone"],
    ["HOST_TTL", "8761h", "expected 1m to 8760h"],
  ] as const) {
    it(`do not take ${value} for TSNET_${setting}`, () => {
      const [message, ...others] = messages({ [`TSNET_${setting}`]: value });
      expect(message)
        .to.match(new RegExp(`^TSNET_${setting}=`))
        .and.to.contain(text);
      expect(others).to.deep.equal([]);
    });
  }

  it("name the other hosts by their addresses, as they are written canonically", () => {
    expect(parseConfig({ TSNET_PEERS: "10.0.0.1, 10.0.0.2" }).overlay.peers).to.deep.equal(["10.0.0.1", "10.0.0.2"]);
    expect(parseConfig({ TSNET_PEERS: "FD00:0::1" }).overlay.peers).to.deep.equal(["fd00::1"]);
  });

  it("name one control plane", () => {
    expect(messages({ TSNET_PEERS: "10.0.0.1", TSNET_ETCD_ENDPOINTS: "http://10.0.0.1:2379" })).to.deep.equal([
      "TSNET_PEERS and TSNET_ETCD_ENDPOINTS: etcd knows the other hosts; set one of them",
    ]);
  });

  for (const [name, endpoints] of Object.entries({
    "without a port": "http://10.0.0.1",
    "with a path": "http://10.0.0.1:2379/v3",
    "with a port that is too large": "http://10.0.0.1:65536",
    "of another scheme": "unix:///run/etcd.sock",
    "that are empty in between": "http://10.0.0.1:2379,,http://10.0.0.2:2379",
    "given twice": "http://10.0.0.1:2379,http://10.0.0.1:2379/",
  })) {
    it(`do not take endpoints of etcd ${name}`, () => {
      const all = messages({ TSNET_ETCD_ENDPOINTS: endpoints });
      expect(all).to.have.lengthOf(1);
      expect(all[0]).to.match(/^TSNET_ETCD_ENDPOINTS: .*(expected such as|given twice)/);
    });
  }

  it("of etcd are told if they contradict each other", () => {
    const plain = { TSNET_ETCD_ENDPOINTS: "https://a:1,http://b:2" };
    expect(messages({ TSNET_ETCD_USER: "a:b", TSNET_ETCD_CERT: "/c", TSNET_ETCD_KEY: "/k" })).to.deep.equal([
      "TSNET_ETCD_CERT is set, but TSNET_ETCD_ENDPOINTS is not: set both or none",
      "TSNET_ETCD_KEY is set, but TSNET_ETCD_ENDPOINTS is not: set both or none",
      "TSNET_ETCD_USER is set, but TSNET_ETCD_ENDPOINTS is not: set both or none",
    ]);
    expect(messages({ ...plain, TSNET_ETCD_CACERT: "/c" })).to.deep.equal([
      "TSNET_ETCD_CACERT is set, but TSNET_ETCD_ENDPOINTS has http://b:2: expected https",
    ]);
    expect(messages({ TSNET_ETCD_ENDPOINTS: "https://a:1", TSNET_ETCD_KEY: "/k" })).to.deep.equal([
      "TSNET_ETCD_CERT and TSNET_ETCD_KEY: set both or none",
    ]);
    expect(messages(plain)).to.deep.equal([]);
  });

  it("show no password of etcd's", () => {
    const secrets = {
      TSNET_ETCD_USER: "hunter2",
      TSNET_ETCD_ENDPOINTS: "http://tsnet:hunter2@10.0.0.1:2379",
      TSNET_MARK: "3",
    };
    const all = messages(secrets);
    expect(all).to.have.lengthOf(3);
    expect(all[1]).to.equal("TSNET_ETCD_ENDPOINTS: a user and password belong into TSNET_ETCD_USER");
    expect(all.join()).not.to.contain("hunter2");
  });

  function messages(environment: Record<string, string>): string[] {
    try {
      parseConfig(environment);
    } catch (error) {
      expect(error).to.be.instanceOf(AggregateError);
      return (error as AggregateError).errors.map(({ message }: Error) => message);
    }
    return [];
  }
});
