import { expect } from "chai";
import { explain, TsnetError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, openDriver, startDriver, stopDriver } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { networkRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const bridge = "tsb-a1000000000";

describe("the firewall, started and kept up to date", () => {
  let world: World;
  let driver: Driver;
  let wanted: object;
  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    await driver.networks.create(networkRequest());
    wanted = structuredClone(world.dump());
  });
  afterEach(() => stopDriver(driver));

  const elements = (): string[] => Object.keys(world.nft.observe()?.elements["docker_links"] ?? {});
  const isKnown = (...names: string[]) => until("known", 1000, () => elements().join() === names.join());

  it("knows a bridge of Docker's by its name as it comes and goes", async () => {
    const docker0 = world.links.observe(world.links.add("docker0", "bridge", { up: true }));
    world.report({ what: "link", removed: false, link: docker0 });
    await isKnown("docker0");
    world.removeLink("docker0");
    await isKnown();
  });

  it("knows a bridge of Docker's by its rules, whatever it is called, until the rules go", async () => {
    world.forward = { "iptables-nft": ["-P FORWARD ACCEPT", "-A FORWARD -o mydocker -j DOCKER"] };
    world.report({ what: "forward" });
    await isKnown("mydocker");
    world.forward = { "iptables-nft": ["-P FORWARD ACCEPT"] };
    world.report({ what: "forward" });
    await isKnown();
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("knows a bridge by its name and by its rules, and forgets it when both are gone", async () => {
    world.forward = { "iptables-nft": ["-P FORWARD ACCEPT", "-A FORWARD -o docker0 -j DOCKER"] };
    world.links.add("docker0", "bridge", { up: true });
    await driver.reconciler.run();
    expect(elements()).to.deep.equal(["docker0"]);
    world.removeLink("docker0");
    await driver.reconciler.run();
    expect(elements()).to.deep.equal(["docker0"]);
    world.forward = {};
    await driver.reconciler.run();
    expect(elements()).to.deep.equal([]);
  });

  it("knows Docker's bridges from the start, by name and by rule", async () => {
    world.links.add("br-0123456789ab", "bridge", { up: true });
    world.forward = { "ip6tables-nft": ["-P FORWARD ACCEPT", "-A DOCKER-BRIDGE -o mydocker -j DOCKER"] };
    driver = await startDriver(world, driver.store);
    expect(elements().toSorted()).to.deep.equal(["br-0123456789ab", "mydocker"]);
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("never takes a bridge of its own for Docker's", async () => {
    world.forward = { "iptables-nft": ["-P FORWARD ACCEPT", `-A FORWARD -o ${bridge} -j DOCKER`] };
    await driver.reconciler.run();
    expect(elements()).to.deep.equal([]);
  });

  it("learns of Docker's bridges that came and went when events are lost", async () => {
    world.links.add("docker0", "bridge", { up: true });
    world.report({ what: "everything" });
    await isKnown("docker0");
    world.links.remove(world.links.require("docker0"));
    world.links.add("docker_gwbridge", "bridge", { up: true });
    world.report({ what: "everything" });
    await isKnown("docker_gwbridge");
    await driver.reconciler.stop();
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("goes on with the table that an earlier process has left, which packets pass meanwhile", async () => {
    world.links.add("docker0", "bridge", { up: true });
    expect(await replacements()).to.equal(0);
    expect(elements()).to.deep.equal(["docker0"]);
    world.nft.changeSkeleton(" # somebody's rule");
    expect(await replacements()).to.equal(1);
    expect(await replacements()).to.equal(0);
    const [[, table] = []] = await driver.store.list("table");
    await driver.store.commit([{ put: "table", id: "inet tsnet", value: { digest: "of another version" } }]);
    expect(await replacements()).to.equal(1);
    expect((await driver.store.list("table")).get("inet tsnet")).to.deep.equal(table);
  });

  it("starts also where it cannot note on the disk how its table looks", async () => {
    world.nft.flush();
    await driver.store.commit([{ remove: "table", id: "inet tsnet" }]);
    driver = openDriver(world, driver.store);
    const commit = driver.store.commit.bind(driver.store);
    driver.store.commit = async (changes) => {
      if (changes.some((change) => "put" in change && change.put === "table"))
        throw new TsnetError("store", "database or disk is full");
      await commit(changes);
    };
    await driver.reconciler.restore();
    driver.store.commit = commit;
    expect(world.dump()).to.deep.equal(wanted);
    expect(await replacements()).to.equal(1);
  });

  it("starts where somebody flushes the ruleset meanwhile, and knows its table then", async () => {
    driver = openDriver(world, driver.store);
    flushBeforeObservation(1);
    await driver.reconciler.restore();
    expect(world.dump()).to.deep.equal(wanted);
    await driver.reconciler.run();
    expect(driver.reconciler.repairs()).to.deep.equal({});
  });

  it("does not start where somebody flushes the ruleset again and again, and says so", async () => {
    driver = openDriver(world, driver.store);
    flushBeforeObservation(Number.POSITIVE_INFINITY);
    expect(await driver.reconciler.restore().catch(explain)).to.match(
      /^table inet tsnet was gone right after .* 3 times/,
    );
  });

  it("puts the whole table in place where somebody's elements are in the way of its repair", async () => {
    world.nft.run('add element inet tsnet bridges { "mine" }');
    const { kernel } = driver;
    const apply = kernel.apply;
    let refusals = 1;
    kernel.apply = async (ops) => {
      if (refusals-- > 0) throw new TsnetError("kernel", "interval overlaps with an existing one", { errno: "EEXIST" });
      return apply(ops);
    };
    await driver.reconciler.run();
    expect(world.dump()).to.deep.equal(wanted);
    expect(driver.reconciler.repairs()["firewall"]?.count).to.equal(1);
  });

  /** Starts another process. @returns how often it replaces the table */
  async function replacements(): Promise<number> {
    await driver.reconciler.stop();
    driver = openDriver(world, driver.store);
    const { kernel } = driver;
    const apply = kernel.apply;
    let count = 0;
    kernel.apply = async (ops) => {
      for (const one of ops) if (one.op === "run-nft" && one.script.includes("delete table inet tsnet")) count++;
      return apply(ops);
    };
    await driver.reconciler.restore();
    await driver.reconciler.run();
    return count;
  }

  /** Somebody's `nft flush ruleset`, right before tsnet looks at its table, so many times. */
  function flushBeforeObservation(times: number): void {
    const { kernel } = driver;
    const observe = kernel.observeFirewall;
    let left = times;
    kernel.observeFirewall = (table) => {
      if (left-- > 0) world.nft.flush();
      return observe(table);
    };
  }
});
