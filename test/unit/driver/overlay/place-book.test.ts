import { expect } from "chai";
import fc from "fast-check";
import { type BookChange, PlaceBook, together } from "../../../../src/driver/overlay/place-book.ts";
import type { PlaceRecord } from "../../../../src/driver/overlay/shared-records.ts";
import type { RemoteEndpoint } from "../../../../src/plan/overlay-places.ts";

const place = (host: string, mac = "02:42:0a:01:00:02", endpoint = "e1"): PlaceRecord => ({ host, mac, endpoint });

/** What a book should say, from the records alone. */
class Model {
  readonly places = new Map<string, PlaceRecord>();
  readonly vteps = new Map<string, string>();

  remotes(vni: number): RemoteEndpoint[] {
    const ours = [...this.places].filter(([id]) => id.startsWith(`${vni}/`));
    const macs = [...new Set(ours.map(([, { mac }]) => mac))].sort();
    return macs.flatMap((mac) => {
      const withMac = ours.filter(([, record]) => record.mac === mac);
      if (withMac.some(([, { host }]) => host === "self")) return [];
      const [first] = withMac
        .map(([, { host }]) => host)
        .filter((host) => this.vteps.has(host))
        .sort();
      if (first === undefined) return [];
      const ips = withMac.flatMap(([id, { host }]) => (host === first ? [id.split("/")[1] ?? ""] : [])).sort();
      return [{ mac, ips, vtep: this.vteps.get(first) ?? "" }];
    });
  }

  hosts(vni: number): string[] {
    const ours = [...this.places].filter(([id]) => id.startsWith(`${vni}/`)).map(([, { host }]) => host);
    return [...new Set(ours)]
      .filter((host) => host !== "self")
      .flatMap((host) => this.vteps.get(host) ?? [])
      .sort();
  }
}

/** What somebody knows who is told the changes alone. */
class Listener {
  readonly remotes = new Map<string, RemoteEndpoint>();
  readonly hosts = new Map<number, string[]>();

  take(changes: readonly BookChange[], book: PlaceBook): void {
    for (const { vni, put, removed, isOtherHosts } of changes) {
      for (const mac of removed) this.remotes.delete(`${vni} ${mac}`);
      for (const remote of put) this.remotes.set(`${vni} ${remote.mac}`, remote);
      if (isOtherHosts) this.hosts.set(vni, book.hostsOf(vni));
    }
  }
}

const hosts = ["self", "a", "b", "c"] as const;
const macs = [1, 2, 3].map((n) => `02:42:00:00:00:0${n}`);
const ids = ["1/10.0.0.1", "1/10.0.0.2", "1/fd00::1", "2/10.0.0.1", "2/10.0.0.2"];
const putOf = fc.record({
  id: fc.constantFrom(...ids),
  record: fc.option(
    fc.record({ host: fc.constantFrom(...hosts), mac: fc.constantFrom(...macs), endpoint: fc.constantFrom("e", "f") }),
  ),
});
const hostOf = fc.record({
  host: fc.constantFrom(...hosts),
  vtep: fc.option(fc.constantFrom("192.0.2.1", "192.0.2.2")),
});
const changesOf = fc.array(fc.oneof(putOf, hostOf), { maxLength: 40 });

function change(
  step: { id: string; record: PlaceRecord | null } | { host: string; vtep: string | null },
  book: PlaceBook,
  model: Model,
) {
  if ("id" in step) {
    if (step.record) model.places.set(step.id, step.record);
    else model.places.delete(step.id);
    const one = book.put(step.id, step.record);
    return one ? [one] : [];
  }
  if (step.vtep === null) model.vteps.delete(step.host);
  else model.vteps.set(step.host, step.vtep);
  return book.setHost(step.host, step.vtep);
}

const sorted = (remotes: Iterable<RemoteEndpoint>) => [...remotes].sort((a, b) => (a.mac < b.mac ? -1 : 1));

describe("PlaceBook", () => {
  it("says what the records say, and tells each difference, whatever comes in whichever order", () => {
    fc.assert(
      fc.property(changesOf, fc.nat({ max: 5 }), (steps, size) => {
        const [book, model, listener] = [new PlaceBook("self"), new Model(), new Listener()];
        let untold: BookChange[] = [];
        for (const [n, step] of steps.entries()) {
          untold.push(...change(step, book, model));
          if (size > 0 && n % size > 0) continue;
          listener.take(together(untold), book);
          untold = [];
        }
        listener.take(together(untold), book);
        for (const vni of [1, 2]) {
          expect(sorted(book.remotes(vni))).to.deep.equal(model.remotes(vni));
          expect(book.hostsOf(vni)).to.deep.equal(model.hosts(vni));
          expect(listener.hosts.get(vni) ?? []).to.deep.equal(model.hosts(vni));
          const told = [...listener.remotes].filter(([key]) => key.startsWith(`${vni} `)).map(([, remote]) => remote);
          expect(sorted(told)).to.deep.equal(model.remotes(vni));
        }
        expect([...book.ids()].sort()).to.deep.equal([...model.places.keys()].sort());
        for (const host of hosts) {
          const its = [...model.places].filter(([, record]) => record.host === host).map(([id]) => id);
          expect([...book.of(host)].map(([id]) => id).sort()).to.deep.equal(its.sort());
        }
      }),
    );
  });

  it("knows nothing of an endpoint before it knows where its host is", () => {
    const book = new PlaceBook("self");
    expect(book.put("7/10.0.0.1", place("a"))).to.equal(undefined);
    expect([...book.remotes(7)]).to.deep.equal([]);
    const remote = { mac: "02:42:0a:01:00:02", ips: ["10.0.0.1"], vtep: "192.0.2.1" };
    const told = { vni: 7, put: [remote], removed: [], isOtherHosts: true };
    expect(book.setHost("a", "192.0.2.1")).to.deep.equal([told]);
    expect(book.setHost("a", "192.0.2.1")).to.deep.equal([]);
    expect(book.setHost("a", null)).to.deep.equal([{ ...told, put: [], removed: [remote.mac] }]);
  });

  it("does not send elsewhere what this host has itself", () => {
    const book = new PlaceBook("self");
    book.setHost("a", "192.0.2.1");
    book.put("7/10.0.0.1", place("a"));
    expect(book.put("7/10.0.0.1", place("self"))).to.deep.equal({
      ...{ vni: 7, put: [], removed: ["02:42:0a:01:00:02"], isOtherHosts: true },
    });
    expect(book.remote(7, "02:42:0a:01:00:02")).to.equal(undefined);
    expect(book.put("7/10.0.0.1", place("self", "02:42:0a:01:00:02", "e2"))).to.equal(undefined);
  });

  it("leaves out what is no place", () => {
    const book = new PlaceBook("self");
    book.setHost("a", "192.0.2.1");
    for (const id of ["10.0.0.1", "7", "7/", "x/10.0.0.1", "7/10.0.0.1/24"])
      expect(book.put(id, place("a"))).to.equal(undefined);
    expect([...book.ids()]).to.deep.equal([]);
  });
});
